//! A bulkhead: an instance makes only so many calls of one service at once.
//!
//! An instance handles 16 requests at once. If all of them waited for a service that hangs, it would answer nothing else; so some are
//! kept from waiting, and are told at once. The host makes more instances when all are busy, so the bound is one for each of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_lock::{Semaphore, SemaphoreGuardArc};
use souk_resilience::Policy;

use crate::time;

/// How long a call waits for a place, in milliseconds.
const WAIT: u32 = 100;

static PLACES: Mutex<BTreeMap<&str, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());

/// A place among the calls that are made at once; dropping it frees it.
pub type Place = SemaphoreGuardArc;

/// A place for a call, when there is one soon.
pub async fn enter(policy: &'static Policy) -> Option<Place> {
    let places = places(policy);
    match places.try_acquire_arc() {
        Some(place) => Some(place),
        None => time::within(WAIT, places.acquire_arc()).await,
    }
}

fn places(policy: &'static Policy) -> Arc<Semaphore> {
    let mut all = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = usize::try_from(policy.at_once).unwrap_or(usize::MAX);
    all.entry(policy.service)
        .or_insert_with(|| Arc::new(Semaphore::new(count)))
        .clone()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    static POLICY: Policy = Policy::row("bulkhead", 1_000, 1, 1_000, 2);

    #[test]
    fn there_are_only_so_many_places() {
        let take = || places(&POLICY).try_acquire_arc();
        let (first, second) = (take().unwrap(), take().unwrap());
        assert!(take().is_none());
        drop(first);
        assert!(take().is_some());
        drop(second);
    }
}
