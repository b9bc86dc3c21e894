//! What the instances of this service know of another one together: a [`Record`] in the key-value store, a copy of it in each instance.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use souk_keyvalue::{Bucket, Error};
use souk_resilience::Record;
use souk_resilience::breaker::{Admission, Counts, Outcome};

use crate::time::now;

/// How old the copy may be, in milliseconds.
const FRESH_FOR: i64 = 250;

/// How often an instance tells the others what it has seen, in milliseconds.
const TELL_EVERY: i64 = 200;

/// How often a change is tried that others come before; then it stays with this instance.
const ATTEMPTS: usize = 5;

/// What the keys of records begin with; the name of the called service follows.
pub const RECORDS: &str = "to/";

/// The label of a service's store.
pub fn label(service: &str) -> String {
    format!("{service}-calls")
}

static COPIES: Mutex<BTreeMap<&str, Copy>> = Mutex::new(BTreeMap::new());

/// What this instance knows of a service.
#[derive(Default)]
struct Copy {
    record: Record,
    read_at: i64,
    /// What it has seen and not told.
    untold: Counts,
    told_at: i64,
}

/// What is known of a service.
pub struct Known {
    caller: &'static str,
    callee: &'static str,
}

impl Known {
    /// What is known of `callee` by all instances of `caller`.
    pub fn of(caller: &'static str, callee: &'static str) -> Self {
        Self { caller, callee }
    }

    /// Whether it may be called. Of those who find out that a trial is due, as many are told so as there are trials.
    pub fn admits(&self) -> Admission {
        let now = now();
        self.refresh(now);
        match self.with(|copy| copy.record.breaker.admits(now)) {
            Admission::Trial => self.change(|record| match record.breaker.take_trial(now) {
                true => Admission::Trial,
                false => match record.breaker.admits(now) {
                    Admission::Trial => Admission::Refused(1),
                    admission => admission,
                },
            }),
            admission => admission,
        }
    }

    /// A trial has ended.
    pub fn end_trial(&self, outcome: Outcome) {
        self.watch(|record| record.breaker.end_trial(outcome, now()));
    }

    /// A call has ended.
    pub fn note(&self, outcome: Outcome) {
        let now = now();
        let is_news = self.with(|copy| {
            copy.untold.forget(now);
            copy.untold.count(outcome, now);
            let matters = outcome != Outcome::Good || copy.record.is_troubled();
            matters && now >= copy.told_at + TELL_EVERY
        });
        if is_news {
            self.tell(now);
        }
    }

    /// Takes a retry out of the budget, if there is one.
    pub fn withdraw(&self) -> bool {
        self.change(|record| record.budget.withdraw())
    }

    /// Leaves out an instance that could not be reached.
    pub fn eject(&self, id: &str, incarnation: &str) {
        self.change(|record| record.ejections.eject(id, incarnation, now()));
    }

    /// Takes an instance back that answered, if it was left out.
    pub fn forgive(&self, id: &str) {
        if self.with(|copy| copy.record.ejections.remembers(id)) {
            self.change(|record| record.ejections.forgive(id));
        }
    }

    /// Whether this start of an instance is left out.
    pub fn is_ejected(&self, id: &str, incarnation: &str) -> bool {
        self.with(|copy| copy.record.ejections.has(id, incarnation, now()))
    }

    /// Looks at the record again if the copy is old, and tells what the last failures were before that.
    fn refresh(&self, now: i64) {
        let (is_old, has_news) = self.with(|copy| {
            let is_old = now >= copy.read_at + FRESH_FOR;
            copy.untold.forget(now);
            let totals = copy.untold.totals();
            (is_old, totals.failed + totals.slow > 0)
        });
        match (is_old, has_news) {
            (false, _) => {}
            (true, true) => self.tell(now),
            (true, false) => {
                let record = self.read();
                self.with(|copy| {
                    copy.read_at = now;
                    if let Ok(Some(record)) = record {
                        copy.record = record;
                    }
                });
            }
        }
    }

    fn tell(&self, now: i64) {
        let counts = self.with(|copy| {
            copy.told_at = now;
            std::mem::take(&mut copy.untold)
        });
        self.watch(|record| record.observe(&counts, now));
    }

    /// Changes the record, and says so if its breaker opens.
    fn watch(&self, change: impl Fn(&mut Record)) {
        let opens = self.change(|record| {
            let before = record.breaker.opened();
            change(record);
            record.breaker.opened() > before
        });
        if opens {
            tracing::warn!(callee = self.callee, "the breaker opens");
        }
    }

    fn read(&self) -> Result<Option<Record>, Error> {
        let value = Bucket::open(&label(self.caller))?.get(&self.key())?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Changes the record; only this instance's copy of it, where there is no store or others are always faster.
    fn change<T>(&self, change: impl Fn(&mut Record) -> T) -> T {
        let changed = self.swap(&change).unwrap_or_default();
        self.with(|copy| match changed {
            Some((record, result)) => {
                copy.record = record;
                copy.read_at = now();
                result
            }
            None => change(&mut copy.record),
        })
    }

    fn swap<T>(&self, change: impl Fn(&mut Record) -> T) -> Result<Option<(Record, T)>, Error> {
        let bucket = Bucket::open(&label(self.caller))?;
        for _ in 0..ATTEMPTS {
            let (swap, seen) = bucket.look(&self.key())?;
            // One that cannot be read is from another version: a new one does as well.
            let seen = seen.and_then(|seen| serde_json::from_slice(&seen).ok());
            let mut record: Record = seen.unwrap_or_default();
            let result = change(&mut record);
            let value = serde_json::to_vec(&record).map_err(|error| Error(error.to_string()))?;
            if swap.swap(&value)? {
                return Ok(Some((record, result)));
            }
        }
        Ok(None)
    }

    fn key(&self) -> String {
        format!("{RECORDS}{}", self.callee)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Copy) -> T) -> T {
        let mut copies: MutexGuard<'_, _> = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
        look(copies.entry(self.callee).or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use souk_keyvalue::memory;

    /// Another instance of the same service: it shares the store, and nothing else.
    fn another_instance(callee: &'static str) {
        COPIES.lock().unwrap().remove(callee);
    }

    #[test]
    fn what_one_instance_has_learned_the_others_know() {
        let known = Known::of("test", "learned");
        for _ in 0..10 {
            known.note(Outcome::Failed);
        }
        known.tell(now());
        assert!(matches!(known.admits(), Admission::Refused(_)));
        another_instance("learned");
        assert!(matches!(known.admits(), Admission::Refused(_)));
    }

    #[test]
    fn while_all_is_well_nothing_is_written() {
        let known = Known::of("test", "quiet");
        for _ in 0..100 {
            assert_eq!(known.admits(), Admission::Pass);
            known.note(Outcome::Good);
        }
        assert_eq!(memory::keys("to/"), Vec::<String>::new());
        known.note(Outcome::Failed);
        assert_eq!(memory::keys("to/"), ["to/quiet"]);
        let record = known.read().unwrap().unwrap();
        assert_eq!(
            record.breaker.totals().calls,
            101,
            "the good ones count too"
        );
    }

    #[test]
    fn all_instances_share_one_budget() {
        let known = Known::of("test", "budget");
        let mut retries = 0;
        while known.withdraw() {
            retries += 1;
            another_instance("budget");
        }
        assert_eq!(retries, 50);
    }

    #[test]
    fn as_many_try_as_there_are_trials() {
        let known = Known::of("test", "trials");
        known.change(|record| {
            let (mut counts, past) = (Counts::default(), now() - 4_000);
            (0..10).for_each(|_| counts.count(Outcome::Failed, past));
            record.observe(&counts, past);
        });
        let trials = (0..10).filter(|_| {
            another_instance("trials");
            known.admits() == Admission::Trial
        });
        assert_eq!(trials.count(), 3);
        (0..3).for_each(|_| known.end_trial(Outcome::Good));
        another_instance("trials");
        assert_eq!(known.admits(), Admission::Pass);
    }

    #[test]
    fn without_a_store_an_instance_knows_what_it_has_seen() {
        memory::fail(Some("look"));
        let known = Known::of("test", "storeless");
        for _ in 0..10 {
            known.note(Outcome::Failed);
        }
        known.tell(now());
        assert!(matches!(known.admits(), Admission::Refused(_)));
    }

    #[test]
    fn nobodys_news_are_lost_to_others() {
        let known = Known::of("test", "rivals");
        memory::write(
            "to/rivals",
            &serde_json::to_vec(&Record::default()).unwrap(),
        );
        memory::before_swap(|| {
            let mut record = Record::default();
            record.budget.withdraw();
            memory::write("to/rivals", &serde_json::to_vec(&record).unwrap());
        });
        assert!(known.withdraw());
        assert_eq!(known.read().unwrap().unwrap().budget.left(), 48);
    }
}
