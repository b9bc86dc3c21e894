//! Holding up whoever guesses passwords. How long is a matter of the [counters](Counter).

use http::StatusCode;
use http::header::{self, HeaderValue};
use souk_chassis::Problem;

use crate::domain::Counter;
use crate::store::attempts as store;

/// An attempt that was let through, and is to end in one way or the other.
pub struct Attempt {
    /// Where nothing is held up yet: a failure is counted when it has happened. Otherwise many who log in to one account at the
    /// same moment would hold each other up.
    free: Vec<Counter>,
    /// Where it is: the attempt counts as failed from the beginning, and the next one waits. Of any number that come at once
    /// one gets through.
    counted: Vec<Counter>,
    /// Whether there is anything to forget when it succeeds.
    failed_before: bool,
}

/// Refuses who has to wait; for a first look, before anything else is done.
pub async fn refuse_early(counters: &[Counter]) -> Result<(), Problem> {
    standings(counters).await?;
    Ok(())
}

impl Attempt {
    /// Lets an attempt through, or refuses it.
    pub async fn admit(counters: Vec<Counter>) -> Result<Self, Problem> {
        let failures = standings(&counters).await?;
        let failed_before = failures.iter().any(|failures| *failures > 0);
        let zipped = counters.into_iter().zip(failures);
        let (free, counted): (Vec<_>, Vec<_>) =
            zipped.partition(|(counter, failures)| *failures < counter.backoff.free);
        let only_counters =
            |zipped: Vec<(Counter, i64)>| zipped.into_iter().map(|(counter, _)| counter).collect();
        let attempt = Self {
            free: only_counters(free),
            counted: only_counters(counted),
            failed_before,
        };
        if !attempt.counted.is_empty() && !store::count_if_free(&attempt.counted).await? {
            return Err(too_many(1));
        }
        Ok(attempt)
    }

    /// Counts it as failed.
    pub async fn failed(self) -> Result<(), Problem> {
        if !self.free.is_empty() {
            store::count(&self.free).await?;
        }
        Ok(())
    }

    /// Forgets what was counted for the account, and takes back what this attempt was counted as elsewhere. The client's other
    /// failures stay, or whoever has an account could wipe them out by logging in to it between two guesses.
    pub async fn succeeded(self, account: &Counter) -> Result<(), Problem> {
        if self.failed_before {
            store::forgive(&account.key, &self.counted).await?;
        }
        Ok(())
    }
}

/// How many failures each counter has, unless one of them says to wait.
async fn standings(counters: &[Counter]) -> Result<Vec<i64>, Problem> {
    let standings = store::standings(counters).await?;
    match standings.iter().map(|standing| standing.wait).max() {
        Some(wait) if wait > 0 => Err(too_many(wait)),
        _ => Ok(standings
            .into_iter()
            .map(|standing| standing.failures)
            .collect()),
    }
}

fn too_many(seconds: i64) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-requests",
        "Too many requests",
        format!("too many attempts failed; there may be another in {seconds} s"),
    )
    .header(header::RETRY_AFTER, HeaderValue::from(seconds))
}
