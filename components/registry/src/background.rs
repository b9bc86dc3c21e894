//! What is done beside requests, and time. In the tests time is theirs.

use souk_store::Error;

use crate::{probes, store};

#[cfg(not(test))]
pub use real::{now, nudge, sleep};

#[cfg(test)]
pub use crate::tests::machine::{now, nudge, sleep};

/// Notes down whose lease is over, forgets who is long gone, and asks the others how they are.
pub async fn work() -> Result<(), Error> {
    store::settle().await?;
    probes::probe_due().await
}

#[cfg(not(test))]
mod real {
    use std::time::Duration;

    use souk_chassis::background::Every;

    pub use souk_chassis::background::now;

    /// How often an instance's traffic looks whether something is to be done, in milliseconds.
    const LOOK_EVERY: i64 = 2_000;

    /// Does what is due, now and then, for whoever has nothing that ticks.
    pub fn nudge() {
        static LOOK: Every = Every::new(LOOK_EVERY);
        if !LOOK.is_due() {
            return;
        }
        souk_chassis::background::later(async {
            if let Err(error) = super::work().await {
                tracing::error!(%error, "instances cannot be probed");
            }
        });
    }

    /// Waits for so long.
    pub async fn sleep(duration: Duration) {
        spin_sdk::time::sleep(duration).await;
    }
}
