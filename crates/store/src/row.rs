//! Rows and the types they are read into.

use serde::Serialize;
use serde::de::DeserializeOwned;
use spin_sdk::sqlite::Value;
use uuid::Uuid;

use crate::Error;

/// One row of a result, read column by column in the order of the SELECT.
pub struct Row {
    values: std::vec::IntoIter<Value>,
    column: usize,
}

impl Row {
    /// A row of these values.
    pub fn new(values: Vec<Value>) -> Self {
        Self {
            values: values.into_iter(),
            column: 0,
        }
    }

    /// Takes the next column.
    pub fn take<T: FromValue>(&mut self) -> Result<T, Error> {
        self.column += 1;
        let value = self.values.next().unwrap_or(Value::Null);
        T::from_value(value).map_err(|expected| Error::Column {
            column: self.column,
            expected,
        })
    }
}

/// A type that is read from a row.
pub trait FromRow: Sized {
    /// Takes the columns this type needs, in order.
    fn from_row(row: &mut Row) -> Result<Self, Error>;
}

/// A row of which it only matters that it is there.
impl FromRow for () {
    fn from_row(_: &mut Row) -> Result<Self, Error> {
        Ok(())
    }
}

/// A type that is read from one column.
pub trait FromValue: Sized {
    /// Reads the value, or says what it should have been.
    fn from_value(value: Value) -> Result<Self, &'static str>;
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Integer(integer) => Ok(integer),
            _ => Err("an integer"),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        i64::from_value(value).map(|integer| integer != 0)
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Text(text) => Ok(text),
            _ => Err("text"),
        }
    }
}

impl FromValue for Uuid {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        let text = String::from_value(value)?;
        text.parse().map_err(|_| "a UUID")
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// A row of one column.
#[derive(Debug)]
pub struct Column<T>(pub T);

impl<T: FromValue> FromRow for Column<T> {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        row.take().map(Self)
    }
}

/// What is kept as JSON text.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromValue for Json<T> {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        let text = String::from_value(value)?;
        let data = serde_json::from_str(&text);
        data.map(Self).map_err(|_| "JSON of the expected kind")
    }
}

/// An enum that is kept as the word it is in JSON.
#[derive(Debug)]
pub struct Word<T>(pub T);

impl<T: DeserializeOwned> FromValue for Word<T> {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        let word = serde_json::Value::String(String::from_value(value)?);
        let data = T::deserialize(word);
        data.map(Self).map_err(|_| "one of the known words")
    }
}

/// A UUID as the text it is kept as, for a parameter.
pub fn text(id: Uuid) -> Value {
    id.to_string().into()
}

/// Data as JSON text, for a parameter.
///
/// # Panics
/// When it is no plain data: JSON has no maps whose keys are no strings, for one.
pub fn json(data: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_string(data)
        .expect("plain data is JSON")
        .into()
}

/// An enum as the word it is in JSON, for a parameter; NULL where it is no word.
pub fn word(data: &impl Serialize) -> Value {
    let word = serde_json::to_value(data).unwrap_or_default();
    word.as_str().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns_are_taken_in_order() {
        let mut row = Row::new(vec![
            Value::Integer(7),
            Value::text("a"),
            Value::Null,
            Value::Integer(1),
        ]);
        assert_eq!(row.take::<i64>(), Ok(7));
        assert_eq!(row.take::<String>().unwrap(), "a");
        assert_eq!(row.take::<Option<String>>(), Ok(None));
        assert_eq!(row.take::<bool>(), Ok(true));
    }

    #[test]
    fn words_and_json_come_back_as_they_went_in() {
        let mut row = Row::new(vec![word(&Some("open")), json(&[1, 2]), Value::text("x")]);
        assert_eq!(row.take::<Word<String>>().unwrap().0, "open");
        assert_eq!(row.take::<Json<Vec<i64>>>().unwrap().0, [1, 2]);
        assert!(row.take::<Json<Vec<i64>>>().is_err());
        assert!(matches!(word(&7), Value::Null));
    }

    #[test]
    fn uuids_are_kept_as_text() {
        let mut row = Row::new(vec![text(Uuid::max()), Value::text("x")]);
        assert_eq!(row.take::<Uuid>(), Ok(Uuid::max()));
        assert!(row.take::<Uuid>().is_err());
    }

    #[test]
    fn a_wrong_column_is_named() {
        let mut row = Row::new(vec![Value::Integer(7), Value::Null]);
        row.take::<i64>().unwrap();
        assert_eq!(
            row.take::<String>(),
            Err(Error::Column {
                column: 2,
                expected: "text"
            })
        );
        assert_eq!(
            row.take::<i64>(),
            Err(Error::Column {
                column: 3,
                expected: "an integer"
            })
        );
    }
}
