//! `spin:key-value` and [`wasi:keyvalue`](wasi): durable values, in a SQLite [file] or in [Redis](redis).
//!
//! Both interfaces open the same stores by the same labels; the runtime configuration says what a label stands for.

mod file;
mod redis;
mod wasi;

pub use wasi::CompareAndSwap;

use super::{Labels, grant_labels, open_used};
use crate::bindings::key_value::{self, Error};
use crate::instance::InstanceState;
use crate::problems::Problems;
use crate::runtime_config::KeyValueBackend;
use file::FileStore;
use redis::RedisStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

/// Open handles an instance may hold at once.
const MAX_OPEN_STORES: usize = 256;

/// Bytes that values or keys read together may have; they are held in memory until the guest has them.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// Phase one: the stores a component may open.
///
/// # Errors
/// Labels without a backend.
pub fn grant(
    granted: &[String],
    config: &BTreeMap<String, KeyValueBackend>,
) -> Result<Labels, Problems> {
    grant_labels("key_value_stores", "key_value_store", granted, config)
}

/// Phase two: the stores of the application, by label.
pub struct Stores(BTreeMap<String, Store>);

/// Phase three: what a guest's handle refers to.
pub struct OpenStore(Store);

impl Stores {
    /// Opens the stores that some component may use. A Redis server is not asked yet: it may be
    /// away now and come back.
    ///
    /// # Errors
    /// Files that cannot be opened.
    pub fn open(
        used: &[&Labels],
        config: &BTreeMap<String, KeyValueBackend>,
    ) -> Result<Self, Problems> {
        open_used(used, config, |label, backend| match backend {
            KeyValueBackend::File(path) => file::open(label, path).map(Store::File),
            KeyValueBackend::Redis(address) => {
                Ok(Store::Redis(Arc::new(RedisStore::new(address.clone()))))
            }
        })
        .map(Self)
    }
}

/// What went wrong inside a store, in words.
type Failure = String;

/// A key with the value it has, if any.
type Pair = (String, Option<Vec<u8>>);

/// One store. Cheap to clone.
#[derive(Clone)]
enum Store {
    File(Arc<FileStore>),
    Redis(Arc<RedisStore>),
}

impl Store {
    async fn get(self, key: String) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::File(store) => store.get(key).await,
            Self::Redis(store) => store.get(&key).await,
        }
    }

    async fn get_many(self, keys: Vec<String>) -> Result<Vec<Pair>, Failure> {
        match self {
            Self::File(store) => store.get_many(keys).await,
            Self::Redis(store) => store.get_many(keys).await,
        }
    }

    async fn exists(self, key: String) -> Result<bool, Failure> {
        match self {
            Self::File(store) => store.get(key).await.map(|value| value.is_some()),
            Self::Redis(store) => store.exists(&key).await,
        }
    }

    async fn set(self, key: String, value: Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::File(store) => store.set(key, value).await,
            Self::Redis(store) => store.set(&key, &value).await,
        }
    }

    async fn set_many(self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
        match self {
            Self::File(store) => store.set_many(pairs).await,
            Self::Redis(store) => store.set_many(&pairs).await,
        }
    }

    async fn delete(self, key: String) -> Result<(), Failure> {
        match self {
            Self::File(store) => store.delete(key).await,
            Self::Redis(store) => store.delete_many(&[key]).await,
        }
    }

    async fn delete_many(self, keys: Vec<String>) -> Result<(), Failure> {
        match self {
            Self::File(store) => store.delete_many(keys).await,
            Self::Redis(store) => store.delete_many(&keys).await,
        }
    }

    async fn keys(self) -> Result<Vec<String>, Failure> {
        match self {
            Self::File(store) => store.keys().await,
            Self::Redis(store) => store.keys().await,
        }
    }

    /// Adds to the counter that a key holds, as Spin keeps it: in a file 8 bytes, little-endian, in Redis a number in words.
    async fn increment(self, key: String, delta: i64) -> Result<i64, Failure> {
        match self {
            Self::File(store) => store.increment(key, delta).await,
            Self::Redis(store) => store.increment(&key, delta).await,
        }
    }

    /// Writes a key if it still has the value that was seen, as one step; says whether it had.
    async fn swap(
        self,
        key: String,
        seen: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, Failure> {
        match self {
            Self::File(store) => store.swap(key, seen, value).await,
            Self::Redis(store) => store.swap(&key, seen.as_deref(), &value).await,
        }
    }
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
) -> wasmtime::Result<Store> {
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
        let exists = store(accessor, &handle)?.exists(key).await;
        Ok(exists.map_err(Error::Other))
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
