//! The store a component has.

use std::time::Duration;

use crate::Error;

/// The interface, as the WIT files say it.
#[allow(missing_docs, unsafe_code, clippy::all)]
mod interface {
    spin_sdk::wit_bindgen::generate!({
        inline: "package souk:keyvalue;
            world imports {
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
            }",
        path: "../../wit/host/deps/wasi-keyvalue",
        generate_all,
        runtime_path: "spin_sdk::wit_bindgen::rt",
    });
}

use interface::wasi::keyvalue::atomics::{self, Cas, CasError};
use interface::wasi::keyvalue::store;

/// The longest wait before another attempt.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self(error.to_string())
    }
}

/// A store that the manifest grants.
pub struct Bucket(store::Bucket);

/// A key and the value that was seen there.
pub struct Swap(Cas);

impl Bucket {
    /// The store with this label.
    pub fn open(label: &str) -> Result<Self, Error> {
        Ok(Self(store::open(label)?))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key)?)
    }

    /// Writes a key, whatever is there.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        Ok(self.0.set(key, value)?)
    }

    /// Removes a key.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(self.0.delete(key)?)
    }

    /// All keys. A store that lists them in parts is asked for each.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let part = self.0.list_keys(cursor.as_deref())?;
            keys.extend(part.keys);
            cursor = part.cursor;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Counts, and returns the count.
    pub fn increment(&self, key: &str) -> Result<i64, Error> {
        Ok(atomics::increment(&self.0, key, 1)?)
    }

    /// The value of a key, and the means to replace it by another.
    pub fn look(&self, key: &str) -> Result<(Swap, Option<Vec<u8>>), Error> {
        let cas = Cas::new(&self.0, key)?;
        let value = cas.current()?;
        Ok((Swap(cas), value))
    }
}

impl Swap {
    /// Writes the key if its value is still the one that was seen; says whether it did.
    pub fn swap(self, value: &[u8]) -> Result<bool, Error> {
        match atomics::swap(self.0, value) {
            Ok(()) => Ok(true),
            Err(CasError::CasFailed(_)) => Ok(false),
            Err(CasError::StoreError(error)) => Err(error.into()),
        }
    }
}

/// Waits before another attempt, a random while that grows, so that those who met do not meet again.
pub async fn pause(attempt: u32) {
    let longest = LONGEST_PAUSE.min(Duration::from_millis(2) * (attempt + 1));
    let random = getrandom::u32().unwrap_or_default();
    spin_sdk::time::sleep(longest.mul_f64(f64::from(random) / f64::from(u32::MAX))).await;
}
