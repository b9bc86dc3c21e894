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
use crate::telemetry::data;
use crate::telemetry::tasks::caller;
use crate::telemetry::trace::Scope;
use file::FileStore;
use redis::RedisStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::{Access, Accessor, FutureReader, HasSelf, Resource, StreamReader};

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
pub struct Stores(BTreeMap<String, OpenStore>);

/// Phase three: what a guest's handle refers to. Cheap to clone.
#[derive(Clone)]
pub struct OpenStore {
    label: Arc<str>,
    store: Store,
}

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
        open_used(used, config, |label, backend| {
            let store = match backend {
                KeyValueBackend::File(path) => Store::File(file::open(label, path)?),
                KeyValueBackend::Redis(address) => {
                    Store::Redis(Arc::new(RedisStore::new(address.clone())))
                }
            };
            let label = label.into();
            Ok(OpenStore { label, store })
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
        let handle = self.table.push(store.clone())?;
        self.open_stores += 1;
        Ok(Ok(handle))
    }

    fn close_store(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        self.open_stores -= 1;
        Ok(())
    }
}

/// The store behind a guest's handle, in the hands of one request.
#[derive(Clone)]
struct Used {
    place: Scope,
    open: OpenStore,
}

impl Used {
    fn new<T>(
        access: &mut Access<'_, T, HasSelf<InstanceState>>,
        handle: &Resource<OpenStore>,
    ) -> wasmtime::Result<Self> {
        let place = caller(access);
        let open = access.get().table.get(handle)?.clone();
        Ok(Self { place, open })
    }

    /// Does something with the store.
    async fn run<R>(
        &self,
        operation: &'static str,
        work: impl AsyncFnOnce(Store) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let span = data::key_value(&self.place, &self.open.label, operation);
        data::end(span, work(self.open.store.clone()).await)
    }
}

fn used<T: Send>(
    accessor: &Accessor<T, HasSelf<InstanceState>>,
    handle: &Resource<OpenStore>,
) -> wasmtime::Result<Used> {
    accessor.with(|mut access| Used::new(&mut access, handle))
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
        let value = used(accessor, &handle)?
            .run("get", async |store| store.get(key).await)
            .await;
        Ok(value.map_err(Error::Other))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = used(accessor, &handle)?
            .run("set", async |store| store.set(key, value).await)
            .await;
        Ok(done.map_err(Error::Other))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = used(accessor, &handle)?
            .run("delete", async |store| store.delete(key).await)
            .await;
        Ok(done.map_err(Error::Other))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let exists = used(accessor, &handle)?
            .run("exists", async |store| store.exists(key).await)
            .await;
        Ok(exists.map_err(Error::Other))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let read = used(accessor, &handle)?
            .run("get_keys", async |store| store.keys().await)
            .await;
        let (keys, end) = match read {
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
