//! The broker, over HTTP.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use souk_chassis::{Context, Problem};
use souk_client::Call;

use crate::Event;

/// The service that is the broker.
const BROKER: &str = "events";

/// How long it may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Has the broker take these events; what it has already it takes no second time.
pub async fn publish(context: &Context, events: &[Event]) -> Result<(), Problem> {
    let response = Call::new(context, Method::POST, BROKER, "/events")
        .json(&events)
        .timeout(TIMEOUT)
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
