//! Work beside a request, and after its answer; and the time by which it is due.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::channel::oneshot;
use spin_sdk::wasip3;

use crate::log;

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        elapsed.as_millis().try_into().unwrap_or(i64::MAX)
    })
}

/// Lets an instance do something every so often, beside its traffic. Meant to be a `static`.
#[derive(Debug)]
pub struct Every {
    millis: i64,
    last: AtomicI64,
}

impl Every {
    /// So many milliseconds.
    pub const fn new(millis: i64) -> Self {
        Self {
            millis,
            last: AtomicI64::new(0),
        }
    }

    /// Whether it is time again; whoever is told so sees to it.
    pub fn is_due(&self) -> bool {
        let now = now();
        let is_due = now >= self.last.load(Ordering::Relaxed) + self.millis;
        if is_due {
            self.last.store(now, Ordering::Relaxed);
        }
        is_due
    }
}

/// Does this work when the request that is worked on waits for something, and after its answer. Its log says that it is that request's.
pub fn later(work: impl Future<Output = ()> + 'static) {
    wasip3::spawn(log::carried(work));
}

/// Does this work beside the request that spawns it, also after its answer. Resolves when it has begun.
///
/// [`later`] alone only notes the work down: it is polled for the first time when its request's task is polled again,
/// which is when something happens that the task waits for. A request that waits for nothing but the work, such as for the
/// answer to a call whose body the work writes, would wait in vain. So this makes the task be polled until the work has begun;
/// from then on it is woken by what it waits for itself.
pub async fn spawn(work: impl Future<Output = ()> + 'static) {
    let (begins, mut begun) = oneshot::channel::<()>();
    later(async {
        drop(begins);
        work.await;
    });
    while begun.try_recv().is_ok() {
        wasip3::wit_bindgen::yield_async().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_now_and_then() {
        let often = Every::new(0);
        assert!(often.is_due() && often.is_due());
        let seldom = Every::new(60_000);
        assert!(seldom.is_due());
        assert!(!seldom.is_due());
    }
}
