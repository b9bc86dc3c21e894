//! Time, for a shop that has nothing that ticks: as long as anybody uses it, every service is told now and then to do what is due.
//!
//! Each service looks for what is due beside its own requests too. But the ones that are seldom asked for anything, such as the broker,
//! would otherwise find what a crash has left only when somebody happens to come by. The gateway itself has counts and copies to
//! forget.

use futures::future::join_all;
use http::Method;
use souk_chassis::Context;
use souk_chassis::background::{self, Every, now};
use souk_client::Call;

use crate::policies::POLICIES;
use crate::{copies, limiter, routes, store};

/// How often the services are told, in milliseconds.
const EVERY: i64 = 5_000;

/// How often an instance looks whether it is time, in milliseconds.
const LOOK_EVERY: i64 = 1_000;

/// How long a service may take for it, in milliseconds. Whether it does it is its own concern.
const TIMEOUT_MS: u32 = 10_000;

/// Tells the services beside a request, and after its answer, if it is time to.
pub fn nudge(context: Context, _: &Method) {
    static LOOK: Every = Every::new(LOOK_EVERY);
    if LOOK.is_due() {
        background::later(tick_all(context));
    }
}

async fn tick_all(context: Context) {
    match store::begin_tick(EVERY, now()).await {
        Ok(true) => {
            let services = routes::services().into_iter();
            join_all(services.map(|service| tick(&context, service))).await;
            limiter::prune().await;
            copies::prune().await;
            _ = store::forget_running(now()).await;
        }
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "services cannot be ticked"),
    }
}

async fn tick(context: &Context, service: &str) {
    let call = Call::new(
        context,
        Method::POST,
        POLICIES.to(service),
        "/internal/tick",
    );
    _ = call.unguarded(TIMEOUT_MS).send().await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn of_all_who_look_one_ticks() {
        let begins = |now| block_on(store::begin_tick(EVERY, now)).unwrap();
        let moment = now();
        assert!(begins(moment));
        assert!(!begins(moment));
        assert!(!begins(moment + EVERY - 1));
        assert!(begins(moment + EVERY));
    }
}
