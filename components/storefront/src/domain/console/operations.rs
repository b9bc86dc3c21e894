//! What operators are shown of services, breakers, faults, events, sagas, sales and stock; as the API tells it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::Money;
use crate::domain::order::Status;

/// The services.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Services {
    /// Each of them.
    pub items: Vec<Service>,
    /// What could not be found out.
    pub warnings: Vec<Warning>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// `ok` or `down`.
    pub status: String,
    /// How long it took to answer, or to fail.
    pub latency_ms: f64,
    /// Its instances, where anybody keeps a list.
    pub instances: Vec<Instance>,
}

/// An instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub address: String,
    /// `up`, `down`, `wrong` or `expired`.
    pub state: String,
    /// Since when it is there.
    pub registered_at: String,
    /// When its lease ends.
    pub expires_at: String,
}

/// Something that could not be found out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Warning {
    /// What.
    pub part: String,
    /// Why.
    pub detail: String,
}

/// What services know of those they call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Breakers {
    /// By caller, then by callee.
    pub items: Vec<Breaker>,
    /// Services that could not be asked.
    pub warnings: Vec<Warning>,
}

/// What a service knows of one that it calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// When that was last otherwise, in milliseconds since 1970; 0 if it never was.
    pub changed_at: i64,
    /// How often it has opened.
    pub opened: i64,
    /// Since when calls are counted, in milliseconds since 1970.
    pub counted_since: i64,
    /// Calls within the fifteen seconds from then on.
    pub calls: i64,
    /// How many of these failed.
    pub failed: i64,
    /// How many were slow.
    pub slow: i64,
    /// How many retries there are left.
    pub retries_left: i64,
    /// Instances that are left out for now.
    pub ejected: Vec<String>,
}

impl Breaker {
    /// How it is coloured.
    pub fn tone(&self) -> &'static str {
        match self.state.as_str() {
            "closed" => "good",
            "open" => "bad",
            _ => "waiting",
        }
    }
}

/// The faults that are ordered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Faults {
    /// Those that are not over.
    pub items: Vec<Fault>,
}

/// Calls that fail on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// By how much calls are late, in milliseconds.
    pub latency_ms: i64,
    /// How many of a hundred fail.
    pub error_percent: i64,
    /// Whether they are never answered.
    pub blackhole: bool,
    /// When it is over, in milliseconds since 1970.
    pub until: i64,
}

/// The same as it is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewFault {
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// By how much calls are late, in milliseconds.
    pub latency_ms: i64,
    /// How many of a hundred fail.
    pub error_percent: i64,
    /// Whether they are never answered.
    pub blackhole: bool,
    /// For how long.
    pub seconds: i64,
}

impl Fault {
    /// What befalls the calls, in words.
    pub fn effect(&self) -> String {
        let effects = [
            self.blackhole.then(|| "are never answered".to_owned()),
            (self.error_percent > 0).then(|| format!("fail in {}%", self.error_percent)),
            (self.latency_ms > 0).then(|| format!("are {} ms late", self.latency_ms)),
        ];
        let effects: Vec<_> = effects.into_iter().flatten().collect();
        match effects.is_empty() {
            true => "are as ever".into(),
            false => effects.join(" and "),
        }
    }

    /// The same for the time that is left of it, so that it can be ordered along with others; none where it is over.
    pub fn again(&self, now: i64) -> Option<NewFault> {
        let seconds = (self.until - now) / 1000;
        (seconds > 0).then(|| NewFault {
            from: self.from.clone(),
            to: self.to.clone(),
            latency_ms: self.latency_ms,
            error_percent: self.error_percent,
            blackhole: self.blackhole,
            seconds,
        })
    }
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Logged {
    /// Its place in the log.
    pub position: i64,
    /// The event.
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The service it happened in.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it happened to.
    pub subject: String,
    /// When.
    pub time: String,
    /// In which trace, if that is known.
    pub traceparent: Option<String>,
    /// What there is to know about it.
    pub data: Map<String, Value>,
}

impl Event {
    /// The id of the trace in which it happened and was delivered.
    pub fn trace(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

/// How a consumer of events is doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Standing {
    /// The service.
    pub consumer: String,
    /// How far it has come in the log.
    pub position: i64,
    /// How many events come after that.
    pub behind: i64,
    /// How many are held back, and will be tried again.
    pub held: i64,
    /// How many dead letters it has.
    pub dead: i64,
    /// How long the oldest has been in the log that it is still to get, in milliseconds; 0 where there is none.
    pub waiting_ms: i64,
    /// How often in a row it took nothing.
    pub failures: i64,
    /// Why, the last time.
    pub last_error: Option<String>,
}

/// An event that is held back for a consumer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HeldBack {
    /// What its dead letter would be called.
    pub id: String,
    /// Where it is in the log.
    pub position: i64,
    /// `retrying`, or `waiting` for the one before it.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried again.
    pub due_at: Option<String>,
    /// What the consumer said the last time.
    pub reason: Option<String>,
    /// When it was first held back.
    pub since: String,
    /// The event.
    pub event: Event,
}

/// An event that a consumer did not take, and that is not tried any more by itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// Who did not take it.
    pub consumer: String,
    /// Where it is in the log.
    pub position: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// What the consumer said the last time.
    pub reason: Option<String>,
    /// When it was first held back.
    pub since: String,
    /// The event.
    pub event: Event,
}

/// How far the checkout of an order is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Saga {
    /// Which order.
    pub order_id: String,
    /// Where the order stands.
    pub status: Status,
    /// Why it was rejected or cancelled, or is about to be.
    pub reason: Option<String>,
    /// What is done next.
    pub step: String,
    /// `running`, `waiting`, `due` or `done`.
    pub state: String,
    /// Which attempt this is.
    pub attempt: i64,
    /// From when anybody may take it up.
    pub due_at: Option<String>,
    /// When it is given up.
    pub give_up_at: String,
    /// Why the last step that failed did.
    pub last_error: Option<String>,
    /// What has happened in it; a list of sagas does not say.
    #[serde(default)]
    pub log: Vec<SagaEntry>,
}

impl Saga {
    /// How it is coloured.
    pub fn tone(&self) -> &'static str {
        match self.state.as_str() {
            "done" => "good",
            "running" => "",
            _ => "waiting",
        }
    }

    /// Whether somebody can have it go on earlier than it would by itself.
    pub fn can_be_retried(&self) -> bool {
        matches!(self.state.as_str(), "waiting" | "due")
    }
}

/// Something that happened in a saga.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SagaEntry {
    /// What is done.
    pub step: String,
    /// What became of it.
    pub event: String,
    /// Which attempt this is.
    pub attempt: i64,
    /// What there is to say about it.
    pub detail: Option<String>,
    /// When.
    pub at: String,
}

/// Orders of one minute, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sales {
    /// When the minute began.
    pub at: String,
    /// How many orders were placed.
    pub orders: i64,
    /// How many of these are confirmed by now.
    pub confirmed: i64,
    /// What these come to.
    pub taken: Option<Money>,
}

/// A movement of a product's stock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Movement {
    /// Its number among the product's movements.
    pub version: i64,
    /// What moved it.
    pub kind: String,
    /// By how much it changed what is there.
    pub on_hand_change: i64,
    /// By how much it changed what is promised.
    pub reserved_change: i64,
    /// What was there after it.
    pub on_hand: i64,
    /// What was promised after it.
    pub reserved: i64,
    /// The order it was for.
    pub order_id: Option<String>,
    /// Why it was, where somebody said so.
    pub reason: Option<String>,
    /// When.
    pub at: String,
}

/// How many of a product an order holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hold {
    /// Which order.
    pub order_id: String,
    /// How many.
    pub quantity: i64,
    /// Until when.
    pub expires_at: String,
}

/// The payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Payment {
    /// Its id, which its events are about.
    pub id: String,
}

/// How many of a product there are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stock {
    /// Which product.
    pub product_id: String,
    /// So many are there.
    pub on_hand: i64,
    /// So many of these are promised.
    pub reserved: i64,
    /// So many can be ordered.
    pub available: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Fault {
        Fault {
            from: "orders".into(),
            to: "payments".into(),
            latency_ms: 0,
            error_percent: 0,
            blackhole: false,
            until: 61_500,
        }
    }

    #[test]
    fn a_fault_says_what_it_does() {
        assert_eq!(fault().effect(), "are as ever");
        let late = Fault {
            latency_ms: 800,
            error_percent: 50,
            ..fault()
        };
        assert_eq!(late.effect(), "fail in 50% and are 800 ms late");
    }

    #[test]
    fn a_fault_is_ordered_again_for_the_rest_of_its_time() {
        assert_eq!(fault().again(1_500).map(|it| it.seconds), Some(60));
        assert_eq!(fault().again(61_000), None);
    }
}
