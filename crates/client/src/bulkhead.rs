//! A bulkhead: an instance makes only so many calls of one service at once.
//!
//! An instance handles 16 requests at once. If all of them waited for a service that hangs, it would answer nothing else; so some are
//! kept from waiting, and are told at once. The host makes more instances when all are busy, so the bound is one for each of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use souk_resilience::Policy;

use crate::time;

/// How long a call waits for a place, in milliseconds.
const WAIT: u32 = 500;

/// How often it looks for one meanwhile. (One request cannot wake another one up: each is a task of its own to the host, and sleeps
/// only on what the host tells it.)
const LOOK_EVERY: u32 = 10;

/// How many calls of each service are under way.
static UNDER_WAY: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

/// A place among the calls that are made at once; dropping it frees it.
#[derive(Debug)]
pub struct Place(&'static str);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = under_way().get_mut(self.0) {
            *count -= 1;
        }
    }
}

/// A place for a call, when there is one soon.
pub async fn enter(policy: &'static Policy) -> Option<Place> {
    for _ in 0..WAIT / LOOK_EVERY {
        if let Some(place) = take(policy) {
            return Some(place);
        }
        time::sleep(LOOK_EVERY).await;
    }
    take(policy)
}

fn take(policy: &'static Policy) -> Option<Place> {
    let mut under_way = under_way();
    let count = under_way.entry(policy.service).or_default();
    let free = *count < policy.at_once;
    if free {
        *count += 1;
    }
    free.then(|| Place(policy.service))
}

fn under_way() -> MutexGuard<'static, BTreeMap<&'static str, u32>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    static POLICY: Policy = Policy::row("bulkhead", 1_000, 1, 1_000, 2);

    #[test]
    fn there_are_only_so_many_places() {
        let (first, second) = (take(&POLICY).unwrap(), take(&POLICY).unwrap());
        assert!(take(&POLICY).is_none());
        drop(first);
        assert!(take(&POLICY).is_some());
        drop(second);
    }
}
