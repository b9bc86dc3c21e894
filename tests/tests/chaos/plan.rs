//! What a run does, made of its seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The seed of this run: the one that is told, else one of its own. Printed, so that a run can be repeated.
pub fn seed() -> u64 {
    let told = std::env::var("SOUK_CHAOS_SEED").ok();
    let seed = match told {
        Some(told) => told.parse().expect("SOUK_CHAOS_SEED is a whole number"),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        }
    };
    println!("SOUK_CHAOS_SEED={seed} makes the same plan again");
    seed
}

/// The random numbers of one part of a run: each has its own, so that none depends on how fast another is.
pub fn numbers(seed: u64, part: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(part))
}

/// When a host is killed.
#[derive(Debug)]
pub enum Kill {
    /// So long after its process began, in the middle of its start or soon after.
    AtStart(Duration),
    /// So long after it began to serve.
    Serving(Duration),
}

/// The kills of a run: so many, and until the time is over that `SOUK_CHAOS_MINUTES` gives it.
pub fn kills(seed: u64, at_least: usize) -> impl Iterator<Item = Kill> {
    let mut numbers = numbers(seed, 0);
    let ends_at = Instant::now() + minutes();
    (0..)
        .take_while(move |number| *number < at_least || Instant::now() < ends_at)
        .map(move |_| match numbers.random_ratio(1, 6) {
            true => Kill::AtStart(Duration::from_millis(numbers.random_range(5..600))),
            false => Kill::Serving(Duration::from_millis(numbers.random_range(50..1500))),
        })
}

fn minutes() -> Duration {
    let told = std::env::var("SOUK_CHAOS_MINUTES").ok();
    let minutes = told.map(|told| told.parse().expect("SOUK_CHAOS_MINUTES is a whole number"));
    Duration::from_secs(60 * minutes.unwrap_or(0))
}
