//! The store a test has: in memory, one per thread, with others who come in between when the test says so.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;

thread_local! {
    static STORE: RefCell<Arc<Mutex<Store>>> = RefCell::default();
}

#[derive(Default)]
struct Store {
    entries: BTreeMap<String, Vec<u8>>,
    rivals: VecDeque<Rival>,
    fails: Option<&'static str>,
}

/// What somebody else does before a swap.
type Rival = Box<dyn FnOnce() + Send>;

fn with<R>(work: impl FnOnce(&mut Store) -> R) -> R {
    let store = STORE.with_borrow(Arc::clone);
    let mut store: MutexGuard<'_, Store> = store.lock().unwrap_or_else(PoisonError::into_inner);
    work(&mut store)
}

/// Somebody else does something in the same store, here and now.
pub fn meanwhile(rival: impl FnOnce() + Send + 'static) {
    let store = STORE.with_borrow(Arc::clone);
    let rival = std::thread::spawn(move || {
        STORE.set(store);
        rival();
    });
    rival.join().expect("the rival's own assertions");
}

/// Before the next swap (and the one after, for the next call of this) somebody else does something.
pub fn before_swap(rival: impl FnOnce() + Send + 'static) {
    with(|store| store.rivals.push_back(Box::new(rival)));
}

/// From now on this operation fails: `get`, `set`, `delete`, `look`, `swap`; none if nothing does.
pub fn fail(operation: Option<&'static str>) {
    with(|store| store.fails = operation);
}

/// The value of a key.
pub fn value(key: &str) -> Option<Vec<u8>> {
    with(|store| store.entries.get(key).cloned())
}

/// Writes a key, whoever is about to.
pub fn write(key: &str, value: &[u8]) {
    with(|store| store.entries.insert(key.into(), value.into()));
}

/// Removes a key.
pub fn remove(key: &str) {
    with(|store| store.entries.remove(key));
}

/// All keys that begin so.
pub fn keys(prefix: &str) -> Vec<String> {
    with(|store| {
        let keys = store.entries.keys().filter(|key| key.starts_with(prefix));
        keys.cloned().collect()
    })
}

fn works(operation: &str) -> Result<(), Error> {
    match with(|store| store.fails == Some(operation)) {
        true => Err(Error(format!("{operation} does not work"))),
        false => Ok(()),
    }
}

/// The store, whatever its label.
pub struct Bucket;

/// A key and the value that was seen there.
pub struct Swap {
    key: String,
    seen: Option<Vec<u8>>,
}

impl Bucket {
    /// The store of this test.
    pub fn open(_label: &str) -> Result<Self, Error> {
        Ok(Self)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        works("get")?;
        Ok(value(key))
    }

    /// Writes a key, whatever is there.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        works("set")?;
        write(key, value);
        Ok(())
    }

    /// Removes a key.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        works("delete")?;
        remove(key);
        Ok(())
    }

    /// All keys.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        Ok(keys(""))
    }

    /// Counts, and returns the count.
    pub fn increment(&self, key: &str) -> Result<i64, Error> {
        let count = value(key).map_or(0, |bytes| {
            i64::from_le_bytes(bytes.try_into().expect("a counter"))
        });
        write(key, &(count + 1).to_le_bytes());
        Ok(count + 1)
    }

    /// The value of a key, and the means to replace it by another.
    pub fn look(&self, key: &str) -> Result<(Swap, Option<Vec<u8>>), Error> {
        works("look")?;
        let key = key.to_owned();
        let seen = value(&key);
        Ok((
            Swap {
                key,
                seen: seen.clone(),
            },
            seen,
        ))
    }
}

impl Swap {
    /// As Spin's own on SQLite does it: where there was nothing, it does not compare.
    pub fn swap(self, new: &[u8]) -> Result<bool, Error> {
        if let Some(rival) = with(|store| store.rivals.pop_front()) {
            meanwhile(rival);
        }
        works("swap")?;
        if self.seen.is_some() && value(&self.key) != self.seen {
            return Ok(false);
        }
        write(&self.key, new);
        Ok(true)
    }
}

/// No time passes in a test.
pub async fn pause(_attempt: u32) {}
