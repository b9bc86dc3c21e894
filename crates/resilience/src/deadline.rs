//! How long whoever waits for a request still waits.
//!
//! It travels with the request as the time that is left, not as a moment, so that clocks need not agree (as in gRPC's
//! `grpc-timeout`). The time on the way is not seen by anybody and makes it a little too long.

/// The header that says how many milliseconds the caller will wait.
pub const HEADER: &str = "x-souk-timeout-ms";

/// What is kept back of the time that is left when it is passed on: for the way back.
const MARGIN: i64 = 10;

/// Less than this is not worth a call, in milliseconds.
const WORTH_A_CALL: i64 = 5;

/// Until when somebody waits, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(i64);

impl Deadline {
    /// So many milliseconds from now.
    pub fn after(now: i64, ms: u32) -> Self {
        Self(now + i64::from(ms))
    }

    /// What the header of a request says that arrived now; none where it says nothing sensible.
    pub fn arrived(header: &str, now: i64) -> Option<Self> {
        let ms: u32 = header.parse().ok()?;
        Some(Self::after(now, ms))
    }

    /// Whether nobody waits any more.
    pub fn is_over(self, now: i64) -> bool {
        self.left(now) == 0
    }

    /// How many milliseconds are left.
    pub fn left(self, now: i64) -> u32 {
        u32::try_from((self.0 - now).max(0)).unwrap_or(u32::MAX)
    }

    /// How long a call may take that would have `timeout` milliseconds by itself; none where it cannot be of use any more.
    pub fn allows(self, timeout: u32, now: i64) -> Option<u32> {
        let left = self.0 - now - MARGIN;
        (left >= WORTH_A_CALL).then(|| timeout.min(u32::try_from(left).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_number_is_a_deadline() {
        assert_eq!(Deadline::arrived("250", 1_000), Some(Deadline(1_250)));
        for odd in ["", "-1", "1.5", "soon", "99999999999"] {
            assert_eq!(Deadline::arrived(odd, 0), None, "{odd}");
        }
    }

    #[test]
    fn what_cannot_come_in_time_is_not_begun() {
        let deadline = Deadline::after(1_000, 100);
        assert_eq!(deadline.allows(50, 1_000), Some(50));
        assert_eq!(deadline.allows(500, 1_000), Some(90));
        assert_eq!(deadline.allows(500, 1_085), Some(5));
        assert_eq!(deadline.allows(500, 1_086), None);
        assert!(deadline.is_over(1_100) && !deadline.is_over(1_099));
    }

    proptest! {
        /// However deep calls are nested, the innermost ends before the outermost is given up.
        #[test]
        fn a_callee_is_told_less_than_its_caller_has(
            start in 0..60_000u32, timeouts in proptest::collection::vec(1..60_000u32, 1..8), spent in 0..500i64,
        ) {
            let mut now = 1_000_000;
            let mut deadline = Deadline::after(now, start);
            for timeout in timeouts {
                now += spent;
                let Some(allowed) = deadline.allows(timeout, now) else { break };
                let next = Deadline::arrived(&allowed.to_string(), now).unwrap();
                prop_assert!(next < deadline);
                prop_assert!(allowed <= timeout);
                deadline = next;
            }
        }
    }
}
