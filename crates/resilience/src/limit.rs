//! Whether a request may come in: a limit on concurrency that finds its own size.
//!
//! A service that is given more than it can do answers everything late, which is worse than refusing some at once. How much it can do
//! depends on the machine and the mix of requests, so the limit follows a latency: how long work that is ready has to wait until it runs. Work that comes
//! in bursts waits now and then; when most of what is seen in two [`WINDOW`]s in a row has waited too long, there is more to do than can be done at once. Then the
//! limit shrinks to a part of what is being worked on, else it grows by a little (additive increase, multiplicative decrease, as in TCP).
//!
//! It is the time in the queue that is looked at and not the time of the whole answer, because that one also grows when somebody else, far
//! away, is slow, and then there is nothing to be gained by refusing (Zhou et al., *Overload Control for Scaling WeChat
//! Microservices*, 2018).

/// The bounds of the limit: requests that are worked on at once. As few as the least are never too much, since most of them wait for a disk or for one
/// another; a host takes no more than the most, so a limit of that size keeps nobody out.
const LEAST: f64 = 12.0;
const MOST: f64 = 512.0;

/// For how long waits are gathered before the limit changes, in milliseconds.
pub const WINDOW: i64 = 100;

/// Work that waits longer than this, in milliseconds, waits too long.
const TOO_LONG: f64 = 4.0;

/// To which part of what is being worked on the limit shrinks at a time.
const SHRINKS_TO: f64 = 0.6;

/// By which part of itself it grows at a time.
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
    /// How often work was seen in the window that is open, and how often it had waited too long.
    seen: u32,
    late: u32,
    /// Whether most of it had in the one before.
    was_strained: bool,
    /// When that window closes.
    closes_at: i64,
}

impl Limit {
    /// One that keeps nobody out.
    pub const NONE: Self = Self::of(MOST);

    /// One of a size that somebody else has found.
    pub const fn of(size: f64) -> Self {
        Self {
            size,
            seen: 0,
            late: 0,
            was_strained: false,
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
        !self.is_in_force() || f64::from(running) < size.floor()
    }

    /// Begins to look after a time in which there was nothing to be seen.
    pub fn begin(&mut self, now: i64) {
        (self.seen, self.late) = (0, 0);
        self.closes_at = now + WINDOW;
    }

    /// Work has waited so many milliseconds until it ran, while so many requests were being worked on.
    pub fn observe(&mut self, waited: f64, running: u32, now: i64) {
        self.seen += 1;
        self.late += u32::from(waited > TOO_LONG);
        if now >= self.closes_at {
            let is_strained = self.late * 2 > self.seen;
            self.size = self.next_size(f64::from(running), is_strained);
            self.was_strained = is_strained;
            self.begin(now);
        }
    }

    fn next_size(&self, running: f64, is_strained: bool) -> f64 {
        let size = match is_strained {
            false => self.size * (1.0 + GROWS_BY),
            // Once is chance.
            true if !self.was_strained => self.size,
            // It is somebody else who has the processors: refusing what little there is gains nothing.
            true if running < LEAST => self.size,
            // From what there is, or a limit that is far away would take its time.
            true => running.min(self.size) * SHRINKS_TO,
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

    /// Whether it keeps anybody out.
    pub fn is_in_force(&self) -> bool {
        self.size < MOST
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
            let (last, others) = waits.split_last().expect("there are some");
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
    fn it_shrinks_while_work_waits() {
        let limit = Limit::NONE;
        assert!(
            is(after(limit, 2, &[50.0, 4.1], 100), 60.0),
            "from what there is"
        );
        assert!(
            is(after(limit, 1, &[50.0, 4.1], 100), MOST),
            "once is chance"
        );
        assert!(
            is(after(limit, 30, &[500.0], 100), LEAST),
            "never to nothing"
        );
        assert!(
            is(after(limit, 30, &[500.0], 10), MOST),
            "these few are not why"
        );

        let mut open = limit;
        open.begin(0);
        open.observe(500.0, 100, WINDOW - 1);
        assert!(is(open.size(), MOST), "not before the window closes");
    }

    #[test]
    fn it_grows_when_work_does_not_wait() {
        let limit = Limit::of(40.0);
        assert!(
            is(after(limit, 1, &[80.0, 2.0, 90.0, 1.0], 40), 44.0),
            "a burst is no queue"
        );
        let strained = Limit::of(LEAST);
        assert!(after(strained, 10, &[1.0], 10) < 70.0, "little by little");
        assert!(is(after(strained, 40, &[1.0], 10), MOST), "within seconds");
    }

    #[test]
    fn who_matters_more_is_let_in_when_others_are_not() {
        let limit = Limit::of(40.0);
        assert!(limit.admits(29, Importance::Ordinary) && !limit.admits(30, Importance::Ordinary));
        assert!(limit.admits(39, Importance::High) && !limit.admits(40, Importance::High));
        assert!(limit.admits(1_000, Importance::Vital));
        assert!(
            Limit::NONE.admits(1_000, Importance::Ordinary),
            "nobody is kept out"
        );
    }

    proptest! {
        /// Whatever it sees, somebody is let in, and it never grows beyond what a host takes.
        #[test]
        fn it_stays_within_its_bounds(waits in proptest::collection::vec((0.0..1e5f64, 0..1_000u32, 0..1_000i64), 0..500)) {
            let (mut limit, mut now) = (Limit::NONE, 0);
            for (waited, running, later) in waits {
                now += later;
                limit.observe(waited, running, now);
                prop_assert!(limit.admits(0, Importance::Ordinary));
                prop_assert!((LEAST..=MOST).contains(&limit.size()));
            }
        }
    }
}
