//! Handing events to their consumers.

use http::StatusCode;

use crate::domain::Failure;

#[cfg(not(test))]
pub use network::deliver;

#[cfg(test)]
pub use crate::tests::consumers::deliver;

#[cfg(not(test))]
mod network {
    use std::time::Duration;

    use http::Method;
    use http::header::{self, HeaderValue};
    use souk_chassis::Context;
    use souk_client::{Call, CallError};
    use souk_events::{Event, MEDIA_TYPE};

    use crate::domain::Failure;

    /// How long a consumer may take for an event.
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// Has a consumer take an event.
    pub async fn deliver(context: &Context, consumer: &str, event: &Event) -> Result<(), Failure> {
        let call = Call::new(context, Method::POST, consumer, "/internal/events")
            .json(event)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))
            .timeout(TIMEOUT);
        match call.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(super::failure(response.status())),
            // It may be the event's doing: the consumer may hang, or crash, each time it gets this one.
            Err(error @ (CallError::Timeout { .. } | CallError::Answer { .. })) => {
                Err(Failure::Event(error.to_string()))
            }
            Err(error) => Err(Failure::Consumer(error.to_string())),
        }
    }
}

/// What an answer says of the consumer or the event. The body is not looked at: what is in an event can be in it.
fn failure(status: StatusCode) -> Failure {
    let why = format!("the answer was {status}");
    match status.as_u16() {
        // It does not believe us, has no door for events yet, or is busy or gone.
        401 | 403 | 404 | 405 | 429 | 502 | 503 | 504 => Failure::Consumer(why),
        _ => Failure::Event(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_that_is_busy_or_gone_is_told_from_one_that_refuses() {
        for status in [401, 404, 429, 502, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert!(matches!(failure(status), Failure::Consumer(_)), "{status}");
        }
        for status in [302, 400, 409, 413, 422, 500] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert!(matches!(failure(status), Failure::Event(_)), "{status}");
        }
    }
}
