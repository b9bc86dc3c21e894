//! `wasi:keyvalue@0.2.0-draft2`: the same stores by the interface that has atomic operations.
//!
//! What a handle has seen is the value itself, so that a swap is one SQL statement, or one script of Redis, that compares and
//! writes: nothing is locked in between, and any number of instances may try at once.

use super::{OpenStore, Used};
use crate::bindings::key_value;
use crate::bindings::wasi_key_value::atomics::{self, CasError};
use crate::bindings::wasi_key_value::batch;
use crate::bindings::wasi_key_value::store::{self, Error, KeyResponse};
use crate::instance::InstanceState;
use wasmtime::component::{Access, HasSelf, Resource};

/// Compare-and-swap handles an instance may hold at once.
const MAX_OPEN_SWAPS: usize = 256;

/// What a guest's compare-and-swap handle refers to: a key, and the value that was seen there.
#[derive(Clone)]
pub struct CompareAndSwap {
    used: Used,
    key: String,
    seen: Option<Vec<u8>>,
}

impl CompareAndSwap {
    /// Sees the value that the key has now.
    async fn look(used: Used, key: String) -> Result<Self, Error> {
        let look = used.run("get", async |store| store.get(key.clone()).await);
        let seen = look.await.map_err(Error::Other)?;
        Ok(Self { used, key, seen })
    }
}

/// What `spin:key-value` says, in the words of this interface.
fn refused(error: key_value::Error) -> Error {
    match error {
        key_value::Error::NoSuchStore => Error::NoSuchStore,
        key_value::Error::AccessDenied => Error::AccessDenied,
        key_value::Error::StoreTableFull => Error::Other("too many stores are open".into()),
        key_value::Error::Other(why) => Error::Other(why),
    }
}

impl InstanceState {
    fn push_swap(
        &mut self,
        swap: CompareAndSwap,
    ) -> wasmtime::Result<Result<Resource<CompareAndSwap>, Error>> {
        if self.open_swaps == MAX_OPEN_SWAPS {
            let full = "too many compare-and-swap handles are open";
            return Ok(Err(Error::Other(full.into())));
        }
        let handle = self.table.push(swap)?;
        self.open_swaps += 1;
        Ok(Ok(handle))
    }

    fn take_swap(&mut self, handle: Resource<CompareAndSwap>) -> wasmtime::Result<CompareAndSwap> {
        let swap = self.table.delete(handle)?;
        self.open_swaps -= 1;
        Ok(swap)
    }
}

impl store::Host for InstanceState {
    async fn open(
        &mut self,
        label: String,
    ) -> wasmtime::Result<Result<Resource<OpenStore>, Error>> {
        Ok(self.open_store(&label)?.map_err(refused))
    }
}

impl store::HostBucket for InstanceState {
    async fn drop(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.close_store(handle)
    }
}

/// How this interface's functions see the host: all of them block the instance.
type Guest<'a, T> = Access<'a, T, HasSelf<InstanceState>>;

impl<T: Send> store::HostBucketWithStore<T> for HasSelf<InstanceState> {
    async fn get(
        mut guest: Guest<'_, T>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let used = Used::new(&mut guest, &handle)?;
        let value = used.run("get", async |store| store.get(key).await).await;
        Ok(value.map_err(Error::Other))
    }

    async fn set(
        mut guest: Guest<'_, T>,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let used = Used::new(&mut guest, &handle)?;
        let done = used
            .run("set", async |store| store.set(key, value).await)
            .await;
        Ok(done.map_err(Error::Other))
    }

    async fn delete(
        mut guest: Guest<'_, T>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let used = Used::new(&mut guest, &handle)?;
        let done = used
            .run("delete", async |store| store.delete(key).await)
            .await;
        Ok(done.map_err(Error::Other))
    }

    async fn exists(
        mut guest: Guest<'_, T>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let used = Used::new(&mut guest, &handle)?;
        let exists = used
            .run("exists", async |store| store.exists(key).await)
            .await;
        Ok(exists.map_err(Error::Other))
    }

    async fn list_keys(
        mut guest: Guest<'_, T>,
        handle: Resource<OpenStore>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        // The first part is the whole list, as in Spin, so nobody has a cursor.
        if cursor.is_some() {
            return Ok(Err(Error::Other("there is no such cursor".into())));
        }
        let used = Used::new(&mut guest, &handle)?;
        let keys = used.run("get_keys", async |store| store.keys().await).await;
        let whole = |keys| KeyResponse { keys, cursor: None };
        Ok(keys.map(whole).map_err(Error::Other))
    }
}

impl atomics::Host for InstanceState {}

impl<T: Send> atomics::HostWithStore<T> for HasSelf<InstanceState> {
    async fn increment(
        mut guest: Guest<'_, T>,
        bucket: Resource<OpenStore>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, Error>> {
        let used = Used::new(&mut guest, &bucket)?;
        let sum = used
            .run("increment", async |store| store.increment(key, delta).await)
            .await;
        Ok(sum.map_err(Error::Other))
    }

    async fn swap(
        mut guest: Guest<'_, T>,
        handle: Resource<CompareAndSwap>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), CasError>> {
        let CompareAndSwap { used, key, seen } = guest.get().take_swap(handle)?;
        let swap = used.run("swap", async |store| {
            store.swap(key.clone(), seen, value).await
        });
        match swap.await {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(why) => return Ok(Err(CasError::StoreError(Error::Other(why)))),
        }
        let again = match CompareAndSwap::look(used, key).await {
            Ok(again) => guest.get().push_swap(again)?,
            Err(error) => Err(error),
        };
        Ok(Err(
            again.map_or_else(CasError::StoreError, CasError::CasFailed)
        ))
    }
}

impl atomics::HostCas for InstanceState {
    async fn drop(&mut self, handle: Resource<CompareAndSwap>) -> wasmtime::Result<()> {
        self.take_swap(handle).map(drop)
    }
}

impl<T: Send> atomics::HostCasWithStore<T> for HasSelf<InstanceState> {
    async fn new(
        mut guest: Guest<'_, T>,
        bucket: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Resource<CompareAndSwap>, Error>> {
        let used = Used::new(&mut guest, &bucket)?;
        match CompareAndSwap::look(used, key).await {
            Ok(swap) => guest.get().push_swap(swap),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn current(
        mut guest: Guest<'_, T>,
        handle: Resource<CompareAndSwap>,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let CompareAndSwap { used, key, .. } = guest.get().table.get(&handle)?.clone();
        let looked = CompareAndSwap::look(used, key).await;
        let swap = guest.get().table.get_mut(&handle)?;
        Ok(looked.map(|looked| {
            *swap = looked;
            swap.seen.clone()
        }))
    }
}

impl batch::Host for InstanceState {}

impl<T: Send> batch::HostWithStore<T> for HasSelf<InstanceState> {
    async fn get_many(
        mut guest: Guest<'_, T>,
        bucket: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<(String, Option<Vec<u8>>)>, Error>> {
        let used = Used::new(&mut guest, &bucket)?;
        let values = used
            .run("get_many", async |store| store.get_many(keys).await)
            .await;
        Ok(values.map_err(Error::Other))
    }

    async fn set_many(
        mut guest: Guest<'_, T>,
        bucket: Resource<OpenStore>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let used = Used::new(&mut guest, &bucket)?;
        let done = used
            .run("set_many", async |store| store.set_many(key_values).await)
            .await;
        Ok(done.map_err(Error::Other))
    }

    async fn delete_many(
        mut guest: Guest<'_, T>,
        bucket: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let used = Used::new(&mut guest, &bucket)?;
        let done = used
            .run("delete_many", async |store| store.delete_many(keys).await)
            .await;
        Ok(done.map_err(Error::Other))
    }
}
