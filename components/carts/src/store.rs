//! Everything that touches the key-value store.
//!
//! | key | value |
//! |---|---|
//! | `account:<user>`, `guest:<id>` | a [`Cart`] in JSON |
//! | `key` | what guests' tokens are signed with |
//! | `dropped:<product>` | how far the carts have been looked through for a product that is deleted |
//! | `sweep` | when expired carts are to be looked for again, and where to go on |
//! | `claim:<minute>:<key>` | that somebody is making an entry, see [`insert`] |
//!
//! An entry is changed by compare-and-swap. A guest's cart is made by the one request that thinks up its id, and once it is
//! [closed](crate::domain::Closed) nobody changes it any more: so it can be deleted, although a deletion compares nothing. An
//! account's cart is never deleted; where it has expired or was cleared, an empty one stays.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use souk_chassis::Problem;
use souk_chassis::context::now;
use souk_keyvalue::{Bucket, pause};
use uuid::Uuid;

use crate::domain::Cart;

/// The label the manifest grants.
const LABEL: &str = "carts";

/// How often a change is tried that others come before. Each time one of them got through.
const ATTEMPTS: u32 = 60;

const ACCOUNTS: &str = "account:";
const GUESTS: &str = "guest:";
const CLAIMS: &str = "claim:";
const DROPPED: &str = "dropped:";
const KEY: &str = "key";
const SWEEP: &str = "sweep";

/// Why the store did not do what it was told.
#[derive(Debug)]
pub enum Error {
    /// What the store says.
    Store(souk_keyvalue::Error),
    /// What is kept there is none of ours.
    Garbled(String),
    /// Others changed the same entry, again and again.
    Busy,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why) => write!(f, "{why}"),
            Self::Garbled(key) => write!(f, "the entry {key} cannot be read"),
            Self::Busy => f.write_str("an entry is changed by too many at once"),
        }
    }
}

impl From<souk_keyvalue::Error> for Error {
    fn from(error: souk_keyvalue::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Store(_) => Problem::unavailable("the carts cannot be had now", 1).cause(error),
            Error::Garbled(_) => Problem::internal(error),
            Error::Busy => Problem::unavailable("too many change this cart at once", 1),
        }
    }
}

/// Whose cart it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The user's.
    Account(String),
    /// A guest's, by the id in the token.
    Guest(Uuid),
}

impl Owner {
    /// Whose cart it is that has this key.
    pub fn of_key(key: &str) -> Option<Self> {
        match key.strip_prefix(ACCOUNTS) {
            Some(user) => Some(Self::Account(user.to_owned())),
            None => Some(Self::Guest(key.strip_prefix(GUESTS)?.parse().ok()?)),
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Account(user) => format!("{ACCOUNTS}{user}"),
            Self::Guest(id) => format!("{GUESTS}{id}"),
        }
    }
}

/// What is to be done with an entry.
pub enum Step<E, T> {
    /// Write this, unless somebody comes before.
    Write(E, T),
    /// Leave it as it is.
    Leave(T),
}

/// The cart, if there is one.
pub fn find(owner: &Owner) -> Result<Option<Cart>, Error> {
    let key = owner.key();
    let value = Bucket::open(LABEL)?.get(&key)?;
    value.map(|value| read(&key, &value)).transpose()
}

/// Makes the cart of a guest whose id nobody else knows yet.
pub fn create(guest: Uuid, cart: &Cart) -> Result<(), Error> {
    Ok(Bucket::open(LABEL)?.set(&Owner::Guest(guest).key(), &written(cart))?)
}

/// Changes a cart: `step` is told what is there and says what to do, again for each time somebody else was faster.
pub async fn change<T>(
    owner: &Owner,
    step: impl FnMut(Option<Cart>) -> Step<Cart, T>,
) -> Result<T, Error> {
    change_entry(&owner.key(), step).await
}

/// Deletes the cart of a guest, which must be closed.
pub fn delete(guest: Uuid) -> Result<(), Error> {
    Ok(Bucket::open(LABEL)?.delete(&Owner::Guest(guest).key())?)
}

/// What guests' tokens are signed with, if there is a key yet.
pub fn signing_key() -> Result<Option<Vec<u8>>, Error> {
    Ok(Bucket::open(LABEL)?.get(KEY)?)
}

/// What guests' tokens are signed with: this key if there is none yet.
pub async fn signing_key_or(new: &[u8]) -> Result<Vec<u8>, Error> {
    let bucket = Bucket::open(LABEL)?;
    for attempt in 0..ATTEMPTS {
        if let Some(key) = bucket.get(KEY)? {
            return Ok(key);
        }
        if insert(&bucket, KEY, new)? {
            return Ok(new.to_vec());
        }
        pause(attempt).await;
    }
    Err(Error::Busy)
}

/// Where the search for expired carts stands.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// When it goes on, in seconds since 1970.
    pub due: u64,
    /// The guest after whom it goes on.
    pub after: Option<Uuid>,
}

/// Changes where the search for expired carts stands.
pub async fn change_sweep<T>(
    step: impl FnMut(Option<Sweep>) -> Step<Sweep, T>,
) -> Result<T, Error> {
    change_entry(SWEEP, step).await
}

/// When the search for expired carts goes on; 0 if there was none yet.
pub fn next_sweep() -> Result<u64, Error> {
    let value = Bucket::open(LABEL)?.get(SWEEP)?;
    let sweep: Option<Sweep> = value.map(|value| read(SWEEP, &value)).transpose()?;
    Ok(sweep.map_or(0, |sweep| sweep.due))
}

/// The keys of all carts, in no order.
pub fn cart_keys() -> Result<Vec<String>, Error> {
    let mut keys = Bucket::open(LABEL)?.keys()?;
    keys.retain(|key| Owner::of_key(key).is_some());
    Ok(keys)
}

/// How far the carts have been looked through for a product that is deleted.
pub fn dropped_to(product: Uuid) -> Result<Option<String>, Error> {
    let value = Bucket::open(LABEL)?.get(&format!("{DROPPED}{product}"))?;
    Ok(value.and_then(|value| String::from_utf8(value).ok()))
}

/// Notes down how far that is.
pub fn note_dropped_to(product: Uuid, key: &str) -> Result<(), Error> {
    Ok(Bucket::open(LABEL)?.set(&format!("{DROPPED}{product}"), key.as_bytes())?)
}

/// The carts have been looked through.
pub fn forget_dropped(product: Uuid) -> Result<(), Error> {
    Ok(Bucket::open(LABEL)?.delete(&format!("{DROPPED}{product}"))?)
}

/// The guests who have carts, in no order. Claims that were left behind are deleted in passing.
pub fn guests() -> Result<Vec<Uuid>, Error> {
    let bucket = Bucket::open(LABEL)?;
    let this_minute = now() / 60;
    let mut guests = Vec::new();
    for key in bucket.keys()? {
        if let Some(id) = key.strip_prefix(GUESTS) {
            guests.extend(id.parse::<Uuid>());
        } else if claimed_in(&key).is_some_and(|minute| minute + 1 < this_minute) {
            bucket.delete(&key)?;
        }
    }
    Ok(guests)
}

/// The minute of a claim's key.
fn claimed_in(key: &str) -> Option<u64> {
    let (minute, _) = key.strip_prefix(CLAIMS)?.split_once(':')?;
    minute.parse().ok()
}

async fn change_entry<E: Serialize + DeserializeOwned, T>(
    key: &str,
    mut step: impl FnMut(Option<E>) -> Step<E, T>,
) -> Result<T, Error> {
    let bucket = Bucket::open(LABEL)?;
    for attempt in 0..ATTEMPTS {
        let (swap, value) = bucket.look(key)?;
        let is_there = value.is_some();
        let entry = value.map(|value| read(key, &value)).transpose()?;
        match step(entry) {
            Step::Leave(result) => return Ok(result),
            Step::Write(entry, result) => {
                let value = written(&entry);
                let done = match is_there {
                    true => swap.swap(&value)?,
                    false => insert(&bucket, key, &value)?,
                };
                if done {
                    return Ok(result);
                }
            }
        }
        pause(attempt).await;
    }
    Err(Error::Busy)
}

/// Makes an entry that is not there; says whether it did, which of those who try at once one does.
///
/// Not every store compares where there is nothing yet (Spin's own on SQLite overwrites). All of them count, so whoever counts to
/// one first makes the entry. That one may be gone before it has, so the claim holds for this minute only.
fn insert(bucket: &Bucket, key: &str, value: &[u8]) -> Result<bool, Error> {
    let claim = format!("{CLAIMS}{}:{key}", now() / 60);
    if bucket.increment(&claim)? != 1 {
        return Ok(false);
    }
    let (swap, seen) = bucket.look(key)?;
    let done = seen.is_none() && swap.swap(value)?;
    bucket.delete(&claim)?;
    Ok(done)
}

fn read<E: DeserializeOwned>(key: &str, value: &[u8]) -> Result<E, Error> {
    serde_json::from_slice(value).map_err(|_| Error::Garbled(key.into()))
}

fn written(entry: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(entry).expect("an entry is plain data")
}
