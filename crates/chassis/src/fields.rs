//! Reading input field by field, so that one answer names everything that is wrong with it.
//!
//! A derived deserializer stops at the first field that is missing or has another type. [`Fields`] goes on, so that a client
//! learns of all its mistakes at once. A type says how it is read in [`FromFields`]; each field has a rule, which takes what
//! was sent (any type serde can read) and returns what is kept or says what is wrong.
//!
//! ```
//! use souk_chassis::fields::{self, Fields, FromFields};
//!
//! #[derive(Debug, PartialEq)]
//! struct Rating { stars: i64, comment: Option<String> }
//!
//! impl FromFields for Rating {
//!     fn from_fields(fields: &mut Fields) -> Self {
//!         Self {
//!             stars: fields.required("stars", fields::whole_number(1..=5)),
//!             comment: fields.optional("comment", fields::text(0..=500)),
//!         }
//!     }
//! }
//!
//! let rating: Rating = fields::from_json(serde_json::json!({"stars": 4})).expect("valid");
//! assert_eq!(rating, Rating { stars: 4, comment: None });
//!
//! let errors = fields::from_json::<Rating>(serde_json::json!({"comment": 7, "star": 4})).expect_err("three mistakes");
//! assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["stars", "comment", "star"]);
//! ```

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::problem::FieldError;

/// A type that is read from the fields of a JSON object or a query string.
pub trait FromFields: Sized {
    /// Reads each field. Where some are wrong the result is thrown away, so its other fields need not make sense.
    fn from_fields(fields: &mut Fields) -> Self;
}

/// The fields of one object, and what is wrong with those that have been read.
pub struct Fields {
    values: Map<String, Value>,
    path: String,
    errors: Vec<FieldError>,
    /// In a query string everything is text, so a number may be written as one.
    text_only: bool,
}

/// Reads a JSON body.
pub fn from_json<T: FromFields>(body: Value) -> Result<T, Vec<FieldError>> {
    let Value::Object(values) = body else {
        return Err(vec![FieldError {
            field: String::new(),
            detail: "must be a JSON object".into(),
        }]);
    };
    let mut fields = Fields {
        values,
        path: String::new(),
        errors: Vec::new(),
        text_only: false,
    };
    let read = T::from_fields(&mut fields);
    fields.refuse_the_rest();
    fields.finish(read)
}

/// Reads a query string. Parameters nobody asks for are passed over, as the web does; an empty one counts as absent.
pub fn from_query<T: FromFields>(query: &str) -> Result<T, Vec<FieldError>> {
    let values = form_urlencoded::parse(query.as_bytes())
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect();
    let mut fields = Fields {
        values,
        path: String::new(),
        errors: Vec::new(),
        text_only: true,
    };
    let read = T::from_fields(&mut fields);
    fields.finish(read)
}

impl Fields {
    /// Reads a field that must be there.
    pub fn required<T, U>(&mut self, name: &str, rule: impl FnOnce(T) -> Result<U, String>) -> U
    where
        T: DeserializeOwned,
        U: Default,
    {
        match self.values.remove(name) {
            Some(value) => self.read(name, value, rule).unwrap_or_default(),
            None => {
                self.error(name, "is missing");
                U::default()
            }
        }
    }

    /// Reads a field that may be absent or null.
    pub fn optional<T, U>(
        &mut self,
        name: &str,
        rule: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U>
    where
        T: DeserializeOwned,
    {
        self.clearable(name, rule).flatten()
    }

    /// Reads a field whose absence (`None`) and null (`Some(None)`) mean different things, as in a PATCH.
    pub fn clearable<T, U>(
        &mut self,
        name: &str,
        rule: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<Option<U>>
    where
        T: DeserializeOwned,
    {
        match self.values.remove(name)? {
            Value::Null => Some(None),
            value => self.read(name, value, rule).map(Some),
        }
    }

    /// Reads a field that is an object of its own and must be there.
    pub fn required_object<T: FromFields>(&mut self, name: &str) -> T {
        if !self.values.contains_key(name) {
            self.error(name, "is missing");
            return self.read_object(name, Map::new(), true);
        }
        match self.values.remove(name) {
            Some(Value::Object(values)) => self.read_object(name, values, false),
            _ => {
                self.error(name, "must be an object");
                self.read_object(name, Map::new(), true)
            }
        }
    }

    /// Reads a field that is an object of its own and may be absent or null.
    pub fn optional_object<T: FromFields>(&mut self, name: &str) -> Option<T> {
        match self.values.get(name) {
            None | Some(Value::Null) => {
                self.values.remove(name);
                None
            }
            Some(_) => Some(self.required_object(name)),
        }
    }

    /// Records an error that a rule for one field cannot see, such as two fields that contradict each other.
    pub fn error(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(FieldError {
            field: format!("{}{name}", self.path),
            detail: detail.into(),
        });
    }

    fn read<T, U>(
        &mut self,
        name: &str,
        value: Value,
        rule: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U>
    where
        T: DeserializeOwned,
    {
        let read = match (self.text_only, value) {
            (true, Value::String(text)) => read_text(text),
            (_, value) => T::deserialize(value),
        };
        let checked = read.map_err(|error| error.to_string()).and_then(rule);
        checked.map_err(|detail| self.error(name, detail)).ok()
    }

    fn read_object<T: FromFields>(
        &mut self,
        name: &str,
        values: Map<String, Value>,
        silent: bool,
    ) -> T {
        let path = format!("{}{name}.", self.path);
        let mut fields = Fields {
            values,
            path,
            errors: Vec::new(),
            text_only: false,
        };
        let read = T::from_fields(&mut fields);
        fields.refuse_the_rest();
        if !silent {
            self.errors.append(&mut fields.errors);
        }
        read
    }

    /// A field nobody asks for is most likely one that is misspelt.
    fn refuse_the_rest(&mut self) {
        for (name, _) in std::mem::take(&mut self.values) {
            self.error(&name, "is not a field of this object");
        }
    }

    fn finish<T>(self, read: T) -> Result<T, Vec<FieldError>> {
        if self.errors.is_empty() {
            Ok(read)
        } else {
            Err(self.errors)
        }
    }
}

/// Reads a value that was written as text: as a string where one is wanted, else as a number or boolean.
fn read_text<T: DeserializeOwned>(text: String) -> Result<T, serde_json::Error> {
    let scalar = serde_json::from_str(&text)
        .ok()
        .filter(|value: &Value| value.is_number() || value.is_boolean());
    T::deserialize(Value::String(text)).or_else(|error| scalar.map_or(Err(error), T::deserialize))
}

/// Takes any value serde can read.
pub fn any<T>(value: T) -> Result<T, String> {
    Ok(value)
}

/// Text of so many characters, spaces around it taken off, no control characters but line breaks and tabs.
pub fn text(length: RangeInclusive<usize>) -> impl FnOnce(String) -> Result<String, String> {
    move |text| {
        let text = text.trim();
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return Err("must not contain control characters".into());
        }
        if !length.contains(&text.chars().count()) {
            return Err(format!(
                "must have {} to {} characters",
                length.start(),
                length.end()
            ));
        }
        Ok(text.to_owned())
    }
}

/// Like [`text`], on one line.
pub fn line(length: RangeInclusive<usize>) -> impl FnOnce(String) -> Result<String, String> {
    move |line| match text(length)(line)? {
        line if line.contains(['\n', '\r', '\t']) => Err("must be on one line".into()),
        line => Ok(line),
    }
}

/// A whole number between these, both included.
pub fn whole_number(range: RangeInclusive<i64>) -> impl FnOnce(i64) -> Result<i64, String> {
    move |number| match range.contains(&number) {
        true => Ok(number),
        false => Err(format!(
            "must be a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq)]
    struct Size {
        width: i64,
    }

    impl FromFields for Size {
        fn from_fields(fields: &mut Fields) -> Self {
            Self {
                width: fields.required("width", whole_number(1..=9)),
            }
        }
    }

    #[derive(Debug, PartialEq)]
    struct Thing {
        name: String,
        note: Option<Option<String>>,
        size: Size,
        old_size: Option<Size>,
    }

    impl FromFields for Thing {
        fn from_fields(fields: &mut Fields) -> Self {
            Self {
                name: fields.required("name", line(1..=10)),
                note: fields.clearable("note", text(0..=10)),
                size: fields.required_object("size"),
                old_size: fields.optional_object("old_size"),
            }
        }
    }

    fn errors(body: Value) -> Vec<String> {
        let errors = from_json::<Thing>(body).unwrap_err();
        errors
            .into_iter()
            .map(|error| format!("{}: {}", error.field, error.detail))
            .collect()
    }

    #[test]
    fn a_valid_object_is_read() {
        let thing: Thing = from_json(json!({"name": " chair ", "size": {"width": 3}})).unwrap();
        assert_eq!(
            thing,
            Thing {
                name: "chair".into(),
                note: None,
                size: Size { width: 3 },
                old_size: None
            }
        );
    }

    #[test]
    fn absent_and_null_differ_where_asked() {
        let thing: Thing =
            from_json(json!({"name": "a", "note": null, "size": {"width": 3}, "old_size": null}))
                .unwrap();
        assert_eq!(thing.note, Some(None));
        assert_eq!(thing.old_size, None);
    }

    #[test]
    fn all_mistakes_are_named_with_their_path() {
        assert_eq!(
            errors(
                json!({"name": 5, "note": "far too long a note", "size": {"width": 12, "hight": 1}, "colour": 1})
            ),
            [
                "name: invalid type: integer `5`, expected a string",
                "note: must have 0 to 10 characters",
                "size.width: must be a whole number from 1 to 9",
                "size.hight: is not a field of this object",
                "colour: is not a field of this object",
            ]
        );
        assert_eq!(errors(json!({})), ["name: is missing", "size: is missing"]);
        assert_eq!(
            errors(json!({"name": "a\nb", "size": 1})),
            ["name: must be on one line", "size: must be an object"]
        );
        assert_eq!(errors(json!([1])), [": must be a JSON object"]);
        assert_eq!(
            errors(json!({"name": "a\u{0}", "size": {"width": 1.5}})).len(),
            2
        );
    }

    #[derive(Debug, PartialEq)]
    struct Page {
        q: Option<String>,
        limit: i64,
        all: bool,
    }

    impl FromFields for Page {
        fn from_fields(fields: &mut Fields) -> Self {
            Self {
                q: fields.optional("q", text(1..=10)),
                limit: fields
                    .optional("limit", whole_number(1..=100))
                    .unwrap_or(20),
                all: fields.optional("all", any).unwrap_or(false),
            }
        }
    }

    #[test]
    fn a_query_string_is_read_by_the_types_wanted() {
        let page: Page = from_query("q=12&limit=5&all=true&utm_source=x").unwrap();
        assert_eq!(
            page,
            Page {
                q: Some("12".into()),
                limit: 5,
                all: true
            }
        );
        let page: Page = from_query("q=&limit=").unwrap();
        assert_eq!(
            page,
            Page {
                q: None,
                limit: 20,
                all: false
            }
        );
        assert_eq!(
            from_query::<Page>("q=%00&limit=0&all=maybe")
                .unwrap_err()
                .len(),
            3
        );
        assert_eq!(
            from_query::<Page>("limit=1e3").unwrap_err()[0].field,
            "limit"
        );
    }
}
