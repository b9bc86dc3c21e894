//! Reading input field by field, so that one answer names everything that is wrong with it.
//!
//! A derived deserializer stops at the first field that is missing or has another type. [`Fields`] goes on, so that a client
//! learns of all its mistakes at once. A type says how it is read in [`FromFields`]; each field has a [`Rule`], which takes what
//! was sent (any type serde can read) and returns what is kept or says what is wrong. The rule also says in JSON Schema what it
//! takes, so the service's contract is written by the very code that checks: [`schema`] runs `from_fields` without any values
//! and notes which fields it asks for.
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
//! assert_eq!(fields::schema::<Rating>()["properties"]["stars"]["maximum"], 5);
//! ```

use std::ops::RangeInclusive;
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::problem::FieldError;

/// A type that is read from the fields of a JSON object or a query string.
pub trait FromFields: Sized {
    /// Reads each field. Where some are wrong the result is thrown away, so its other fields need not make sense. Which fields
    /// are asked for must not depend on their values.
    fn from_fields(fields: &mut Fields) -> Self;
}

/// What one field must be like: it makes a `U` of a `T` that was sent.
pub trait Rule<T, U> {
    /// Returns what is kept, or says what is wrong. What it says must not repeat the value, which may be a secret.
    fn check(self, value: T) -> Result<U, String>;

    /// What it takes, as JSON Schema.
    fn schema(&self) -> Value;
}

struct Described<S, C> {
    schema: S,
    check: C,
}

impl<T, U, S: Fn() -> Value, C: FnOnce(T) -> Result<U, String>> Rule<T, U> for Described<S, C> {
    fn check(self, value: T) -> Result<U, String> {
        (self.check)(value)
    }

    fn schema(&self) -> Value {
        (self.schema)()
    }
}

/// A rule of these two parts: what it takes, as JSON Schema, and how it is checked.
pub fn rule<T, U>(
    schema: impl Fn() -> Value,
    check: impl FnOnce(T) -> Result<U, String>,
) -> impl Rule<T, U> {
    Described { schema, check }
}

/// The fields of one object, and what is wrong with those that have been read.
pub struct Fields {
    values: Map<String, Value>,
    path: String,
    errors: Vec<FieldError>,
    /// In a query string everything is text, so a number may be written as one.
    text_only: bool,
    /// Present when nothing is read and the fields are only noted down.
    description: Option<Description>,
}

/// The fields that have been asked for, in JSON Schema.
#[derive(Default)]
struct Description {
    properties: Map<String, Value>,
    required: Vec<String>,
}

/// Reads a JSON body.
pub fn from_json<T: FromFields>(body: Value) -> Result<T, Vec<FieldError>> {
    let Value::Object(values) = body else {
        return Err(vec![FieldError {
            field: String::new(),
            detail: "must be a JSON object".into(),
        }]);
    };
    let mut fields = Fields::new(values, String::new());
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
    let mut fields = Fields::new(values, String::new());
    fields.text_only = true;
    let read = T::from_fields(&mut fields);
    fields.finish(read)
}

/// The JSON Schema of what [`from_json`] reads.
pub fn schema<T: FromFields>() -> Value {
    let mut fields = Fields::new(Map::new(), String::new());
    fields.description = Some(Description::default());
    T::from_fields(&mut fields);
    let Description {
        properties,
        required,
    } = fields.description.unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

impl Fields {
    fn new(values: Map<String, Value>, path: String) -> Self {
        Self {
            values,
            path,
            errors: Vec::new(),
            text_only: false,
            description: None,
        }
    }

    /// Reads a field that must be there.
    pub fn required<T, U>(&mut self, name: &str, rule: impl Rule<T, U>) -> U
    where
        T: DeserializeOwned,
        U: Default,
    {
        if self.notes(name, true, || rule.schema()) {
            return U::default();
        }
        match self.values.remove(name) {
            Some(value) => self.read(name, value, rule).unwrap_or_default(),
            None => {
                self.error(name, "is missing");
                U::default()
            }
        }
    }

    /// Reads a field that may be absent or null.
    pub fn optional<T, U>(&mut self, name: &str, rule: impl Rule<T, U>) -> Option<U>
    where
        T: DeserializeOwned,
    {
        self.clearable(name, rule).flatten()
    }

    /// Reads a field whose absence (`None`) and null (`Some(None)`) mean different things, as in a PATCH.
    pub fn clearable<T, U>(&mut self, name: &str, rule: impl Rule<T, U>) -> Option<Option<U>>
    where
        T: DeserializeOwned,
    {
        if self.notes(name, false, || rule.schema()) {
            return None;
        }
        match self.values.remove(name)? {
            Value::Null => Some(None),
            value => self.read(name, value, rule).map(Some),
        }
    }

    /// Reads a field that is an object of its own and must be there.
    pub fn required_object<T: FromFields>(&mut self, name: &str) -> T {
        if self.notes(name, true, schema::<T>) {
            return Self::nothing();
        }
        match self.values.remove(name) {
            Some(value) => self.read_object(name, value),
            None => {
                self.error(name, "is missing");
                Self::nothing()
            }
        }
    }

    /// Reads a field that is an object of its own and may be absent or null.
    pub fn optional_object<T: FromFields>(&mut self, name: &str) -> Option<T> {
        if self.notes(name, false, schema::<T>) {
            return None;
        }
        match self.values.remove(name)? {
            Value::Null => None,
            value => Some(self.read_object(name, value)),
        }
    }

    /// Reads a field that is a list of so many objects and must be there.
    pub fn required_list<T: FromFields>(
        &mut self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Vec<T> {
        if self.notes(name, true, || list_schema::<T>(&length)) {
            return Vec::new();
        }
        match self.values.remove(name) {
            Some(value) => self.read_list(name, value, &length),
            None => {
                self.error(name, "is missing");
                Vec::new()
            }
        }
    }

    /// Reads a field that is a list of so many objects and may be absent or null.
    pub fn optional_list<T: FromFields>(
        &mut self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Option<Vec<T>> {
        if self.notes(name, false, || list_schema::<T>(&length)) {
            return None;
        }
        match self.values.remove(name)? {
            Value::Null => None,
            value => Some(self.read_list(name, value, &length)),
        }
    }

    /// Records an error that a rule for one field cannot see, such as two fields that contradict each other.
    pub fn error(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(FieldError {
            field: format!("{}{name}", self.path),
            detail: detail.into(),
        });
    }

    /// When the fields are only described: notes one down, and says that it did.
    fn notes(&mut self, name: &str, required: bool, schema: impl FnOnce() -> Value) -> bool {
        let Some(description) = &mut self.description else {
            return false;
        };
        let schema = match required {
            true => schema(),
            false => json!({"anyOf": [schema(), {"type": "null"}]}),
        };
        description.properties.insert(name.to_owned(), schema);
        if required {
            description.required.push(name.to_owned());
        }
        true
    }

    fn read<T, U>(&mut self, name: &str, value: Value, rule: impl Rule<T, U>) -> Option<U>
    where
        T: DeserializeOwned,
    {
        let read = match (self.text_only, value) {
            (true, Value::String(text)) => read_text(text),
            (_, value) => T::deserialize(value),
        };
        let checked = match read {
            Ok(value) => rule.check(value),
            // Serde's own message would repeat the value.
            Err(_) => Err(wanted(&rule.schema())),
        };
        checked.map_err(|detail| self.error(name, detail)).ok()
    }

    fn read_object<T: FromFields>(&mut self, name: &str, value: Value) -> T {
        let Value::Object(values) = value else {
            self.error(name, "must be an object");
            return Self::nothing();
        };
        let mut fields = Fields::new(values, format!("{}{name}.", self.path));
        let read = T::from_fields(&mut fields);
        fields.refuse_the_rest();
        self.errors.append(&mut fields.errors);
        read
    }

    fn read_list<T: FromFields>(
        &mut self,
        name: &str,
        value: Value,
        length: &RangeInclusive<usize>,
    ) -> Vec<T> {
        let Value::Array(values) = value else {
            self.error(name, "must be a list");
            return Vec::new();
        };
        if !length.contains(&values.len()) {
            let (min, max) = (length.start(), length.end());
            self.error(name, format!("must have {min} to {max} items"));
            return Vec::new();
        }
        let items = values.into_iter().enumerate();
        items
            .map(|(index, value)| self.read_object(&format!("{name}[{index}]"), value))
            .collect()
    }

    /// Something of the type, where there is nothing to read it from.
    fn nothing<T: FromFields>() -> T {
        let mut fields = Fields::new(Map::new(), String::new());
        fields.description = Some(Description::default());
        T::from_fields(&mut fields)
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

fn list_schema<T: FromFields>(length: &RangeInclusive<usize>) -> Value {
    json!({"type": "array", "items": schema::<T>(), "minItems": length.start(), "maxItems": length.end()})
}

/// What to say of a value of another type than the schema wants.
fn wanted(schema: &Value) -> String {
    match schema["type"].as_str() {
        Some("string") => "must be a string".into(),
        Some("integer") => "must be a whole number".into(),
        Some("boolean") => "must be true or false".into(),
        Some("array") => "must be a list".into(),
        Some("object") => "must be an object".into(),
        _ => "is of the wrong type".into(),
    }
}

/// Text of so many characters, spaces around it taken off, no control characters but line breaks and tabs.
pub fn text(length: RangeInclusive<usize>) -> impl Rule<String, String> {
    let described = length.clone();
    let schema = move || text_schema(&described, r"\t\n\r");
    rule(schema, move |text: String| trimmed(&text, &length))
}

/// Like [`text`], on one line.
pub fn line(length: RangeInclusive<usize>) -> impl Rule<String, String> {
    let described = length.clone();
    let schema = move || text_schema(&described, "");
    rule(schema, move |line: String| match trimmed(&line, &length)? {
        line if line.contains(['\n', '\r', '\t']) => Err("must be on one line".into()),
        line => Ok(line),
    })
}

fn trimmed(text: &str, length: &RangeInclusive<usize>) -> Result<String, String> {
    let text = text.trim();
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err("must not contain control characters".into());
    }
    if !length.contains(&text.chars().count()) {
        let (min, max) = (length.start(), length.end());
        return Err(format!("must have {min} to {max} characters"));
    }
    Ok(text.to_owned())
}

/// Spaces around the text are taken off before it is measured; the schema promises to take what needs no trimming.
fn text_schema(length: &RangeInclusive<usize>, allowed: &str) -> Value {
    let control = if allowed.is_empty() {
        r"\x00-\x1f\x7f-\x9f"
    } else {
        r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    };
    let mut schema =
        json!({"type": "string", "maxLength": length.end(), "pattern": format!("^[^{control}]*$")});
    if *length.start() > 0 {
        schema["minLength"] = json!(length.start());
        schema["pattern"] = json!(format!(r"^[^{control}\s]([^{control}]*[^{control}\s])?$"));
    }
    schema
}

/// A whole number between these, both included.
pub fn whole_number(range: RangeInclusive<i64>) -> impl Rule<i64, i64> {
    let described = range.clone();
    let schema = move || json!({"type": "integer", "minimum": described.start(), "maximum": described.end()});
    rule(schema, move |number| match range.contains(&number) {
        true => Ok(number),
        false => {
            let (min, max) = (range.start(), range.end());
            Err(format!("must be a whole number from {min} to {max}"))
        }
    })
}

/// True or false.
pub fn boolean() -> impl Rule<bool, bool> {
    rule(|| json!({"type": "boolean"}), Ok)
}

/// A UUID.
pub fn uuid() -> impl Rule<String, Uuid> {
    rule(
        || json!({"type": "string", "format": "uuid"}),
        |text: String| text.parse().map_err(|_| "must be a UUID".into()),
    )
}

/// UUIDs with commas between, at most so many of them.
pub fn uuids(most: usize) -> impl Rule<String, Vec<Uuid>> {
    const ONE: &str = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
    rule(
        move || json!({"type": "string", "pattern": format!("^{ONE}(,{ONE}){{0,{}}}$", most - 1)}),
        move |text: String| {
            let ids: Result<Vec<Uuid>, _> = text.split(',').map(|id| id.trim().parse()).collect();
            let ids = ids.ok().filter(|ids| ids.len() <= most);
            ids.ok_or_else(|| format!("must be up to {most} UUIDs with commas between"))
        },
    )
}

/// A moment in RFC 3339, as nanoseconds since 1970.
pub fn moment() -> impl Rule<String, i64> {
    // No month is shorter than this has it, so whatever fits is a time.
    const DAY: &str = "(19[7-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
    const TIME: &str = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?";
    rule(
        || json!({"type": "string", "pattern": format!("^{DAY}T{TIME}Z$")}),
        |text: String| {
            let since_1970 = humantime::parse_rfc3339(&text).ok();
            let since_1970 = since_1970.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let ns = since_1970.and_then(|time| time.as_nanos().try_into().ok());
            ns.ok_or_else(|| "must be a time in UTC, such as 2026-01-31T12:00:00Z".into())
        },
    )
}

/// One of these words; `T` is a string, or an enum that is read from them.
pub fn one_of<T: DeserializeOwned>(words: &'static [&'static str]) -> impl Rule<String, T> {
    rule(
        move || json!({"type": "string", "enum": words}),
        move |word: String| {
            let known = words.contains(&word.as_str());
            let read = known.then(|| T::deserialize(Value::String(word)).ok());
            read.flatten()
                .ok_or_else(|| format!("must be one of {}", words.join(", ")))
        },
    )
}

/// An ISO 4217 code.
pub fn currency() -> impl Rule<String, String> {
    rule(
        || json!({"type": "string", "pattern": "^[A-Z]{3}$"}),
        |code: String| match code.len() == 3 && code.bytes().all(|c| c.is_ascii_uppercase()) {
            true => Ok(code),
            false => Err("must be an ISO 4217 code, such as EUR".into()),
        },
    )
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
                "name: must be a string",
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
                all: fields.optional("all", boolean()).unwrap_or(false),
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
