//! Log records, as they are kept.

use std::hash::{DefaultHasher, Hash, Hasher};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde::Serialize;
use serde_json::{Map, Value};

use super::spans::{request_id, service_of};
use super::values::{self, Budget};
use super::{Batch, NS_PER_MS, SELF, hex_id, within_keeping};

/// The levels, each with the lowest severity number that it has in OpenTelemetry.
const SEVERITIES: [(&str, i64); 6] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("warn", 13),
    ("error", 17),
    ("fatal", 21),
];

/// What the levels are called, from the least severe.
pub const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "fatal"];

/// A record, as the store takes it.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    time_ns: i64,
    digest: i64,
    service: String,
    level: i64,
    message: String,
    trace_id: Option<String>,
    span_id: Option<String>,
    request_id: Option<String>,
    attributes: Map<String, Value>,
}

/// The records of a request that are kept, as of now (milliseconds since 1970).
pub fn logs(request: ExportLogsServiceRequest, now_ms: i64) -> Batch {
    let mut batch = Batch::new();
    for resource in request.resource_logs {
        let service = service_of(resource.resource.as_ref());
        let records = resource
            .scope_logs
            .into_iter()
            .flat_map(|it| it.log_records);
        for record in records {
            let row = row(&service, record, now_ms);
            if row.service != SELF {
                batch.add(Ok(row));
            }
        }
    }
    batch
}

/// A record is kept whatever is wrong with it: it may be the only one who knows.
fn row(service: &str, record: LogRecord, now_ms: i64) -> Row {
    let mut budget = Budget::new();
    let body = budget.value(record.body, 0);
    let mut attributes = budget.attributes(record.attributes);
    let line = Line::of(body.unwrap_or_default(), &mut attributes);
    let times = [record.time_unix_nano, record.observed_time_unix_nano];
    let time_ns = times
        .into_iter()
        .find_map(|time| within_keeping(time, now_ms));
    let said = |names: &[&str]| values::text(&attributes, names).map(values::name);
    let mut row = Row {
        time_ns: time_ns.unwrap_or(now_ms * NS_PER_MS),
        digest: 0,
        service: said(&["component_id"]).unwrap_or(service.to_owned()),
        level: level(
            record.severity_number,
            &record.severity_text,
            line.level.as_deref(),
        ),
        message: line.message,
        trace_id: hex_id(&record.trace_id, 16).or_else(|| said(&["trace_id"])),
        span_id: hex_id(&record.span_id, 8).or_else(|| said(&["span_id"])),
        request_id: request_id(&attributes),
        attributes,
    };
    row.digest = digest(&row);
    row
}

/// What a service has written. One that writes JSON says what it means by `level` and `message`, and the rest are attributes.
struct Line {
    message: String,
    level: Option<String>,
}

impl Line {
    fn of(body: Value, attributes: &mut Map<String, Value>) -> Self {
        let structured = match &body {
            Value::String(text) if text.starts_with('{') => serde_json::from_str(text).ok(),
            Value::Object(map) => Some(map.clone()),
            _ => None,
        };
        let mut fields: Map<String, Value> = structured.unwrap_or_default();
        let Some(Value::String(message)) = fields.remove("message") else {
            let text = |body: Value| match body {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            };
            return Self {
                message: text(body),
                level: None,
            };
        };
        let level = fields.remove("level");
        attributes.extend(fields);
        Self {
            message,
            level: level.and_then(|level| level.as_str().map(str::to_owned)),
        }
    }
}

/// The severity number: as given, or of the word for it.
fn level(number: i32, text: &str, written: Option<&str>) -> i64 {
    let of = |word: &str| severity(&word.to_ascii_lowercase());
    match number {
        1..=24 if written.is_none() => number.into(),
        _ => written.and_then(of).or_else(|| of(text)).unwrap_or(9),
    }
}

/// The lowest severity number of a level.
pub fn severity(level: &str) -> Option<i64> {
    let known = SEVERITIES
        .iter()
        .find(|(word, _)| *word == level || (level == "warning" && *word == "warn"));
    known.map(|(_, number)| *number)
}

/// The level that a severity number is of.
pub fn level_word(number: i64) -> &'static str {
    let level = SEVERITIES
        .iter()
        .rev()
        .find(|(_, lowest)| number >= *lowest);
    level.map_or("trace", |(word, _)| word)
}

/// Tells a record from others of the same moment.
fn digest(row: &Row) -> i64 {
    let mut hasher = DefaultHasher::new();
    (&row.service, row.level, &row.message, &row.span_id).hash(&mut hasher);
    Value::Object(row.attributes.clone())
        .to_string()
        .hash(&mut hasher);
    hasher.finish().cast_signed()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::values::tests::{any, pair};
    use super::*;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000_000;

    fn record(body: &str) -> LogRecord {
        LogRecord {
            time_unix_nano: u64::try_from(NOW).unwrap() * 1_000_000,
            severity_number: 17,
            body: any(Any::StringValue(body.into())),
            trace_id: vec![1; 16],
            attributes: vec![pair("request_id", Any::StringValue("r1".into()))],
            ..LogRecord::default()
        }
    }

    #[test]
    fn a_record_is_kept_as_it_is() {
        let row = row("carts", record("it broke"), NOW);
        assert_eq!(
            (row.message.as_str(), level_word(row.level)),
            ("it broke", "error")
        );
        assert_eq!(row.trace_id.unwrap(), "01".repeat(16));
        assert_eq!(row.request_id.as_deref(), Some("r1"));
    }

    #[test]
    fn a_line_of_json_says_what_it_means() {
        let line = json!({"level": "WARN", "message": "slow", "request_id": "r2", "trace_id": "ab", "tries": 3});
        let row = row("carts", record(&line.to_string()), NOW);
        assert_eq!(
            (row.message.as_str(), level_word(row.level)),
            ("slow", "warn")
        );
        assert_eq!(
            (row.request_id.as_deref(), &row.attributes["tries"]),
            (Some("r2"), &json!(3))
        );
        for odd in ["{", "{}", r#"{"message": 1}"#] {
            assert_eq!(super::row("carts", record(odd), NOW).message, odd);
        }
    }

    #[test]
    fn a_record_without_a_sensible_time_or_level_is_of_now_and_plain() {
        let odd = LogRecord {
            time_unix_nano: u64::MAX,
            severity_number: 99,
            body: None,
            ..record("")
        };
        let row = row("carts", odd, NOW);
        assert_eq!(
            (row.time_ns, level_word(row.level), row.message.as_str()),
            (NOW * 1_000_000, "info", "")
        );
    }

    #[test]
    fn the_same_record_is_known_again() {
        let digest = |body| row("carts", record(body), NOW).digest;
        assert_eq!(digest("a"), digest("a"));
        assert_ne!(digest("a"), digest("b"));
    }

    #[test]
    fn levels_are_read_and_written() {
        for word in LEVELS {
            assert_eq!(level_word(severity(word).unwrap()), *word);
        }
        assert_eq!(level_word(16), "warn");
        assert_eq!(severity("loud"), None);
    }
}
