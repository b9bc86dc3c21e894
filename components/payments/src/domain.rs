//! What payments are, and the rules they keep. Pure: no I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::{MAX_AMOUNT, Money};
use uuid::Uuid;

use crate::card::{CardSummary, Token};

/// The payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Payment {
    pub id: String,
    pub order_id: String,
    /// Absent where the payment was voided before it was asked for.
    pub user_id: Option<String>,
    /// What was asked for.
    pub amount: Money,
    /// What was taken of it.
    pub captured: Money,
    /// What was given back of that.
    pub refunded: Money,
    pub status: Status,
    /// Absent where the payment was voided before it was asked for.
    pub card: Option<CardSummary>,
    /// Why the provider declined to authorize or capture it.
    pub decline_code: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// Its history, oldest first.
    pub transactions: Vec<Transaction>,
}

/// Where a payment stands. What ends in `ing` is not decided yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Authorizing,
    Authorized,
    Declined,
    Capturing,
    Captured,
    CaptureFailed,
    Voiding,
    Voided,
    Refunding,
    PartiallyRefunded,
    Refunded,
}

/// Something that happened to a payment at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transaction {
    pub id: String,
    pub kind: Kind,
    pub amount: Money,
    pub status: TransactionStatus,
    /// The provider's name for it.
    pub provider_reference: Option<String>,
    pub decline_code: Option<String>,
    /// What the provider says about it.
    pub detail: Option<String>,
    pub created_at: String,
}

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Authorize,
    Capture,
    Void,
    Refund,
}

/// How that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// The provider gave no answer; what became of it follows.
    Unknown,
    Succeeded,
    Declined,
    /// Given up before it was carried out.
    Cancelled,
}

/// An operation that is not decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its name; with the number of the attempt, the idempotency key that the provider is told.
    pub key: String,
    pub payment_id: String,
    pub kind: Kind,
    /// Whether the provider has been asked under the present attempt.
    pub asked: bool,
    pub attempt: i64,
    /// How many times somebody took it.
    pub turn: i64,
    /// Whether somebody is at it.
    pub leased: bool,
    pub amount: Money,
    pub token: Token,
    /// The provider's name for the money that is held; empty before.
    pub hold: String,
}

/// What an order asks to authorize.
#[derive(Debug, PartialEq, Eq)]
pub struct NewPayment {
    pub amount: Money,
    pub token: Token,
    pub user_id: Uuid,
}

/// What is to be refunded.
#[derive(Debug, PartialEq, Eq)]
pub struct NewRefund {
    /// Everything that is left, unless told.
    pub amount: Option<i64>,
}

impl Status {
    /// Whether something about the payment is not decided yet.
    pub fn is_open(self) -> bool {
        use Status::*;
        matches!(self, Authorizing | Capturing | Voiding | Refunding)
    }

    /// As the API writes it.
    pub fn word(self) -> String {
        let word = serde_json::to_value(self).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }
}

impl Operation {
    /// The idempotency key of the present attempt.
    pub fn provider_key(&self) -> String {
        format!("{}-{}", self.key, self.attempt)
    }
}

impl FromFields for NewPayment {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            amount: fields.required_object("amount"),
            token: Token(fields.required("token", fields::line(1..=255))),
            user_id: fields.required("user_id", fields::uuid()),
        }
    }
}

impl FromFields for NewRefund {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            amount: fields.optional("amount", positive()),
        }
    }
}

fn positive() -> impl Rule<i64, i64> {
    fields::whole_number(1..=MAX_AMOUNT)
}

/// Reads an `Idempotency-Key`: 1 to 255 visible ASCII characters.
pub fn idempotency_key(given: Option<&[u8]>) -> Result<String, &'static str> {
    let key = given.ok_or("this needs the header Idempotency-Key")?;
    match (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        true => Ok(String::from_utf8_lossy(key).into_owned()),
        false => Err("Idempotency-Key must have 1 to 255 visible ASCII characters"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn each_attempt_has_a_key_of_its_own() {
        let mut operation = Operation {
            key: "p1-capture".into(),
            payment_id: "p1".into(),
            kind: Kind::Capture,
            asked: true,
            attempt: 1,
            turn: 1,
            leased: true,
            amount: Money::default(),
            token: Token::default(),
            hold: String::new(),
        };
        assert_eq!(operation.provider_key(), "p1-capture-1");
        operation.attempt = 2;
        assert_eq!(operation.provider_key(), "p1-capture-2");
    }

    #[test]
    fn a_refund_is_of_something_or_of_all() {
        let read = |body| fields::from_json::<NewRefund>(body).map(|refund| refund.amount);
        assert_eq!(read(json!({})).unwrap(), None);
        assert_eq!(read(json!({"amount": 5})).unwrap(), Some(5));
        for amount in [json!(0), json!(-1), json!(1.5), json!("5")] {
            assert!(read(json!({"amount": amount})).is_err(), "{amount}");
        }
    }

    #[test]
    fn idempotency_keys_are_short_and_visible() {
        assert_eq!(idempotency_key(Some(b"r-1")).unwrap(), "r-1");
        for odd in [
            None,
            Some(&b""[..]),
            Some(b"a b"),
            Some("é".as_bytes()),
            Some(&[b'a'; 256]),
        ] {
            assert!(idempotency_key(odd).is_err(), "{odd:?}");
        }
    }
}
