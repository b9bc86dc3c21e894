//! How long to wait before something that failed is tried again.

/// Waits that double from the first to the longest, both in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: i64,
    /// The wait that is never exceeded.
    pub longest: i64,
}

impl Backoff {
    /// The wait after so many failures (from 1), in milliseconds: twice as long each time, and never quite the same, so that what
    /// failed together does not come back together. At least half of it always stays ("equal jitter": Marc Brooker, *Exponential
    /// Backoff and Jitter*, 2015).
    pub fn after(self, failures: i64) -> i64 {
        self.jittered(failures, random())
    }

    fn jittered(self, failures: i64, random: u64) -> i64 {
        let doublings = failures.clamp(1, 20) - 1;
        let longest = (self.first << doublings).min(self.longest);
        let jitter = i64::try_from(random % 1000).unwrap_or_default();
        longest / 2 + longest / 2 * jitter / 1000
    }
}

/// A UUIDv7 ends in 62 random bits.
fn random() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1 & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: 200,
        longest: 60_000,
    };

    #[test]
    fn waits_double_up_to_the_longest() {
        let longest: Vec<_> = [1, 2, 3, 9, 10, 99]
            .into_iter()
            .map(|failures| BACKOFF.jittered(failures, 1999))
            .collect();
        assert_eq!(longest, [199, 399, 799, 51_174, 59_970, 59_970]);
    }

    #[test]
    fn at_least_half_of_a_wait_stays() {
        assert_eq!(BACKOFF.jittered(1, 0), 100);
        assert_eq!(BACKOFF.jittered(20, 0), 30_000);
        for _ in 0..100 {
            assert!((100..200).contains(&BACKOFF.after(1)));
        }
    }
}
