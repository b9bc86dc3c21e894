//! The broker, over HTTP.

use http::Method;
use serde_json::Value;
use souk_chassis::{Context, Problem};
use souk_client::{Call, Policy};

use crate::Event;

/// The service that is the broker, and how long it may take for a batch, in milliseconds. The outbox has its own way of trying again.
#[rustfmt::skip]
static BROKER: Policy =
    //           of        timeout  attempts  slow from  at once
    Policy::row("events",  5_000,   1,        5_000,     4);

/// Has the broker take these events; what it has already it takes no second time.
pub async fn publish(context: &Context, events: &[Event]) -> Result<(), Problem> {
    let context = context.unhurried();
    let response = Call::new(&context, Method::POST, &BROKER, "/events")
        .json(&events)
        .send()
        .await?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let said: Value = response.json().await.unwrap_or_default();
    Err(Problem::bad_gateway("the broker did not take the events")
        .cause(format!("{status}: {said}")))
}
