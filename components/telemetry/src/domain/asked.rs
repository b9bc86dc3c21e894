//! What operators ask for, and what they are shown.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::page;

use super::latency::{BOUNDS_NS, Histogram};
use super::logs::{LEVELS, severity};
use super::spans::KINDS;

/// Which traces are asked for.
#[derive(Debug)]
pub struct TraceFilter {
    pub service: Option<String>,
    /// The service whose call it answers.
    pub caller: Option<String>,
    pub kind: Option<String>,
    pub route: Option<String>,
    pub attribute: Option<(String, String)>,
    pub status: Option<String>,
    pub min_ms: i64,
    pub max_ms: i64,
    pub request_id: Option<String>,
    pub time: Between,
    /// Where the page before ended.
    pub before: Option<(i64, String)>,
    pub limit: i64,
}

/// What is as long as the longest that is kept.
const LONGEST_MS: i64 = super::KEEP_HOURS * 3_600_000;

impl FromFields for TraceFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            service: fields.optional("service", fields::line(1..=200)),
            caller: fields.optional("caller", fields::line(1..=200)),
            kind: fields.optional("kind", fields::one_of(KINDS)),
            route: fields.optional("route", fields::line(1..=200)),
            attribute: fields.optional("attribute", attribute()),
            status: fields.optional("status", fields::one_of(&["ok", "error"])),
            min_ms: fields
                .optional("min_ms", fields::whole_number(0..=LONGEST_MS))
                .unwrap_or(0),
            max_ms: fields
                .optional("max_ms", fields::whole_number(0..=LONGEST_MS))
                .unwrap_or(LONGEST_MS),
            request_id: fields.optional("request_id", fields::line(1..=200)),
            time: Between::from_fields(fields),
            before: fields.optional("cursor", page::cursor()),
            limit: limit(fields),
        }
    }
}

impl TraceFilter {
    /// Whether a single span has to be as asked; else the trace as a whole.
    pub fn is_of_a_span(&self) -> bool {
        let of_a_span = [&self.service, &self.caller, &self.kind, &self.route];
        of_a_span.iter().any(|it| it.is_some()) || self.attribute.is_some()
    }
}

fn limit(fields: &mut Fields) -> i64 {
    let limit = fields.optional("limit", page::limit());
    limit.unwrap_or(page::DEFAULT_LIMIT)
}

/// `name=value`
fn attribute() -> impl Rule<String, (String, String)> {
    fields::rule(
        || json!({"type": "string", "pattern": "^[^=]+=", "maxLength": 500}),
        |text: String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && text.chars().count() <= 500 => {
                Ok((name.into(), value.into()))
            }
            _ => Err("must be a name, = and a value".into()),
        },
    )
}

/// A time from and a time to, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    pub from_ns: Option<i64>,
    pub to_ns: Option<i64>,
}

impl FromFields for Between {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            from_ns: fields.optional("from", fields::moment()),
            to_ns: fields.optional("to", fields::moment()),
        }
    }
}

/// Which log records are asked for.
#[derive(Debug)]
pub struct LogFilter {
    pub service: Option<String>,
    /// The lowest severity number.
    pub severity: i64,
    pub text: Option<String>,
    pub trace_id: Option<String>,
    pub request_id: Option<String>,
    pub attribute: Option<(String, String)>,
    pub time: Between,
    /// Where the page before ended.
    pub before: Option<i64>,
    /// What who follows has seen already.
    pub after: Option<i64>,
    pub limit: i64,
}

impl FromFields for LogFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        let level: Option<String> = fields.optional("level", fields::one_of(LEVELS));
        Self {
            service: fields.optional("service", fields::line(1..=200)),
            severity: level.as_deref().and_then(severity).unwrap_or(0),
            text: fields.optional("q", fields::line(1..=200)),
            trace_id: fields.optional("trace_id", fields::line(1..=64)),
            request_id: fields.optional("request_id", fields::line(1..=200)),
            attribute: fields.optional("attribute", attribute()),
            time: Between::from_fields(fields),
            before: fields.optional("cursor", page::cursor()),
            after: fields.optional("after", page::cursor()),
            limit: limit(fields),
        }
    }
}

/// What is measured, when, and in which steps.
#[derive(Debug)]
pub struct MeasureFilter {
    pub service: Option<String>,
    pub route: Option<String>,
    /// Whether routes are told apart.
    pub by_route: bool,
    pub time: Between,
    /// How many minutes are one.
    pub step: i64,
}

impl FromFields for MeasureFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        let by: Option<String> = fields.optional("by", fields::one_of(&["service", "route"]));
        Self {
            service: fields.optional("service", fields::line(1..=200)),
            route: fields.optional("route", fields::line(1..=200)),
            by_route: by.is_some_and(|by| by == "route"),
            time: Between::from_fields(fields),
            step: fields
                .optional("step", fields::whole_number(1..=60))
                .unwrap_or(1),
        }
    }
}

/// Which points of exported metrics are asked for.
#[derive(Debug)]
pub struct PointFilter {
    pub service: Option<String>,
    pub name: Option<String>,
    /// Where the page before ended.
    pub after: Option<PointKey>,
    pub limit: i64,
}

/// What tells a series of points from others: service, instance, name, attributes.
pub type PointKey = (String, String, String, String);

impl FromFields for PointFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            service: fields.optional("service", fields::line(1..=200)),
            name: fields.optional("name", fields::line(1..=200)),
            after: fields.optional("cursor", page::cursor()),
            limit: limit(fields),
        }
    }
}

/// A trace in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    pub trace_id: String,
    /// The service whose span the trace began with, as far as it has arrived.
    pub service: String,
    /// What that span is called.
    pub name: String,
    pub started_at: String,
    pub duration_ms: f64,
    /// How many spans it has.
    pub spans: i64,
    /// How many of them failed.
    pub errors: i64,
    pub request_id: Option<String>,
    /// All services that have a part in it.
    pub services: Vec<String>,
    #[serde(skip)]
    pub start_ns: i64,
}

/// A whole trace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Trace {
    #[serde(flatten)]
    pub summary: Summary,
    /// In the order they began.
    pub items: Vec<Span>,
    /// What was logged meanwhile, in order.
    pub logs: Vec<Log>,
    /// Whether there are more spans or logs than are shown.
    pub truncated: bool,
}

/// A part of what was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Span {
    pub span_id: String,
    pub parent_id: Option<String>,
    pub service: String,
    pub name: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// What requests it answers are counted under.
    pub route: Option<String>,
    /// How long after the trace it began.
    pub offset_ms: f64,
    pub duration_ms: f64,
    /// `ok` or `error`.
    pub status: String,
    pub message: Option<String>,
    pub attributes: Map<String, Value>,
    /// `at`, `name` and `attributes` of each.
    pub events: Value,
    /// `trace_id` and `span_id` of each.
    pub links: Value,
}

/// Something that was logged.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Log {
    pub at: String,
    pub service: String,
    pub level: String,
    pub message: String,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    pub request_id: Option<String>,
    pub attributes: Map<String, Value>,
    #[serde(skip)]
    pub id: i64,
}

/// A part of the log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Logs {
    /// Newest first; for who follows, oldest first.
    pub items: Vec<Log>,
    pub next_cursor: Option<String>,
    /// What to ask for as `after` to get what comes after all of this.
    pub newest: String,
}

/// What was measured.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Measures {
    /// What the buckets end with, in milliseconds; the last has no end.
    pub bounds_ms: Vec<f64>,
    /// By time, then by service and route.
    pub items: Vec<Measure>,
}

/// How many requests there were, how many failed, how long they took.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Measure {
    pub at: String,
    pub service: String,
    /// Empty where routes are not told apart.
    pub route: String,
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// Which services call which.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Edges {
    /// What the buckets end with, in milliseconds; the last has no end.
    pub bounds_ms: Vec<f64>,
    /// By caller, then by callee.
    pub items: Vec<Edge>,
}

/// The calls of one service by another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Edge {
    pub caller: String,
    pub callee: String,
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// Rate, errors and duration.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Numbers {
    pub calls: i64,
    pub errors: i64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    /// How many are in each bucket.
    pub buckets: Vec<i64>,
}

/// How many of something are in a bucket, as the store has it.
#[derive(Debug, Clone)]
pub struct Count<K> {
    pub of: K,
    pub bucket: i64,
    pub calls: i64,
    pub errors: i64,
    pub sum_ns: i64,
}

/// Makes of the buckets of each thing, which follow each other, its numbers.
pub fn by_thing<K: PartialEq>(counts: Vec<Count<K>>) -> Vec<(K, Numbers)> {
    let mut all: Vec<(K, Vec<Count<()>>)> = Vec::new();
    for Count {
        of,
        bucket,
        calls,
        errors,
        sum_ns,
    } in counts
    {
        let count = Count {
            of: (),
            bucket,
            calls,
            errors,
            sum_ns,
        };
        match all.last_mut() {
            Some((last, counts)) if *last == of => counts.push(count),
            _ => all.push((of, vec![count])),
        }
    }
    let numbers = |(of, counts): (K, Vec<Count<()>>)| (of, Numbers::of(&counts));
    all.into_iter().map(numbers).collect()
}

/// Of each thing the numbers that know more of it: those of its spans, or those of its host, which come a little later but are of all
/// requests, whichever are traced.
pub fn fuller<K: Ord>(
    of_spans: Vec<(K, Numbers)>,
    of_hosts: Vec<(K, Numbers)>,
) -> Vec<(K, Numbers)> {
    let mut all: BTreeMap<K, Numbers> = of_spans.into_iter().collect();
    for (of, numbers) in of_hosts {
        if all
            .get(&of)
            .is_none_or(|known| known.calls <= numbers.calls)
        {
            all.insert(of, numbers);
        }
    }
    all.into_iter().collect()
}

impl Numbers {
    fn of(counts: &[Count<()>]) -> Self {
        let mut histogram = Histogram::default();
        for count in counts {
            histogram.add(count.bucket, count.calls);
        }
        let sum = |part: fn(&Count<()>) -> i64| counts.iter().map(part).sum::<i64>();
        let calls = sum(|count| count.calls);
        let quantile = |share| histogram.quantile_ms(share).unwrap_or(0.0);
        Self {
            calls,
            errors: sum(|count| count.errors),
            mean_ms: ms(sum(|count| count.sum_ns)) / calls.max(1) as f64,
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            buckets: histogram.counts.to_vec(),
        }
    }
}

/// The newest point of a series that somebody exports.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Point {
    pub service: String,
    /// Which instance of the service, as it says; empty where it says nothing.
    pub instance: String,
    pub name: String,
    /// `gauge`, `counter`, `sum`, `histogram` or `summary`.
    pub kind: String,
    pub unit: String,
    pub attributes: Map<String, Value>,
    pub at: String,
    /// Its value; of a histogram or summary the sum.
    pub value: Option<f64>,
    /// Of a histogram or summary, how many values it has.
    pub count: Option<i64>,
    #[serde(skip)]
    pub key: PointKey,
}

/// What the buckets end with, in milliseconds.
pub fn bounds_ms() -> Vec<f64> {
    BOUNDS_NS.iter().map(|bound| ms(*bound)).collect()
}

/// Nanoseconds as milliseconds.
pub fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn count(of: &'static str, bucket: i64, calls: i64) -> Count<&'static str> {
        Count {
            of,
            bucket,
            calls,
            errors: 1,
            sum_ns: calls * 7_000_000,
        }
    }

    #[test]
    fn the_buckets_of_a_thing_are_its_numbers() {
        let numbers = by_thing(vec![count("a", 3, 90), count("a", 4, 10), count("b", 0, 1)]);
        let (of, a) = &numbers[0];
        assert_eq!((*of, a.calls, a.errors, a.mean_ms), ("a", 100, 2, 7.0));
        assert_eq!((a.p90_ms, a.p99_ms), (10.0, 23.5));
        assert_eq!((numbers[1].0, numbers[1].1.calls), ("b", 1));
        assert!(by_thing::<i64>(Vec::new()).is_empty());
    }

    #[test]
    fn whoever_knows_more_is_believed() {
        let spans = by_thing(vec![count("a", 0, 5), count("b", 0, 5), count("d", 0, 1)]);
        let hosts = by_thing(vec![count("a", 0, 9), count("b", 0, 4), count("c", 0, 0)]);
        let calls: Vec<_> = fuller(spans, hosts)
            .into_iter()
            .map(|(of, numbers)| (of, numbers.calls))
            .collect();
        assert_eq!(calls, [("a", 9), ("b", 5), ("c", 0), ("d", 1)]);
    }

    #[test]
    fn what_is_asked_for_is_checked() {
        let read = |query: &str| {
            fields::from_query::<TraceFilter>(query).map_err(|errors| errors[0].field.clone())
        };
        let filter = read("attribute=a%3Db%3Dc&from=2026-01-31T12:00:00Z&min_ms=5").unwrap();
        assert_eq!(filter.attribute, Some(("a".into(), "b=c".into())));
        assert_eq!(filter.time.from_ns, Some(1_769_860_800_000_000_000));
        for (query, field) in [
            ("attribute=a", "attribute"),
            ("from=now", "from"),
            ("status=bad", "status"),
            ("min_ms=-1", "min_ms"),
        ] {
            assert_eq!(read(query).unwrap_err(), field);
        }
    }
}
