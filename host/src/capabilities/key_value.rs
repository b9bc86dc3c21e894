//! `spin:key-value` and [`wasi:keyvalue`](wasi): durable values in a SQLite file per store.
//!
//! Both interfaces open the same stores by the same labels. File and table are laid out as Spin's, so that the same state directory serves either.
//! Writes and listings run on blocking threads, each with a connection from the store's pool. A
//! read of one key runs where it is: it never waits for a writer (the file is in WAL mode), and the
//! way to another thread and back would cost more than it does.

mod wasi;

pub use wasi::CompareAndSwap;

use super::{Labels, ensure_parent, grant_labels, open_used};
use crate::bindings::key_value::{self, Error};
use crate::instance::InstanceState;
use crate::pool::Pool;
use crate::problems::Problems;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))";

/// Open handles an instance may hold at once.
const MAX_OPEN_STORES: usize = 256;

/// Bytes that values read together may have; they are held in memory until the guest has them.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// Phase one: the stores a component may open.
///
/// # Errors
/// Labels without a backend.
pub fn grant(granted: &[String], config: &BTreeMap<String, PathBuf>) -> Result<Labels, Problems> {
    grant_labels("key_value_stores", "key_value_store", granted, config)
}

/// Phase two: the stores of the application, by label.
pub struct Stores(BTreeMap<String, Arc<Store>>);

/// One store: its label (a column of the table) and connections to its file.
pub struct Store {
    label: String,
    pool: Pool,
}

/// Phase three: what a guest's handle refers to.
pub struct OpenStore(Arc<Store>);

impl Stores {
    /// Opens the stores that some component may use.
    ///
    /// # Errors
    /// Files that cannot be opened.
    pub fn open(used: &[&Labels], config: &BTreeMap<String, PathBuf>) -> Result<Self, Problems> {
        open_used(used, config, open_file).map(Self)
    }
}

fn open_file(label: &str, path: &Path) -> Result<Arc<Store>, Problems> {
    ensure_parent(path)?;
    let pool = Pool::new(path, |connection| {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")
    });
    pool.get()
        .and_then(|connection| connection.execute_batch(SCHEMA))
        .map_err(|e| {
            Problems::one(format!(
                "key_value_store.{label}: cannot open {}: {e}",
                path.display()
            ))
        })?;
    let label = label.to_owned();
    Ok(Arc::new(Store { label, pool }))
}

/// What went wrong inside a store, in words.
type Failure = String;

impl Store {
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

    async fn get(self: Arc<Self>, key: String) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(connection) = self.pool.idle() {
            return read(&connection, &self.label, &key).map_err(|e| e.to_string());
        }
        self.run(move |connection, label| read(connection, label, &key))
            .await
    }

    async fn get_many(
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

    async fn set(self: Arc<Self>, key: String, value: Vec<u8>) -> Result<(), Failure> {
        self.run(move |connection, label| write(connection, label, &key, &value))
            .await
    }

    async fn set_many(self: Arc<Self>, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
        self.run_as_one(move |connection, label| {
            let mut pairs = pairs.iter();
            pairs.try_for_each(|(key, value)| write(connection, label, key, value))
        })
        .await
    }

    async fn delete(self: Arc<Self>, key: String) -> Result<(), Failure> {
        self.run(move |connection, label| remove(connection, label, &key))
            .await
    }

    async fn delete_many(self: Arc<Self>, keys: Vec<String>) -> Result<(), Failure> {
        self.run_as_one(move |connection, label| {
            let mut keys = keys.iter();
            keys.try_for_each(|key| remove(connection, label, key))
        })
        .await
    }

    async fn keys(self: Arc<Self>) -> Result<Vec<String>, Failure> {
        self.run(|connection, label| {
            connection
                .prepare_cached("SELECT key FROM spin_key_value WHERE store = ?")?
                .query_map([label], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Adds to the counter that a key holds, as Spin writes one: 8 bytes, little-endian.
    async fn increment(self: Arc<Self>, key: String, delta: i64) -> Result<i64, Failure> {
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
    async fn swap(
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

impl InstanceState {
    /// Opens a store the component was granted.
    fn open_store(&mut self, label: &str) -> wasmtime::Result<Result<Resource<OpenStore>, Error>> {
        if !self.component.key_value.contains(label) {
            return Ok(Err(Error::AccessDenied));
        }
        if self.open_stores == MAX_OPEN_STORES {
            return Ok(Err(Error::StoreTableFull));
        }
        let Some(store) = self.shared.key_value.0.get(label) else {
            return Ok(Err(Error::NoSuchStore));
        };
        let handle = self.table.push(OpenStore(store.clone()))?;
        self.open_stores += 1;
        Ok(Ok(handle))
    }

    fn close_store(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        self.open_stores -= 1;
        Ok(())
    }
}

/// The store behind a guest's handle.
fn store<T: Send>(
    accessor: &Accessor<T, HasSelf<InstanceState>>,
    handle: &Resource<OpenStore>,
) -> wasmtime::Result<Arc<Store>> {
    accessor.with(|mut access| Ok(access.get().table.get(handle)?.0.clone()))
}

impl key_value::Host for InstanceState {}

impl key_value::HostStore for InstanceState {
    async fn drop(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.close_store(handle)
    }
}

impl<T: Send> key_value::HostStoreWithStore<T> for HasSelf<InstanceState> {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<OpenStore>, Error>> {
        accessor.with(|mut access| access.get().open_store(&label))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let value = store(accessor, &handle)?.get(key).await;
        Ok(value.map_err(Error::Other))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = store(accessor, &handle)?.set(key, value).await;
        Ok(done.map_err(Error::Other))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = store(accessor, &handle)?.delete(key).await;
        Ok(done.map_err(Error::Other))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let value = store(accessor, &handle)?.get(key).await;
        Ok(value.map(|value| value.is_some()).map_err(Error::Other))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (keys, end) = match store(accessor, &handle)?.keys().await {
            Ok(keys) => (keys, Ok(())),
            Err(e) => (Vec::new(), Err(Error::Other(e))),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let end = FutureReader::new(&mut access, async move { wasmtime::error::Ok(end) })?;
            Ok((keys, end))
        })
    }
}
