//! Attributes and other values, cut to bounds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value};

/// How many bytes of names and values are kept of one span, record or point; what does not fit is left out.
pub const ITEM_BYTES: usize = 16 * 1024;

/// How long one value may be, in bytes; the rest of it is cut off.
const VALUE_BYTES: usize = 4 * 1024;

/// How long the name of an attribute, a span or a service may be, in bytes.
const NAME_BYTES: usize = 200;

/// How deep values may be in each other; what is deeper is left out.
const DEPTH: usize = 4;

/// What a value counts at least: so many small ones are as bounded as a few large ones.
const OVERHEAD: usize = 8;

/// How much of an item can still be kept.
pub struct Budget(usize);

impl Budget {
    pub fn new() -> Self {
        Self(ITEM_BYTES)
    }

    /// Takes so much of it, if there is so much.
    pub fn spend(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes + OVERHEAD)?;
        Some(())
    }

    /// A text cut to what a value may have, if it fits.
    pub fn text(&mut self, text: &str) -> Option<String> {
        let text = cut(text, VALUE_BYTES);
        self.spend(text.len())?;
        Some(text)
    }

    /// Attributes by their names; of the same name the last counts.
    pub fn attributes(&mut self, list: Vec<KeyValue>) -> Map<String, Value> {
        self.map(list, 0)
    }

    fn map(&mut self, list: Vec<KeyValue>, depth: usize) -> Map<String, Value> {
        let mut map = Map::new();
        for KeyValue { key, value, .. } in list {
            let key = name(&key);
            if self.spend(key.len()).is_none() {
                break;
            }
            if let Some(value) = self.value(value, depth) {
                map.insert(key, value);
            }
        }
        map
    }

    /// A value as JSON; none where it is empty, too deep, or does not fit.
    pub fn value(&mut self, value: Option<AnyValue>, depth: usize) -> Option<Value> {
        if depth >= DEPTH {
            return None;
        }
        self.spend(0)?;
        match value?.value? {
            Any::StringValue(text) => self.text(&text).map(Value::String),
            Any::BoolValue(is) => Some(is.into()),
            Any::IntValue(number) => Some(number.into()),
            // JSON has no words for those that are no numbers.
            Any::DoubleValue(number) => Some(match serde_json::Number::from_f64(number) {
                Some(number) => number.into(),
                None => number.to_string().into(),
            }),
            Any::BytesValue(bytes) => {
                let bytes = &bytes[..bytes.len().min(VALUE_BYTES / 2)];
                self.text(&BASE64.encode(bytes)).map(Value::String)
            }
            Any::ArrayValue(array) => {
                let values = array.values.into_iter().map(Some);
                let values = values
                    .map_while(|value| (self.0 > OVERHEAD).then(|| self.value(value, depth + 1)));
                Some(values.flatten().collect())
            }
            Any::KvlistValue(list) => Some(self.map(list.values, depth + 1).into()),
            // This is for profiles alone.
            Any::StringValueStrindex(_) => None,
        }
    }
}

/// A name, cut to what one may have.
pub fn name(text: &str) -> String {
    cut(text, NAME_BYTES)
}

/// The first so many bytes of a text, at a character's end.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// The text of an attribute.
pub fn text<'a>(attributes: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| match attributes.get(*name)? {
        Value::String(text) => Some(text.as_str()),
        // Headers are lists of their values.
        Value::Array(values) => values.first()?.as_str(),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
    use serde_json::json;

    pub fn any(value: Any) -> Option<AnyValue> {
        Some(AnyValue { value: Some(value) })
    }

    pub fn pair(key: &str, value: Any) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: any(value),
            key_strindex: 0,
        }
    }

    fn array(values: Vec<AnyValue>) -> Any {
        Any::ArrayValue(ArrayValue { values })
    }

    #[test]
    fn values_are_json() {
        let list = Any::KvlistValue(KeyValueList {
            values: vec![pair("x", Any::IntValue(-1))],
        });
        let attributes = Budget::new().attributes(vec![
            pair("text", Any::StringValue("a".into())),
            pair("yes", Any::BoolValue(true)),
            pair("half", Any::DoubleValue(0.5)),
            pair("nan", Any::DoubleValue(f64::NAN)),
            pair("bytes", Any::BytesValue(vec![0, 1])),
            pair(
                "array",
                array(vec![any(Any::IntValue(7)).unwrap(), AnyValue::default()]),
            ),
            pair("map", list),
            KeyValue::default(),
        ]);
        let expected = json!({"text": "a", "yes": true, "half": 0.5, "nan": "NaN", "bytes": "AAE=", "array": [7], "map": {"x": -1}});
        assert_eq!(Value::Object(attributes), expected);
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let long = "ä".repeat(10_000);
        let attributes =
            Budget::new().attributes(vec![pair(&long, Any::StringValue(format!("x{long}")))]);
        let (key, value) = attributes.iter().next().unwrap();
        assert_eq!(
            (key.len(), value.as_str().unwrap().len()),
            (NAME_BYTES, VALUE_BYTES - 1)
        );
    }

    #[test]
    fn what_is_too_deep_is_left_out() {
        let deep = (0..90).fold(Any::IntValue(1), |inner, _| {
            array(vec![any(inner).unwrap()])
        });
        let value = Budget::new().value(any(deep), 0).unwrap();
        assert_eq!(value, json!([[[[]]]]));
    }

    #[test]
    fn many_small_values_are_as_bounded_as_large_ones() {
        let many = |_| {
            pair(
                "k",
                Any::ArrayValue(ArrayValue {
                    values: vec![AnyValue::default(); 100_000],
                }),
            )
        };
        let attributes = Budget::new().attributes((0..100).map(many).collect());
        assert!(attributes.len() <= ITEM_BYTES);
        let many = (0..100_000).map(|n| pair(&n.to_string(), Any::StringValue("value".into())));
        let text = Value::Object(Budget::new().attributes(many.collect())).to_string();
        assert!(text.len() < 2 * ITEM_BYTES, "{}", text.len());
    }
}
