//! How long requests take, in fixed buckets.

/// What the buckets of latency end with, in nanoseconds; the last bucket has no end.
pub const BOUNDS_NS: [i64; 13] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Which bucket a duration is in.
pub fn bucket_of(duration_ns: i64) -> usize {
    BOUNDS_NS.partition_point(|bound| *bound < duration_ns)
}

/// How many took how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many are in each bucket.
    pub counts: [i64; BOUNDS_NS.len() + 1],
}

impl Histogram {
    /// How many there are.
    pub fn count(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// Adds so many to a bucket.
    pub fn add(&mut self, bucket: i64, count: i64) {
        let bucket = usize::try_from(bucket).unwrap_or(0).min(BOUNDS_NS.len());
        self.counts[bucket] += count;
    }

    /// The duration in milliseconds that this share of all does not exceed, as if they were spread evenly within a bucket: what
    /// Prometheus's `histogram_quantile` says. None where there is nothing.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count() as f64;
        let mut below = 0;
        for (bucket, count) in self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            if (below + count) as f64 >= wanted {
                let ms = |bucket: usize| BOUNDS_NS[bucket.min(BOUNDS_NS.len() - 1)] as f64 / 1e6;
                let begin = bucket.checked_sub(1).map_or(0.0, ms);
                return Some(
                    begin + (ms(bucket) - begin) * (wanted - below as f64) / *count as f64,
                );
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_its_bound_in_it() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(1_000_000), 0);
        assert_eq!(bucket_of(1_000_001), 1);
        assert_eq!(bucket_of(i64::MAX), BOUNDS_NS.len());
    }

    #[test]
    fn quantiles_are_within_their_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ms(0.5), None);
        histogram.add(3, 100); // 5 to 10 ms
        assert_eq!(histogram.quantile_ms(0.5), Some(7.5));
        assert_eq!(histogram.quantile_ms(1.0), Some(10.0));
        histogram.add(99, 100); // beyond all bounds
        assert_eq!(histogram.quantile_ms(0.99), Some(10_000.0));
        assert_eq!(histogram.quantile_ms(0.25), Some(7.5));
    }
}
