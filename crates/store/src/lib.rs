//! A service's own SQLite database: one connection per instance, migrations, typed rows.
//!
//! ```no_run
//! use souk_store::{Database, Error, FromRow, Migration, Row, Value};
//!
//! static DATABASE: Database = Database::new(
//!     "products",
//!     &[Migration { name: "0001_products", sql: "CREATE TABLE IF NOT EXISTS products (sku TEXT, amount INTEGER)" }],
//! );
//!
//! struct Price {
//!     sku: String,
//!     amount: i64,
//! }
//!
//! impl FromRow for Price {
//!     fn from_row(row: &mut Row) -> Result<Self, Error> {
//!         Ok(Self { sku: row.take()?, amount: row.take()? })
//!     }
//! }
//!
//! # async fn example() -> Result<(), Error> {
//! let cheap: Vec<Price> = DATABASE
//!     .read("SELECT sku, amount FROM products WHERE amount < ?1", [Value::from(500)])
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What to know
//!
//! - **One statement, one change.** `spin:sqlite` runs one statement per call, and requests of one instance share the
//!   connection, so there is no transaction across calls and no `changes()`: what must be atomic is one statement, and what it
//!   did is read from its `RETURNING`.
//! - **The connection** is opened at the first use in an instance, tuned (WAL, foreign keys), brought up to the newest
//!   migration, and kept. After an error that is not a broken constraint it is dropped, and the next use opens a new one.
//! - **Migrations** are lists of idempotent statements, so many instances may run them at once and a crash half way heals at
//!   the next start; see [`Migration`].
//! - **Constraints have names.** [`Error::violates`] recognizes `table.column` of a UNIQUE, the name of a CHECK, and what a
//!   trigger says in `RAISE(ABORT, 'CHECK constraint failed: <name>')`.
//! - **Tests** of a service turn on the feature `native` in their dev-dependencies: then every test has a fresh SQLite database
//!   in memory, and the service's own statements run on it without a Wasm host.

#[cfg_attr(feature = "native", path = "native.rs")]
#[cfg_attr(not(feature = "native"), path = "spin.rs")]
mod connection;
mod error;
mod migrations;
mod row;

use std::sync::{Arc, Mutex, PoisonError};

use connection::Connection;

pub use error::Error;
pub use migrations::Migration;
pub use row::{Column, FromRow, FromValue, Json, Row, Word, json, text, word};
pub use spin_sdk::sqlite::Value;

/// How much a committed write survives; SQLite's `synchronous` setting for the WAL journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// Everything survives a crash of the process; the newest writes may be lost in a power cut. The database stays sound.
    Normal,
    /// Everything survives a power cut too, for one disk flush per write.
    Full,
}

/// A database the service's manifest grants it, meant to be a `static`.
pub struct Database {
    label: &'static str,
    migrations: &'static [Migration],
    synchronous: Synchronous,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Database {
    /// The database with this label in the manifest, and its migrations, oldest first.
    pub const fn new(label: &'static str, migrations: &'static [Migration]) -> Self {
        Self {
            label,
            migrations,
            synchronous: Synchronous::Full,
            connection: Mutex::new(None),
        }
    }

    /// Chooses how much a committed write survives; [`Synchronous::Full`] unless told.
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Runs a statement that changes nothing and reads its rows.
    ///
    /// The instance does nothing else meanwhile, which takes a third less work than to wait aside, and a read that an index
    /// answers is over before anything else could begin.
    pub async fn read<T: FromRow>(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, Error> {
        let connection = self.connection()?;
        self.rows(connection.run(sql, parameters))
    }

    /// Like [`read`](Self::read), for the first row, if there is one.
    pub async fn read_one<T: FromRow>(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Option<T>, Error> {
        Ok(self.read(sql, parameters).await?.into_iter().next())
    }

    /// Runs a statement that changes something and reads the rows of its `RETURNING`, which are in no particular order.
    ///
    /// It may have to wait for another writer or the disk; the instance's other requests go on meanwhile.
    pub async fn write<T: FromRow>(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, Error> {
        let connection = self.connection()?;
        self.rows(connection.write(sql, parameters).await)
    }

    /// Like [`write`](Self::write), for the first row, if there is one.
    pub async fn write_one<T: FromRow>(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Option<T>, Error> {
        Ok(self.write(sql, parameters).await?.into_iter().next())
    }

    /// How SQLite would go about a statement: the steps of its query plan, for a test of what an index answers.
    #[cfg(feature = "native")]
    pub async fn plan(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<String>, Error> {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let steps: Vec<connection::Step> = self.read(&sql, parameters).await?;
        Ok(steps.into_iter().map(|step| step.0).collect())
    }

    /// Makes of a statement's rows what they stand for. After an error the connection is not trusted any more.
    fn rows<T: FromRow>(&self, rows: Result<Vec<Vec<Value>>, Error>) -> Result<Vec<T>, Error> {
        if rows
            .as_ref()
            .is_err_and(|error| !matches!(error, Error::Constraint(_)))
        {
            self.keep(None);
        }
        rows?
            .into_iter()
            .map(|values| T::from_row(&mut Row::new(values)))
            .collect()
    }

    /// This instance's connection, opened if there is none.
    ///
    /// Nothing else of the instance runs meanwhile: of the requests that arrive together at a new instance only the first
    /// opens one.
    fn connection(&self) -> Result<Arc<Connection>, Error> {
        let kept = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(connection) = kept {
            return Ok(connection);
        }
        let connection = Arc::new(self.open()?);
        self.keep(Some(connection.clone()));
        Ok(connection)
    }

    fn keep(&self, connection: Option<Arc<Connection>>) {
        if cfg!(feature = "native") {
            return; // Each test thread has its own database.
        }
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = connection;
    }

    fn open(&self) -> Result<Connection, Error> {
        let connection = Connection::open(self.label)?;
        let synchronous = match self.synchronous {
            Synchronous::Normal => "PRAGMA synchronous = NORMAL",
            Synchronous::Full => "PRAGMA synchronous = FULL",
        };
        for pragma in ["PRAGMA journal_mode = WAL", synchronous] {
            // A remote libSQL database has its own settings and refuses some of these.
            _ = connection.run(pragma, []);
        }
        connection.run("PRAGMA foreign_keys = ON", [])?;
        migrations::apply(&connection, self.migrations)?;
        Ok(connection)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    static DATABASE: Database = Database::new(
        "store",
        &[Migration {
            name: "0001_numbers",
            sql: "CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)",
        }],
    );

    impl FromRow for i64 {
        fn from_row(row: &mut Row) -> Result<Self, Error> {
            row.take()
        }
    }

    /// The native connection never waits.
    fn now<T>(work: impl Future<Output = T>) -> T {
        match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn a_write_returns_what_it_has_written() {
        let insert = "INSERT OR IGNORE INTO numbers VALUES (1), (2), (3) RETURNING number";
        let mut written: Vec<i64> = now(DATABASE.write(insert, [])).unwrap();
        written.sort_unstable();
        assert_eq!(written, [1, 2, 3]);
        assert_eq!(now(DATABASE.write_one::<i64>(insert, [])), Ok(None));
        let all: Vec<i64> = now(DATABASE.read("SELECT number FROM numbers", [])).unwrap();
        assert_eq!(all, [1, 2, 3]);
    }
}
