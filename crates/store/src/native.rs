//! The connection a test has: SQLite in memory, one database per thread, with the errors of `spin:sqlite`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rusqlite::types::{Value as SqliteValue, ValueRef};
use spin_sdk::sqlite;

use crate::{Error, FromRow, Row, Value};

thread_local! {
    static DATABASES: RefCell<HashMap<String, Rc<rusqlite::Connection>>> = RefCell::default();
}

pub(crate) struct Connection(String);

impl Connection {
    pub(crate) fn open(label: &str) -> Result<Self, Error> {
        Ok(Self(label.to_owned()))
    }

    pub(crate) fn run(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let parameters = parameters.into_iter().map(to_sqlite);
        self.rows(sql, parameters)
            .map_err(|error| sqlite::Error::Io(message(error)).into())
    }

    pub(crate) async fn write(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        self.run(sql, parameters)
    }

    fn rows(
        &self,
        sql: &str,
        parameters: impl Iterator<Item = SqliteValue>,
    ) -> rusqlite::Result<Vec<Vec<Value>>> {
        let database = self.database()?;
        let mut statement = database.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
        let mut read = Vec::new();
        while let Some(row) = rows.next()? {
            read.push(
                (0..columns)
                    .map(|column| row.get_ref(column).map(from_sqlite))
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(read)
    }

    fn database(&self) -> rusqlite::Result<Rc<rusqlite::Connection>> {
        DATABASES.with_borrow_mut(|databases| {
            if let Some(database) = databases.get(&self.0) {
                return Ok(database.clone());
            }
            let database = Rc::new(rusqlite::Connection::open_in_memory()?);
            databases.insert(self.0.clone(), database.clone());
            Ok(database)
        })
    }
}

/// What a row of `EXPLAIN QUERY PLAN` says, after the numbers that make the rows a tree.
pub(crate) struct Step(pub(crate) String);

impl FromRow for Step {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        for _ in 0..3 {
            row.take::<i64>()?;
        }
        Ok(Self(row.take()?))
    }
}

/// SQLite's own words, which is what Spin passes on.
fn message(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        error => error.to_string(),
    }
}

fn to_sqlite(value: Value) -> SqliteValue {
    match value {
        Value::Integer(integer) => SqliteValue::Integer(integer),
        Value::Real(real) => SqliteValue::Real(real),
        Value::Text(text) => SqliteValue::Text(text),
        Value::Blob(blob) => SqliteValue::Blob(blob),
        Value::Null => SqliteValue::Null,
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
        ValueRef::Null => Value::Null,
    }
}
