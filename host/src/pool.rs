//! Connections to one SQLite file, opened when needed and kept for the next user.

use rusqlite::Connection;
use rusqlite::limits::Limit;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Idle connections kept; more than the blocking work that runs at once is never idle for long.
const MAX_IDLE: usize = 16;

/// Bytes of a value, a row or a statement. SQLite's memory is not the guest's, so that the guest's
/// limit does not hold it.
const MAX_VALUE_BYTES: i32 = 16 << 20;

/// How a new connection is prepared.
type Setup = Box<dyn Fn(&Connection) -> rusqlite::Result<()> + Send + Sync>;

/// A pool. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    path: PathBuf,
    setup: Setup,
    idle: Mutex<Vec<Connection>>,
}

/// A connection on loan; goes back to its pool when dropped, unless [`Pooled::discard`]ed.
pub struct Pooled {
    connection: Option<Connection>,
    pool: Pool,
}

impl Pool {
    /// A pool for the file at `path`; `setup` runs once on every new connection.
    pub fn new(
        path: &Path,
        setup: impl Fn(&Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            path: path.to_owned(),
            setup: Box::new(setup),
            idle: Mutex::default(),
        }))
    }

    /// An idle connection, if there is one. Does not block.
    pub fn idle(&self) -> Option<Pooled> {
        let connection = self.kept().pop()?;
        Some(Pooled {
            connection: Some(connection),
            pool: self.clone(),
        })
    }

    /// An idle connection, or a new one. Blocks: call it on a blocking thread.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn get(&self) -> rusqlite::Result<Pooled> {
        if let Some(pooled) = self.idle() {
            return Ok(pooled);
        }
        let connection = Connection::open(&self.0.path)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
        (self.0.setup)(&connection)?;
        Ok(Pooled {
            connection: Some(connection),
            pool: self.clone(),
        })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pooled {
    /// Closes the connection instead of keeping it.
    pub fn discard(mut self) {
        self.connection = None;
    }
}

impl Deref for Pooled {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("present until dropped")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut idle = self.pool.kept();
            if idle.len() < MAX_IDLE {
                idle.push(connection);
            }
        }
    }
}
