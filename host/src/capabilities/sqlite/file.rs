//! SQLite databases in files.
//!
//! A guest's `open` looks like a new connection and takes one from the database's pool at its
//! first statement. Statements run on blocking threads and stay prepared in the connection; a
//! read that is over within [`INLINE_STEPS`] runs where it is, since the way to another thread and
//! back costs more than it does. Writers of a database form a line: SQLite itself lets them poll for its lock, which is neither
//! fair nor quick. What a guest may change about a connection (PRAGMAs) is put back
//! before the next guest gets it; a connection left in any other state is closed instead of pooled.

use super::super::ensure_parent;
use super::MAX_RESULT_BYTES;
use crate::bindings::sqlite::{Error, QueryResult, RowResult, Value};
use crate::pool::{Pool, Pooled};
use crate::problems::Problems;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, Statement, ToSql};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Prepared statements a connection keeps.
const STATEMENT_CACHE: usize = 128;

/// How long a writer waits for the others, as a new connection's `busy_timeout` says.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Steps of SQLite's virtual machine a read may take on an async thread: about 50 µs, unless a
/// single step is a long one (a function over a large value). Also how often a statement that runs
/// elsewhere looks whether anybody still waits for it.
const INLINE_STEPS: i32 = 2000;

/// PRAGMAs a guest may set that are put back for the next guest, with the values they go back to.
const RESET: &str = "PRAGMA foreign_keys = 1; PRAGMA synchronous = 2; PRAGMA busy_timeout = 5000;
    PRAGMA cache_size = -2000; PRAGMA temp_store = 0; PRAGMA recursive_triggers = 0;
    PRAGMA trusted_schema = 1; PRAGMA query_only = 0;";
/// Their names.
const RESET_NAMES: &[&str] = &[
    "foreign_keys",
    "synchronous",
    "busy_timeout",
    "cache_size",
    "temp_store",
    "recursive_triggers",
    "trusted_schema",
    "query_only",
];
/// PRAGMAs that reach beyond the connection, into the process.
const PROCESS_WIDE_NAMES: &[&str] = &[
    "hard_heap_limit",
    "soft_heap_limit",
    "temp_store_directory",
    "data_store_directory",
];
/// PRAGMAs with an argument that leave nothing in the connection: they read, or write the file.
/// (What `journal_mode` did is looked at when it is done.)
const STATELESS_NAMES: &[&str] = &[
    "journal_mode",
    "user_version",
    "application_id",
    "optimize",
    "wal_checkpoint",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "foreign_key_list",
    "foreign_key_check",
];

/// One database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    /// The line of those who want to write.
    line: Arc<tokio::sync::Mutex<()>>,
}

/// Opens the database of a label.
///
/// # Errors
/// A file that cannot be opened or is no database.
pub fn open(label: &str, path: &Path) -> Result<Database, Problems> {
    ensure_parent(path)?;
    let pool = Pool::new(path, |connection| {
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        // VACUUM attaches one.
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
        connection.progress_handler(INLINE_STEPS, Some(must_stop))?;
        connection.authorizer(Some(authorize))
    });
    pool.get()
        .and_then(|connection| connection.query_row("PRAGMA schema_version", [], |_| Ok(())))
        .map_err(|e| {
            Problems::one(format!(
                "sqlite_database.{label}: cannot open {}: {e}",
                path.display()
            ))
        })?;
    Ok(Database {
        pool,
        line: Arc::default(),
    })
}

/// What preparing a statement told about it.
#[derive(Clone, Copy, Default)]
struct Effects {
    /// It sets a PRAGMA: prepare it anew each time, so that the authorizer sees every use.
    sets_pragma: bool,
    /// It leaves something in the connection that [`RESET`] does not take back.
    stains: bool,
}

thread_local! {
    /// Whether the statement on this thread must end at the first progress report.
    static INLINE: Cell<bool> = const { Cell::new(false) };
    /// Set once nobody waits any more for the statement on this thread.
    static ABANDONED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    /// Filled by the authorizer, which SQLite calls on the thread that prepares.
    static EFFECTS: Cell<Effects> = const { Cell::new(Effects { sets_pragma: false, stains: false }) };
}

/// Keeps a guest inside its database file, and notes what a statement does to its connection.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        // The empty name and `:memory:` are no files (VACUUM attaches the former).
        AuthAction::Attach { filename } if !matches!(filename, "" | ":memory:") => {
            return Authorization::Deny;
        }
        // What has no name here may be anything: an ATTACH whose file is an expression, for one.
        AuthAction::Unknown { .. } => return Authorization::Deny,
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => note(false, true),
        AuthAction::Pragma {
            pragma_name,
            pragma_value: Some(_),
        } => {
            let name = pragma_name.to_ascii_lowercase();
            let name = name.as_str();
            if PROCESS_WIDE_NAMES.contains(&name) {
                return Authorization::Deny;
            }
            note(
                true,
                !RESET_NAMES.contains(&name) && !STATELESS_NAMES.contains(&name),
            );
        }
        AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::Insert {
            table_name: "sqlite_temp_master" | "sqlite_temp_schema",
        } => note(false, true),
        _ => {}
    }
    Authorization::Allow
}

fn note(sets_pragma: bool, stains: bool) {
    let seen = EFFECTS.get();
    EFFECTS.set(Effects {
        sets_pragma: seen.sets_pragma || sets_pragma,
        stains: seen.stains || stains,
    });
}

/// SQLite asks now and then whether to give up the statement on this thread.
fn must_stop() -> bool {
    INLINE.get()
        || ABANDONED.with_borrow(|flag| flag.as_ref().is_some_and(|f| f.load(Ordering::Relaxed)))
}

/// A guest's connection from `open` to drop.
pub struct Session {
    database: Database,
    work: Mutex<Work>,
}

/// The part of a session that one statement at a time uses.
#[derive(Default)]
pub struct Work {
    connection: Option<Pooled>,
    /// Whether readers never wait for a writer.
    wal: bool,
    stained: bool,
    /// Rows that the last change changed.
    pub changes: u64,
    /// The id of the last row that was inserted.
    pub last_insert_rowid: i64,
}

impl Drop for Work {
    /// Gives the connection back, or closes it where it is not as it was.
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if !self.stained && connection.is_autocommit() {
            return;
        }
        // Closing a connection may write the WAL back: not on an async thread.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(|| connection.discard())),
            Err(_) => connection.discard(),
        }
    }
}

impl Session {
    /// A connection that is made at the first statement.
    pub fn new(database: Database) -> Self {
        Self {
            database,
            work: Mutex::default(),
        }
    }

    /// Runs a statement: here if it is a quick read, else on a blocking thread, where it is
    /// interrupted when the guest no longer waits.
    ///
    /// # Errors
    /// What SQLite says, and results that are too large.
    pub async fn execute(
        self: Arc<Self>,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        let turn = match self.try_inline(&statement, &parameters) {
            Attempt::Read(result) => return Ok(result),
            Attempt::Writes => Some(self.turn_to_write().await?),
            Attempt::Unknown => None,
        };
        let waiting = Waiting::default();
        let abandoned = waiting.0.clone();
        tokio::task::spawn_blocking(move || {
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            ABANDONED.set(Some(abandoned));
            let result = self.run(&mut work, &statement, &parameters);
            ABANDONED.set(None);
            drop(turn);
            result
        })
        .await
        .unwrap_or_else(|e| Err(Error::Io(e.to_string())))
    }

    /// Tries to read at once, which leaves no trace where it does not succeed.
    fn try_inline(&self, sql: &str, parameters: &[Value]) -> Attempt {
        let Ok(mut work) = self.work.try_lock() else {
            return Attempt::Unknown;
        };
        let Some(connection) = work.connection.as_deref().filter(|_| work.wal) else {
            return Attempt::Unknown;
        };
        EFFECTS.set(Effects::default());
        INLINE.set(true);
        let attempt = quick_read(connection, sql, parameters);
        INLINE.set(false);
        // A statement that stays prepared is not looked at again when it runs.
        work.stained |= EFFECTS.get().stains;
        attempt
    }

    /// Waits in the line of writers, for as long as SQLite would wait for its lock.
    async fn turn_to_write(&self) -> Result<tokio::sync::OwnedMutexGuard<()>, Error> {
        let turn = self.database.line.clone().lock_owned();
        tokio::time::timeout(BUSY_TIMEOUT, turn)
            .await
            .map_err(|_| Error::Io("database is locked".into()))
    }

    fn run(&self, work: &mut Work, sql: &str, parameters: &[Value]) -> Result<QueryResult, Error> {
        if work.connection.is_none() {
            let connection = self.connect().map_err(to_guest)?;
            work.wal = journal_mode(&connection) == "wal";
            work.connection = Some(connection);
        }
        let connection = work.connection.as_deref().expect("connected above");
        EFFECTS.set(Effects::default());
        let ran = run_statement(connection, sql, parameters);
        let effects = EFFECTS.get();
        let (changes, rowid) = (connection.changes(), connection.last_insert_rowid());
        work.stained |= effects.stains;
        if effects.sets_pragma {
            let mode = journal_mode(connection);
            work.wal = mode == "wal";
            // The other modes are the connection's, not the file's.
            work.stained |= mode != "wal" && mode != "delete";
        }
        let (result, readonly) = ran?;
        if !readonly {
            work.changes = changes;
            work.last_insert_rowid = rowid;
        }
        Ok(result)
    }

    /// A connection as a new one would be.
    fn connect(&self) -> rusqlite::Result<Pooled> {
        let connection = self.database.pool.get()?;
        connection.execute_batch(RESET)?;
        forget_last_insert(&connection);
        Ok(connection)
    }

    /// What the work says of itself, read on a blocking thread since a statement may run.
    ///
    /// # Errors
    /// A panic.
    pub async fn inspect<R: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Work) -> R + Send + 'static,
    ) -> wasmtime::Result<R> {
        let value = tokio::task::spawn_blocking(move || {
            read(&self.work.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await?;
        Ok(value)
    }
}

fn journal_mode(connection: &Connection) -> String {
    connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap_or_default()
}

/// Makes `last_insert_rowid` of a pooled connection 0 again.
#[allow(unsafe_code)]
fn forget_last_insert(connection: &Connection) {
    // SAFETY: the handle is open for as long as `connection` is borrowed, and this call only
    // writes a field of it.
    unsafe { rusqlite::ffi::sqlite3_set_last_insert_rowid(connection.handle(), 0) }
}

/// Somebody who waits for a statement; once dropped, nobody does.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What came of trying to run a statement where it is.
enum Attempt {
    /// It was a quick read that waited for nobody.
    Read(QueryResult),
    /// It is a change, committed when it ends.
    Writes,
    /// It is anything else.
    Unknown,
}

/// Steps through a statement if it only reads.
fn quick_read(connection: &Connection, sql: &str, parameters: &[Value]) -> Attempt {
    let Ok(mut statement) = connection.prepare_cached(sql) else {
        return Attempt::Unknown;
    };
    if EFFECTS.get().sets_pragma {
        statement.discard();
        return Attempt::Unknown;
    }
    if !statement.readonly() {
        // Within a transaction of the guest's the lock may be held already: those who wait in the line would wait for it.
        return match connection.is_autocommit() {
            true => Attempt::Writes,
            false => Attempt::Unknown,
        };
    }
    // COMMIT and its like read only, in SQLite's eyes, but have no columns.
    if statement.column_count() == 0 {
        return Attempt::Unknown;
    }
    match read_statement(&mut statement, parameters) {
        Ok(result) => Attempt::Read(result),
        Err(_) => Attempt::Unknown,
    }
}

/// Runs one statement to its end; also says whether it could only read.
fn run_statement(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
) -> Result<(QueryResult, bool), Error> {
    let mut statement = connection.prepare_cached(sql).map_err(to_guest)?;
    let readonly = statement.readonly();
    let result = read_statement(&mut statement, parameters);
    if EFFECTS.get().sets_pragma {
        statement.discard();
    }
    Ok((result?, readonly))
}

fn read_statement(
    statement: &mut Statement<'_>,
    parameters: &[Value],
) -> Result<QueryResult, Error> {
    let names = statement.column_names();
    let columns: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let rows = statement
        .query(rusqlite::params_from_iter(parameters))
        .map_err(to_guest)?;
    let rows = read_rows(rows, columns.len())?;
    Ok(QueryResult { columns, rows })
}

fn read_rows(mut rows: rusqlite::Rows<'_>, width: usize) -> Result<Vec<RowResult>, Error> {
    let mut read = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next().map_err(to_guest)? {
        let mut values = Vec::with_capacity(width);
        for column in 0..width {
            let value = to_value(row.get_ref(column).map_err(to_guest)?);
            bytes += size_of::<Value>() + payload(&value);
            values.push(value);
            if bytes > MAX_RESULT_BYTES {
                return Err(Error::Io(format!(
                    "the result has more than {MAX_RESULT_BYTES} bytes; read it in parts with LIMIT"
                )));
            }
        }
        read.push(RowResult { values });
    }
    Ok(read)
}

fn to_value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Value::Blob(b.to_vec()),
    }
}

fn payload(value: &Value) -> usize {
    match value {
        Value::Text(t) => t.len(),
        Value::Blob(b) => b.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => 0,
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(i) => ValueRef::Integer(*i),
            Value::Real(r) => ValueRef::Real(*r),
            Value::Text(t) => ValueRef::Text(t.as_bytes()),
            Value::Blob(b) => ValueRef::Blob(b),
        }))
    }
}

fn to_guest(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::DatabaseFull,
        _ => Error::Io(error.to_string()),
    }
}
