//! Stores in SQLite files, laid out as Spin's, so that the same state directory serves either.
//!
//! Writes and listings run on blocking threads, each with a connection from the store's pool. A
//! read of one key runs where it is: it never waits for a writer (the file is in WAL mode), and the
//! way to another thread and back would cost more than it does.

use super::super::ensure_parent;
use super::{Failure, MAX_RESULT_BYTES};
use crate::pool::Pool;
use crate::problems::Problems;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for others who have the file.
const PATIENCE: Duration = Duration::from_secs(5);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))";

/// One store: its label (a column of the table) and connections to its file.
pub struct FileStore {
    label: String,
    pool: Pool,
}

/// Opens the store of a label.
///
/// # Errors
/// A file that cannot be opened.
pub fn open(label: &str, path: &Path) -> Result<Arc<FileStore>, Problems> {
    ensure_parent(path)?;
    let pool = Pool::new(path, |connection| {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")
    });
    prepare(&pool).map_err(|e| {
        Problems::one(format!(
            "key_value_store.{label}: cannot open {}: {e}",
            path.display()
        ))
    })?;
    let label = label.to_owned();
    Ok(Arc::new(FileStore { label, pool }))
}

/// Makes the table, and a new file one in WAL mode. Of several who do that at once SQLite has all but one wait, or tells them that the
/// file is locked without having them wait, where it cannot know that waiting would help.
fn prepare(pool: &Pool) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        let prepared = pool
            .get()
            .and_then(|connection| connection.execute_batch(SCHEMA));
        match prepared {
            Err(error) if is_busy(&error) && begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            prepared => return prepared,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

impl FileStore {
    /// Runs SQL on a blocking thread.
    async fn run<R: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Connection, &str) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, Failure> {
        tokio::task::spawn_blocking(move || {
            let connection = self.pool.get()?;
            work(&connection, &self.label)
        })
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| e.to_string())
    }

    /// Runs SQL that must happen as a whole on a blocking thread; no other writer comes in between.
    async fn run_as_one<R: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Connection, &str) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, Failure> {
        self.run(move |connection, label| {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let done = work(&transaction, label)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    /// The value of a key.
    pub async fn get(self: Arc<Self>, key: String) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(connection) = self.pool.idle() {
            return read(&connection, &self.label, &key).map_err(|e| e.to_string());
        }
        self.run(move |connection, label| read(connection, label, &key))
            .await
    }

    /// The values of keys.
    pub async fn get_many(
        self: Arc<Self>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Failure> {
        let values = self.run(move |connection, label| {
            let mut pairs = Vec::with_capacity(keys.len());
            let mut bytes = 0;
            for key in keys {
                let value = read(connection, label, &key)?;
                bytes += value.as_ref().map_or(0, Vec::len);
                if bytes > MAX_RESULT_BYTES {
                    let limit = format!("the values have more than {MAX_RESULT_BYTES} bytes");
                    return Ok(Err(limit));
                }
                pairs.push((key, value));
            }
            Ok(Ok(pairs))
        });
        values.await?
    }

    /// Writes a key.
    pub async fn set(self: Arc<Self>, key: String, value: Vec<u8>) -> Result<(), Failure> {
        self.run(move |connection, label| write(connection, label, &key, &value))
            .await
    }

    /// Writes keys, all of them or none.
    pub async fn set_many(self: Arc<Self>, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
        self.run_as_one(move |connection, label| {
            let mut pairs = pairs.iter();
            pairs.try_for_each(|(key, value)| write(connection, label, key, value))
        })
        .await
    }

    /// Deletes a key.
    pub async fn delete(self: Arc<Self>, key: String) -> Result<(), Failure> {
        self.run(move |connection, label| remove(connection, label, &key))
            .await
    }

    /// Deletes keys, all of them or none.
    pub async fn delete_many(self: Arc<Self>, keys: Vec<String>) -> Result<(), Failure> {
        self.run_as_one(move |connection, label| {
            let mut keys = keys.iter();
            keys.try_for_each(|key| remove(connection, label, key))
        })
        .await
    }

    /// All keys.
    pub async fn keys(self: Arc<Self>) -> Result<Vec<String>, Failure> {
        self.run(|connection, label| {
            connection
                .prepare_cached("SELECT key FROM spin_key_value WHERE store = ?")?
                .query_map([label], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Adds to the counter that a key holds, as Spin writes one: 8 bytes, little-endian.
    pub async fn increment(self: Arc<Self>, key: String, delta: i64) -> Result<i64, Failure> {
        let summed = self.run_as_one(move |connection, label| {
            let value = read(connection, label, &key)?.unwrap_or_else(|| vec![0; 8]);
            let Ok(bytes) = value.try_into() else {
                return Ok(Err("the value of the key is no counter".to_owned()));
            };
            let Some(sum) = i64::from_le_bytes(bytes).checked_add(delta) else {
                return Ok(Err("the counter would overflow".to_owned()));
            };
            write(connection, label, &key, &sum.to_le_bytes())?;
            Ok(Ok(sum))
        });
        summed.await?
    }

    /// Writes a key if it still has the value that was seen, in one statement; says whether it had.
    pub async fn swap(
        self: Arc<Self>,
        key: String,
        seen: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, Failure> {
        self.run(move |connection, label| {
            let changed = match seen {
                Some(seen) => connection
                    .prepare_cached(
                        "UPDATE spin_key_value SET value = ? WHERE store = ? AND key = ? AND value = ?",
                    )?
                    .execute(params![value, label, key, seen])?,
                None => connection
                    .prepare_cached(
                        "INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![label, key, value])?,
            };
            Ok(changed == 1)
        })
        .await
    }
}

fn read(connection: &Connection, label: &str, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM spin_key_value WHERE store = ? AND key = ?")?
        .query_row([label, key], |row| row.get(0))
        .optional()
}

fn write(connection: &Connection, label: &str, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?)
             ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![label, key, value])
        .map(drop)
}

fn remove(connection: &Connection, label: &str, key: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM spin_key_value WHERE store = ? AND key = ?")?
        .execute(params![label, key])
        .map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn many_open_a_new_file_at_once() {
        for _ in 0..50 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("new.db");
            let opening: Vec<_> = (0..8)
                .map(|_| {
                    let path = path.clone();
                    std::thread::spawn(move || open("new", &path).map(drop))
                })
                .collect();
            for opening in opening {
                opening.join().unwrap().unwrap();
            }
        }
    }
}
