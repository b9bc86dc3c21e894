//! Which of many instances of a service is called.
//!
//! ```text
//!   call --> those that are listed
//!              - those this call was tried at already
//!              - those that are ejected (unless that is all of them)
//!            two of them at random --> the one with less to do and quicker answers
//! ```
//!
//! The power of two choices: of two at random the better one, which spreads load nearly as well as knowing everything about all of them, and
//! does not send everybody to the same best one at once (Mitzenmacher, 2001). Better is what has fewer calls under way, each weighed
//! by how long its calls have taken lately (Finagle's peak EWMA: a peak is believed at once and forgotten slowly).
//!
//! An instance that cannot be reached is left out for a while that doubles each time, and comes back at once when it is a new
//! incarnation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How quickly a latency is forgotten: after so many milliseconds a third of it is left.
const FORGETS_AFTER: f64 = 5_000.0;

/// An instance nobody knows anything of is taken to be this quick, in milliseconds.
const UNKNOWN: f64 = 1.0;

/// How long an instance is left out the first time, in milliseconds.
const EJECTED_FOR: i64 = 1_000;

/// And how long at most.
const LONGEST_EJECTION: i64 = 30_000;

/// How an instance fares, as one caller sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Calls under way.
    outstanding: u32,
    /// How long calls take, in milliseconds.
    latency: f64,
    /// When that was last known.
    at: i64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            outstanding: 0,
            latency: UNKNOWN,
            at: 0,
        }
    }
}

impl Load {
    /// A call begins.
    pub fn begin(&mut self) {
        self.outstanding += 1;
    }

    /// A call has ended, after so many milliseconds.
    pub fn end(&mut self, took: f64, now: i64) {
        self.outstanding = self.outstanding.saturating_sub(1);
        #[allow(clippy::cast_precision_loss)]
        let elapsed = (now - self.at).clamp(0, 60_000) as f64;
        self.at = now;
        let kept = (-elapsed / FORGETS_AFTER).exp();
        self.latency = match took > self.latency {
            true => took,
            false => self.latency * kept + took * (1.0 - kept),
        };
    }

    /// How much there is to wait for.
    fn cost(&self) -> f64 {
        f64::from(self.outstanding + 1) * self.latency.max(0.01)
    }
}

/// Picks one of the candidates, by index: the less loaded of two at random; none where there is none. `random` is any number.
pub fn pick(candidates: &[Load], random: u64) -> Option<usize> {
    let count = u64::try_from(candidates.len()).ok()?;
    match count {
        0 => return None,
        1 => return Some(0),
        _ => {}
    }
    let first = random % count;
    // Any other one.
    let second = (first + 1 + (random >> 32) % (count - 1)) % count;
    let (first, second) = (usize::try_from(first).ok()?, usize::try_from(second).ok()?);
    let better = candidates[second].cost() < candidates[first].cost();
    Some(if better { second } else { first })
}

/// Why and for how long an instance is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    /// Which start of the instance it was.
    pub incarnation: String,
    /// Until when.
    pub until: i64,
    /// How often in a row.
    pub times: u32,
}

/// The instances that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ejections(BTreeMap<String, Ejection>);

impl Ejections {
    /// Leaves an instance out that could not be reached.
    pub fn eject(&mut self, id: &str, incarnation: &str, now: i64) {
        let before = self.0.get(id).filter(|it| it.incarnation == incarnation);
        if before.is_some_and(|it| it.until > now) {
            // Calls that were under way when it went all fail at once; that is one failure.
            return;
        }
        let times = before.map_or(0, |it| it.times);
        let length = (EJECTED_FOR << times.min(10)).min(LONGEST_EJECTION);
        let ejection = Ejection {
            incarnation: incarnation.to_owned(),
            until: now + length,
            times: times + 1,
        };
        self.0.insert(id.to_owned(), ejection);
    }

    /// Takes an instance back that answered.
    pub fn forgive(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Whether this start of an instance is left out now.
    pub fn has(&self, id: &str, incarnation: &str, now: i64) -> bool {
        let ejection = self.0.get(id).filter(|it| it.incarnation == incarnation);
        ejection.is_some_and(|it| it.until > now)
    }

    /// Whether anything is known against an instance.
    pub fn remembers(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Those that are left out now.
    pub fn now(&self, now: i64) -> impl Iterator<Item = &str> {
        let out = self.0.iter().filter(move |(_, it)| it.until > now);
        out.map(|(id, _)| id.as_str())
    }

    /// Forgets what is long over.
    pub fn forget(&mut self, now: i64) {
        self.0.retain(|_, it| it.until + LONGEST_EJECTION > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(outstanding: u32, latency: f64) -> Load {
        Load {
            outstanding,
            latency,
            at: 0,
        }
    }

    #[test]
    fn of_two_the_less_loaded_is_picked() {
        for random in [0, 1, 1 << 33, u64::MAX] {
            assert_eq!(pick(&[load(3, 1.0), load(0, 1.0)], random), Some(1));
            assert_eq!(pick(&[load(0, 1.0), load(0, 20.0)], random), Some(0));
            assert_eq!(pick(&[load(9, 1.0)], random), Some(0));
            assert_eq!(pick(&[], random), None);
        }
    }

    #[test]
    fn a_peak_is_believed_at_once_and_forgotten_slowly() {
        let mut load = Load::default();
        load.begin();
        load.end(100.0, 1_000);
        assert!((load.latency - 100.0).abs() < 0.1);
        load.begin();
        load.end(1.0, 1_100);
        assert!(load.latency > 90.0);
        load.begin();
        load.end(1.0, 31_000);
        assert!(load.latency < 2.0);
    }

    #[test]
    fn ejections_double_and_end_with_the_incarnation() {
        let mut ejections = Ejections::default();
        ejections.eject("a", "1", 0);
        ejections.eject("a", "1", 10);
        assert!(ejections.has("a", "1", 999) && !ejections.has("a", "1", 1_000));
        ejections.eject("a", "1", 1_000);
        assert!(ejections.has("a", "1", 2_999) && !ejections.has("a", "1", 3_000));
        assert!(!ejections.has("a", "2", 2_000), "it was started anew");
        assert_eq!(ejections.now(2_000).collect::<Vec<_>>(), ["a"]);
        ejections.forgive("a");
        assert!(!ejections.remembers("a"));
    }

    proptest! {
        /// Among equals everybody gets about the same.
        #[test]
        fn equals_share_the_load(count in 2..6usize, seed: u64) {
            let mut loads = vec![Load::default(); count];
            let mut random = seed | 1;
            for _ in 0..600 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let index = pick(&loads, random).expect("there are some");
                loads[index].begin();
            }
            let even = 600 / u32::try_from(count).expect("a few");
            for load in loads {
                prop_assert!(load.outstanding.abs_diff(even) <= 6, "{load:?} of {even}");
            }
        }
    }
}
