//! What is done beside requests, and after their answers.

use http::Method;
use souk_chassis::background::Every;
use souk_chassis::{Context, Problem};

use crate::channels;
use crate::store::OUTBOX;

/// How often an instance's reading traffic looks whether something is to be sent, in milliseconds.
const LOOK_EVERY: i64 = 1_000;

/// Publishes what a request has changed and sends what it has made: after each that may have, and now and then after one that
/// only reads, for a shop that has nothing that ticks.
pub fn afterwards(context: Context, method: &Method) {
    static LOOK: Every = Every::new(LOOK_EVERY);
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if is_read && !LOOK.is_due() {
        return;
    }
    souk_chassis::background::later(async move {
        OUTBOX.publish(&context).await;
        if let Err(problem) = work(&context).await {
            tracing::error!(error = ?problem, "notifications cannot be delivered");
        }
    });
}

/// Sends what is due, and publishes what came of it.
pub async fn work(context: &Context) -> Result<(), Problem> {
    let delivered = channels::deliver_due(context).await;
    OUTBOX.publish(context).await;
    delivered
}
