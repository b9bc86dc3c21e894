//! An event, in the structured JSON form of [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use souk_chassis::Traceparent;
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::{FieldError, Problem};

/// The media type of one event in JSON.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// How large an event, or a batch of them, can be, in bytes of JSON.
pub const EVENT_LIMIT: usize = 1024 * 1024;

/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The version of CloudEvents: `1.0`.
    pub specversion: String,
    /// With `source` it names the event: the same again is the same event.
    pub id: String,
    /// The service it happened in, such as `/services/orders`.
    pub source: String,
    /// What happened, such as `order.confirmed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The aggregate it happened to; events of one are delivered in their order.
    pub subject: String,
    /// When, in RFC 3339.
    pub time: String,
    /// What `data` keeps to: `/schemas/<type>/<version>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// The place in a trace at which it happened, by CloudEvents'
    /// [Distributed Tracing](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md) extension, where that is
    /// known. Consumers are given it as the header of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What there is to know about it.
    pub data: Map<String, Value>,
}

impl Event {
    /// Reads its data.
    ///
    /// # Errors
    /// A problem (422) when it is not like this: an event that cannot be understood is not done with.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(Value::Object(self.data.clone())).map_err(|error| {
            Problem::validation(vec![FieldError {
                field: "data".into(),
                detail: format!("is not that of {}: {error}", self.kind),
            }])
        })
    }

    /// The name of the event among those of all services.
    pub fn key(&self) -> String {
        format!("{}#{}", self.source, self.id)
    }
}

impl FromFields for Event {
    fn from_fields(fields: &mut Fields) -> Self {
        // What else CloudEvents allows and nobody needs.
        let _: Option<String> = fields.optional("datacontenttype", json_only());
        Self {
            specversion: fields.required("specversion", fields::one_of(&[SPEC_VERSION])),
            id: fields.required("id", fields::line(1..=200)),
            source: fields.required("source", fields::line(1..=200)),
            kind: fields.required("type", kind()),
            subject: fields.required("subject", fields::line(1..=200)),
            time: fields.required("time", fields::line(1..=40)),
            dataschema: fields.optional("dataschema", fields::line(1..=200)),
            // One that makes no sense is no reason to refuse what happened, and all that waits behind it.
            traceparent: fields
                .optional("traceparent", text())
                .filter(|it| Traceparent::parse(it).is_some()),
            data: fields.required("data", object()),
        }
    }
}

fn text() -> impl Rule<String, String> {
    fields::rule(|| json!({"type": "string"}), Ok)
}

fn json_only() -> impl Rule<String, String> {
    fields::one_of(&["application/json"])
}

/// Lower-case words with dots between.
fn kind() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "pattern": "^[a-z0-9_-]+(\\.[a-z0-9_-]+)+$", "maxLength": 100}),
        |kind: String| {
            let sane = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
            let word = |word: &str| !word.is_empty() && word.chars().all(sane);
            match kind.len() <= 100 && kind.contains('.') && kind.split('.').all(word) {
                true => Ok(kind),
                false => Err("must be lower-case words with dots between".into()),
            }
        },
    )
}

fn object() -> impl Rule<Map<String, Value>, Map<String, Value>> {
    fields::rule(|| json!({"type": "object"}), Ok)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Value {
        json!({
            "specversion": "1.0", "id": "1", "source": "/services/orders", "type": "order.confirmed", "subject": "o1",
            "time": "2026-01-01T00:00:00.000Z", "datacontenttype": "application/json", "data": {"order_id": "o1"},
        })
    }

    #[test]
    fn an_event_is_read_and_written_as_cloudevents() {
        let event: Event = fields::from_json(sample()).unwrap();
        assert_eq!(
            (&*event.kind, &*event.key()),
            ("order.confirmed", "/services/orders#1")
        );
        let mut written = sample();
        written.as_object_mut().unwrap().remove("datacontenttype");
        assert_eq!(serde_json::to_value(&event).unwrap(), written);
    }

    #[test]
    fn an_event_of_no_known_trace_is_an_event() {
        const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let kept = |traceparent: &str| {
            let mut event = sample();
            event["traceparent"] = traceparent.into();
            fields::from_json::<Event>(event).unwrap().traceparent
        };
        assert_eq!(kept(SOUND).as_deref(), Some(SOUND));
        assert_eq!((kept(""), kept(&"x".repeat(201))), (None, None));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let wrong = |field: &str, value: Value| {
            let mut event = sample();
            event[field] = value;
            let errors = fields::from_json::<Event>(event).unwrap_err();
            assert_eq!(errors.len(), 1);
            errors[0].field.clone()
        };
        for (field, value) in [
            ("specversion", json!("0.3")),
            ("type", json!("Order")),
            ("type", json!("order.")),
            ("data", json!([])),
            ("datacontenttype", json!("text/xml")),
            ("subject", json!("")),
        ] {
            assert_eq!(wrong(field, value), field);
        }
    }

    #[test]
    fn data_that_is_not_understood_is_a_problem() {
        let event: Event = fields::from_json(sample()).unwrap();
        #[derive(Debug, Deserialize)]
        struct Other {
            #[allow(dead_code)]
            missing: i64,
        }
        assert_eq!(event.data::<Other>().unwrap_err().status(), 422);
        assert_eq!(
            event.data::<Map<String, Value>>().unwrap()["order_id"],
            "o1"
        );
    }
}
