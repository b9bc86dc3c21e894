//! Handing events to their consumers.

use http::StatusCode;

use crate::domain::Failure;

#[cfg(not(test))]
pub use network::deliver;

#[cfg(test)]
pub use crate::tests::consumers::deliver;

#[cfg(not(test))]
mod network {
    use std::sync::OnceLock;

    use http::Method;
    use http::header::{self, HeaderValue};
    use souk_chassis::Context;
    use souk_client::{Call, CallError, Policy};
    use souk_events::{Event, MEDIA_TYPE};

    use crate::domain::Failure;
    use crate::settings;

    /// How a consumer is treated, whoever it is. The log has its own way of trying again.
    const fn policy(consumer: &'static str) -> Policy {
        //          of        timeout  attempts  slow from  at once
        Policy::row(consumer, 5_000, 1, 5_000, 16)
    }

    /// The policy of one of those who subscribe.
    fn policy_of(consumer: &str) -> Result<&'static Policy, Failure> {
        static POLICIES: OnceLock<Vec<Policy>> = OnceLock::new();
        let subscriptions = settings::subscriptions()
            .map_err(|_| Failure::Consumer("the subscriptions cannot be read".into()))?;
        let all = POLICIES.get_or_init(|| {
            let consumers = subscriptions.iter().map(|it| it.consumer.as_str());
            consumers.map(policy).collect()
        });
        let own = all.iter().find(|policy| policy.service == consumer);
        own.ok_or_else(|| Failure::Consumer("it does not subscribe any more".into()))
    }

    /// Has a consumer take an event. That belongs to the trace in which the event happened, whoever makes the round; the call says so
    /// itself, and the event does not.
    pub async fn deliver(context: &Context, consumer: &str, event: &Event) -> Result<(), Failure> {
        let context = context.on_behalf_of(None, event.traceparent.as_deref());
        let event = Event {
            traceparent: None,
            ..event.clone()
        };
        let policy = policy_of(consumer)?;
        let call = Call::new(&context, Method::POST, policy, "/internal/events")
            .json(&event)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
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
