//! Time, and work that goes on after an answer. In the tests time is theirs, and so is when such work is done.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

#[cfg(not(test))]
pub use real::{checkpoint, now, sleep, spawn};

#[cfg(test)]
pub use crate::tests::simulation::{checkpoint, now, sleep, spawn};

#[cfg(not(test))]
mod real {
    use std::time::Duration;

    pub use souk_chassis::background::{now, spawn};

    /// Waits for so long.
    pub async fn sleep(duration: Duration) {
        spin_sdk::time::sleep(duration).await;
    }

    /// A place where a test may end everything; there is one before and one after everything that has an effect.
    pub async fn checkpoint() {}
}

/// Waits for something, but not for longer than this.
pub async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(sleep(timeout))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

/// How long it is until a moment.
pub fn until(moment: i64) -> Duration {
    Duration::from_millis((moment - now()).try_into().unwrap_or(0))
}
