//! What components write, as log records.
//!
//! A line that is a JSON object, as our services write them, says its level, its message and its trace itself. Of any other
//! line the message is all of it, and the trace that of the only request its instance was working on, if there was only one.

use super::exporter::{attribute, nanos, text, trace_id};
use super::trace::Scope;
use opentelemetry::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use serde_json::{Map, Value};
use std::time::SystemTime;

/// Attributes of a record: records wait in memory, where each attribute takes more than its place in the line.
const MAX_ATTRIBUTES: usize = 64;

/// The record of a line that was written to `stream`.
pub fn record(line: &[u8], stream: &str, place: &Scope) -> LogRecord {
    let context = place.context();
    let now = nanos(SystemTime::now());
    let mut record = LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        trace_id: trace_id(context.as_ref().map(|context| context.trace)),
        span_id: context.map_or(Vec::new(), |context| context.span.to_bytes().to_vec()),
        attributes: vec![attribute("log.iostream", stream)],
        ..Default::default()
    };
    let object = line.starts_with(b"{").then(|| serde_json::from_slice(line));
    match object {
        Some(Ok(object)) => structured(&mut record, object),
        _ => record.body = Some(text(&String::from_utf8_lossy(line))),
    }
    record
}

fn structured(record: &mut LogRecord, mut object: Map<String, Value>) {
    let mut take = |name: &str| match object.get(name) {
        Some(Value::String(_)) => match object.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    };
    if let Some(level) = take("level") {
        record.severity_number = severity(&level).into();
        record.severity_text = level;
    }
    record.body = take("message").map(|message| text(&message));
    let said = take("trace_id").and_then(|id| TraceId::from_hex(&id).ok());
    if let Some(trace) = said.filter(|trace| *trace != TraceId::INVALID) {
        let known = trace.to_bytes();
        // A span of another trace is none of this one.
        if record.trace_id != known {
            record.span_id.clear();
        }
        record.trace_id = known.to_vec();
    }
    let said = take("span_id").and_then(|id| SpanId::from_hex(&id).ok());
    if let Some(span) = said.filter(|span| *span != SpanId::INVALID) {
        record.span_id = span.to_bytes().to_vec();
    }
    // The resource and the record say these themselves.
    object.retain(|name, _| !matches!(name.as_str(), "service" | "time"));
    record.dropped_attributes_count = object.len().saturating_sub(MAX_ATTRIBUTES) as u32;
    for (name, value) in object.into_iter().take(MAX_ATTRIBUTES) {
        record.attributes.push(KeyValue {
            key: name,
            value: Some(any(value)),
            ..Default::default()
        });
    }
}

fn severity(level: &str) -> SeverityNumber {
    match level.to_ascii_lowercase().as_str() {
        "trace" => SeverityNumber::Trace,
        "debug" => SeverityNumber::Debug,
        "info" => SeverityNumber::Info,
        "warn" | "warning" => SeverityNumber::Warn,
        "error" => SeverityNumber::Error,
        _ => SeverityNumber::Unspecified,
    }
}

/// Lists and objects stay JSON.
fn any(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(yes) => Some(Any::BoolValue(yes)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(number) => Any::IntValue(number),
            None => Any::DoubleValue(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Some(Any::StringValue(text)),
        list @ (Value::Array(_) | Value::Object(_)) => Some(Any::StringValue(list.to_string())),
    };
    AnyValue { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_says_what_it_is() {
        let line = br#"{"level":"warn","service":"x","message":"late","trace_id":"0af7651916cd43dd8448eb211c80319c","order":{"id":1},"tries":3}"#;
        let record = record(line, "stderr", &Scope::default());
        assert_eq!(record.severity_number(), SeverityNumber::Warn);
        assert_eq!(record.body, Some(text("late")));
        assert_eq!(record.trace_id[..2], [0x0a, 0xf7]);
        let attribute = |name: &str| {
            let found = record.attributes.iter().find(|a| a.key == name);
            found.and_then(|a| a.value.as_ref()?.value.clone())
        };
        assert_eq!(attribute("tries"), Some(Any::IntValue(3)));
        assert_eq!(
            attribute("order"),
            Some(Any::StringValue(r#"{"id":1}"#.into()))
        );
        assert_eq!(
            attribute("log.iostream"),
            Some(Any::StringValue("stderr".into()))
        );
        assert_eq!(attribute("level"), None);
        assert_eq!(attribute("service"), None);
    }

    #[test]
    fn of_many_attributes_some_are_kept() {
        let pairs = (0..100).map(|number| format!(r#""a{number}":{number}"#));
        let line = format!("{{{}}}", pairs.collect::<Vec<_>>().join(","));
        let record = record(line.as_bytes(), "stderr", &Scope::default());
        // Beside the name of the stream.
        assert_eq!(record.attributes.len(), MAX_ATTRIBUTES + 1);
        assert_eq!(record.dropped_attributes_count, 36);
    }

    #[test]
    fn any_other_line_is_a_message() {
        for line in ["plain words", "{not json", "{\"a\":"] {
            let record = record(line.as_bytes(), "stdout", &Scope::default());
            assert_eq!(record.body, Some(text(line)));
            assert!(record.trace_id.is_empty());
        }
    }
}
