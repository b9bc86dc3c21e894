//! The log in SQLite: every SQL statement of the service.

use souk_chassis::background::now;
use souk_chassis::page::Part;
use souk_events::Event;
use souk_store::{
    Column, Database, Error, FromRow, Json, Migration, Row, Synchronous, Value, Word, json,
};

use super::{Appended, Claimed, Lease, Work};
use crate::api::{EventFilter, LetterFilter};
use crate::delivery::{MOST_HELD, MOST_RETRIED, WINDOW};
use crate::domain::{
    DeadLetter, HeldBack, Hold, Item, Logged, Origin, Progress, Standing, Subscription, letter_id,
    rfc3339,
};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_events",
        sql: include_str!("../../migrations/0001_events.sql"),
    },
    Migration {
        name: "0002_dead_letters",
        sql: include_str!("../../migrations/0002_dead_letters.sql"),
    },
];

/// What is acknowledged to a publisher must survive a power cut.
static LOG: Database = Database::new("events", MIGRATIONS);

/// How far the consumers are need not: what is lost of it is delivered again.
static DELIVERY: Database = Database::new("events", MIGRATIONS).synchronous(Synchronous::Normal);

/// Adds events to the log, those that it does not have yet, all in one statement.
pub async fn append(events: &[Event]) -> Result<Appended, Error> {
    const SQL: &str = "INSERT INTO log (source, id, type, subject, event) \
                       SELECT value ->> 'source', value ->> 'id', value ->> 'type', value ->> 'subject', value \
                       FROM json_each(?1) WHERE TRUE ORDER BY key ON CONFLICT (source, id) DO NOTHING RETURNING 1";
    let appended = LOG.write::<()>(SQL, [json(events)]).await?.len();
    Ok(Appended {
        appended,
        known: events.len() - appended,
    })
}

/// Which consumers have something to do that nobody does: `?1` is the moment.
macro_rules! due {
    () => {
        "due_at <= ?1 AND consumer IN (SELECT value FROM json_each(?2)) \
         AND (position < (SELECT max(position) FROM log) OR EXISTS (SELECT 1 FROM held \
              WHERE held.consumer = subscriptions.consumer AND state = 'retrying' AND held.due_at <= ?1))"
    };
}

/// Takes the leases of the consumers that are due. A consumer that is new begins with the log as it is kept.
pub async fn claim(
    subscriptions: &[&Subscription],
    lease: &str,
    now: i64,
    lease_ends: i64,
) -> Result<Vec<Claimed>, Error> {
    const KNOWN: &str = "SELECT consumer FROM subscriptions";
    const BEGIN: &str = "INSERT INTO subscriptions (consumer, position) SELECT value, 0 FROM json_each(?1) \
                         WHERE TRUE ON CONFLICT (consumer) DO NOTHING RETURNING 1";
    const DUE: &str = concat!("SELECT 1 FROM subscriptions WHERE ", due!(), " LIMIT 1");
    const CLAIM: &str = concat!(
        "UPDATE subscriptions SET lease = ?3, due_at = ?4 WHERE ",
        due!(),
        " RETURNING consumer, failures"
    );
    let consumers = names(subscriptions.iter().copied());
    let known: Vec<Column<String>> = DELIVERY.read(KNOWN, []).await?;
    if consumers
        .iter()
        .any(|consumer| !known.iter().any(|Column(known)| known == consumer))
    {
        DELIVERY.write::<()>(BEGIN, [json(&consumers)]).await?;
    }
    // Mostly nothing is due, and to read takes no lock.
    let consumers = json(&consumers);
    if DELIVERY
        .read_one::<()>(DUE, [now.into(), consumers.clone()])
        .await?
        .is_none()
    {
        return Ok(Vec::new());
    }
    let parameters = [now.into(), consumers, lease.into(), lease_ends.into()];
    DELIVERY.write(CLAIM, parameters).await
}

impl FromRow for Claimed {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            consumer: row.take()?,
            failures: row.take()?,
        })
    }
}

/// What there is to do for a consumer.
pub async fn work(consumer: &str, now: i64) -> Result<Work, Error> {
    const PLACE: &str = "SELECT position, (SELECT count(*) FROM held WHERE consumer = ?1 AND state <> 'dead') \
                            FROM subscriptions WHERE consumer = ?1";
    const HELD: &str = "SELECT held.position, log.event, held.attempts, 'held' FROM held JOIN log USING (position) \
                        WHERE consumer = ?1 AND state = 'retrying' AND due_at <= ?2 ORDER BY due_at LIMIT ?3";
    const NEXT: &str = "SELECT position, event, 0, iif(EXISTS (SELECT 1 FROM held WHERE held.consumer = ?1 \
                            AND held.source = log.source AND held.subject = log.subject AND state <> 'dead'), 'behind', 'log') \
                        FROM log WHERE position > ?2 ORDER BY position LIMIT ?3";
    let place: Option<Place> = DELIVERY.read_one(PLACE, [consumer.into()]).await?;
    let Place { position, held } = place.unwrap_or_default();
    let mut items: Vec<Item> = match held {
        0 => Vec::new(),
        _ => {
            let parameters = [consumer.into(), now.into(), MOST_RETRIED.into()];
            DELIVERY.read(HELD, parameters).await?
        }
    };
    items.sort_by_key(|item| item.position);
    let window = WINDOW.min(MOST_HELD - held).max(0);
    let next: Vec<Item> = DELIVERY
        .read(NEXT, [consumer.into(), position.into(), window.into()])
        .await?;
    let scanned = next.last().map_or(position, |item| item.position);
    items.extend(next);
    Ok(Work {
        items,
        scanned,
        advances: scanned > position,
    })
}

impl FromRow for Item {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            position: row.take()?,
            event: row.take::<Json<_>>()?.0,
            attempts: row.take()?,
            origin: match &*row.take::<String>()? {
                "held" => Origin::Held,
                "behind" => Origin::Behind,
                _ => Origin::Log,
            },
        })
    }
}

/// How far a consumer has come, and how much is held back for it.
#[derive(Default)]
struct Place {
    position: i64,
    held: i64,
}

impl FromRow for Place {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            position: row.take()?,
            held: row.take()?,
        })
    }
}

/// Notes down what a round has changed, if the lease is still there. Where nothing is left to do the lease ends in the same statement.
pub async fn progress(
    consumer: &str,
    lease: &str,
    progress: &Progress,
    lease_ends: i64,
) -> Result<Lease, Error> {
    const SQL: &str = "UPDATE subscriptions SET position = max(position, ?3), changes = ?4, last_error = coalesce(?5, last_error), \
                       failures = iif(?5 IS NULL, 0, failures + 1), \
                       (lease, due_at) = (SELECT iif(?5 IS NOT NULL OR done, NULL, lease), iif(?5 IS NULL AND done, 0, ?6) \
                           FROM (SELECT ?4 = '{}' AND ?3 >= (SELECT max(position) FROM log) \
                               AND NOT EXISTS (SELECT 1 FROM held WHERE consumer = ?1 AND state <> 'dead') AS done)) \
                       WHERE consumer = ?1 AND lease = ?2 RETURNING lease IS NOT NULL";
    let changes = match progress.hold.is_empty() && progress.done.is_empty() {
        true => "{}".into(),
        false => json(&serde_json::json!({"hold": progress.hold, "done": progress.done})),
    };
    let (why, due_at) = match &progress.rest {
        Some((why, due_at)) => (Some(why.as_str()), *due_at),
        None => (None, lease_ends),
    };
    let parameters = [
        consumer.into(),
        lease.into(),
        progress.position.into(),
        changes,
        why.into(),
        due_at.into(),
    ];
    let leased: Option<Column<bool>> = DELIVERY.write_one(SQL, parameters).await?;
    Ok(match leased {
        Some(Column(true)) => Lease::Held,
        Some(Column(false)) => Lease::Ended,
        None => Lease::Lost,
    })
}

/// Ends a lease, unless something came meanwhile: then this is none. Says when something that is held back is due.
///
/// Both are one statement, so whoever adds something a moment later finds the lease ended. A lease that somebody else has taken is
/// none of ours to end.
pub async fn release(consumer: &str, lease: &str, now: i64) -> Result<Option<Option<i64>>, Error> {
    const SQL: &str = "UPDATE subscriptions SET lease = NULL, due_at = 0 WHERE consumer = ?1 AND lease = ?2 \
                       AND (position >= ifnull((SELECT max(position) FROM log), 0) OR ?4 <= \
                            (SELECT count(*) FROM held WHERE consumer = ?1 AND state <> 'dead')) \
                       AND NOT EXISTS (SELECT 1 FROM held WHERE consumer = ?1 AND state = 'retrying' AND due_at <= ?3) \
                       RETURNING (SELECT min(due_at) FROM held WHERE consumer = ?1 AND state = 'retrying')";
    const MINE: &str = "SELECT 1 FROM subscriptions WHERE consumer = ?1 AND lease = ?2";
    let parameters = [consumer.into(), lease.into(), now.into(), MOST_HELD.into()];
    let released: Option<Column<Option<i64>>> = DELIVERY.write_one(SQL, parameters).await?;
    if let Some(Column(due_at)) = released {
        return Ok(Some(due_at));
    }
    let mine: Option<()> = DELIVERY
        .read_one(MINE, [consumer.into(), lease.into()])
        .await?;
    Ok(match mine {
        Some(()) => None,
        None => Some(None),
    })
}

/// What comes first in the log of what nobody holds back.
macro_rules! oldest {
    () => {
        "SELECT position, appended_at FROM log \
         WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.position = log.position) ORDER BY position"
    };
}

/// Forgets what every consumer has, nobody holds back, and is older than this; a thousand at a time.
pub async fn prune(subscriptions: &[Subscription], before: i64) -> Result<(), Error> {
    // Mostly nothing is old, and to read takes no lock.
    const OLD: &str = concat!(
        "SELECT 1 FROM (",
        oldest!(),
        " LIMIT 1) WHERE appended_at < ?1"
    );
    const SQL: &str = concat!(
        "DELETE FROM log WHERE position IN (SELECT position FROM (",
        oldest!(),
        " LIMIT 1000) WHERE appended_at < ?1 AND position <= (SELECT min(position) FROM subscriptions \
           WHERE consumer IN (SELECT value FROM json_each(?2)))) RETURNING 1"
    );
    if DELIVERY
        .read_one::<()>(OLD, [before.into()])
        .await?
        .is_none()
    {
        return Ok(());
    }
    let consumers = json(&names(subscriptions));
    DELIVERY
        .write::<()>(SQL, [before.into(), consumers])
        .await
        .map(drop)
}

fn names<'a>(subscriptions: impl IntoIterator<Item = &'a Subscription>) -> Vec<&'a str> {
    subscriptions
        .into_iter()
        .map(|it| it.consumer.as_str())
        .collect()
}

/// Events of the log, newest first; one more than asked for where more follow.
pub async fn list(filter: &EventFilter) -> Result<Vec<Logged>, Error> {
    let mut sql = "SELECT position, appended_at, event FROM log WHERE TRUE".to_owned();
    let mut parameters: Vec<Value> = Vec::new();
    let (after, before) = filter.between();
    let asked_for = [
        (" AND type = ?", filter.kind.as_deref().map(Value::from)),
        (
            " AND subject = ?",
            filter.subject.as_deref().map(Value::from),
        ),
        (" AND source = ?", filter.source.as_deref().map(Value::from)),
        (" AND position > ?", Some(after.into())),
        (" AND position < ?", Some(before.into())),
    ];
    for (condition, parameter) in asked_for {
        if let Some(parameter) = parameter {
            sql.push_str(condition);
            parameters.push(parameter);
        }
    }
    sql.push_str(" ORDER BY position DESC LIMIT ?");
    parameters.push((filter.limit + 1).into());
    LOG.read(&sql, parameters).await
}

impl FromRow for Logged {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            position: row.take()?,
            appended_at: rfc3339(row.take()?),
            event: row.take::<Json<_>>()?.0,
        })
    }
}

/// How consumers are doing at the moment ?2. What is held back comes before what the log has next, and is never much; dead letters can be.
const STANDINGS: &str = "SELECT consumer, position, ifnull((SELECT max(position) FROM log), position) - position, \
        (SELECT count(*) FROM held INDEXED BY held_by_subject WHERE held.consumer = subscriptions.consumer AND state <> 'dead'), \
        (SELECT count(*) FROM held WHERE held.consumer = subscriptions.consumer AND state = 'dead'), \
        max(0, ifnull(?2 - (SELECT appended_at FROM log WHERE log.position = coalesce( \
            (SELECT min(held.position) FROM held INDEXED BY held_by_subject \
                WHERE held.consumer = subscriptions.consumer AND state <> 'dead'), \
            (SELECT min(next.position) FROM log AS next WHERE next.position > subscriptions.position))), 0)), \
        failures, iif(failures > 0, last_error, NULL) \
    FROM subscriptions WHERE consumer IN (SELECT value FROM json_each(?1)) ORDER BY consumer";

/// How the consumers are doing.
pub async fn standings(subscriptions: &[Subscription]) -> Result<Vec<Standing>, Error> {
    let parameters = [json(&names(subscriptions)), now().into()];
    LOG.read(STANDINGS, parameters).await
}

impl FromRow for Standing {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            consumer: row.take()?,
            position: row.take()?,
            behind: row.take()?,
            held: row.take()?,
            dead: row.take()?,
            waiting_ms: row.take()?,
            failures: row.take()?,
            last_error: row.take()?,
        })
    }
}

/// Read by the index that has no dead letters in it.
const HELD: &str = "SELECT consumer, position, state, attempts, due_at, reason, since, event \
    FROM held INDEXED BY held_by_subject JOIN log USING (position) \
    WHERE consumer = ?1 AND state <> 'dead' AND position > ?2 ORDER BY position LIMIT ?3";

/// What is held back for a consumer, in the order of the log; one more than asked for where more follow.
pub async fn held(consumer: &str, part: &Part<i64>) -> Result<Vec<HeldBack>, Error> {
    let after = part.after.unwrap_or(0);
    let parameters = [consumer.into(), after.into(), (part.limit + 1).into()];
    LOG.read(HELD, parameters).await
}

impl FromRow for HeldBack {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let consumer: String = row.take()?;
        let hold = Hold {
            position: row.take()?,
            state: row.take::<Word<_>>()?.0,
            attempts: row.take()?,
            due_at: row.take()?,
            reason: row.take()?,
        };
        let (since, event) = (row.take()?, row.take::<Json<_>>()?.0);
        Ok(Self::new(&consumer, hold, since, event))
    }
}

/// Sends a consumer back in the log, or ahead: what comes after this position is delivered next, also what was held back of it. Says
/// whether there is such a consumer.
pub async fn replay(consumer: &str, position: i64) -> Result<bool, Error> {
    const SQL: &str = "UPDATE subscriptions SET position = min(?2, ifnull((SELECT max(position) FROM log), 0)), \
                       lease = NULL, due_at = 0, changes = json_object('done', (SELECT json_group_array(position) FROM held \
                           WHERE consumer = ?1 AND held.position > ?2)) WHERE consumer = ?1 RETURNING 1";
    let moved = LOG.write_one::<()>(SQL, [consumer.into(), position.into()]);
    Ok(moved.await?.is_some())
}

/// Dead letters, newest first; one more than asked for where more follow.
pub async fn dead_letters(filter: &LetterFilter) -> Result<Vec<DeadLetter>, Error> {
    const SQL: &str = "SELECT consumer, position, attempts, reason, since, event FROM held JOIN log USING (position) \
                       WHERE state = 'dead' AND (?1 IS NULL OR consumer = ?1) \
                       AND (?2 IS NULL OR (position, consumer) < (?2, ?3)) ORDER BY position DESC, consumer DESC LIMIT ?4";
    let (position, after) = filter.after.clone().unzip();
    let parameters = [
        filter.consumer.as_deref().into(),
        position.into(),
        after.as_deref().into(),
        (filter.limit + 1).into(),
    ];
    LOG.read(SQL, parameters).await
}

impl FromRow for DeadLetter {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let (consumer, position) = (row.take::<String>()?, row.take::<i64>()?);
        Ok(Self {
            id: letter_id(&consumer, position),
            consumer,
            position,
            attempts: row.take()?,
            reason: row.take()?,
            since: rfc3339(row.take()?),
            event: row.take::<Json<_>>()?.0,
        })
    }
}

/// Has a dead letter delivered again, as if it had never been tried. Says whether there is one.
pub async fn redeliver(consumer: &str, position: i64) -> Result<bool, Error> {
    const SQL: &str = "UPDATE held SET state = 'retrying', attempts = 0, due_at = ?3 \
                       WHERE consumer = ?1 AND position = ?2 AND state = 'dead' RETURNING 1";
    let parameters = [consumer.into(), position.into(), now().into()];
    Ok(LOG.write_one::<()>(SQL, parameters).await?.is_some())
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;

    /// Runs a statement that no handler would.
    pub fn run(sql: &str) -> Result<(), Error> {
        block_on(LOG.write_one::<()>(sql, [])).map(drop)
    }

    #[test]
    fn a_migration_can_be_repeated() {
        block_on(standings(&[])).unwrap();
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            run(statement).unwrap();
        }
    }

    #[test]
    fn how_consumers_are_doing_is_found_by_indexes_however_long_the_log_is() {
        let plan = block_on(LOG.plan(STANDINGS, ["[]".into(), 0.into()])).unwrap();
        let scans = |step: &&String| step.starts_with("SCAN") && !step.contains("json_each");
        assert_eq!(plan.iter().find(scans), None, "{plan:?}");
        // What is held back is not looked for among the dead letters.
        let among_all = |step: &&String| step.contains("SEARCH held USING PRIMARY KEY");
        assert_eq!(plan.iter().find(among_all), None, "{plan:?}");
        let plan = block_on(LOG.plan(HELD, ["a".into(), 0.into(), 9.into()])).unwrap();
        assert_eq!(plan.iter().find(scans), None, "{plan:?}");
    }

    #[test]
    fn the_log_is_not_changed() {
        run("INSERT INTO log (source, id, type, subject, event) VALUES ('s', '1', 't.t', 'a', '{}')").unwrap();
        let changed = run("UPDATE log SET event = '[]'");
        assert!(changed.unwrap_err().violates("log_is_append_only"));
    }
}
