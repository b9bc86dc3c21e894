//! What operators see of orders and their sagas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::Money;
use souk_chassis::fields::{self, Fields, FromFields};
use souk_chassis::gauges::Gauge;

use super::saga::Step;
use super::{Reason, Status};

/// The longest time that sales are shown of, in minutes: a day.
const LONGEST: i64 = 24 * 60;

/// For how long a saga may be due before somebody takes it up, in milliseconds: what ticks does so at once.
pub const TAKEN_UP_WITHIN: i64 = 60_000;

/// How often a step may be tried: some ten minutes, and after fifteen most sagas are given up; one that is not needs somebody.
pub const MOST_ATTEMPTS: i64 = 20;

/// Of how many minutes up to now the sales are asked for.
pub struct SalesFilter {
    /// The last hour's unless told.
    pub minutes: i64,
}

impl FromFields for SalesFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        let minutes = fields.optional("minutes", fields::whole_number(1..=LONGEST));
        Self {
            minutes: minutes.unwrap_or(60),
        }
    }
}

/// Orders of one minute, in one currency.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sales {
    /// When the minute began.
    pub at: String,
    /// How many orders were placed.
    pub orders: i64,
    /// How many of these are confirmed, or further, by now.
    pub confirmed: i64,
    /// What the confirmed ones come to, less what was given back; none where the orders have no price yet.
    pub taken: Option<Money>,
}

/// The first id that an order can have which was placed at a moment (in milliseconds since 1970) or later. Ids are UUIDv7, so their text
/// sorts by time.
pub fn first_id(moment: i64) -> String {
    format!("{:08x}-{:04x}", moment >> 16, moment & 0xffff)
}

/// The sagas that are not done, in numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    pub running: i64,
    pub waiting: i64,
    pub due: i64,
    /// Those that nobody takes up, or that have been tried too often.
    pub stuck: i64,
    /// For how long the oldest of the orders has been there, in milliseconds.
    pub oldest_ms: i64,
}

impl Unfinished {
    /// As they are stated.
    pub fn gauges(&self) -> Vec<Gauge> {
        let of_state = |state, number| {
            let help = "Checkouts and cancellations that are not done.";
            Gauge::number("souk_sagas", help, number).of("state", state)
        };
        vec![
            of_state("running", self.running),
            of_state("waiting", self.waiting),
            of_state("due", self.due),
            Gauge::number(
                "souk_sagas_stuck",
                "Checkouts and cancellations that nobody takes up, or that were tried in vain for some ten minutes.",
                self.stuck,
            ),
            Gauge::seconds(
                "souk_saga_oldest_seconds",
                "How long ago the oldest order was placed whose checkout or cancellation is not done.",
                self.oldest_ms,
            ),
        ]
    }
}

/// How far an order's saga is.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SagaView {
    pub order_id: String,
    /// Where the order stands.
    pub status: Status,
    /// Why it was rejected or cancelled, or is about to be.
    pub reason: Option<Reason>,
    /// What is done next.
    pub step: Step,
    pub state: State,
    /// Which attempt at the step this is, from 1.
    pub attempt: i64,
    /// From when anybody may take it up; none when it is done.
    pub due_at: Option<String>,
    /// When it is given up if the order is not confirmed by then.
    pub give_up_at: String,
    pub created_at: String,
    /// Why the last step that failed did.
    pub last_error: Option<String>,
    #[serde(skip)]
    pub key: i64,
}

/// Whether anything happens to a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Somebody takes its step.
    Running,
    /// Its step failed, and is tried again when it is due.
    Waiting,
    /// It is due, and nobody has taken it up yet.
    Due,
    /// There is nothing left to do.
    Done,
}

/// A saga with all that has happened in it.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SagaHistory {
    #[serde(flatten)]
    pub saga: SagaView,
    /// In order.
    pub log: Vec<LogEntry>,
}

/// An entry of a saga's log.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogEntry {
    /// Its place in the log, from 1.
    pub seq: i64,
    /// `price`, `reserve`, `authorize`, `confirm`, `capture`, `commit`, `undo_payment` or `undo_stock`.
    pub step: String,
    /// `started`, `done`, `failed`, `compensating` or `compensated`.
    pub event: String,
    pub attempt: i64,
    pub detail: Option<String>,
    pub at: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::{NoContext, Timestamp, Uuid};

    #[test]
    fn ids_of_later_orders_come_after_the_first_of_a_moment() {
        let id = |ms: u64| {
            let at = Timestamp::from_unix(NoContext, ms / 1000, (ms % 1000) as u32 * 1_000_000);
            Uuid::new_v7(at).to_string()
        };
        let first = first_id(1_764_111_222_333);
        assert!(id(1_764_111_222_332) < first);
        assert!(id(1_764_111_222_333) >= first);
        assert!(id(1_764_111_222_334) > first);
    }
}
