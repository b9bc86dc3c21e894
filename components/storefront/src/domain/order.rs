//! Orders as the pages show them.

use serde::Deserialize;

use super::Money;
use super::account::Postal;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Why it was rejected or cancelled, or is about to be.
    pub reason: Option<String>,
    /// What was ordered.
    pub items: Vec<Line>,
    /// What it costs, once the prices are known.
    pub total: Option<Money>,
    /// Where it goes.
    pub shipping_address: Option<Postal>,
    /// What it was paid with.
    pub payment: Card,
    /// How it was sent.
    pub shipment: Option<Shipment>,
    /// How much was given back.
    pub refunded: Option<Money>,
    /// The request that placed it, where that is known.
    pub request_id: Option<String>,
    /// The statuses it had.
    pub history: Vec<Entry>,
    /// When it was placed.
    pub created_at: String,
}

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// Which product.
    pub product_id: String,
    /// What it is called, once it could be looked up.
    pub name: Option<String>,
    /// How many.
    pub quantity: i64,
    /// What all of them cost.
    pub line_total: Option<Money>,
}

/// What is known of a card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Card {
    /// Whose it is, such as `visa`.
    pub brand: String,
    /// How its number ends.
    pub last4: String,
}

/// How an order was sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Shipment {
    /// By whom.
    pub carrier: String,
    /// Under which number.
    pub tracking: String,
}

/// A status an order has or had.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Its place in the history.
    pub seq: i64,
    /// Which.
    pub status: Status,
    /// Since when.
    pub at: String,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is looked up.
    Pending,
    /// The stock is set aside.
    Reserved,
    /// The card is good for it.
    Authorized,
    /// It is bought.
    Confirmed,
    /// It is on its way.
    Shipped,
    /// It is there.
    Delivered,
    /// It could not be had or paid.
    Rejected,
    /// It was called off.
    Cancelled,
}

impl Status {
    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Received",
            Self::Reserved => "Set aside for you",
            Self::Authorized => "Card accepted",
            Self::Confirmed => "Confirmed",
            Self::Shipped => "On its way",
            Self::Delivered => "Delivered",
            Self::Rejected => "Not completed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// As the API has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Reserved => "reserved",
            Self::Authorized => "authorized",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// How it is coloured.
    pub fn tone(self) -> &'static str {
        match self {
            Self::Pending | Self::Reserved | Self::Authorized => "waiting",
            Self::Confirmed | Self::Shipped | Self::Delivered => "good",
            Self::Rejected | Self::Cancelled => "bad",
        }
    }

    /// Whether the shop is still at work on the purchase itself.
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Pending | Self::Reserved | Self::Authorized)
    }

    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Rejected | Self::Cancelled)
    }
}

/// A step on the way of an order.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// What happens in it.
    pub name: &'static str,
    /// When it was reached, if it was.
    pub at: Option<&'a str>,
}

/// What customers are shown of the way an order goes.
const WAY: [Status; 4] = [
    Status::Pending,
    Status::Confirmed,
    Status::Shipped,
    Status::Delivered,
];

impl Order {
    /// What it is called: the part of its id that differs most from others'.
    pub fn number(&self) -> String {
        number(&self.id)
    }

    /// The address of its page.
    pub fn href(&self) -> String {
        format!("/orders/{}", self.id)
    }

    /// How much of its history is known.
    pub fn seen(&self) -> i64 {
        self.history.last().map_or(0, |entry| entry.seq)
    }

    /// Whether its owner may still call it off.
    pub fn can_be_cancelled(&self) -> bool {
        self.status.is_unfinished() || self.status == Status::Confirmed
    }

    /// The way it goes, and how far it is; of one that ended early, only what it passed.
    pub fn steps(&self) -> Vec<Step<'_>> {
        let ended = matches!(self.status, Status::Rejected | Status::Cancelled);
        let last = ended.then_some(self.status);
        let steps = WAY.into_iter().chain(last).map(|status| Step {
            name: status.name(),
            at: self.reached(status),
        });
        steps.filter(|step| !ended || step.at.is_some()).collect()
    }

    fn reached(&self, status: Status) -> Option<&str> {
        let entry = self.history.iter().find(|entry| entry.status == status);
        entry.map(|entry| entry.at.as_str())
    }

    /// What there is to say about where it stands.
    pub fn message(&self) -> String {
        let thanks = "Thank you. Your order is confirmed, and we are packing it.";
        match self.status {
            status if status.is_unfinished() && self.reason.is_some() => {
                "We are undoing this order.".into()
            }
            status if status.is_unfinished() => {
                "Your order is safe, and we are finishing it. You need not do anything, nor stay on this page.".into()
            }
            Status::Confirmed => thanks.into(),
            Status::Shipped => "Your order is on its way to you.".into(),
            Status::Delivered => "Your order has arrived. We hope it serves you well.".into(),
            _ => why(self.reason.as_deref()).into(),
        }
    }
}

/// The short number of an order with this id: the last part, by which notifications call it as well.
pub fn number(id: &str) -> String {
    let last = id.rsplit('-').next().unwrap_or_default();
    last.to_ascii_uppercase()
}

/// Why an order has ended, in words.
fn why(reason: Option<&str>) -> &'static str {
    match reason {
        Some("out_of_stock" | "reservation_refused") => {
            "There was not enough in stock. Nothing was charged."
        }
        Some("product_unavailable") => "A product is no longer sold. Nothing was charged.",
        Some("payment_declined" | "payment_refused") => {
            "Your card was declined, and nothing was charged. You can order again with another card."
        }
        Some("payment_capture_failed") => {
            "Your bank refused the payment after all, so we called the order off. Nothing was charged."
        }
        Some("cancelled_by_customer") => "You cancelled this order. Nothing is charged.",
        Some("cancelled_by_admin") => "The shop cancelled this order. Nothing is charged.",
        _ => "We could not complete this order in time, and gave it up. Nothing was charged.",
    }
}

/// Why a card was declined, in words.
pub fn decline(code: Option<&str>) -> &'static str {
    match code {
        Some("insufficient_funds") => {
            "The card has not enough money on it. Nothing was charged; please try another card."
        }
        Some("expired_card") => {
            "The card has expired. Nothing was charged; please try another one."
        }
        _ => "Your card was declined. Nothing was charged; please try another card.",
    }
}

/// One page of orders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrderList {
    /// The orders of this page, newest first.
    pub items: Vec<Order>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn order(statuses: &[Status]) -> Order {
        let entry = |(seq, status): (i64, &Status)| Entry {
            seq,
            status: *status,
            at: format!("2026-11-25T22:0{seq}:00Z"),
        };
        Order {
            id: "0190a3c4-0000-7000-8000-0000cafe4711".into(),
            status: statuses.last().copied().unwrap_or(Status::Pending),
            reason: None,
            items: vec![Line {
                product_id: "p1".into(),
                name: Some("Bowl".into()),
                quantity: 2,
                line_total: None,
            }],
            total: None,
            shipping_address: None,
            payment: Card {
                brand: "visa".into(),
                last4: "4242".into(),
            },
            shipment: None,
            refunded: None,
            request_id: None,
            history: (1..).zip(statuses).map(entry).collect(),
            created_at: "2026-11-25T22:00:00Z".into(),
        }
    }

    fn steps(statuses: &[Status]) -> Vec<(&'static str, bool)> {
        let order = order(statuses);
        let steps = order.steps();
        steps
            .iter()
            .map(|step| (step.name, step.at.is_some()))
            .collect()
    }

    #[test]
    fn an_order_shows_how_far_it_is() {
        use Status::*;
        assert_eq!(
            steps(&[Pending, Reserved, Authorized, Confirmed]),
            [
                ("Received", true),
                ("Confirmed", true),
                ("On its way", false),
                ("Delivered", false)
            ]
        );
    }

    #[test]
    fn an_order_that_ended_early_shows_what_it_passed() {
        use Status::*;
        assert_eq!(
            steps(&[Pending, Rejected]),
            [("Received", true), ("Not completed", true)]
        );
        assert_eq!(
            steps(&[Pending, Confirmed, Cancelled]),
            [("Received", true), ("Confirmed", true), ("Cancelled", true)]
        );
    }

    #[test]
    fn an_unfinished_order_is_said_to_be_safe() {
        use Status::*;
        let message = |statuses: &[Status]| order(statuses).message();
        assert!(message(&[Pending]).contains("Your order is safe"));
        assert!(message(&[Pending, Confirmed]).contains("Thank you"));
        let mut declined = order(&[Pending, Rejected]);
        declined.reason = Some("payment_declined".into());
        assert!(declined.message().contains("card was declined"));
        declined.reason = Some("something new".into());
        assert!(declined.message().contains("Nothing was charged"));
    }

    #[test]
    fn an_order_is_called_by_the_end_of_its_id() {
        assert_eq!(order(&[]).number(), "0000CAFE4711");
    }
}
