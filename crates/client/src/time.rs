//! Time and chance.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

pub use souk_chassis::background::now;

/// Waits so many milliseconds.
pub async fn sleep(ms: u32) {
    spin_sdk::time::sleep(Duration::from_millis(ms.into())).await;
}

/// Waits for something, but not for longer than so many milliseconds.
pub async fn within<T>(ms: u32, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(sleep(ms))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

/// Any number.
pub fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}
