//! Whether a call may be tried again at all: a token bucket, so that repeating what fails does not make it fail more.
//!
//! Every call puts a part of a token in, every retry takes a whole one out (gRPC proposal A6; *Site Reliability Engineering*, chapter
//! 22, limits them to a tenth of all calls). A full bucket is what a short outage is bridged with, such as that of one instance of many.

use serde::{Deserialize, Serialize};

/// Thousandths of a token that a retry takes.
const TOKEN: i64 = 1_000;

/// Thousandths of a token that a call puts in: retries are one in twenty calls, in the long run.
const DEPOSIT: i64 = 50;

/// How many tokens there are at most, and at first.
const TOKENS: i64 = 50;

/// The retries that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    thousandths: i64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            thousandths: TOKENS * TOKEN,
        }
    }
}

impl Budget {
    /// So many calls were made.
    pub fn deposit(&mut self, calls: u32) {
        let more = self.thousandths + i64::from(calls) * DEPOSIT;
        self.thousandths = more.min(TOKENS * TOKEN);
    }

    /// Takes a retry out, if there is one.
    pub fn withdraw(&mut self) -> bool {
        let covers = self.thousandths >= TOKEN;
        if covers {
            self.thousandths -= TOKEN;
        }
        covers
    }

    /// Whether none of it is used.
    pub fn is_full(&self) -> bool {
        self.thousandths == TOKENS * TOKEN
    }

    /// How many retries are left.
    pub fn left(&self) -> i64 {
        self.thousandths / TOKEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever fails, retries are a twentieth of the calls and what was in the bucket.
        #[test]
        fn retries_never_exceed_the_budget(calls in proptest::collection::vec(0..4u32, 0..3_000)) {
            let (mut budget, mut made, mut retries) = (Budget::default(), 0, 0);
            for attempts in calls {
                budget.deposit(1);
                made += 1;
                retries += (0..attempts).filter(|_| budget.withdraw()).count() as i64;
            }
            prop_assert!(retries <= TOKENS + made / 20, "{retries} retries of {made} calls");
        }

        #[test]
        fn it_never_holds_more_than_a_full_one(calls: u32) {
            let mut budget = Budget::default();
            budget.deposit(calls);
            prop_assert_eq!(budget.left(), TOKENS);
            prop_assert!(budget.is_full());
        }
    }
}
