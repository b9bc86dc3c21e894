//! Whether a request may come in: a limit on concurrency that finds its own size.
//!
//! A service that is given more than it can do answers everything late, which is worse than refusing some at once. How much it can do
//! depends on the machine and the mix of requests, so the limit follows a latency: how long work that is ready has to wait until it runs. While it
//! hardly waits the limit grows by a little, when it waits longer than is good the limit shrinks to a part of what is being worked on (additive increase,
//! multiplicative decrease, as in TCP).
//!
//! It is the time in the queue that is looked at and not the time of the whole answer, because that one also grows when somebody else, far
//! away, is slow, and then there is nothing to be gained by refusing (Zhou et al., *Overload Control for Scaling WeChat
//! Microservices*, 2018; Nichols and Jacobson, *Controlling Queue Delay*, 2012).

/// The bounds of the limit: requests that are worked on at once. As few as the least are never too much; a host takes no more than the most.
const LEAST: f64 = 8.0;
const MOST: f64 = 512.0;

/// Work that waits longer than this, in milliseconds, waits too long.
const TOO_LONG: f64 = 40.0;

/// Work that waits no longer than this, in milliseconds, hardly waits.
const HARDLY: f64 = 20.0;

/// To which part of what is being worked on the limit shrinks at a time, and by how much it grows.
const SHRINKS_TO: f64 = 0.8;
const GROWS_BY: f64 = 1.0;

/// The share of the limit that requests of less importance may fill.
const ORDINARY_SHARE: f64 = 0.75;

/// How much a request matters when not all of them can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// It is always let in: health, and what operators see what goes on by.
    Vital,
    /// It is let in before others: somebody is about to pay.
    High,
    /// Somebody looks around.
    Ordinary,
}

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    size: f64,
    /// Whether work has just waited too long. Once is chance: a write to a disk can hold an instance up for as long.
    strained: bool,
}

impl Limit {
    /// One that keeps nobody out.
    pub const NONE: Self = Self {
        size: MOST,
        strained: false,
    };

    /// Whether another request may come in, when so many are being worked on.
    pub fn admits(&self, running: u32, importance: Importance) -> bool {
        let size = match importance {
            Importance::Vital => return true,
            Importance::High => self.size,
            Importance::Ordinary => self.size * ORDINARY_SHARE,
        };
        !self.is_in_force() || f64::from(running) < size.floor()
    }

    /// Work has waited so many milliseconds until it ran, while so many requests were being worked on.
    pub fn observe(&mut self, waited: f64, running: u32) {
        let (was_strained, is_strained) = (self.strained, waited > TOO_LONG);
        self.strained = is_strained;
        if was_strained && is_strained {
            // From what there is, or a limit that was far away would take its time.
            let running = f64::from(running).min(self.size);
            self.size = (running * SHRINKS_TO).max(LEAST);
        } else if waited <= HARDLY {
            self.size = (self.size + GROWS_BY).min(MOST);
        }
    }

    /// Takes over the size that others have found.
    pub fn take_over(&mut self, size: f64) {
        self.size = size.clamp(LEAST, MOST);
    }

    /// Its size, in requests at once.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// Whether it keeps anybody out.
    pub fn is_in_force(&self) -> bool {
        self.size < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(waits: &[(f64, usize)]) -> Limit {
        let mut limit = Limit::NONE;
        for &(waited, times) in waits {
            (0..times).for_each(|_| limit.observe(waited, 100));
        }
        limit
    }

    #[test]
    fn it_shrinks_while_work_waits_and_grows_when_it_does_not() {
        assert!(!after(&[(1.0, 5)]).is_in_force());
        assert!(after(&[(60.0, 2)]).size() <= 80.0, "from what there is");
        assert!(
            !after(&[(60.0, 1), (1.0, 1), (60.0, 1)]).is_in_force(),
            "once is chance"
        );
        assert!(!after(&[(60.0, 10), (1.0, 500)]).is_in_force());
        let between = after(&[(60.0, 5), (30.0, 50)]).size();
        assert_eq!(between, after(&[(60.0, 5)]).size(), "in between it stays");
    }

    #[test]
    fn who_matters_more_is_let_in_when_others_are_not() {
        let limit = Limit {
            size: 40.0,
            strained: false,
        };
        assert!(limit.admits(29, Importance::Ordinary) && !limit.admits(30, Importance::Ordinary));
        assert!(limit.admits(39, Importance::High) && !limit.admits(40, Importance::High));
        assert!(limit.admits(1_000, Importance::Vital));
        assert!(
            Limit::NONE.admits(1_000, Importance::Ordinary),
            "no limit is needed"
        );
    }

    proptest! {
        /// Whatever it sees, somebody is let in, and it never grows beyond what a host takes.
        #[test]
        fn it_stays_within_its_bounds(waits in proptest::collection::vec((0.0..1e5f64, 0..1_000u32), 0..500)) {
            let mut limit = Limit::NONE;
            for (waited, running) in waits {
                limit.observe(waited, running);
                prop_assert!(limit.admits(0, Importance::Ordinary));
                prop_assert!((LEAST..=MOST).contains(&limit.size()));
            }
        }
    }
}
