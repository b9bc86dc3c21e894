//! Failed logins.

use souk_store::{Error, FromRow, Row, json};

use super::{DATABASE, did};
use crate::domain::Counter;

/// What is known under a counter.
pub struct Standing {
    pub failures: i64,
    /// How many seconds there are to wait.
    pub wait: i64,
}

impl FromRow for Standing {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            failures: row.take()?,
            wait: row.take()?,
        })
    }
}

/// What is known under each of these, in their order.
pub async fn standings(counters: &[Counter]) -> Result<Vec<Standing>, Error> {
    const SQL: &str = "SELECT coalesce(failures, 0), \
        iif(blocked_until > strftime('%Y-%m-%dT%H:%M:%fZ'), \
            max(1, CAST((julianday(blocked_until) - julianday('now')) * 86400 + 0.999 AS INTEGER)), 0) \
        FROM json_each(?1) AS counters LEFT JOIN attempts \
        ON attempts.key = counters.value ->> 'key' AND forget_at > strftime('%Y-%m-%dT%H:%M:%fZ') \
        ORDER BY counters.id";
    DATABASE.read(SQL, [json(counters)]).await
}

/// Counts a failure under each of these. How long the next attempt waits doubles with each failure that is not free; how long
/// all are remembered, from an hour to a day, grows with their number.
macro_rules! count {
    ($condition:expr) => {
        concat!(
            "INSERT INTO attempts (key, failures, blocked_until, forget_at) ",
            "SELECT key, failures, ",
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+' || wait || ' seconds'), ",
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+' || (wait + min(86400, 3600 * max(1, failures / free))) || ' seconds') ",
            "FROM (SELECT key, failures, free, ",
            "iif(failures <= free, 0, min(longest, 1 << min(failures - free - 1, 30))) AS wait ",
            "FROM (SELECT value ->> 'key' AS key, value ->> 'free' AS free, value ->> 'longest' AS longest, ",
            "1 + coalesce((SELECT failures FROM attempts ",
            "WHERE attempts.key = value ->> 'key' AND forget_at > strftime('%Y-%m-%dT%H:%M:%fZ')), 0) AS failures ",
            "FROM json_each(?1))) WHERE ",
            $condition,
            " ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, blocked_until = excluded.blocked_until, ",
            "forget_at = excluded.forget_at RETURNING key"
        )
    };
}

/// Counts a failure under each of these.
pub async fn count(counters: &[Counter]) -> Result<(), Error> {
    did(count!("true"), [json(counters)]).await?;
    Ok(())
}

/// Counts a failure under each of these, unless one of them is to wait; says whether it did.
pub async fn count_if_free(counters: &[Counter]) -> Result<bool, Error> {
    const SQL: &str = count!(
        "NOT EXISTS (SELECT 1 FROM json_each(?1) JOIN attempts ON attempts.key = value ->> 'key' \
        WHERE blocked_until > strftime('%Y-%m-%dT%H:%M:%fZ'))"
    );
    did(SQL, [json(counters)]).await
}

/// Forgets the failures of an account, and takes back one of each of these.
pub async fn forgive(account: &str, counted: &[Counter]) -> Result<(), Error> {
    const SQL: &str = "UPDATE attempts SET blocked_until = strftime('%Y-%m-%dT%H:%M:%fZ'), \
        failures = iif(key = ?1, 0, max(failures - 1, 0)) \
        WHERE key = ?1 OR key IN (SELECT value ->> 'key' FROM json_each(?2))";
    DATABASE
        .write_one::<()>(SQL, [account.into(), json(counted)])
        .await?;
    Ok(())
}

/// Forgets what is to be forgotten.
pub async fn prune() -> Result<(), Error> {
    const SQL: &str = "DELETE FROM attempts WHERE forget_at <= strftime('%Y-%m-%dT%H:%M:%fZ')";
    DATABASE.write_one::<()>(SQL, []).await?;
    Ok(())
}
