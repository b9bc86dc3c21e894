//! What operators ask for.

use souk_store::{Error, FromRow, Row, Word};

use super::{DATABASE, money};
use crate::domain::ops::{LogEntry, MOST_ATTEMPTS, SagaView, Sales, TAKEN_UP_WITHIN, Unfinished};

impl FromRow for Sales {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            at: row.take()?,
            orders: row.take()?,
            confirmed: row.take()?,
            taken: money(row.take()?, row.take()?),
        })
    }
}

/// What was ordered, minute by minute, since an order could have this id.
pub async fn sales(first_id: &str) -> Result<Vec<Sales>, Error> {
    const SQL: &str = "SELECT substr(created_at, 1, 16) || ':00Z' AS minute, count(*), sum(status IN ('confirmed', 'shipped', 'delivered')), \
                       sum(iif(status IN ('confirmed', 'shipped', 'delivered'), total_amount - refunded, 0)), currency \
                       FROM orders WHERE id >= ?1 GROUP BY minute, currency ORDER BY minute, currency";
    DATABASE.read(SQL, [first_id.into()]).await
}

/// The columns of a [`SagaView`], as of the moment ?1.
macro_rules! saga {
    () => {
        "orders.id, status, reason, step, iif(step = 'done', 'done', iif(due_at <= ?1, 'due', iif(lease IS NULL, 'waiting', 'running'))), \
         attempt, strftime('%Y-%m-%dT%H:%M:%fZ', due_at / 1000.0, 'unixepoch'), \
         strftime('%Y-%m-%dT%H:%M:%fZ', give_up_at / 1000.0, 'unixepoch'), created_at, \
         (SELECT detail FROM saga_log WHERE order_id = orders.id AND event = 'failed' ORDER BY seq DESC LIMIT 1), ifnull(due_at, 0)"
    };
}

impl FromRow for SagaView {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            order_id: row.take()?,
            status: row.take::<Word<_>>()?.0,
            reason: row.take::<Option<Word<_>>>()?.map(|Word(reason)| reason),
            step: row.take::<Word<_>>()?.0,
            state: row.take::<Word<_>>()?.0,
            attempt: row.take()?,
            due_at: row.take()?,
            give_up_at: row.take()?,
            created_at: row.take()?,
            last_error: row.take()?,
            key: row.take()?,
        })
    }
}

/// Sagas that are not done, the longest due first; one more than asked for where more follow.
pub async fn unfinished(
    now: i64,
    after: Option<&(i64, String)>,
    limit: i64,
) -> Result<Vec<SagaView>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        saga!(),
        " FROM orders WHERE due_at IS NOT NULL AND (due_at, id) > (?2, ?3) ORDER BY due_at, id LIMIT ?4"
    );
    let (due_at, id) = after.cloned().unwrap_or((i64::MIN, String::new()));
    let parameters = [now.into(), due_at.into(), id.into(), (limit + 1).into()];
    DATABASE.read(SQL, parameters).await
}

/// Looks at those that are not done alone.
pub const UNFINISHED: &str = "SELECT ifnull(sum(due_at > ?1 AND lease IS NOT NULL), 0), ifnull(sum(due_at > ?1 AND lease IS NULL), 0), \
                              ifnull(sum(due_at <= ?1), 0), ifnull(sum(due_at <= ?1 - ?2 OR attempt > ?3), 0), \
                              ifnull(?1 - CAST(unixepoch(min(created_at), 'subsec') * 1000 AS INTEGER), 0) \
                              FROM orders WHERE due_at > 0";

impl FromRow for Unfinished {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            running: row.take()?,
            waiting: row.take()?,
            due: row.take()?,
            stuck: row.take()?,
            oldest_ms: row.take()?,
        })
    }
}

/// The sagas that are not done, in numbers.
pub async fn count_unfinished(now: i64) -> Result<Unfinished, Error> {
    let parameters = [now.into(), TAKEN_UP_WITHIN.into(), MOST_ATTEMPTS.into()];
    let counted = DATABASE.read_one(UNFINISHED, parameters).await?;
    Ok(counted.unwrap_or_default())
}

/// The saga of an order.
pub async fn saga(order: &str, now: i64) -> Result<Option<SagaView>, Error> {
    const SQL: &str = concat!("SELECT ", saga!(), " FROM orders WHERE id = ?2");
    DATABASE.read_one(SQL, [now.into(), order.into()]).await
}

impl FromRow for LogEntry {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            seq: row.take()?,
            step: row.take()?,
            event: row.take()?,
            attempt: row.take()?,
            detail: row.take()?,
            at: row.take()?,
        })
    }
}

/// What has happened in the saga of an order.
pub async fn saga_log(order: &str) -> Result<Vec<LogEntry>, Error> {
    const SQL: &str = "SELECT seq, step, event, attempt, detail, at FROM saga_log WHERE order_id = ?1 ORDER BY seq";
    DATABASE.read(SQL, [order.into()]).await
}
