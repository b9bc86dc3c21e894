//! When a call that failed is tried again: full jitter.
//!
//! A random time between nothing and a bound that doubles. Clients that failed together come back spread over the whole time, which
//! loads whoever they call least (Marc Brooker, *Exponential Backoff and Jitter*, 2015).

/// The bound of the first wait, in milliseconds.
const FIRST: u32 = 20;

/// The bound that no wait exceeds, in milliseconds.
const LONGEST: u32 = 1_000;

/// How long to wait after so many failed attempts (from 1), in milliseconds; `random` is any number.
pub fn full_jitter(failed: u32, random: u64) -> u32 {
    let doublings = failed.clamp(1, 16) - 1;
    let bound = (FIRST << doublings).min(LONGEST);
    u32::try_from(random % (u64::from(bound) + 1)).unwrap_or(bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_up_to_the_longest() {
        let longest = |failed| (0..2_000).map(|random| full_jitter(failed, random)).max();
        assert_eq!(
            [1, 2, 3, 6, 7, 99].map(longest),
            [20, 40, 80, 640, 1000, 1000].map(Some)
        );
        assert_eq!(full_jitter(5, 0), 0);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(failed: u32, random: u64) {
            prop_assert!(full_jitter(failed, random) <= LONGEST);
        }
    }
}
