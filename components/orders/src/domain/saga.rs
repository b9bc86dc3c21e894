//! The rules of the checkout saga: which step follows what.
//!
//! ```text
//! price -> reserve -> authorize -> settle (capture and commit) -> done
//!             |           |           |                             | cancelled by somebody
//!             v           v           v                             v
//!           done  <- undo_stock <- undo_payment <-------------------+
//! ```
//!
//! A step is named in the order's row, and in the saga's log, before it is taken. Whoever takes it holds the lease that the
//! same row names; what came of it is an [`Outcome`], and [`Order::apply`] says what the row becomes by that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::backoff::Backoff;

use super::placing::Quote;
use super::{Details, Order, Reason, Status};

/// For how long whoever takes a step has it for themselves, in milliseconds: longer than a step's calls take together. When
/// it is over somebody else goes on; both may then make the same call, which is no harm, but only one can write the outcome.
pub const LEASE: i64 = 15_000;

/// For how long an order that cannot be completed is tried before it is given up, in milliseconds.
pub const GIVE_UP_AFTER: i64 = 15 * 60_000;

/// The pauses between attempts.
const PAUSES: Backoff = Backoff {
    first: 200,
    longest: 60_000,
};

/// What a saga does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Look the prices up.
    Price,
    /// Reserve the stock.
    Reserve,
    /// Authorize the payment.
    Authorize,
    /// Capture the payment and commit the stock: the order is confirmed.
    Settle,
    /// Void or refund the payment.
    UndoPayment,
    /// Release the stock.
    UndoStock,
    /// Nothing.
    Done,
}

/// How far an order's saga is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saga {
    pub step: Step,
    /// Which attempt at the step this is, from 1.
    pub attempt: i64,
    /// The token of whoever has it; none while it waits.
    pub lease: Option<String>,
    /// From when anybody may take it up, in milliseconds since 1970; none when it is done.
    pub due_at: Option<i64>,
    /// When it is given up if it is not confirmed.
    pub give_up_at: i64,
    /// What payments know the card by; forgotten when it has served.
    pub payment_token: Option<String>,
    /// Which version of the customer's cart was ordered, if that was.
    pub cart_version: Option<i64>,
}

impl Saga {
    /// A saga that begins now, held by whoever begins it.
    pub fn new(lease: String, payment_token: String, cart_version: Option<i64>, now: i64) -> Self {
        Self {
            step: Step::Price,
            attempt: 1,
            lease: Some(lease),
            due_at: Some(now + LEASE),
            give_up_at: now + GIVE_UP_AFTER,
            payment_token: Some(payment_token),
            cart_version,
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// The prices were looked up.
    Priced(Quote),
    /// It failed for good: what was done before is to be undone.
    Refused(Reason, Details),
    /// It failed for now, or nobody knows: it is to be repeated.
    Later(String),
}

/// An entry of the saga's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    pub step: &'static str,
    pub event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What an order's row must still say for a change to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub status: Status,
    pub step: Step,
    pub lease: Option<String>,
}

/// What a request to cancel an order means for it.
#[derive(Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// It begins; these events are to be written.
    Begins(Vec<Event>),
    /// It is under way, or the order is going to be cancelled for another reason.
    UnderWay,
    /// It is cancelled already.
    Over,
    /// It cannot be cancelled any more, because of this.
    TooLate(&'static str),
}

impl Step {
    /// What the log calls it; settling is two things at once.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Price => &["price"],
            Self::Reserve => &["reserve"],
            Self::Authorize => &["authorize"],
            Self::Settle => &["capture", "commit"],
            Self::UndoPayment => &["undo_payment"],
            Self::UndoStock => &["undo_stock"],
            Self::Done => &[],
        }
    }

    /// What a trace calls it.
    pub fn title(self) -> String {
        format!("step {}", self.names().join(" and "))
    }

    pub fn is_undoing(self) -> bool {
        matches!(self, Self::UndoPayment | Self::UndoStock)
    }

    /// What the log says when the step begins.
    pub fn begins(self) -> Vec<Event> {
        let event = if self.is_undoing() {
            "compensating"
        } else {
            "started"
        };
        self.events(event, None)
    }

    fn succeeds(self) -> Vec<Event> {
        let event = if self.is_undoing() {
            "compensated"
        } else {
            "done"
        };
        self.events(event, None)
    }

    fn events(self, event: &'static str, detail: Option<&str>) -> Vec<Event> {
        let event = |step: &&'static str| Event {
            step,
            event,
            detail: detail.map(Into::into),
        };
        self.names().iter().map(event).collect()
    }

    /// The reason of an order that is given up at this step; none where that is not done: a confirmed order is a promise, and
    /// what is being undone must be.
    fn given_up_because(self) -> Option<Reason> {
        match self {
            Self::Price => Some(Reason::ProductsUnreachable),
            Self::Reserve => Some(Reason::InventoryUnreachable),
            Self::Authorize => Some(Reason::PaymentsUnreachable),
            _ => None,
        }
    }
}

impl Order {
    /// What the row says now.
    pub fn held(&self) -> Held {
        Held {
            status: self.status,
            step: self.saga.step,
            lease: self.saga.lease.clone(),
        }
    }

    /// Changes the order by what came of its step, and says what the log gets.
    pub fn apply(&mut self, outcome: Outcome, now: i64) -> Vec<Event> {
        match outcome {
            Outcome::Done => self.go_on(now),
            Outcome::Priced(quote) => {
                self.lines = quote.lines;
                self.total = Some(quote.total);
                self.go_on(now)
            }
            Outcome::Refused(reason, details) => self.fail(reason, details, now),
            Outcome::Later(detail) => match self.saga.step.given_up_because() {
                Some(reason) if now >= self.saga.give_up_at => {
                    self.fail(reason, Details::default(), now)
                }
                _ => self.pause(&detail, now),
            },
        }
    }

    /// Begins to cancel the order, if that can be done. Whoever was driving it loses it to the bearer of this lease: what they
    /// have asked of payments and inventory comes too late for the tombstones that undoing leaves there, or is undone as well.
    pub fn cancel(&mut self, reason: Reason, lease: String, now: i64) -> Cancellation {
        match self.status {
            Status::Cancelled => return Cancellation::Over,
            Status::Rejected => return Cancellation::TooLate("it was rejected"),
            Status::Shipped => return Cancellation::TooLate("it has been shipped"),
            Status::Delivered => return Cancellation::TooLate("it has been delivered"),
            _ => {}
        }
        if self.saga.step.is_undoing() {
            return match self.ends_as() {
                Status::Cancelled => Cancellation::UnderWay,
                _ => Cancellation::TooLate("it is being rejected"),
            };
        }
        self.saga.lease = Some(lease);
        self.reason = Some(reason);
        let next = match self.saga.step {
            Step::Price => Step::Done,
            Step::Reserve => Step::UndoStock,
            _ => Step::UndoPayment,
        };
        let mut events = self.saga.step.events("failed", Some("cancelled"));
        if next == Step::Done {
            self.end();
        }
        self.begin(next, now);
        events.extend(next.begins());
        Cancellation::Begins(events)
    }

    fn go_on(&mut self, now: i64) -> Vec<Event> {
        let step = self.saga.step;
        let mut events = step.succeeds();
        let next = match step {
            Step::Price => Step::Reserve,
            Step::Reserve => {
                self.status = Status::Reserved;
                Step::Authorize
            }
            Step::Authorize => {
                // One statement for both statuses; the history gets each.
                self.status = Status::Confirmed;
                self.saga.payment_token = None;
                events.push(Event {
                    step: "confirm",
                    event: "done",
                    detail: None,
                });
                Step::Settle
            }
            Step::Settle => {
                self.answer_status = Some(201);
                Step::Done
            }
            Step::UndoPayment => Step::UndoStock,
            Step::UndoStock | Step::Done => Step::Done,
        };
        if step == Step::UndoStock {
            self.end();
        }
        self.begin(next, now);
        events.extend(next.begins());
        events
    }

    /// Turns back.
    fn fail(&mut self, reason: Reason, details: Details, now: i64) -> Vec<Event> {
        let step = self.saga.step;
        let word = serde_json::to_value(reason).unwrap_or_default();
        let mut events = step.events("failed", word.as_str());
        self.reason = Some(reason);
        self.details = details;
        let next = match step {
            // An attempt before this one may have reached inventory, or may do so yet.
            Step::Reserve if self.saga.attempt > 1 || reason != Reason::OutOfStock => {
                Step::UndoStock
            }
            Step::Price | Step::Reserve | Step::Done => Step::Done,
            Step::Authorize if reason == Reason::PaymentDeclined => Step::UndoStock,
            Step::Authorize | Step::Settle | Step::UndoPayment => Step::UndoPayment,
            Step::UndoStock => Step::UndoStock,
        };
        if next == Step::Done {
            self.end();
        }
        self.begin(next, now);
        events.extend(next.begins());
        events
    }

    fn pause(&mut self, detail: &str, now: i64) -> Vec<Event> {
        self.saga.lease = None;
        self.saga.due_at = Some(now + PAUSES.after(self.saga.attempt));
        self.saga.step.events("failed", Some(detail))
    }

    fn begin(&mut self, step: Step, now: i64) {
        self.saga.step = step;
        self.saga.attempt = 1;
        self.saga.due_at = Some(now + LEASE);
        if step == Step::Done {
            self.saga.due_at = None;
            self.saga.lease = None;
        }
    }

    /// Everything is undone.
    fn end(&mut self) {
        self.status = self.ends_as();
        self.saga.payment_token = None;
        self.answer_status = self.reason.map(Reason::answer_status);
    }

    /// What the order becomes when everything is undone: a confirmed order is never rejected.
    fn ends_as(&self) -> Status {
        match self.reason {
            Some(reason) if reason.is_cancellation() => Status::Cancelled,
            _ if self.status == Status::Confirmed => Status::Cancelled,
            _ => Status::Rejected,
        }
    }
}

#[cfg(test)]
mod tests;
