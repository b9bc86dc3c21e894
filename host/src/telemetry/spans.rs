//! Spans that components make themselves, of what the host does not see, such as calls between the parts of a component.
//!
//! They come as lines that begin with `{"span":`, as our services write them where the environment has [`VARIABLE`]. A line says which request it is of by
//! the `traceparent` that the host gave that request to the instance with, so that those of other requests, and of other traces, are none. It is
//! written when the span ends: the host's clock is asked then, and the line says only how long it took. A line that is no span is one of the log.

use super::context;
use super::details::{Details, Value as Attribute};
use super::tasks::Tasks;
use super::trace::Happened;
use opentelemetry::SpanId;
use opentelemetry::trace::SpanKind;
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use std::time::Duration;

/// The variable of the environment that is there where spans are taken.
pub const VARIABLE: &str = "SOUK_SPANS";

/// What their lines begin with, so that no other line has to be read.
const BEGINNING: &[u8] = br#"{"span":"#;

/// Bytes of a line that is one: spans wait in memory, and this bounds all that is in them.
const MAX_LINE: usize = 2048;
/// Attributes of a span, since each of them takes more memory than its place in the line.
const MAX_ATTRIBUTES: usize = 16;

#[derive(Deserialize)]
struct Line {
    span: Said,
}

/// A span, as a component says it.
#[derive(Deserialize)]
struct Said {
    /// Of which request.
    traceparent: String,
    id: String,
    /// The span of the component that it is in.
    parent: Option<String>,
    name: String,
    kind: String,
    duration_ns: u64,
    /// Why it failed, if it did.
    error: Option<String>,
    attributes: Map<String, Value>,
}

/// Records the span that a line of an instance is, if it is one.
pub fn record(line: &[u8], tasks: &Tasks) -> bool {
    if !line.starts_with(BEGINNING) || line.len() > MAX_LINE {
        return false;
    }
    let line = serde_json::from_slice(line);
    line.is_ok_and(|Line { span }| span.record(tasks).is_some())
}

impl Said {
    fn record(self, tasks: &Tasks) -> Option<()> {
        let (trace, span, _) = context::parse(&self.traceparent)?;
        let place = tasks.told(trace, span)?;
        let parent = match self.parent {
            Some(parent) => Some(id(&parent)?),
            None => None,
        };
        let happened = Happened {
            id: id(&self.id)?,
            parent,
            kind: match self.kind.as_str() {
                "client" => SpanKind::Client,
                _ => SpanKind::Internal,
            },
            took: Duration::from_nanos(self.duration_ns),
            error: self.error,
        };
        place.happened(happened, |details| {
            details.begin(&[&self.name]);
            for (key, value) in &self.attributes {
                describe(details, key, value);
            }
        })
    }
}

fn describe(details: &mut Details, key: &str, value: &Value) {
    // Whose it is the host says.
    if key == "component_id" || details.count() == MAX_ATTRIBUTES {
        return;
    }
    match value {
        Value::String(text) => details.say(key, Attribute::Text(text)),
        Value::Bool(truth) => details.say(key, Attribute::Truth(*truth)),
        Value::Number(number) => details.say(key, number_of(number)),
        // Lists and objects stay JSON.
        other => details.say(key, Attribute::Text(&other.to_string())),
    }
}

fn id(hex: &str) -> Option<SpanId> {
    let id = SpanId::from_hex(hex).ok()?;
    (hex.len() == 16 && id != SpanId::INVALID).then_some(id)
}

fn number_of(number: &Number) -> Attribute<&str> {
    match number.as_i64() {
        Some(number) => Attribute::Number(number),
        None => Attribute::Fraction(number.as_f64().unwrap_or_default()),
    }
}
