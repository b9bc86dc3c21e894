//! Load shedding: when there is more to do than can be done, some requests are refused at once, so that the others are answered in time.
//!
//! The [`Limit`] follows how long work waits until it runs. That is measured by how late a timer comes, beside the requests that are being worked
//! on. An instance lives for a hundred requests or so, so it takes over what others have found, from the key-value store, and
//! lets them know.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use souk_chassis::Problem;
use souk_chassis::background::now;
use souk_keyvalue::Bucket;
use souk_resilience::limit::{Importance, Limit};

/// The store that the gateway's instances share, and the limit's key there.
const LABEL: &str = "gateway-calls";
const KEY: &str = "limit";

/// How often the timer is set, in milliseconds.
const LOOK_EVERY: u64 = 20;

/// How often an instance takes over what others have found, and lets them know, in milliseconds.
const SHARE_EVERY: i64 = 100;

static RUNNING: AtomicU32 = AtomicU32::new(0);
static WATCHED: AtomicBool = AtomicBool::new(false);
static LIMIT: Mutex<Option<Shared>> = Mutex::new(None);

/// The limit.
#[derive(Clone, Copy)]
struct Shared {
    limit: Limit,
    /// When it was last compared with that of others.
    at: i64,
    /// When others were last told.
    told_at: i64,
}

/// A request that is being worked on; dropping it says that it is over.
pub struct Running(());

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a request in, or refuses it.
pub fn admit(importance: Importance) -> Result<Running, Problem> {
    let running = RUNNING.load(Ordering::Relaxed);
    if !current(now()).admits(running, importance) {
        return Err(Problem::unavailable(
            "the shop has more to do than it can; try again in a moment",
            1,
        ));
    }
    RUNNING.fetch_add(1, Ordering::Relaxed);
    watch();
    Ok(Running(()))
}

/// Watches how long work waits, for as long as there is any.
fn watch() {
    if !WATCHED.swap(true, Ordering::Relaxed) {
        spin_sdk::wasip3::spawn(async {
            while RUNNING.load(Ordering::Relaxed) > 0 {
                let begun = Instant::now();
                spin_sdk::time::sleep(Duration::from_millis(LOOK_EVERY)).await;
                let late = begun
                    .elapsed()
                    .saturating_sub(Duration::from_millis(LOOK_EVERY));
                observe(late.as_secs_f64() * 1_000.0, now());
            }
            WATCHED.store(false, Ordering::Relaxed);
        });
    }
}

fn current(now: i64) -> Limit {
    let mut shared = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    match *shared {
        Some(known) if now < known.at + SHARE_EVERY => known.limit,
        known => {
            let limit = read()
                .or(known.map(|known| known.limit))
                .unwrap_or_default();
            *shared = Some(Shared {
                limit,
                at: now,
                told_at: known.map_or(0, |known| known.told_at),
            });
            limit
        }
    }
}

/// Takes notice of how long work has waited, in milliseconds, and lets others know when it makes a difference.
fn observe(waited: f64, now: i64) {
    let before = current(now);
    let mut shared = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(known) = &mut *shared else {
        return;
    };
    known.limit.observe(waited);
    let differs = (known.limit.size() - before.size()).abs() > f64::EPSILON;
    if differs && now >= known.told_at + SHARE_EVERY {
        known.told_at = now;
        known.at = now;
        write(known.limit);
    }
}

fn read() -> Option<Limit> {
    let value = Bucket::open(LABEL).ok()?.get(KEY).ok()??;
    serde_json::from_slice(&value).ok()
}

/// Without the store each instance goes by what it sees itself.
fn write(limit: Limit) {
    let value = serde_json::to_vec(&limit).expect("a number");
    if let Ok(bucket) = Bucket::open(LABEL) {
        _ = bucket.set(KEY, &value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_one_instance_finds_the_others_go_by() {
        let start = now();
        (0..10).for_each(|look| observe(60.0, start + look * SHARE_EVERY));
        assert!(current(start + 1_000).is_in_force());
        *LIMIT.lock().unwrap() = None;
        assert!(current(start + 1_000).is_in_force(), "a new instance");
        (11..60).for_each(|look| observe(0.0, start + look * SHARE_EVERY));
        assert!(!current(start + 6_000).is_in_force());
    }
}
