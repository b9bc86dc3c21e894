//! Whether a request may come in: a limit on concurrency that finds its own size.
//!
//! A service that is given more than it can do answers everything late, which is worse than refusing some at once. How much it can do
//! depends on the machine and the mix of requests, so the limit follows a latency: how long work that is ready has to wait until it runs.
//! Work that comes in bursts waits now and then; what says that there is too much of it is a queue that never empties. So it is the shortest
//! wait of each [`WINDOW`] that counts (Nichols and Jacobson, *Controlling Queue Delay*, 2012). When that is longer than is good the limit shrinks to a
//! part of what is being worked on, else it grows by a little (additive increase, multiplicative decrease, as in TCP).
//!
//! It is the time in the queue that is looked at and not the time of the whole answer, because that one also grows when somebody else, far
//! away, is slow, and then there is nothing to be gained by refusing (Zhou et al., *Overload Control for Scaling WeChat
//! Microservices*, 2018).
//!
//! A limit grows beyond its first size only while it is used, and comes back to it (as a congestion window that is not used; RFC 7661): what was never
//! tried is not known to be good, and a burst out of nowhere has to be met before anything can be measured.

/// The bounds of the limit: requests that are worked on at once. As few as the least are never too much; a host takes no more than the most.
const LEAST: f64 = 8.0;
const MOST: f64 = 512.0;

/// The size it has while nothing much is going on.
const FIRST: f64 = 128.0;

/// For how long waits are gathered before the limit changes, in milliseconds.
pub const WINDOW: i64 = 100;

/// When all work has waited longer than this, in milliseconds, there is too much of it.
const TOO_LONG: f64 = 10.0;

/// To which part of what is being worked on the limit shrinks at a time: by how much longer work waits than is good, within these.
const SHRINKS_TO: (f64, f64) = (0.5, 0.9);

/// By which part of itself it grows at a time; by one at least.
const GROWS_BY: f64 = 0.1;

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
    /// The shortest wait of the window that is open, in milliseconds.
    shortest: f64,
    /// When that window closes.
    closes_at: i64,
}

impl Limit {
    /// One that nothing is known of yet.
    pub const NEW: Self = Self::of(FIRST);

    /// One of a size that somebody else has found.
    pub const fn of(size: f64) -> Self {
        Self {
            size,
            shortest: f64::INFINITY,
            closes_at: 0,
        }
    }

    /// Whether another request may come in, when so many are being worked on.
    pub fn admits(&self, running: u32, importance: Importance) -> bool {
        let size = match importance {
            Importance::Vital => return true,
            Importance::High => self.size,
            Importance::Ordinary => self.size * ORDINARY_SHARE,
        };
        f64::from(running) < size.floor()
    }

    /// Begins to look after a time in which there was nothing to be seen.
    pub fn begin(&mut self, now: i64) {
        self.shortest = f64::INFINITY;
        self.closes_at = now + WINDOW;
    }

    /// Work has waited so many milliseconds until it ran, while so many requests were being worked on.
    pub fn observe(&mut self, waited: f64, running: u32, now: i64) {
        self.shortest = self.shortest.min(waited);
        if now < self.closes_at {
            return;
        }
        self.size = self.next_size(f64::from(running));
        self.begin(now);
    }

    fn next_size(&self, running: f64) -> f64 {
        let is_used = running >= self.size / 2.0;
        let (at_least, at_most) = SHRINKS_TO;
        let size = if self.shortest > TOO_LONG {
            // From what there is, or a limit that is far away would take its time.
            let part = (TOO_LONG / self.shortest).clamp(at_least, at_most);
            running.min(self.size) * part
        } else if is_used || self.size < FIRST {
            self.size + (self.size * GROWS_BY).max(1.0)
        } else {
            (self.size * at_most).max(FIRST)
        };
        size.clamp(LEAST, MOST)
    }

    /// Takes over the size that others have found.
    pub fn take_over(&mut self, size: f64) {
        self.size = size.clamp(LEAST, MOST);
    }

    /// Its size, in requests at once.
    pub fn size(&self) -> f64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What becomes of a limit in so many windows, in each of which work has waited as said.
    fn after(mut limit: Limit, windows: i64, waits: &[f64], running: u32) -> f64 {
        limit.begin(0);
        for window in 0..windows {
            let (last, others) = waits.split_last().unwrap();
            for waited in others {
                limit.observe(*waited, running, window * WINDOW + 1);
            }
            limit.observe(*last, running, (window + 1) * WINDOW);
        }
        limit.size()
    }

    fn is(size: f64, expected: f64) -> bool {
        (size - expected).abs() < 0.1
    }

    #[test]
    fn it_shrinks_while_all_work_waits() {
        let limit = Limit::NEW;
        assert!(
            is(after(limit, 1, &[50.0, 30.0], 100), 50.0),
            "to half of what there is"
        );
        assert!(is(after(limit, 1, &[12.0, 11.0], 100), 90.0), "by a little");
        assert!(
            is(after(limit, 30, &[500.0], 100), LEAST),
            "never to nothing"
        );

        let mut open = limit;
        open.begin(0);
        open.observe(500.0, 100, WINDOW - 1);
        assert!(is(open.size(), FIRST), "not before the window closes");
    }

    #[test]
    fn a_burst_is_no_queue() {
        assert!(after(Limit::NEW, 5, &[80.0, 2.0, 90.0], 100) > FIRST);
    }

    #[test]
    fn it_grows_while_it_is_used_and_comes_back() {
        assert!(is(after(Limit::NEW, 50, &[1.0], 500), MOST));
        assert!(
            is(after(Limit::NEW, 50, &[1.0], 10), FIRST),
            "nobody uses more"
        );
        assert!(is(after(Limit::of(400.0), 50, &[1.0], 20), FIRST));
        assert!(
            after(Limit::of(LEAST), 40, &[1.0], 1) >= FIRST,
            "within seconds"
        );
    }

    #[test]
    fn who_matters_more_is_let_in_when_others_are_not() {
        let limit = Limit::of(40.0);
        assert!(limit.admits(29, Importance::Ordinary) && !limit.admits(30, Importance::Ordinary));
        assert!(limit.admits(39, Importance::High) && !limit.admits(40, Importance::High));
        assert!(limit.admits(1_000, Importance::Vital));
    }

    proptest! {
        /// Whatever it sees, somebody is let in, and it never grows beyond what a host takes.
        #[test]
        fn it_stays_within_its_bounds(waits in proptest::collection::vec((0.0..1e5f64, 0..1_000u32, 0..1_000i64), 0..500)) {
            let (mut limit, mut now) = (Limit::NEW, 0);
            for (waited, running, later) in waits {
                now += later;
                limit.observe(waited, running, now);
                prop_assert!(limit.admits(0, Importance::Ordinary));
                prop_assert!((LEAST..=MOST).contains(&limit.size()));
            }
        }
    }
}
