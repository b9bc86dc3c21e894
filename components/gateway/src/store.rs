//! Every SQL statement of the gateway.

use std::collections::HashMap;

use souk_store::{
    Column, Database, Error, FromRow, Json, Migration, Row, Synchronous, Value, json,
};

use souk_resilience::limit::Limit;
use uuid::Uuid;

use crate::copies;
use crate::keys::KeySet;
use crate::limits::{Charge, Verdict};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_gateway",
        sql: include_str!("../migrations/0001_gateway.sql"),
    },
    Migration {
        name: "0002_ticks",
        sql: include_str!("../migrations/0002_ticks.sql"),
    },
    Migration {
        name: "0003_copies",
        sql: include_str!("../migrations/0003_copies.sql"),
    },
    Migration {
        name: "0004_load",
        sql: include_str!("../migrations/0004_load.sql"),
    },
];

static DATABASE: Database = Database::new("gateway", MIGRATIONS)
    // What is lost in a power cut is nothing anybody misses. The file itself stays sound, so the gateway starts with it
    // again.
    .synchronous(Synchronous::Normal);

/// Whether it is so long ago that the services were told to do what is due, in milliseconds; of all who ask at once one is told so.
pub async fn begin_tick(every: i64, now: i64) -> Result<bool, Error> {
    // Mostly it is not, and to read takes no lock.
    const DUE: &str = "SELECT 1 FROM ticks WHERE at <= ?1 - ?2";
    const BEGIN: &str = "UPDATE ticks SET at = ?1 WHERE at <= ?1 - ?2 RETURNING 1";
    let parameters = || [now.into(), every.into()];
    if DATABASE.read_one::<()>(DUE, parameters()).await?.is_none() {
        return Ok(false);
    }
    Ok(DATABASE
        .write_one::<()>(BEGIN, parameters())
        .await?
        .is_some())
}

/// Counts a request against its limits: against all of them where none is exceeded, else against none. `now` is in
/// microseconds since 1970.
///
/// It is one statement, so it is exact however many instances count at once: SQLite has one writer at a time, and a
/// statement that writes has the lock before it reads. Where it changes nothing a limit is exceeded, and a second
/// statement, which only reads, finds out by how much.
///
/// Requests come here in another order than they were timed, so one that was timed before the last that was counted counts as
/// made at the same time: else the last few of a limit would be refused.
///
/// A time that lies much further ahead than the limit allows is from another limit or from a clock that was wrong, and
/// counts as none: nobody is to wait for it.
pub async fn charge(charges: &[Charge], now: i64) -> Result<Option<Verdict>, Error> {
    const CHARGE: &str = "
        WITH asked AS (
            SELECT value ->> 0 AS key, value ->> 1 AS interval, value ->> 2 AS period FROM json_each(?1)
        ), met AS (
            SELECT asked.*, limits.tat, CASE WHEN limits.tat <= ?2 + 2 * asked.period THEN max(limits.counted, ?2) ELSE ?2 END AS now
            FROM asked LEFT JOIN limits USING (key)
        ), next AS (
            SELECT key, period, now, interval + CASE WHEN tat <= ?2 + 2 * period THEN max(tat, now) ELSE now END AS tat FROM met
        )
        INSERT INTO limits (key, tat, counted)
        SELECT key, tat, now FROM next WHERE NOT EXISTS (SELECT 1 FROM next WHERE tat - now > period)
        ON CONFLICT (key) DO UPDATE SET tat = excluded.tat, counted = excluded.counted
        RETURNING key, tat";
    if charges.is_empty() {
        return Ok(None);
    }
    let asked: Vec<_> = charges
        .iter()
        .map(|charge| (&charge.key, charge.limit.interval, charge.limit.period()))
        .collect();
    let parameters = [json(&asked), Value::Integer(now)];
    let charged: Vec<Used> = DATABASE.write(CHARGE, parameters).await?;
    if charged.is_empty() {
        return Ok(Verdict::refused(charges, &used(charges).await?, now));
    }
    Ok(Verdict::passed(charges, &in_order(charges, charged), now))
}

/// The theoretical arrival times that a request meets.
async fn used(charges: &[Charge]) -> Result<Vec<i64>, Error> {
    const USED: &str = "SELECT key, tat FROM limits WHERE key IN (SELECT value FROM json_each(?1))";
    let keys: Vec<_> = charges.iter().map(|charge| &charge.key).collect();
    Ok(in_order(charges, DATABASE.read(USED, [json(&keys)]).await?))
}

/// How far somebody has used up a limit.
struct Used {
    key: String,
    tat: i64,
}

impl FromRow for Used {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            key: row.take()?,
            tat: row.take()?,
        })
    }
}

fn in_order(charges: &[Charge], used: Vec<Used>) -> Vec<i64> {
    let tats: HashMap<_, _> = used.into_iter().map(|used| (used.key, used.tat)).collect();
    let tat = |charge: &Charge| tats.get(&charge.key).copied().unwrap_or_default();
    charges.iter().map(tat).collect()
}

/// Forgets who has the whole limit again.
pub async fn prune(now: i64) -> Result<(), Error> {
    const PRUNE: &str = "DELETE FROM limits WHERE tat < ?1";
    DATABASE
        .write_one::<()>(PRUNE, [Value::Integer(now)])
        .await?;
    Ok(())
}

/// What the other instances have under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// Requests.
    pub running: u32,
    /// How many instances that are.
    pub count: u32,
}

/// An instance that has said nothing for so many milliseconds has gone.
const GONE_AFTER: i64 = 1_000;

struct LoadRow {
    size: f64,
    others: Others,
}

impl FromRow for LoadRow {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let mut number = || -> Result<u32, Error> {
            let number: i64 = row.take()?;
            Ok(u32::try_from(number).unwrap_or_default())
        };
        let (size, running, count) = (number()?, number()?, number()?);
        Ok(Self {
            size: f64::from(size) / 1_000.0,
            others: Others { running, count },
        })
    }
}

/// The limit of all instances together, and what those besides this one have under way.
pub async fn load(instance: Uuid, now: i64) -> Result<(f64, Others), Error> {
    const LOAD: &str = "
        WITH others AS (SELECT count FROM running WHERE instance <> ?1 AND at > ?2 - ?3 AND count > 0)
        SELECT CAST(size * 1000 AS INTEGER), (SELECT coalesce(sum(count), 0) FROM others), (SELECT count(*) FROM others)
        FROM load_limit";
    let parameters = [instance.to_string().into(), now.into(), GONE_AFTER.into()];
    let row: Option<LoadRow> = DATABASE.read_one(LOAD, parameters).await?;
    // The migration has made the row.
    Ok(row.map_or((Limit::NONE.size(), Others::default()), |row| {
        (row.size, row.others)
    }))
}

/// Writes down what an instance has under way.
pub async fn note_running(instance: Uuid, count: u32, now: i64) -> Result<(), Error> {
    const NOTE: &str = "
        INSERT INTO running (instance, count, at) VALUES (?1, ?2, ?3)
        ON CONFLICT (instance) DO UPDATE SET count = excluded.count, at = excluded.at";
    let parameters = [
        instance.to_string().into(),
        i64::from(count).into(),
        now.into(),
    ];
    DATABASE.write_one::<()>(NOTE, parameters).await?;
    Ok(())
}

/// Changes the limit, unless that was done within so many milliseconds.
pub async fn set_limit(size: f64, now: i64, pause: i64) -> Result<(), Error> {
    const SET: &str = "UPDATE load_limit SET size = ?1, at = ?2 WHERE at <= ?2 - ?3";
    let parameters = [Value::Real(size), now.into(), pause.into()];
    DATABASE.write_one::<()>(SET, parameters).await?;
    Ok(())
}

/// Forgets instances that are long gone.
pub async fn forget_running(now: i64) -> Result<(), Error> {
    const FORGET: &str = "DELETE FROM running WHERE at < ?1 - 60 * ?2";
    DATABASE
        .write_one::<()>(FORGET, [now.into(), GONE_AFTER.into()])
        .await?;
    Ok(())
}

impl FromRow for copies::Copy {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            content_type: row.take()?,
            body: row.take()?,
            made_at: row.take()?,
        })
    }
}

/// The copy of a path, unless it was made by then or before.
pub async fn copy(path: &str, too_old: i64) -> Result<Option<copies::Copy>, Error> {
    const SELECT: &str =
        "SELECT content_type, body, made_at FROM copies WHERE path = ?1 AND made_at > ?2";
    DATABASE
        .read_one(SELECT, [path.into(), too_old.into()])
        .await
}

/// When the copy of a path was made.
pub async fn copy_made_at(path: &str) -> Result<Option<i64>, Error> {
    const SELECT: &str = "SELECT made_at FROM copies WHERE path = ?1";
    let found: Option<Column<i64>> = DATABASE.read_one(SELECT, [path.into()]).await?;
    Ok(found.map(|column| column.0))
}

/// Keeps a copy of a path, unless another instance has kept a newer one.
pub async fn keep_copy(path: &str, copy: &copies::Copy) -> Result<(), Error> {
    const KEEP: &str = "
        INSERT INTO copies (path, content_type, body, made_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (path) DO UPDATE SET content_type = excluded.content_type, body = excluded.body, made_at = excluded.made_at
        WHERE excluded.made_at > made_at";
    let parameters = [
        path.into(),
        copy.content_type.as_str().into(),
        copy.body.as_str().into(),
        copy.made_at.into(),
    ];
    DATABASE.write_one::<()>(KEEP, parameters).await?;
    Ok(())
}

/// Forgets the oldest copies, so that there are this many at most.
pub async fn prune_copies(most: i64) -> Result<(), Error> {
    const PRUNE: &str = "
        DELETE FROM copies WHERE path IN (SELECT path FROM copies ORDER BY made_at DESC LIMIT -1 OFFSET ?1)";
    DATABASE.write_one::<()>(PRUNE, [most.into()]).await?;
    Ok(())
}

impl FromRow for KeySet {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            jwks: row.take::<Json<_>>()?.0,
            fetched_at: row.take()?,
            attempted_at: row.take()?,
        })
    }
}

/// The newest key set that any instance has.
pub async fn key_set() -> Result<Option<KeySet>, Error> {
    const SELECT: &str = "SELECT document, fetched_at, attempted_at FROM key_sets";
    DATABASE.read_one(SELECT, []).await
}

/// Keeps a key set, unless another instance has kept a newer one.
pub async fn keep_key_set(key_set: &KeySet) -> Result<(), Error> {
    const KEEP: &str = "
        INSERT INTO key_sets (id, document, fetched_at, attempted_at) VALUES (1, ?1, ?2, ?3)
        ON CONFLICT (id) DO UPDATE SET document = excluded.document, fetched_at = excluded.fetched_at,
            attempted_at = excluded.attempted_at
        WHERE excluded.fetched_at >= fetched_at";
    let parameters = [
        json(&key_set.jwks),
        Value::Integer(key_set.fetched_at),
        Value::Integer(key_set.attempted_at),
    ];
    DATABASE.write_one::<()>(KEEP, parameters).await?;
    Ok(())
}
