//! What operators may ask of a service about its calls, and order.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::{Context, Json, Operation, Problem, get, put};
use souk_keyvalue::{Bucket, Error};
use souk_resilience::Record;
use souk_resilience::breaker::{State as Breaker, Totals};

use crate::faults::{self, NewFaults};
use crate::shared::{RECORDS, label};
use crate::time::now;

/// What a service knows of the services it calls.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Calls {
    /// One entry for each that it had reason to keep something of.
    pub items: Vec<CallReport>,
}

/// What a service knows of another one.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallReport {
    /// The calling service.
    pub from: String,
    /// The called service.
    pub to: String,
    /// The circuit breaker: `closed`, `open`, or `half_open` when it lets a few calls through to see.
    pub state: String,
    /// When that was last otherwise, in milliseconds since 1970; 0 if it never was.
    pub changed_at: i64,
    /// How often it has opened.
    pub opened: u32,
    /// Since when calls are counted, in milliseconds since 1970: within the last fifteen seconds; where the breaker is not closed, within those
    /// before it opened.
    #[serde(default)]
    pub counted_since: i64,
    /// Calls since then. As long as all goes well they are not counted.
    pub calls: u32,
    /// How many of these failed.
    pub failed: u32,
    /// How many were slow.
    pub slow: u32,
    /// How many retries there are left.
    pub retries_left: i64,
    /// Instances that are left out for now.
    pub ejected: Vec<String>,
}

impl CallReport {
    fn new(from: &str, to: &str, mut record: Record, now: i64) -> Self {
        record.observe(&Default::default(), now);
        let state = match record.breaker.state() {
            Breaker::Closed => "closed",
            Breaker::Open { until } if now < until => "open",
            _ => "half_open",
        };
        let Totals {
            calls,
            failed,
            slow,
        } = record.breaker.totals();
        Self {
            from: from.into(),
            to: to.into(),
            state: state.into(),
            changed_at: record.breaker.changed_at(),
            opened: record.breaker.opened(),
            counted_since: record.breaker.counted_since(now),
            calls,
            failed,
            slow,
            retries_left: record.budget.left(),
            ejected: record.ejections.now(now).map(str::to_owned).collect(),
        }
    }
}

/// What this service knows of those it calls.
pub fn report(service: &str) -> Result<Calls, Error> {
    let bucket = Bucket::open(&label(service))?;
    let now = now();
    let mut items = Vec::new();
    for key in bucket.keys()? {
        let Some(to) = key.strip_prefix(RECORDS) else {
            continue;
        };
        let record = bucket.get(&key)?;
        let record = record.and_then(|record| serde_json::from_slice(&record).ok());
        items.extend(record.map(|record| CallReport::new(service, to, record, now)));
    }
    items.sort_by(|a, b| a.to.cmp(&b.to));
    Ok(Calls { items })
}

/// The routes by which the gateway asks a service about its calls and has faults happen to them.
pub fn operations() -> [Operation; 2] {
    [
        get("/internal/calls", show)
            .summary("What is known of the services this one calls")
            .for_services()
            .returns::<Calls>(200),
        put("/internal/faults", order)
            .summary("Have faults happen to this service's calls, instead of those there were")
            .for_services()
            .body::<NewFaults>()
            .returns_nothing(204),
    ]
}

async fn show(context: Context) -> Result<Json<Calls>, Problem> {
    context.require_service(&["gateway"])?;
    report(context.service).map(Json).map_err(unavailable)
}

async fn order(
    context: Context,
    Json(NewFaults(new)): Json<NewFaults>,
) -> Result<StatusCode, Problem> {
    context.require_service(&["gateway"])?;
    faults::require_enabled().await?;
    faults::order(context.service, &new).map_err(unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

fn unavailable(error: Error) -> Problem {
    Problem::unavailable("what is known of calls cannot be had now", 1).cause(error)
}
