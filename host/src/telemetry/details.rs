//! What is known of a span, in two pieces of memory that are used again: of a hundred spans ninety-nine are forgotten, but each has to be
//! made first.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// Bytes of a text that are kept.
pub const MAX_TEXT: usize = 1024;
/// Room for the texts of most spans, in bytes.
const TEXTS: usize = 256;
/// Room for the attributes of most spans.
const ATTRIBUTES: usize = 10;

/// The name of a span, and its attributes.
#[derive(Default)]
pub struct Details {
    /// All texts, one after the other.
    texts: String,
    name: Text,
    attributes: Vec<(Key, Value<Text>)>,
}

/// A value; the texts of those that are kept are a part of all texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<T> {
    Text(T),
    Number(i64),
    Fraction(f64),
    Truth(bool),
}

/// Where a text begins and ends.
#[derive(Clone, Copy, Default)]
struct Text(u32, u32);

enum Key {
    Known(&'static str),
    Said(Text),
}

impl Details {
    /// Begins with a span whose name has these parts, in place of another one.
    pub fn begin(&mut self, name: &[&str]) {
        self.texts.clear();
        self.texts.reserve(TEXTS);
        self.attributes.clear();
        self.attributes.reserve(ATTRIBUTES);
        self.name = self.keep(name);
    }

    /// Notes something.
    pub fn set<'a>(&mut self, key: &'static str, value: impl Into<Value<&'a str>>) {
        let value = self.value(value.into());
        self.attributes.push((Key::Known(key), value));
    }

    /// Notes a text that has these parts.
    pub fn set_joined(&mut self, key: &'static str, parts: &[&str]) {
        let text = self.keep(parts);
        self.attributes.push((Key::Known(key), Value::Text(text)));
    }

    /// Notes something of which only somebody else knows what it is.
    pub fn say(&mut self, key: &str, value: Value<&str>) {
        let key = Key::Said(self.keep(&[key]));
        let value = self.value(value);
        self.attributes.push((key, value));
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.text(self.name)
    }

    /// How many attributes there are.
    pub fn count(&self) -> usize {
        self.attributes.len()
    }

    /// The attributes, as they are exported.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue> {
        self.attributes.iter().map(|(key, value)| {
            let key = match key {
                Key::Known(key) => key,
                Key::Said(text) => self.text(*text),
            };
            let value = match value {
                Value::Text(text) => Any::StringValue(self.text(*text).to_owned()),
                Value::Number(number) => Any::IntValue(*number),
                Value::Fraction(number) => Any::DoubleValue(*number),
                Value::Truth(truth) => Any::BoolValue(*truth),
            };
            KeyValue {
                key: key.to_owned(),
                value: Some(AnyValue { value: Some(value) }),
                ..Default::default()
            }
        })
    }

    fn value(&mut self, value: Value<&str>) -> Value<Text> {
        match value {
            Value::Text(text) => Value::Text(self.keep(&[text])),
            Value::Number(number) => Value::Number(number),
            Value::Fraction(number) => Value::Fraction(number),
            Value::Truth(truth) => Value::Truth(truth),
        }
    }

    /// Keeps the beginning of a text.
    fn keep(&mut self, parts: &[&str]) -> Text {
        let begin = self.texts.len();
        for part in parts {
            let left = MAX_TEXT - (self.texts.len() - begin);
            self.texts.push_str(beginning(part, left));
        }
        // There are some attributes at most, and of each there is the beginning.
        Text(begin as u32, self.texts.len() as u32)
    }

    fn text(&self, Text(begin, end): Text) -> &str {
        &self.texts[begin as usize..end as usize]
    }
}

/// So many bytes of a text at most.
pub fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

impl<'a> From<&'a str> for Value<&'a str> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<&str> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value<&str> {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &[&str]) -> Details {
        let mut details = Details::default();
        details.begin(name);
        details
    }

    #[test]
    fn what_is_noted_is_exported() {
        let mut details = of(&["SELECT", " ", "orders"]);
        details.set("db.system.name", "sqlite");
        details.set("rows", 3);
        details.set_joined("url.full", &["http://", "a", "/b"]);
        details.say("whole", Value::Truth(true));
        details.say("share", Value::Fraction(0.5));
        assert_eq!(details.name(), "SELECT orders");
        let exported: Vec<_> = details
            .attributes()
            .map(|it| (it.key, it.value.and_then(|it| it.value)))
            .collect();
        let text = |text: &str| Some(Any::StringValue(text.into()));
        assert_eq!(
            exported,
            [
                ("db.system.name".into(), text("sqlite")),
                ("rows".into(), Some(Any::IntValue(3))),
                ("url.full".into(), text("http://a/b")),
                ("whole".into(), Some(Any::BoolValue(true))),
                ("share".into(), Some(Any::DoubleValue(0.5))),
            ]
        );
    }

    #[test]
    fn what_was_known_of_another_one_is_gone() {
        let mut details = of(&["one"]);
        details.set("key", "value");
        details.begin(&["other"]);
        assert_eq!(details.name(), "other");
        assert_eq!(details.count(), 0);
    }

    #[test]
    fn of_a_long_text_the_beginning_is_kept() {
        let long = "ä".repeat(1000);
        let mut details = of(&["a", &long, &long]);
        assert_eq!(details.name().len(), MAX_TEXT - 1, "whole characters");
        details.set("next", "b");
        let next = details.attributes().next().and_then(|it| it.value);
        assert_eq!(
            next.and_then(|it| it.value),
            Some(Any::StringValue("b".into()))
        );
    }
}
