//! What the processor's answers mean.

use serde::Deserialize;

use crate::interface::exports::souk::payment::provider::{Decline, Failure, Outcome};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Tokenize,
    Authorize,
    Capture,
    Void,
    Refund,
}

/// A payment method, a payment intent or a refund.
#[derive(Deserialize)]
struct Resource {
    id: String,
    #[serde(default)]
    status: String,
    failure_reason: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: ProcessorError,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProcessorError {
    r#type: String,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    /// As it is, where the error is about one.
    payment_intent: Option<Resource>,
}

/// Reads an answer. Where it does not say that nothing was done, nobody can know.
pub fn read(action: Action, status: u16, body: &[u8]) -> Result<Outcome, Failure> {
    match status {
        200..=299 => done(action, body),
        400 | 402 | 404 | 422 => refused(action, status, body),
        429 => Err(Failure::Unavailable("the processor is busy".into())),
        // 409: the first request with this key has not ended.
        408 | 409 | 500..=599 => Err(Failure::Unknown(format!("the processor answered {status}"))),
        401 | 403 => Err(Failure::Invalid(format!(
            "the processor does not accept the shop's key: it answered {status}"
        ))),
        _ => Err(Failure::Invalid(format!(
            "the processor answered {status}, which is none of its API"
        ))),
    }
}

fn done(action: Action, body: &[u8]) -> Result<Outcome, Failure> {
    let Ok(resource) = serde_json::from_slice::<Resource>(body) else {
        return Err(Failure::Unknown("the processor's answer is no JSON".into()));
    };
    use Action::*;
    match (action, resource.status.as_str()) {
        (Tokenize, _)
        | (Authorize, "requires_capture")
        | (Capture, "succeeded")
        | (Void, "canceled")
        // A pending refund is on its way.
        | (Refund, "succeeded" | "pending") => Ok(Outcome::Approved(resource.id)),
        // No money is held, and there is nobody who could take the further steps some of these wait for.
        (Authorize, "requires_payment_method" | "requires_confirmation" | "requires_action" | "canceled") => {
            Ok(declined(&resource.status, "The card was not charged."))
        }
        (Refund, "failed" | "canceled") => {
            let reason = resource.failure_reason.unwrap_or(resource.status);
            Ok(declined(&reason, "The refund failed."))
        }
        (_, status) => Err(Failure::Unknown(format!("the processor says {status:?}"))),
    }
}

fn refused(action: Action, status: u16, body: &[u8]) -> Result<Outcome, Failure> {
    let refusal = serde_json::from_slice::<Refusal>(body);
    let error = refusal.map(|refusal| refusal.error).unwrap_or_default();
    match error.r#type.as_str() {
        "card_error" | "invalid_request_error" => Ok(error.outcome(action)),
        other => Err(Failure::Invalid(format!(
            "the processor answered {status} with an error of the type {other:?}"
        ))),
    }
}

impl ProcessorError {
    fn outcome(self, action: Action) -> Outcome {
        let intent = self.payment_intent.as_ref();
        let state = intent.map(|intent| intent.status.as_str());
        match (action, state, &self.payment_intent) {
            // It had been done already, such as by hand at the processor.
            (Action::Capture, Some("succeeded"), Some(intent))
            | (Action::Void, Some("canceled"), Some(intent)) => {
                Outcome::Approved(intent.id.clone())
            }
            _ => {
                let code = self.decline_code.or(self.code);
                let code = code.unwrap_or_else(|| "refused".into());
                let message = self.message.filter(|_| action != Action::Tokenize);
                // A message about a card's number might repeat it.
                let message = message.unwrap_or_else(|| "The card was refused.".into());
                declined(&code, &message)
            }
        }
    }
}

fn declined(code: &str, message: &str) -> Outcome {
    Outcome::Declined(Decline {
        code: code.chars().take(100).collect(),
        message: message.chars().take(500).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::*;

    /// In one word or two.
    fn answer(action: Action, status: u16, body: &str) -> String {
        match read(action, status, body.as_bytes()) {
            Ok(Outcome::Approved(reference)) => format!("approved {reference}"),
            Ok(Outcome::Declined(decline)) => format!("declined {}", decline.code),
            Err(Failure::Unavailable(_)) => "unavailable".into(),
            Err(Failure::Unknown(_)) => "unknown".into(),
            Err(Failure::Invalid(_)) => "invalid".into(),
        }
    }

    #[test]
    fn what_succeeded_is_approved() {
        assert_eq!(answer(Tokenize, 200, r#"{"id":"pm_1"}"#), "approved pm_1");
        for (action, status) in [
            (Authorize, "requires_capture"),
            (Capture, "succeeded"),
            (Void, "canceled"),
            (Refund, "succeeded"),
            (Refund, "pending"),
        ] {
            let body = format!(r#"{{"id":"x_1","status":"{status}","amount":5}}"#);
            assert_eq!(answer(action, 200, &body), "approved x_1", "{action:?}");
        }
    }

    #[test]
    fn what_is_not_finished_or_makes_no_sense_is_unknown() {
        for (action, body) in [
            (Authorize, r#"{"id":"pi_1","status":"processing"}"#),
            (Capture, r#"{"id":"pi_1","status":"processing"}"#),
            (Capture, r#"{"id":"pi_1","status":"requires_capture"}"#),
            (Void, r#"{"id":"pi_1","status":"requires_capture"}"#),
            (Refund, r#"{"id":"re_1","status":"requires_action"}"#),
            (Authorize, "<html>"),
            (Authorize, "{}"),
        ] {
            assert_eq!(answer(action, 200, body), "unknown", "{action:?} {body}");
        }
    }

    #[test]
    fn what_the_processor_decided_against_is_declined() {
        let card = r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"No."}}"#;
        assert_eq!(answer(Authorize, 402, card), "declined insufficient_funds");
        let expired =
            r#"{"error":{"type":"invalid_request_error","code":"charge_expired_for_capture"}}"#;
        assert_eq!(
            answer(Capture, 400, expired),
            "declined charge_expired_for_capture"
        );
        let action = r#"{"id":"pi_1","status":"requires_action"}"#;
        assert_eq!(answer(Authorize, 200, action), "declined requires_action");
        let failed = r#"{"id":"re_1","status":"failed","failure_reason":"lost_or_stolen_card"}"#;
        assert_eq!(answer(Refund, 200, failed), "declined lost_or_stolen_card");
    }

    #[test]
    fn what_was_done_already_is_approved() {
        let body = |status| {
            format!(
                r#"{{"error":{{"type":"invalid_request_error","code":"payment_intent_unexpected_state",
                "payment_intent":{{"id":"pi_1","status":"{status}"}}}}}}"#
            )
        };
        assert_eq!(answer(Void, 400, &body("canceled")), "approved pi_1");
        assert_eq!(answer(Capture, 400, &body("succeeded")), "approved pi_1");
        assert_eq!(
            answer(Void, 400, &body("succeeded")),
            "declined payment_intent_unexpected_state"
        );
        assert_eq!(
            answer(Capture, 400, &body("canceled")),
            "declined payment_intent_unexpected_state"
        );
    }

    #[test]
    fn only_what_certainly_was_not_done_is_said_to_be_so() {
        assert_eq!(answer(Authorize, 429, ""), "unavailable");
        for status in [408, 409, 500, 502, 503, 504] {
            assert_eq!(answer(Authorize, status, ""), "unknown", "{status}");
        }
        for status in [302, 401, 403, 405] {
            assert_eq!(answer(Authorize, status, ""), "invalid", "{status}");
        }
        let other_input = r#"{"error":{"type":"idempotency_error"}}"#;
        assert_eq!(answer(Authorize, 400, other_input), "invalid");
        assert_eq!(answer(Authorize, 404, "<html>"), "invalid");
    }

    #[test]
    fn a_message_about_a_card_is_not_passed_on() {
        let body = r#"{"error":{"type":"card_error","code":"incorrect_number","message":"4242424242424241 is wrong"}}"#;
        let Ok(Outcome::Declined(decline)) = read(Tokenize, 402, body.as_bytes()) else {
            panic!("declined");
        };
        assert_eq!(decline.code, "incorrect_number");
        assert!(!decline.message.contains("4242"));
    }
}
