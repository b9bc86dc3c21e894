//! What an order is. Pure: no I/O. What a customer sends is in [`placing`], how the saga goes on in
//! [`saga`], what operators see in [`ops`].

pub mod ops;
pub mod placing;
pub mod saga;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::{Money, PostalAddress, page};
use uuid::Uuid;

use saga::Saga;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Reserved,
    Authorized,
    Confirmed,
    Shipped,
    Delivered,
    Rejected,
    Cancelled,
}

impl Status {
    /// The words for them, as a filter takes them.
    pub const WORDS: &'static [&'static str] = &[
        "pending",
        "reserved",
        "authorized",
        "confirmed",
        "shipped",
        "delivered",
        "rejected",
        "cancelled",
    ];

    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Rejected | Self::Cancelled)
    }
}

/// Why an order was rejected or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A product is not sold, or not in the same currency as the others.
    ProductUnavailable,
    /// There is not enough of a product.
    OutOfStock,
    /// The stock could not be reserved, or is not reserved any more.
    ReservationRefused,
    /// The card was declined.
    PaymentDeclined,
    /// The payment could not be made at all.
    PaymentRefused,
    /// The card was good when the order was confirmed, and then the money could not be taken.
    PaymentCaptureFailed,
    /// The products could not be looked up for a long time.
    ProductsUnreachable,
    /// The stock could not be reserved for a long time.
    InventoryUnreachable,
    /// The payment could not be authorized for a long time.
    PaymentsUnreachable,
    CancelledByCustomer,
    CancelledByAdmin,
}

impl Reason {
    /// The status that the request which placed the order is answered with.
    pub fn answer_status(self) -> u16 {
        match self {
            Self::PaymentDeclined | Self::PaymentRefused | Self::PaymentCaptureFailed => 402,
            Self::ProductUnavailable => 422,
            _ => 409,
        }
    }

    pub fn is_cancellation(self) -> bool {
        matches!(self, Self::CancelledByCustomer | Self::CancelledByAdmin)
    }
}

/// What more there is to say of a [`Reason`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Of a declined payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// Of which products there is not enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ShortLine>,
    /// Which fields of the request named something that cannot be ordered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Mistake>,
}

/// A product of which there is not enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortLine {
    pub product_id: String,
    pub requested: i64,
    pub available: i64,
}

/// A field that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    pub field: String,
    pub detail: String,
}

/// A line of an order, priced as it was when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    pub product_id: String,
    /// None until the products could be looked up, as with the prices.
    pub name: Option<String>,
    pub quantity: i64,
    pub unit_price: Option<Money>,
    pub line_total: Option<Money>,
}

impl Line {
    /// A line that has no price yet.
    pub fn new(product_id: impl Into<String>, quantity: i64) -> Self {
        Self {
            product_id: product_id.into(),
            name: None,
            quantity,
            unit_price: None,
            line_total: None,
        }
    }
}

/// What an order knows of the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CardSummary {
    pub brand: String,
    pub last4: String,
}

/// How an order was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Shipment {
    pub carrier: String,
    pub tracking: String,
}

impl FromFields for Shipment {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            carrier: fields.required("carrier", fields::line(1..=50)),
            tracking: fields.required("tracking", fields::line(1..=100)),
        }
    }
}

/// A status an order has or had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// Its place in the history, from 1.
    pub seq: i64,
    pub status: Status,
    pub at: String,
    pub reason: Option<Reason>,
}

/// An order, with all that is kept of it.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    pub user_id: String,
    /// Of the request that placed it.
    pub request_hash: String,
    pub status: Status,
    pub reason: Option<Reason>,
    pub details: Details,
    pub lines: Vec<Line>,
    /// None until the products could be looked up.
    pub total: Option<Money>,
    /// None where the customer's account is deleted.
    pub shipping_address: Option<PostalAddress>,
    pub card: CardSummary,
    pub shipment: Option<Shipment>,
    pub created_at: String,
    /// What the request that placed it was answered with; none while that is not decided.
    pub answer_status: Option<u16>,
    pub saga: Saga,
    /// How much of the payment was given back, in minor units, as payments has told.
    pub refunded: i64,
    /// The request that placed it; none of an order that is older than this field.
    pub request_id: Option<String>,
    /// The trace of that request, as W3C Trace Context has it; none where it came without one.
    pub traceparent: Option<String>,
    /// Where it was read as well.
    pub history: Vec<HistoryEntry>,
}

/// An order as its owner sees it.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub struct OrderView {
    pub id: String,
    pub user_id: String,
    pub status: Status,
    /// Why it was rejected or cancelled, or is about to be.
    pub reason: Option<Reason>,
    pub items: Vec<Line>,
    pub total: Option<Money>,
    /// None where the customer's account is deleted.
    pub shipping_address: Option<PostalAddress>,
    pub payment: CardSummary,
    pub shipment: Option<Shipment>,
    /// How much of the payment was given back; none where nothing was.
    pub refunded: Option<Money>,
    /// The request that placed it: traces and logs are found by it. None of orders from before this was kept.
    pub request_id: Option<String>,
    pub history: Vec<HistoryEntry>,
    pub created_at: String,
    /// When its status last changed.
    pub updated_at: String,
}

impl Order {
    /// Whether all that was paid was given back.
    pub fn is_refunded(&self) -> bool {
        let total = self.total.as_ref().map_or(0, |total| total.amount);
        total > 0 && self.refunded >= total
    }

    /// The order as it is.
    pub fn into_view(self) -> OrderView {
        let last = self.history.last();
        let refunded = self.total.as_ref().filter(|_| self.refunded > 0);
        OrderView {
            refunded: refunded.map(|total| Money {
                amount: self.refunded,
                ..total.clone()
            }),
            status: self.status,
            reason: self.reason,
            updated_at: last.map_or(self.created_at.clone(), |last| last.at.clone()),
            id: self.id,
            user_id: self.user_id,
            items: self.lines,
            total: self.total,
            shipping_address: self.shipping_address,
            payment: self.card,
            shipment: self.shipment,
            request_id: self.request_id,
            history: self.history,
            created_at: self.created_at,
        }
    }

    /// The order as it was when it was confirmed: what the request that placed it is answered with, then and ever after.
    pub fn into_confirmation(mut self) -> OrderView {
        let confirmed = |entry: &HistoryEntry| entry.status == Status::Confirmed;
        let length = self.history.iter().position(confirmed);
        self.history
            .truncate(length.map_or(usize::MAX, |index| index + 1));
        self.status = Status::Confirmed;
        self.reason = None;
        self.shipment = None;
        self.refunded = 0;
        self.into_view()
    }
}

/// Which orders are listed.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    pub user_id: Option<Uuid>,
    /// Those in one of these; in any where there is none.
    pub statuses: Vec<Status>,
    /// Those placed at this moment (in milliseconds since 1970) or later.
    pub from: Option<i64>,
    /// The last twelve digits of the id, by which people call an order.
    pub number: Option<String>,
    pub limit: i64,
    /// The id of the last order of the page before.
    pub before: Option<Uuid>,
}

impl FromFields for Filter {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            user_id: fields.optional("user_id", fields::uuid()),
            statuses: fields.optional("status", statuses()).unwrap_or_default(),
            from: fields
                .optional("from", fields::moment())
                .map(|ns| ns / 1_000_000),
            number: fields.optional("number", number()),
            limit: fields
                .optional("limit", page::limit())
                .unwrap_or(page::DEFAULT_LIMIT),
            before: fields.optional("cursor", page::cursor()),
        }
    }
}

/// Statuses with commas between.
fn statuses() -> impl Rule<String, Vec<Status>> {
    let one = Status::WORDS.join("|");
    fields::rule(
        move || json!({"type": "string", "pattern": format!("^({one})(,({one})){{0,7}}$")}),
        |text: String| {
            let status = |word: &str| serde_json::from_value(word.into()).ok();
            let read: Option<Vec<_>> = text.split(',').map(status).collect();
            let read = read.filter(|read| read.len() <= Status::WORDS.len());
            read.ok_or_else(|| {
                format!(
                    "must be of {} with commas between",
                    Status::WORDS.join(", ")
                )
            })
        },
    )
}

/// The number of an order, as the ids have it.
fn number() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "pattern": "^[0-9A-Fa-f]{12}$"}),
        |number: String| {
            let digits = number.bytes().all(|it| it.is_ascii_hexdigit());
            match number.len() == 12 && digits {
                true => Ok(number.to_ascii_lowercase()),
                false => Err("must be the last twelve digits of an order's id".into()),
            }
        },
    )
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub fn order() -> Order {
        Order {
            id: "o1".into(),
            user_id: "u1".into(),
            request_hash: String::new(),
            status: Status::Pending,
            reason: None,
            details: Details::default(),
            lines: vec![Line::new("p1", 2)],
            total: None,
            shipping_address: Some(PostalAddress::default()),
            card: CardSummary {
                brand: "visa".into(),
                last4: "4242".into(),
            },
            shipment: None,
            created_at: "t0".into(),
            answer_status: None,
            saga: Saga::new("lease".into(), "token".into(), None, 0),
            refunded: 0,
            request_id: None,
            traceparent: None,
            history: Vec::new(),
        }
    }

    fn history(statuses: &[Status]) -> Vec<HistoryEntry> {
        let entry = |(seq, status): (i64, &Status)| HistoryEntry {
            seq,
            status: *status,
            at: format!("t{seq}"),
            reason: (*status == Status::Cancelled).then_some(Reason::CancelledByCustomer),
        };
        (1..).zip(statuses).map(entry).collect()
    }

    #[test]
    fn a_confirmation_stays_what_it_was() {
        use Status::*;
        let at_first = Order {
            status: Confirmed,
            history: history(&[Pending, Reserved, Authorized, Confirmed]),
            ..order()
        };
        let later = Order {
            status: Cancelled,
            reason: Some(Reason::CancelledByCustomer),
            shipment: Some(Shipment {
                carrier: "c".into(),
                tracking: "t".into(),
            }),
            history: history(&[Pending, Reserved, Authorized, Confirmed, Cancelled]),
            ..order()
        };
        assert_eq!(later.clone().into_confirmation(), at_first.into_view());
        let now = later.into_view();
        assert_eq!((now.status, now.updated_at.as_str()), (Cancelled, "t5"));
        assert_eq!(now.reason, Some(Reason::CancelledByCustomer));
    }

    #[test]
    fn the_words_for_statuses_are_the_statuses() {
        for word in Status::WORDS {
            let status: Status = serde_json::from_value(json!(word)).unwrap();
            assert_eq!(json!(status), json!(word));
        }
    }
}
