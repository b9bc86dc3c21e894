//! What all instances of a service know of another one together.
//!
//! An instance of a component lives for a hundred requests or so, and there are many at once: what one has found out about a service
//! is of use to all. So they keep one record of each service they call in the caller's key-value store, change it by compare-and-swap,
//! and look at it now and then rather than at each call.
//!
//! As long as everything goes well nothing is written: an instance that has seen nothing bad says nothing, unless the record shows that
//! somebody else has.

use serde::{Deserialize, Serialize};

use crate::balance::Ejections;
use crate::breaker::{Breaker, Counts, State};
use crate::budget::Budget;

/// The record of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whether it may be called.
    pub breaker: Breaker,
    /// How many calls may be repeated.
    pub budget: Budget,
    /// Which of its instances are left out.
    pub ejections: Ejections,
}

impl Record {
    /// Whether anything is wrong, or was a moment ago. Then all calls count, the good ones too.
    pub fn is_troubled(&self) -> bool {
        let totals = self.breaker.totals();
        let failing = totals.failed + totals.slow > 0;
        failing || self.breaker.state() != State::Closed || !self.budget.is_full()
    }

    /// Takes notice of the calls of one instance since it last said something.
    pub fn observe(&mut self, counts: &Counts, now: i64) {
        self.budget.deposit(counts.totals().calls);
        self.breaker.observe(counts, now);
        self.ejections.forget(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Outcome, WINDOW};

    #[test]
    fn trouble_passes() {
        let mut record = Record::default();
        assert!(!record.is_troubled());
        let mut counts = Counts::default();
        counts.count(Outcome::Failed, 1_000);
        record.observe(&counts, 1_000);
        assert!(record.is_troubled());
        record.observe(&Counts::default(), 1_000 + WINDOW);
        assert!(!record.is_troubled());
        assert!(record.budget.withdraw());
        assert!(record.is_troubled(), "calls have to fill the budget again");
    }
}
