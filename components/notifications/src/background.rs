//! What is done beside requests, and after their answers.

use std::sync::atomic::{AtomicI64, Ordering};

use http::Method;
use souk_chassis::background::now;
use souk_chassis::{Context, Problem};

use crate::channels;
use crate::store::OUTBOX;

/// How often an instance's reading traffic looks whether something is to be sent, in milliseconds.
const LOOK_EVERY: i64 = 1_000;

/// Publishes what a request has changed and sends what it has made: after each that may have, and now and then after one that
/// only reads, for a shop that has nothing that ticks.
pub fn afterwards(context: Context, method: &Method) {
    static LOOKED_AT: AtomicI64 = AtomicI64::new(0);
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let now = now();
    if is_read && now < LOOKED_AT.load(Ordering::Relaxed) + LOOK_EVERY {
        return;
    }
    LOOKED_AT.store(now, Ordering::Relaxed);
    OUTBOX.nudge(context.clone(), method);
    spin_sdk::wasip3::spawn(async move {
        if let Err(problem) = work(&context).await {
            eprintln!("level=error service=notifications event=not-delivered error={problem:?}");
        }
    });
}

/// Sends what is due, and publishes what came of it.
pub async fn work(context: &Context) -> Result<(), Problem> {
    let delivered = channels::deliver_due(context).await;
    OUTBOX.publish(context).await;
    delivered
}
