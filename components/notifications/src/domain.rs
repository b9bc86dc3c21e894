//! What notifications are, what they come from, and the rules they keep. Pure: no I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::Money;
use souk_chassis::fields::{self, Fields, FromFields};
use souk_chassis::page::Part;
use uuid::Uuid;

use crate::templates::{self, Content};

/// How often a delivery is tried before it is parked.
pub const ATTEMPTS: i64 = 12;

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    OrderConfirmed,
    PaymentReceipt,
    OrderShipped,
    OrderCancelled,
    /// For administrators.
    StockLow,
}

/// A notification as its reader sees it.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Notification {
    pub id: String,
    pub kind: Kind,
    /// The order it is about.
    pub order_id: Option<String>,
    pub title: String,
    /// What it says, as plain text.
    pub text: String,
    /// The same as a fragment of HTML.
    pub html: String,
    pub created_at: String,
    /// When the reader said that it was read.
    pub read_at: Option<String>,
}

/// A notification that is to be made.
#[derive(Debug)]
pub struct NewNotification {
    /// Whom it is for; all administrators where it is none.
    pub user_id: Option<Uuid>,
    pub kind: Kind,
    /// What it tells of: there is one notification for each.
    pub cause: String,
    pub order_id: Option<Uuid>,
    pub content: Content,
}

/// A notification on its way out on a channel, in the hands of whoever has claimed it.
#[derive(Debug)]
pub struct Delivery {
    /// The idempotency key under which it is sent, however often.
    pub id: String,
    /// Which attempt this is, from 1.
    pub attempts: i64,
    /// When the claim ends, in milliseconds since 1970; no two claims of a delivery end at the same time.
    pub leased_until: i64,
    pub message: Message,
}

/// What is sent.
#[derive(Debug, Deserialize)]
pub struct Message {
    pub notification_id: String,
    pub user_id: Option<String>,
    pub kind: Kind,
    pub order_id: Option<String>,
    pub title: String,
    pub text: String,
    pub html: String,
    pub created_at: String,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// It is sent as soon as it is due.
    Pending,
    Sent,
    /// It failed, and is not tried again unless an administrator says so.
    Parked,
}

impl DeliveryStatus {
    /// The words for them, as a filter takes them.
    const WORDS: &'static [&'static str] = &["pending", "sent", "parked"];
}

/// A delivery as administrators see it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeliveryView {
    pub id: String,
    pub notification_id: String,
    pub user_id: Option<String>,
    pub kind: Kind,
    /// `inbox`, `email` or `webhook`.
    pub channel: String,
    pub status: DeliveryStatus,
    /// How often it was tried, since it was last asked for.
    pub attempts: i64,
    /// What became of the last attempt, where it failed.
    pub last_error: Option<String>,
    pub updated_at: String,
}

/// Which notifications are asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only those that were not read.
    pub unread: bool,
    /// Only those about this order.
    pub order_id: Option<Uuid>,
    pub part: Part<Uuid>,
}

impl FromFields for Filter {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            unread: fields
                .optional("unread", fields::boolean())
                .unwrap_or_default(),
            order_id: fields.optional("order_id", fields::uuid()),
            part: Part::from_fields(fields),
        }
    }
}

/// Which deliveries are asked for.
#[derive(Debug)]
pub struct DeliveryFilter {
    pub status: Option<DeliveryStatus>,
    pub part: Part<Uuid>,
}

impl FromFields for DeliveryFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            status: fields.optional("status", fields::one_of(DeliveryStatus::WORDS)),
            part: Part::from_fields(fields),
        }
    }
}

// What the events say, as far as it is needed here. More fields than these are none of our business.

/// A line of an order.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    pub product_id: Uuid,
    pub name: Option<String>,
    pub quantity: i64,
    pub unit_price: Option<Money>,
    pub line_total: Option<Money>,
}

/// `order.confirmed`
#[derive(Debug, Deserialize)]
pub struct OrderConfirmed {
    pub order_id: Uuid,
    pub user_id: Uuid,
    pub items: Vec<Line>,
    pub total: Money,
}

/// `payment.captured`
#[derive(Debug, Deserialize)]
pub struct PaymentCaptured {
    pub payment_id: Uuid,
    pub order_id: Uuid,
    pub user_id: Uuid,
    pub amount: Money,
    pub card: Card,
}

/// All that anybody is told of a card.
#[derive(Debug, Deserialize)]
pub struct Card {
    pub brand: String,
    pub last4: String,
}

/// `order.shipped`
#[derive(Debug, Deserialize)]
pub struct OrderShipped {
    pub order_id: Uuid,
    pub user_id: Uuid,
    pub items: Vec<Line>,
    pub carrier: String,
    pub tracking: String,
}

/// `order.cancelled`
#[derive(Debug, Deserialize)]
pub struct OrderCancelled {
    pub order_id: Uuid,
    pub user_id: Uuid,
    pub items: Vec<Line>,
    pub total: Option<Money>,
    pub reason: String,
    pub was_confirmed: bool,
}

/// `stock.low`
#[derive(Debug, Deserialize)]
pub struct StockLow {
    pub product_id: Uuid,
    pub available: i64,
    pub version: i64,
}

/// `user.deleted`
#[derive(Debug, Deserialize)]
pub struct UserDeleted {
    pub user_id: Uuid,
}

impl From<OrderConfirmed> for NewNotification {
    fn from(event: OrderConfirmed) -> Self {
        Self {
            user_id: Some(event.user_id),
            kind: Kind::OrderConfirmed,
            cause: format!("order.confirmed/{}", event.order_id),
            order_id: Some(event.order_id),
            content: templates::order_confirmed(&event),
        }
    }
}

impl From<PaymentCaptured> for NewNotification {
    fn from(event: PaymentCaptured) -> Self {
        Self {
            user_id: Some(event.user_id),
            kind: Kind::PaymentReceipt,
            cause: format!("payment.captured/{}", event.payment_id),
            order_id: Some(event.order_id),
            content: templates::payment_receipt(&event),
        }
    }
}

impl From<OrderShipped> for NewNotification {
    fn from(event: OrderShipped) -> Self {
        Self {
            user_id: Some(event.user_id),
            kind: Kind::OrderShipped,
            cause: format!("order.shipped/{}", event.order_id),
            order_id: Some(event.order_id),
            content: templates::order_shipped(&event),
        }
    }
}

impl OrderCancelled {
    /// Whether its customer is to be told: one who was told that it was confirmed, or whose order somebody has cancelled. Any
    /// other got the answer when they placed it.
    pub fn is_news(&self) -> bool {
        self.was_confirmed
            || matches!(
                self.reason.as_str(),
                "cancelled_by_customer" | "cancelled_by_admin"
            )
    }
}

impl From<OrderCancelled> for NewNotification {
    fn from(event: OrderCancelled) -> Self {
        Self {
            user_id: Some(event.user_id),
            kind: Kind::OrderCancelled,
            cause: format!("order.cancelled/{}", event.order_id),
            order_id: Some(event.order_id),
            content: templates::order_cancelled(&event),
        }
    }
}

impl From<StockLow> for NewNotification {
    fn from(event: StockLow) -> Self {
        Self {
            user_id: None,
            kind: Kind::StockLow,
            cause: format!("stock.low/{}/{}", event.product_id, event.version),
            order_id: None,
            content: templates::stock_low(&event),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cancellation_is_news_to_who_does_not_know_it() {
        let is_news = |was_confirmed, reason: &str| {
            let event = OrderCancelled {
                order_id: Uuid::nil(),
                user_id: Uuid::nil(),
                items: Vec::new(),
                total: None,
                reason: reason.into(),
                was_confirmed,
            };
            event.is_news()
        };
        assert!(is_news(true, "payment_capture_failed"));
        assert!(is_news(false, "cancelled_by_customer"));
        assert!(is_news(false, "cancelled_by_admin"));
        assert!(!is_news(false, "payments_unreachable"));
    }

    #[test]
    fn a_filter_is_read_with_its_part_of_the_list() {
        let filter: Filter = fields::from_query("unread=true&limit=7").unwrap();
        assert!(filter.unread && filter.order_id.is_none());
        assert_eq!(filter.part.limit, 7);
        let errors = fields::from_query::<Filter>("unread=maybe&order_id=x&cursor=!").unwrap_err();
        assert_eq!(errors.len(), 3);
        assert!(fields::from_query::<DeliveryFilter>("status=lost").is_err());
    }
}
