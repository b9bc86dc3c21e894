//! Everything that is kept: the log, how far each consumer has come, what is held back.
//!
//! It is in SQLite unless the variable `broker` says `redis`. What each function promises is the same for both.

mod redis;
mod sqlite;

use souk_chassis::Problem;
use souk_chassis::page::Part;
use souk_events::Event;

use crate::api::{EventFilter, LetterFilter};
use crate::domain::{DeadLetter, HeldBack, Item, Logged, Progress, Standing, Subscription};
use crate::settings::{self, Broker};

pub use redis::Redis;
#[cfg(test)]
pub use sqlite::tests;

/// A consumer whose lease was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub consumer: String,
    /// How often in a row it took nothing.
    pub failures: i64,
}

/// What there is to do for a consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// What is held back and due, and what comes next in the log.
    pub items: Vec<Item>,
    /// How far the log was read.
    pub scanned: i64,
    /// Whether anything was read of it.
    pub advances: bool,
}

impl Work {
    pub fn is_nothing(&self) -> bool {
        self.items.is_empty() && !self.advances
    }
}

/// What of the log fits a filter.
pub struct Listed {
    /// Newest first; one more than asked for where more follow.
    pub events: Vec<Logged>,
    /// How far the log was read, where that ended before there were enough.
    pub read_to: Option<i64>,
}

/// What has become of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It goes on.
    Held,
    /// It is over: there is nothing left to do, or the consumer is to be left alone.
    Ended,
    /// Somebody else has it.
    Lost,
}

/// What became of events that were sent to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Appended {
    /// How many are in the log now that were not before.
    pub appended: usize,
    /// How many were there already.
    pub known: usize,
}

/// Why something was not read or written.
#[derive(Debug)]
pub enum Error {
    Sqlite(souk_store::Error),
    /// What Redis says.
    Redis(String),
    /// What the configuration lacks.
    Settings(Problem),
}

impl From<souk_store::Error> for Error {
    fn from(error: souk_store::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Settings(problem)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Sqlite(error) => error.into(),
            Error::Redis(why) => {
                Problem::unavailable("the log of events cannot be had now", 1).cause(why)
            }
            Error::Settings(problem) => problem,
        }
    }
}

/// Adds events to the log, those that it does not have yet, all or none.
pub async fn append(events: &[Event]) -> Result<Appended, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::append(events).await?),
        Broker::Redis(redis) => redis.append(events, settings::retention().await?).await,
    }
}

/// Takes the leases of the consumers that are due, until `lease_ends`. A consumer that is new begins with the log as it is kept.
pub async fn claim(
    subscriptions: &[&Subscription],
    lease: &str,
    now: i64,
    lease_ends: i64,
) -> Result<Vec<Claimed>, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::claim(subscriptions, lease, now, lease_ends).await?),
        Broker::Redis(redis) => redis.claim(subscriptions, lease, now, lease_ends).await,
    }
}

/// What there is to do for a consumer.
pub async fn work(consumer: &str, now: i64) -> Result<Work, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::work(consumer, now).await?),
        Broker::Redis(redis) => redis.work(consumer, now).await,
    }
}

/// Notes down what a round has changed, if the lease is still there. Where nothing is left to do the lease ends in the same step.
pub async fn progress(
    consumer: &str,
    lease: &str,
    work: &Work,
    progress: &Progress,
    lease_ends: i64,
) -> Result<Lease, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::progress(consumer, lease, progress, lease_ends).await?),
        Broker::Redis(redis) => {
            redis
                .progress(consumer, lease, work, progress, lease_ends)
                .await
        }
    }
}

/// Ends a lease, unless something came meanwhile: then this is none. Says when something that is held back is due.
///
/// To look and to end it is one step, so whoever adds something a moment later finds the lease ended. A lease that somebody else has
/// taken is none of ours to end.
pub async fn release(consumer: &str, lease: &str, now: i64) -> Result<Option<Option<i64>>, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::release(consumer, lease, now).await?),
        Broker::Redis(redis) => redis.release(consumer, lease, now).await,
    }
}

/// Forgets what every consumer has, nobody holds, and is older than this; some at a time.
pub async fn prune(subscriptions: &[Subscription], before: i64) -> Result<(), Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::prune(subscriptions, before).await?),
        Broker::Redis(redis) => redis.prune(subscriptions, before).await,
    }
}

/// Events of the log.
pub async fn list(filter: &EventFilter) -> Result<Listed, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(Listed {
            events: sqlite::list(filter).await?,
            read_to: None,
        }),
        Broker::Redis(redis) => redis.list(filter).await,
    }
}

/// How the consumers are doing.
pub async fn standings() -> Result<Vec<Standing>, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::standings(settings::subscriptions()?).await?),
        Broker::Redis(redis) => redis.standings(settings::subscriptions()?).await,
    }
}

/// What is held back for a consumer, in the order of the log; one more than asked for where more follow.
pub async fn held(consumer: &str, part: &Part<i64>) -> Result<Vec<HeldBack>, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::held(consumer, part).await?),
        Broker::Redis(redis) => redis.held(consumer, part).await,
    }
}

/// Sends a consumer back in the log, or ahead: what comes after this position is delivered next. Says whether there is such a consumer.
pub async fn replay(consumer: &str, position: i64) -> Result<bool, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::replay(consumer, position).await?),
        Broker::Redis(redis) => redis.replay(consumer, position).await,
    }
}

/// Dead letters, newest first; one more than asked for where more follow.
pub async fn dead_letters(filter: &LetterFilter) -> Result<Vec<DeadLetter>, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::dead_letters(filter).await?),
        Broker::Redis(redis) => redis.dead_letters(settings::subscriptions()?, filter).await,
    }
}

/// Has a dead letter delivered again, as if it had never been tried. Says whether there is one.
pub async fn redeliver(consumer: &str, position: i64) -> Result<bool, Error> {
    match settings::broker().await? {
        Broker::Sqlite => Ok(sqlite::redeliver(consumer, position).await?),
        Broker::Redis(redis) => redis.redeliver(consumer, position).await,
    }
}
