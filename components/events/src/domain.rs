//! Subscriptions, and the rules of delivery. Pure: no I/O.
//!
//! A consumer is brought forward in rounds. A round takes what comes next in the log and what is held back and due, and parts it into
//! lanes, one for each subject: within a lane one event is delivered after the other, lanes go beside each other. What came of
//! it all is put together by [`conclude`].

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::backoff::Backoff;
use souk_events::Event;

/// The pauses before an event that a consumer did not take is tried again.
const RETRY: Backoff = Backoff {
    first: 200,
    longest: 60_000,
};

/// The pauses before a consumer that is not there is tried again: shorter, since it takes everything up when it returns.
const RETURN: Backoff = Backoff {
    first: 200,
    longest: 5_000,
};

/// Who gets which events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The service, which gets them at `POST /internal/events`.
    pub consumer: String,
    /// Types of events; `order.*` is every one that begins with `order.`, and `*` is every one.
    pub types: Vec<String>,
}

impl Subscription {
    /// Whether the consumer gets events of this type.
    pub fn wants(&self, kind: &str) -> bool {
        self.types
            .iter()
            .any(|wanted| match wanted.strip_suffix('*') {
                Some(beginning) => kind.starts_with(beginning),
                None => kind == wanted,
            })
    }
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Logged {
    /// Its place in the log.
    pub position: i64,
    /// When it came into the log.
    pub appended_at: String,
    /// The event.
    pub event: Event,
}

/// Something that a round is to deliver.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub position: i64,
    pub event: Event,
    /// How often it was tried before.
    pub attempts: i64,
    /// Where it is from.
    pub origin: Origin,
}

/// Where an item is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It comes next in the log.
    Log,
    /// It comes next in the log, but an event of the same subject is held back.
    Behind,
    /// It is held back, and due.
    Held,
}

/// Why something was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The consumer is not there, or takes nothing at the moment: the event is not to blame.
    Consumer(String),
    /// The consumer did not take this event.
    Event(String),
}

/// What came of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    Failed(Failure),
    /// It was not tried.
    Left,
}

/// What is held back from now on, or still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub position: i64,
    pub state: State,
    pub attempts: i64,
    pub due_at: i64,
    pub reason: Option<String>,
}

/// Why an event is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is tried again when it is due.
    Retrying,
    /// It waits for the one before it.
    Waiting,
    /// It was tried too often.
    Dead,
}

/// What a round has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How far the consumer has come: everything up to here was delivered or is held back.
    pub position: i64,
    /// What is held back.
    pub hold: Vec<Hold>,
    /// What was held back, and was delivered.
    pub done: Vec<i64>,
    /// Why the consumer is left alone until a moment, if it is.
    pub rest: Option<(String, i64)>,
}

/// The lanes of a round: the indices of its items, one list for each subject, in order. The lane comes first that begins first in the
/// log: what a round does not come to is what the log has last, so each gets further than the one before.
pub fn lanes(items: &[Item]) -> Vec<Vec<usize>> {
    let mut lanes: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        if item.origin != Origin::Behind {
            let lane = (item.event.source.as_str(), item.event.subject.as_str());
            lanes.entry(lane).or_default().push(index);
        }
    }
    let mut lanes: Vec<_> = lanes.into_values().collect();
    lanes.sort_unstable();
    lanes
}

/// Puts together what a round has changed. `items` are in the order of the log, `scanned` is how far the log was read, `failures` how
/// often in a row the consumer took nothing, and an event that was tried so often as `most_attempts` becomes a dead letter.
///
/// Where nothing was taken at all, it is probably the consumer that is to blame: the first event is held back, since it may be the
/// event after all, and the rest is left for a later round. So an outage costs no event its attempts but one a round.
pub fn conclude(
    items: &[Item],
    outcomes: &[Outcome],
    scanned: i64,
    failures: i64,
    most_attempts: i64,
    now: i64,
) -> Progress {
    let mut outcomes = outcomes.to_vec();
    let rest = rests(items, &mut outcomes).map(|why| (why, now + RETURN.after(failures + 1)));
    let mut progress = Progress {
        position: scanned,
        hold: Vec::new(),
        done: Vec::new(),
        rest,
    };
    let mut behind: Vec<(&str, &str)> = Vec::new();
    for (item, outcome) in items.iter().zip(&outcomes) {
        let lane = (item.event.source.as_str(), item.event.subject.as_str());
        let in_log = item.origin != Origin::Held;
        if in_log && item.position > progress.position {
            continue; // It is read again.
        }
        match outcome {
            _ if in_log && (item.origin == Origin::Behind || behind.contains(&lane)) => {
                progress.hold.push(waiting(item));
            }
            Outcome::Delivered if in_log => {}
            Outcome::Delivered => progress.done.push(item.position),
            Outcome::Failed(Failure::Event(why)) => {
                progress.hold.push(tried(item, why, most_attempts, now));
                behind.push(lane);
            }
            Outcome::Failed(Failure::Consumer(_)) | Outcome::Left if in_log => {
                progress.position = item.position - 1;
            }
            // What is held back is not forgotten.
            Outcome::Failed(Failure::Consumer(_)) | Outcome::Left => {}
        }
    }
    progress
}

/// Whether the consumer is to be left alone for a while, and why. Where nothing was taken, all but the first failure count as not tried.
fn rests(items: &[Item], outcomes: &mut [Outcome]) -> Option<String> {
    let consumer_failed = outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Failed(Failure::Consumer(why)) => Some(why.clone()),
        _ => None,
    });
    if consumer_failed.is_some() || outcomes.contains(&Outcome::Delivered) {
        return consumer_failed;
    }
    let failed = |(index, outcome): (usize, &Outcome)| match outcome {
        Outcome::Failed(Failure::Event(why)) => Some((index, why.clone())),
        _ => None,
    };
    let failed: Vec<_> = outcomes.iter().enumerate().filter_map(failed).collect();
    // What is held back and fails again says nothing of the others.
    let why = failed
        .iter()
        .find(|(index, _)| items[*index].origin == Origin::Log);
    let why = why.map(|(_, why)| why.clone());
    for (index, _) in failed.into_iter().skip(1) {
        outcomes[index] = Outcome::Left;
    }
    why
}

fn waiting(item: &Item) -> Hold {
    Hold {
        position: item.position,
        state: State::Waiting,
        attempts: 0,
        due_at: 0,
        reason: None,
    }
}

fn tried(item: &Item, why: &str, most_attempts: i64, now: i64) -> Hold {
    let attempts = item.attempts + 1;
    let state = match attempts >= most_attempts {
        true => State::Dead,
        false => State::Retrying,
    };
    Hold {
        position: item.position,
        state,
        attempts,
        due_at: now + RETRY.after(attempts),
        reason: Some(why.to_owned()),
    }
}

/// A moment, in milliseconds since 1970, as RFC 3339 has it.
pub fn rfc3339(moment: i64) -> String {
    let since_1970 = Duration::from_millis(moment.try_into().unwrap_or(0));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_1970).to_string()
}

/// How a consumer is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// The service.
    pub consumer: String,
    /// How far it has come in the log.
    pub position: i64,
    /// How many events of the log come after that, whatever their type.
    pub behind: i64,
    /// How many events are held back, and will be tried again.
    pub held: i64,
    /// How many dead letters it has.
    pub dead: i64,
    /// How long the oldest event has been in the log that it is still to get, in milliseconds; 0 where there is none.
    pub waiting_ms: i64,
    /// How often in a row it took nothing.
    pub failures: i64,
    /// Why, the last time.
    pub last_error: Option<String>,
}

/// An event that is held back for a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HeldBack {
    /// `<consumer>-<position>`, as its dead letter would be called.
    pub id: String,
    /// Where it is in the log.
    pub position: i64,
    pub state: State,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried again; none while it waits for the one before it.
    pub due_at: Option<String>,
    /// What the consumer said the last time.
    pub reason: Option<String>,
    /// When it was first held back.
    pub since: String,
    /// The event.
    pub event: Event,
}

impl HeldBack {
    /// What is held back of this consumer, since a moment.
    pub fn new(consumer: &str, hold: Hold, since: i64, event: Event) -> Self {
        let is_tried = hold.state == State::Retrying;
        Self {
            id: letter_id(consumer, hold.position),
            position: hold.position,
            state: hold.state,
            attempts: hold.attempts,
            due_at: is_tried.then(|| rfc3339(hold.due_at)),
            reason: hold.reason,
            since: rfc3339(since),
            event,
        }
    }
}

/// What an event is called that a consumer does not take.
pub fn letter_id(consumer: &str, position: i64) -> String {
    format!("{consumer}-{position}")
}

/// An event that a consumer did not take, and that is not tried any more by itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DeadLetter {
    /// `<consumer>-<position>`
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

#[cfg(test)]
pub mod tests;
