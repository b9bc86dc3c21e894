//! `wasi:keyvalue@0.2.0-draft2`: the same stores by the interface that has atomic operations.
//!
//! What a handle has seen is the value itself, so that a swap is one SQL statement, or one script of Redis, that compares and
//! writes: nothing is locked in between, and any number of instances may try at once.

use super::{OpenStore, Store};
use crate::bindings::key_value;
use crate::bindings::wasi_key_value::atomics::{self, CasError};
use crate::bindings::wasi_key_value::batch;
use crate::bindings::wasi_key_value::store::{self, Error, KeyResponse};
use crate::instance::InstanceState;
use wasmtime::component::Resource;

/// Compare-and-swap handles an instance may hold at once.
const MAX_OPEN_SWAPS: usize = 256;

/// What a guest's compare-and-swap handle refers to: a key, and the value that was seen there.
#[derive(Clone)]
pub struct CompareAndSwap {
    store: Store,
    key: String,
    seen: Option<Vec<u8>>,
}

impl CompareAndSwap {
    /// Sees the value that the key has now.
    async fn look(store: Store, key: String) -> Result<Self, Error> {
        let seen = store.clone().get(key.clone()).await.map_err(Error::Other)?;
        Ok(Self { store, key, seen })
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
    fn bucket(&self, handle: &Resource<OpenStore>) -> wasmtime::Result<Store> {
        Ok(self.table.get(handle)?.0.clone())
    }

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
    async fn get(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let value = self.bucket(&handle)?.get(key).await;
        Ok(value.map_err(Error::Other))
    }

    async fn set(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = self.bucket(&handle)?.set(key, value).await;
        Ok(done.map_err(Error::Other))
    }

    async fn delete(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = self.bucket(&handle)?.delete(key).await;
        Ok(done.map_err(Error::Other))
    }

    async fn exists(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let exists = self.bucket(&handle)?.exists(key).await;
        Ok(exists.map_err(Error::Other))
    }

    async fn list_keys(
        &mut self,
        handle: Resource<OpenStore>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        // The first part is the whole list, as in Spin, so nobody has a cursor.
        if cursor.is_some() {
            return Ok(Err(Error::Other("there is no such cursor".into())));
        }
        let keys = self.bucket(&handle)?.keys().await;
        let whole = |keys| KeyResponse { keys, cursor: None };
        Ok(keys.map(whole).map_err(Error::Other))
    }

    async fn drop(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.close_store(handle)
    }
}

impl atomics::Host for InstanceState {
    async fn increment(
        &mut self,
        bucket: Resource<OpenStore>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, Error>> {
        let sum = self.bucket(&bucket)?.increment(key, delta).await;
        Ok(sum.map_err(Error::Other))
    }

    async fn swap(
        &mut self,
        handle: Resource<CompareAndSwap>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), CasError>> {
        let CompareAndSwap { store, key, seen } = self.take_swap(handle)?;
        match store.clone().swap(key.clone(), seen, value).await {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(why) => return Ok(Err(CasError::StoreError(Error::Other(why)))),
        }
        let again = match CompareAndSwap::look(store, key).await {
            Ok(again) => self.push_swap(again)?,
            Err(error) => Err(error),
        };
        Ok(Err(
            again.map_or_else(CasError::StoreError, CasError::CasFailed)
        ))
    }
}

impl atomics::HostCas for InstanceState {
    async fn new(
        &mut self,
        bucket: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Resource<CompareAndSwap>, Error>> {
        let store = self.bucket(&bucket)?;
        match CompareAndSwap::look(store, key).await {
            Ok(swap) => self.push_swap(swap),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn current(
        &mut self,
        handle: Resource<CompareAndSwap>,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let CompareAndSwap { store, key, .. } = self.table.get(&handle)?.clone();
        let looked = CompareAndSwap::look(store, key).await;
        let swap = self.table.get_mut(&handle)?;
        Ok(looked.map(|looked| {
            *swap = looked;
            swap.seen.clone()
        }))
    }

    async fn drop(&mut self, handle: Resource<CompareAndSwap>) -> wasmtime::Result<()> {
        self.take_swap(handle).map(drop)
    }
}

impl batch::Host for InstanceState {
    async fn get_many(
        &mut self,
        bucket: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<(String, Option<Vec<u8>>)>, Error>> {
        let values = self.bucket(&bucket)?.get_many(keys).await;
        Ok(values.map_err(Error::Other))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<OpenStore>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = self.bucket(&bucket)?.set_many(key_values).await;
        Ok(done.map_err(Error::Other))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let done = self.bucket(&bucket)?.delete_many(keys).await;
        Ok(done.map_err(Error::Other))
    }
}
