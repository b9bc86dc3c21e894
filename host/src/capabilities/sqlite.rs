//! `spin:sqlite`: SQLite databases, in a [file] or on a [libSQL server](libsql).

mod file;
pub mod libsql;

use super::{Labels, grant_labels, open_used};
use crate::bindings::sqlite::{self, Error, QueryResult, RowResult, Value};
use crate::instance::InstanceState;
use crate::problems::Problems;
use crate::runtime_config::SqliteBackend;
use crate::telemetry::data;
use crate::telemetry::tasks::caller;
use crate::telemetry::trace::Scope;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::{Access, Accessor, FutureReader, HasSelf, Resource, StreamReader};

/// Connections an instance may hold at once.
const MAX_CONNECTIONS: usize = 256;
/// Bytes one result set may have; it is held in memory while the guest reads it.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// Phase one: the databases a component may open.
///
/// # Errors
/// Labels without a backend.
pub fn grant(
    granted: &[String],
    config: &BTreeMap<String, SqliteBackend>,
) -> Result<Labels, Problems> {
    grant_labels("sqlite_databases", "sqlite_database", granted, config)
}

/// Phase two: the databases of the application, by label.
pub struct Databases(BTreeMap<String, (Arc<str>, Database)>);

/// One database.
enum Database {
    File(file::Database),
    Libsql(Arc<libsql::Database>),
}

impl Databases {
    /// Opens every database that some component may use. A libSQL server is not asked yet: it may
    /// be away now and come back.
    ///
    /// # Errors
    /// Files that cannot be opened or are no databases.
    pub fn open(
        used: &[&Labels],
        config: &BTreeMap<String, SqliteBackend>,
    ) -> Result<Self, Problems> {
        open_used(used, config, |label, backend| {
            let database = match backend {
                SqliteBackend::File(path) => Database::File(file::open(label, path)?),
                SqliteBackend::Libsql(endpoint) => {
                    let database = libsql::Database::new(endpoint.clone());
                    Database::Libsql(Arc::new(database))
                }
            };
            Ok((label.into(), database))
        })
        .map(Self)
    }
}

impl Database {
    fn session(&self) -> Session {
        match self {
            Self::File(database) => Session::File(Arc::new(file::Session::new(database.clone()))),
            Self::Libsql(database) => {
                Session::Libsql(Arc::new(libsql::Session::new(database.clone())))
            }
        }
    }
}

/// Phase three: what a guest's handle refers to.
pub struct GuestConnection(Arc<str>, Session);

/// A guest's connection from `open` to drop. Cheap to clone.
#[derive(Clone)]
enum Session {
    File(Arc<file::Session>),
    Libsql(Arc<libsql::Session>),
}

impl Session {
    async fn execute(
        self,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        match self {
            Self::File(session) => session.execute(statement, parameters).await,
            Self::Libsql(session) => session.execute(&statement, &parameters).await,
        }
    }

    /// The same, as part of a trace.
    async fn execute_traced(
        self,
        label: &Arc<str>,
        place: &Scope,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        let span = data::sql(place, label, &statement);
        data::end(span, self.execute(statement, parameters).await)
    }

    async fn last_insert_rowid(self) -> wasmtime::Result<i64> {
        match self {
            Self::File(session) => session.inspect(|work| work.last_insert_rowid).await,
            Self::Libsql(session) => Ok(session.last_change().last_insert_rowid),
        }
    }

    async fn changes(self) -> wasmtime::Result<u64> {
        match self {
            Self::File(session) => session.inspect(|work| work.changes).await,
            Self::Libsql(session) => Ok(session.last_change().changes),
        }
    }
}

impl InstanceState {
    fn open_database(
        &mut self,
        label: &str,
    ) -> wasmtime::Result<Result<Resource<GuestConnection>, Error>> {
        if !self.component.sqlite.contains(label) {
            return Ok(Err(Error::AccessDenied));
        }
        if self.open_connections == MAX_CONNECTIONS {
            return Ok(Err(Error::Io("too many open connections".into())));
        }
        let Some((label, database)) = self.shared.sqlite.0.get(label) else {
            return Ok(Err(Error::NoSuchDatabase));
        };
        let connection = GuestConnection(label.clone(), database.session());
        let handle = self.table.push(connection)?;
        self.open_connections += 1;
        Ok(Ok(handle))
    }

    fn session(&self, handle: &Resource<GuestConnection>) -> wasmtime::Result<Session> {
        Ok(self.table.get(handle)?.1.clone())
    }
}

/// The database behind a guest's handle, and the place of the request that uses it.
fn used<T>(
    access: &mut Access<'_, T, HasSelf<InstanceState>>,
    handle: &Resource<GuestConnection>,
) -> wasmtime::Result<(Scope, Arc<str>, Session)> {
    let place = caller(access);
    let GuestConnection(label, session) = access.get().table.get(handle)?;
    Ok((place, label.clone(), session.clone()))
}

impl sqlite::Host for InstanceState {}

impl sqlite::HostConnection for InstanceState {
    async fn open(
        &mut self,
        label: String,
    ) -> wasmtime::Result<Result<Resource<GuestConnection>, Error>> {
        self.open_database(&label)
    }

    async fn last_insert_rowid(
        &mut self,
        handle: Resource<GuestConnection>,
    ) -> wasmtime::Result<i64> {
        self.session(&handle)?.last_insert_rowid().await
    }

    async fn changes(&mut self, handle: Resource<GuestConnection>) -> wasmtime::Result<u64> {
        self.session(&handle)?.changes().await
    }

    async fn drop(&mut self, handle: Resource<GuestConnection>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        self.open_connections -= 1;
        Ok(())
    }
}

type Rows = (
    Vec<String>,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

impl<T: Send> sqlite::HostConnectionWithStore<T> for HasSelf<InstanceState> {
    async fn execute(
        mut access: Access<'_, T, Self>,
        handle: Resource<GuestConnection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let (place, label, session) = used(&mut access, &handle)?;
        let result = session.execute_traced(&label, &place, statement, parameters);
        Ok(result.await)
    }

    async fn open_async(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<GuestConnection>, Error>> {
        accessor.with(|mut access| access.get().open_database(&label))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<GuestConnection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let (place, label, session) = accessor.with(|mut access| used(&mut access, &handle))?;
        let result = session.execute_traced(&label, &place, statement, parameters);
        let QueryResult { columns, rows } = match result.await {
            Ok(result) => result,
            Err(error) => return Ok(Err(error)),
        };
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, rows)?;
            let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
            Ok(Ok((columns, rows, end)))
        })
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<GuestConnection>,
    ) -> wasmtime::Result<i64> {
        let session = accessor.with(|mut access| access.get().session(&handle))?;
        session.last_insert_rowid().await
    }

    async fn changes_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<GuestConnection>,
    ) -> wasmtime::Result<u64> {
        let session = accessor.with(|mut access| access.get().session(&handle))?;
        session.changes().await
    }
}
