//! The connection a component has: `spin:sqlite`.
//!
//! The SDK's own type has the waiting way of running a statement only, so this uses the interface beneath it.

use spin_sdk::sqlite::wit::sqlite;

use crate::{Error, Value};

pub(crate) struct Connection(sqlite::Connection);

impl Connection {
    pub(crate) fn open(label: &str) -> Result<Self, Error> {
        Ok(Self(sqlite::Connection::open(label)?))
    }

    /// Runs one statement at once and reads all its rows: one call to the host, while which the instance does nothing else.
    pub(crate) fn run(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let parameters: Vec<_> = parameters.into_iter().collect();
        let result = self.0.execute(sql, &parameters)?;
        Ok(values(result.rows))
    }

    /// Runs one statement aside and reads all its rows: several calls to the host, between which other requests go on.
    pub(crate) async fn write(
        &self,
        sql: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let parameters = parameters.into_iter().collect();
        let (_columns, rows, finished) = self.0.execute_async(sql.to_owned(), parameters).await?;
        let rows = rows.collect().await;
        finished.await?;
        Ok(values(rows))
    }
}

fn values(rows: Vec<sqlite::RowResult>) -> Vec<Vec<Value>> {
    rows.into_iter().map(|row| row.values).collect()
}
