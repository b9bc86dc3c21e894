//! Faults that an administrator has ordered, so that everybody can see what happens then.
//!
//! They are for a time only, and only where the variable `fault_injection` is `on`.

use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::Problem;
use souk_chassis::fields::{self, Fields, FromFields};
use souk_chassis::variables;
use souk_keyvalue::{Bucket, Error};

use crate::shared::label;
use crate::time::{now, random};

/// The key of the list in a service's store.
const KEY: &str = "faults";

/// And the key of everybody's, in the gateway's.
const ALL: &str = "all-faults";

/// How old an instance's copy of the list may be, in milliseconds.
const FRESH_FOR: i64 = 250;

/// The longest time a fault may last, in seconds.
const LONGEST: i64 = 3_600;

/// The most faults at once.
const MOST: usize = 50;

/// What is to go wrong with calls of one service to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The calling service.
    pub from: String,
    /// The called service.
    pub to: String,
    /// By how much calls are late, in milliseconds.
    pub latency_ms: u32,
    /// How many of a hundred calls fail.
    pub error_percent: u32,
    /// Whether calls are never answered.
    pub blackhole: bool,
    /// When it is over, in milliseconds since 1970.
    pub until: i64,
}

impl FromFields for Fault {
    fn from_fields(fields: &mut Fields) -> Self {
        let seconds = fields.required("seconds", fields::whole_number(1..=LONGEST));
        let mut number = |name, most| {
            let value: Option<i64> = fields.optional(name, fields::whole_number(0..=most));
            value.map_or(0, |value| u32::try_from(value).unwrap_or_default())
        };
        let (latency_ms, error_percent) =
            (number("latency_ms", 60_000), number("error_percent", 100));
        Self {
            from: fields.required("from", fields::line(1..=40)),
            to: fields.required("to", fields::line(1..=40)),
            latency_ms,
            error_percent,
            blackhole: fields
                .optional("blackhole", fields::boolean())
                .unwrap_or_default(),
            until: now() + seconds * 1_000,
        }
    }
}

/// The faults that are to be, instead of those there are.
#[derive(Debug, Clone)]
pub struct NewFaults(pub Vec<Fault>);

impl FromFields for NewFaults {
    fn from_fields(fields: &mut Fields) -> Self {
        Self(fields.required_list("faults", 0..=MOST))
    }
}

/// What happens to a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// It is late.
    Delay(u32),
    /// It fails.
    Fail,
    /// It is never answered.
    Swallow,
}

/// What happens to a call of one service to another now.
pub async fn befall(from: &str, to: &str) -> Effect {
    if !are_enabled().await {
        return Effect::None;
    }
    let now = now();
    let faults = current(from, now);
    let found = faults
        .iter()
        .find(|fault| fault.to == to && fault.until > now);
    found.map_or(Effect::None, |fault| effect(fault, random()))
}

fn effect(fault: &Fault, random: u64) -> Effect {
    match fault {
        _ if random % 100 < u64::from(fault.error_percent) => Effect::Fail,
        Fault {
            blackhole: true, ..
        } => Effect::Swallow,
        Fault { latency_ms: 0, .. } => Effect::None,
        Fault { latency_ms, .. } => Effect::Delay(*latency_ms),
    }
}

/// How a call that is to fail is answered: as the host does for a service that breaks down.
pub fn failure() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Whether there may be faults at all.
pub async fn are_enabled() -> bool {
    matches!(variables::get("fault_injection").await, Ok(Some(value)) if &*value == "on")
}

/// Refuses to order faults where there may be none.
pub async fn require_enabled() -> Result<(), Problem> {
    match are_enabled().await {
        true => Ok(()),
        false => Err(Problem::conflict(
            "faults are switched off; start the shop with the variable fault_injection=on to allow them",
        )),
    }
}

/// The faults of a service's calls that are not over.
pub fn list(service: &str) -> Result<Vec<Fault>, Error> {
    read(service, KEY)
}

/// Orders those of these faults that are for a service's calls, instead of what was ordered before.
pub fn order(service: &str, faults: &[Fault]) -> Result<(), Error> {
    let own: Vec<_> = faults
        .iter()
        .filter(|fault| fault.from == service)
        .cloned()
        .collect();
    write(service, KEY, &own)
}

fn read(service: &str, key: &str) -> Result<Vec<Fault>, Error> {
    let value = Bucket::open(&label(service))?.get(key)?;
    let faults = value.and_then(|value| serde_json::from_slice(&value).ok());
    let mut faults: Vec<Fault> = faults.unwrap_or_default();
    let now = now();
    faults.retain(|fault| fault.until > now);
    Ok(faults)
}

fn write(service: &str, key: &str, faults: &[Fault]) -> Result<(), Error> {
    let value = serde_json::to_vec(faults).map_err(|error| Error(error.to_string()))?;
    Bucket::open(&label(service))?.set(key, &value)
}

/// All faults that were ordered, of whosever calls, and are not over: the gateway keeps them to show them.
pub fn all(gateway: &str) -> Result<Vec<Fault>, Error> {
    read(gateway, ALL)
}

/// Keeps all faults to show them, and orders those of the gateway's own calls.
pub fn order_all(gateway: &str, faults: &[Fault]) -> Result<(), Error> {
    write(gateway, ALL, faults)?;
    order(gateway, faults)
}

/// The list, and when it was read.
static COPY: Mutex<(i64, Vec<Fault>)> = Mutex::new((0, Vec::new()));

fn current(service: &str, now: i64) -> Vec<Fault> {
    let mut copy = COPY.lock().unwrap_or_else(PoisonError::into_inner);
    if now >= copy.0 + FRESH_FOR {
        *copy = (now, list(service).unwrap_or_default());
    }
    copy.1.clone()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fault(from: &str, to: &str) -> Fault {
        Fault {
            from: from.into(),
            to: to.into(),
            until: now() + 60_000,
            ..Fault::default()
        }
    }

    #[test]
    fn a_fault_is_what_was_ordered() {
        let late = Fault {
            latency_ms: 200,
            ..fault("a", "b")
        };
        assert_eq!(effect(&late, 7), Effect::Delay(200));
        let gone = Fault {
            blackhole: true,
            ..fault("a", "b")
        };
        assert_eq!(effect(&gone, 7), Effect::Swallow);
        let flaky = Fault {
            error_percent: 50,
            ..fault("a", "b")
        };
        let failed = (0..1_000).filter(|random| effect(&flaky, *random) == Effect::Fail);
        assert_eq!(failed.count(), 500);
    }

    #[test]
    fn a_service_has_the_faults_of_its_own_calls_until_they_are_over() {
        let over = Fault {
            until: now() - 1,
            ..fault("carts", "inventory")
        };
        let own = fault("carts", "products");
        order("carts", &[own.clone(), over, fault("orders", "products")]).unwrap();
        assert_eq!(list("carts").unwrap(), [own]);
        order("carts", &[]).unwrap();
        assert_eq!(list("carts").unwrap(), []);
    }
}
