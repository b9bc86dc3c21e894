//! Whether a service may be called at all: a circuit breaker.
//!
//! ```text
//!            half of the calls fail or are slow,
//!            or nearly all of the latest
//!   closed -------------------------------------> open
//!     ^                                            | a while later
//!     |   all trials are good                      v
//!     +---------------------------------------- half-open
//!                                                  | a trial fails: open again
//! ```
//!
//! While it is open nobody waits for what will not come, and whoever is in trouble is left in peace. Calls are counted over a sliding window, as
//! Resilience4j does. All instances of a caller share one breaker for each service they call (see [`record`](crate::record)), so what one
//! has learned the others need not.

use serde::{Deserialize, Serialize};

/// For how long calls are counted, in milliseconds.
pub const WINDOW: i64 = 15_000;

/// Fewer calls say nothing.
pub const LEAST_CALLS: u32 = 5;

/// From which share of failed or slow calls, in percent, it opens.
pub const OPENS_AT_PERCENT: u32 = 50;

/// What counts as the latest calls, in milliseconds, and from which share of them it opens whatever was before: a service that has
/// just gone down is not to be waited for until the good times before it are forgotten.
pub const LATEST: i64 = 2_000;
/// See [`LATEST`].
pub const OPENS_AT_LATEST_PERCENT: u32 = 90;

/// How long it stays open before somebody may try, in milliseconds.
pub const OPEN_FOR: i64 = 3_000;

/// How many try, and how many of them must fare well.
pub const TRIALS: u32 = 3;

/// The part of the window that is counted together and forgotten together.
const SLOT: i64 = 1_000;

/// How a call fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered in good time, be it with a refusal.
    Good,
    /// It answered, but late.
    Slow,
    /// It failed, or did not answer.
    Failed,
}

/// How calls fared within a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Which second of [`now`](crate).
    at: i64,
    calls: u32,
    failed: u32,
    slow: u32,
}

/// How calls fared, by second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(Vec<Slot>);

/// What [`Counts`] come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// All calls.
    pub calls: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that were slow.
    pub slow: u32,
}

impl Totals {
    /// Whether there are enough, and so many percent of them failed or were slow.
    fn are_bad(self, percent: u32) -> bool {
        let bad = u64::from(self.failed) + u64::from(self.slow);
        self.calls >= LEAST_CALLS && bad * 100 >= u64::from(self.calls) * u64::from(percent)
    }
}

impl Counts {
    /// Counts a call that ended now.
    pub fn count(&mut self, outcome: Outcome, now: i64) {
        let slot = self.slot(now - now.rem_euclid(SLOT));
        slot.calls += 1;
        slot.failed += u32::from(outcome == Outcome::Failed);
        slot.slow += u32::from(outcome == Outcome::Slow);
    }

    /// Counts what others have counted.
    pub fn add(&mut self, others: &Self) {
        for other in &others.0 {
            let slot = self.slot(other.at);
            slot.calls = slot.calls.saturating_add(other.calls);
            slot.failed = slot.failed.saturating_add(other.failed);
            slot.slow = slot.slow.saturating_add(other.slow);
        }
    }

    /// Forgets what is older than the window.
    pub fn forget(&mut self, now: i64) {
        // What is ahead by more than a window is from a clock that was wrong.
        self.0
            .retain(|slot| slot.at > now - WINDOW && slot.at < now + WINDOW);
    }

    /// What they come to.
    pub fn totals(&self) -> Totals {
        self.since(i64::MIN)
    }

    /// What those come to that ended after a moment.
    fn since(&self, moment: i64) -> Totals {
        let slots = self.0.iter().filter(|slot| slot.at > moment);
        slots.fold(Totals::default(), |sum, slot| Totals {
            calls: sum.calls.saturating_add(slot.calls),
            failed: sum.failed.saturating_add(slot.failed),
            slow: sum.slow.saturating_add(slot.slow),
        })
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn slot(&mut self, at: i64) -> &mut Slot {
        let index = match self.0.iter().position(|slot| slot.at == at) {
            Some(index) => index,
            None => {
                self.0.push(Slot {
                    at,
                    ..Slot::default()
                });
                self.0.len() - 1
            }
        };
        &mut self.0[index]
    }
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Calls are made.
    #[default]
    Closed,
    /// None is made.
    Open {
        /// Until when.
        until: i64,
    },
    /// A few are made, to see.
    HalfOpen {
        /// When that began.
        since: i64,
        /// How many more may be made.
        left: u32,
        /// How many have fared well.
        good: u32,
    },
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Pass,
    /// It may if it gets hold of a [trial](Breaker::take_trial).
    Trial,
    /// It may not, for so many milliseconds.
    Refused(u32),
}

/// A breaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    #[serde(flatten)]
    state: State,
    counts: Counts,
    /// How often it has opened.
    opened: u32,
    /// When its state last changed.
    changed_at: i64,
    /// What it opened for, and when that was.
    #[serde(default)]
    opened_for: (Totals, i64),
}

impl Breaker {
    /// Whether a call may be made now.
    pub fn admits(&self, now: i64) -> Admission {
        match self.state {
            State::Closed => Admission::Pass,
            State::Open { until } if now < until && until <= now + OPEN_FOR => {
                Admission::Refused(u32::try_from(until - now).unwrap_or(1))
            }
            State::Open { .. } => Admission::Trial,
            State::HalfOpen { left: 0, since, .. } if now < since + OPEN_FOR => {
                Admission::Refused(u32::try_from(since + OPEN_FOR - now).unwrap_or(1))
            }
            State::HalfOpen { .. } => Admission::Trial,
        }
    }

    /// Gets hold of a trial, if there is one. Whoever does makes the call and says how it [ended](Self::end_trial).
    pub fn take_trial(&mut self, now: i64) -> bool {
        if self.admits(now) != Admission::Trial {
            return false;
        }
        match &mut self.state {
            State::HalfOpen { left, .. } if *left > 0 => *left -= 1,
            // The first one; or those who had the trials never came back.
            _ => {
                let (since, left) = (now, TRIALS - 1);
                self.become_(
                    State::HalfOpen {
                        since,
                        left,
                        good: 0,
                    },
                    now,
                );
            }
        }
        true
    }

    /// Says how a trial ended.
    pub fn end_trial(&mut self, outcome: Outcome, now: i64) {
        let State::HalfOpen { good, .. } = &mut self.state else {
            return;
        };
        *good += 1;
        match (outcome, *good) {
            (Outcome::Failed | Outcome::Slow, _) => self.open(now),
            (Outcome::Good, TRIALS..) => self.become_(State::Closed, now),
            (Outcome::Good, _) => {}
        }
    }

    /// Takes notice of calls, those of one instance since it last said something. Those that were made before the breaker last
    /// changed say nothing about now.
    pub fn observe(&mut self, counts: &Counts, now: i64) {
        self.counts.forget(now);
        if self.state != State::Closed {
            return;
        }
        self.counts.add(counts);
        let changed_at = self.changed_at;
        self.counts.0.retain(|slot| slot.at + SLOT > changed_at);
        self.counts.forget(now);
        let latest = self.counts.since(now - LATEST);
        if self.counts.totals().are_bad(OPENS_AT_PERCENT) || latest.are_bad(OPENS_AT_LATEST_PERCENT)
        {
            self.open(now);
        }
    }

    fn open(&mut self, now: i64) {
        // A trial that failed is no other reason.
        if self.state == State::Closed {
            self.opened_for = (self.counts.totals(), now);
        }
        self.opened = self.opened.saturating_add(1);
        self.become_(
            State::Open {
                until: now + OPEN_FOR,
            },
            now,
        );
    }

    fn become_(&mut self, state: State, now: i64) {
        self.state = state;
        self.changed_at = now;
        self.counts = Counts::default();
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// What the calls of the window come to; where it is not closed, those that it opened for.
    pub fn totals(&self) -> Totals {
        match self.state {
            State::Closed => self.counts.totals(),
            State::Open { .. } | State::HalfOpen { .. } => self.opened_for.0,
        }
    }

    /// Since when these were made.
    pub fn counted_since(&self, now: i64) -> i64 {
        match self.state {
            State::Closed => now - WINDOW,
            State::Open { .. } | State::HalfOpen { .. } => self.opened_for.1 - WINDOW,
        }
    }

    /// How often it has opened.
    pub fn opened(&self) -> u32 {
        self.opened
    }

    /// When its state last changed; 0 where it never did.
    pub fn changed_at(&self) -> i64 {
        self.changed_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000_000;

    fn counts(outcomes: &[(Outcome, usize)], now: i64) -> Counts {
        let mut counts = Counts::default();
        for &(outcome, times) in outcomes {
            (0..times).for_each(|_| counts.count(outcome, now));
        }
        counts
    }

    #[test]
    fn it_does_not_wait_until_the_good_times_are_forgotten() {
        let mut breaker = Breaker::default();
        breaker.observe(
            &counts(&[(Outcome::Good, 1_000), (Outcome::Failed, 1)], NOW),
            NOW,
        );
        let later = NOW + LATEST;
        breaker.observe(
            &counts(&[(Outcome::Failed, 8), (Outcome::Good, 2)], later),
            later,
        );
        assert_eq!(breaker.admits(later), Admission::Pass, "that can be chance");
        let later = later + LATEST;
        breaker.observe(
            &counts(&[(Outcome::Failed, 9), (Outcome::Good, 1)], later),
            later,
        );
        assert_ne!(breaker.admits(later), Admission::Pass);
    }

    fn opened(now: i64) -> Breaker {
        let mut breaker = Breaker::default();
        breaker.observe(&counts(&[(Outcome::Failed, 10)], now), now);
        assert_eq!(breaker.admits(now), Admission::Refused(3_000));
        breaker
    }

    #[test]
    fn it_opens_when_half_of_enough_calls_fail_or_are_slow() {
        let opens = |outcomes: &[(Outcome, usize)]| {
            let mut breaker = Breaker::default();
            breaker.observe(&counts(outcomes, NOW), NOW);
            breaker.admits(NOW) != Admission::Pass
        };
        assert!(!opens(&[(Outcome::Failed, 4)]), "too few to say");
        assert!(opens(&[(Outcome::Failed, 5), (Outcome::Good, 5)]));
        assert!(!opens(&[(Outcome::Failed, 4), (Outcome::Good, 6)]));
        assert!(opens(&[(Outcome::Slow, 5), (Outcome::Good, 5)]));
        assert!(opens(&[
            (Outcome::Slow, 3),
            (Outcome::Failed, 2),
            (Outcome::Good, 5)
        ]));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut breaker = Breaker::default();
        breaker.observe(&counts(&[(Outcome::Failed, 4)], NOW), NOW);
        let later = NOW + WINDOW;
        breaker.observe(&counts(&[(Outcome::Failed, 4)], later), later);
        assert_eq!(breaker.admits(later), Admission::Pass);
        assert_eq!(breaker.totals().calls, 4);
    }

    #[test]
    fn many_instances_together_see_what_none_sees_alone() {
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            assert_eq!(breaker.admits(NOW), Admission::Pass);
            breaker.observe(&counts(&[(Outcome::Failed, 1)], NOW), NOW);
        }
        assert!(matches!(breaker.state(), State::Open { .. }));
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn while_it_is_not_closed_it_says_what_it_opened_for() {
        let mut breaker = Breaker::default();
        let bad = [(Outcome::Failed, 6), (Outcome::Slow, 1), (Outcome::Good, 2)];
        breaker.observe(&counts(&bad, NOW), NOW);
        let said = Totals {
            calls: 9,
            failed: 6,
            slow: 1,
        };
        let mut later = NOW;
        for _ in 0..3 {
            assert_eq!(breaker.totals(), said, "open");
            later += OPEN_FOR;
            assert!(breaker.take_trial(later));
            assert_eq!(breaker.totals(), said, "half-open");
            assert_eq!(breaker.counted_since(later), NOW - WINDOW);
            breaker.end_trial(Outcome::Failed, later);
        }
        later += OPEN_FOR;
        for _ in 0..TRIALS {
            assert!(breaker.take_trial(later));
            breaker.end_trial(Outcome::Good, later);
        }
        assert_eq!(breaker.totals(), Totals::default());
        assert_eq!(breaker.counted_since(later), later - WINDOW);
    }

    #[test]
    fn good_trials_close_it() {
        let (mut breaker, later) = (opened(NOW), NOW + OPEN_FOR);
        assert!(!breaker.take_trial(later - 1), "it is still open");
        for _ in 0..TRIALS {
            assert_eq!(breaker.admits(later), Admission::Trial);
            assert!(breaker.take_trial(later));
        }
        assert!(!breaker.take_trial(later), "no more than the trials");
        for _ in 0..TRIALS {
            assert_ne!(breaker.admits(later), Admission::Pass);
            breaker.end_trial(Outcome::Good, later);
        }
        assert_eq!(breaker.admits(later), Admission::Pass);
        breaker.observe(&counts(&[(Outcome::Failed, 10)], NOW), later);
        assert_eq!(
            breaker.admits(later),
            Admission::Pass,
            "old failures do not open it again"
        );
    }

    #[test]
    fn a_bad_trial_opens_it_again() {
        for bad in [Outcome::Failed, Outcome::Slow] {
            let (mut breaker, later) = (opened(NOW), NOW + OPEN_FOR);
            assert!(breaker.take_trial(later));
            breaker.end_trial(bad, later + 500);
            assert_eq!(breaker.admits(later + 500), Admission::Refused(3_000));
            assert_eq!(breaker.opened(), 2);
        }
    }

    #[test]
    fn trials_that_are_lost_are_given_out_again() {
        let (mut breaker, later) = (opened(NOW), NOW + OPEN_FOR);
        assert!((0..TRIALS).all(|_| breaker.take_trial(later)));
        assert_eq!(breaker.admits(later + 1_000), Admission::Refused(2_000));
        assert!(breaker.take_trial(later + OPEN_FOR));
    }

    #[derive(Debug, Clone)]
    enum Event {
        Waits(u16),
        Calls(bool),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..4_000u16).prop_map(Event::Waits),
            proptest::bool::weighted(0.4).prop_map(Event::Calls),
        ]
    }

    proptest! {
        /// Whatever happens: it never refuses for longer than it stays open, it is not opened without failures, and a service
        /// that is well again is called again.
        #[test]
        fn it_always_comes_back(events in proptest::collection::vec(event(), 0..300)) {
            let (mut breaker, mut now, mut failures) = (Breaker::default(), NOW, 0);
            let mut call = |breaker: &mut Breaker, now: i64, good: bool| {
                let outcome = if good { Outcome::Good } else { Outcome::Failed };
                match breaker.admits(now) {
                    Admission::Refused(ms) => {
                        assert!(i64::from(ms) <= OPEN_FOR);
                        return;
                    }
                    Admission::Trial => {
                        assert!(breaker.take_trial(now));
                        breaker.end_trial(outcome, now);
                    }
                    Admission::Pass => breaker.observe(&counts(&[(outcome, 1)], now), now),
                }
                failures += u32::from(!good);
                assert!(breaker.opened() <= failures);
            };
            for event in events {
                match event {
                    Event::Waits(ms) => now += i64::from(ms),
                    Event::Calls(good) => call(&mut breaker, now, good),
                }
            }
            now += OPEN_FOR;
            (0..=TRIALS).for_each(|_| call(&mut breaker, now, true));
            let reopened = breaker.admits(now) != Admission::Pass;
            if reopened {
                // The first of these calls met a closed breaker whose window was full of failures.
                now += WINDOW;
                (0..=TRIALS).for_each(|_| call(&mut breaker, now, true));
            }
            prop_assert_eq!(breaker.admits(now), Admission::Pass);
        }

        /// It is kept as JSON.
        #[test]
        fn it_survives_being_kept(failed in 0..30usize, good in 0..30usize) {
            let mut breaker = Breaker::default();
            breaker.observe(&counts(&[(Outcome::Failed, failed), (Outcome::Good, good)], NOW), NOW);
            let kept = serde_json::to_string(&breaker).expect("plain data");
            prop_assert_eq!(serde_json::from_str::<Breaker>(&kept).expect("what was kept"), breaker);
        }
    }
}
