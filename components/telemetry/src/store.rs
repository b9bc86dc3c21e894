//! Every SQL statement of the service.
//!
//! What a request brings is one statement; triggers make traces of spans, and count what is measured, of spans and of what hosts count.
//!
//! Items come as a JSON array. `LIMIT -1`, which is none, has SQLite write each item as a text once, and not again for each column.

mod asked;

use souk_chassis::background::now;
use souk_store::{Column, Database, Error, Migration, Synchronous};

use crate::domain::{KEEP_HOURS, MOST_BYTES, STALE_MS};

pub use asked::*;

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_telemetry",
        sql: include_str!("../migrations/0001_telemetry.sql"),
    },
    Migration {
        name: "0002_exported",
        sql: include_str!("../migrations/0002_exported.sql"),
    },
    Migration {
        name: "0003_all_requests",
        sql: include_str!("../migrations/0003_all_requests.sql"),
    },
    Migration {
        name: "0004_batches",
        sql: include_str!("../migrations/0004_batches.sql"),
    },
];

/// What a power cut takes of the newest seconds nobody misses.
static DATABASE: Database = Database::new("telemetry", MIGRATIONS).synchronous(Synchronous::Normal);

/// How many series of points are kept.
const MOST_SERIES: i64 = 5_000;

/// Keeps spans that are not kept yet: a JSON array of them.
pub async fn add_spans(rows: String) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO batches (rows, received_at) VALUES (?1, ?2)";
    add(SQL, rows).await
}

/// Keeps log records that are not kept yet: a JSON array of them.
pub async fn add_logs(rows: String) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO logs (received_at, time_ns, digest, service, level, message, trace_id, span_id, request_id, attributes) \
                       SELECT ?2, value ->> 'time_ns', value ->> 'digest', value ->> 'service', value ->> 'level', \
                       value ->> 'message', value ->> 'trace_id', value ->> 'span_id', value ->> 'request_id', value -> 'attributes' \
                       FROM (SELECT value FROM json_each(?1) LIMIT -1) WHERE TRUE ON CONFLICT DO NOTHING";
    add(SQL, rows).await
}

/// Keeps points that are newer than those that are kept: a JSON array of them. Where there are too many series those go that nobody exports any
/// more; where there still are, no new ones are taken.
pub async fn add_points(rows: String) -> Result<(), Error> {
    const MAKE_ROOM: &str =
        "DELETE FROM exported WHERE received_at < ?1 AND (SELECT count(*) FROM exported) >= ?2";
    const SQL: &str = "WITH has_room(room) AS (SELECT count(*) < ?3 FROM exported) \
                       INSERT INTO exported (service, instance, name, attributes, received_at, start_ns, time_ns, kind, unit, \
                       description, value, count, bounds, buckets) \
                       SELECT value ->> 'service', value ->> 'instance', value ->> 'name', value -> 'attributes', ?2, \
                       value ->> 'start_ns', value ->> 'time_ns', value ->> 'kind', value ->> 'unit', value ->> 'description', value ->> 'value', \
                       value ->> 'count', value -> 'buckets' -> 'bounds', value -> 'buckets' -> 'counts' \
                       FROM (SELECT value FROM json_each(?1) LIMIT -1) AS new \
                       WHERE (SELECT room FROM has_room) OR EXISTS (SELECT 1 FROM exported WHERE (service, instance, name, attributes) \
                           = (new.value ->> 'service', new.value ->> 'instance', new.value ->> 'name', new.value -> 'attributes')) \
                       ON CONFLICT DO UPDATE SET received_at = excluded.received_at, before_at = received_at, \
                       start_ns = excluded.start_ns, time_ns = excluded.time_ns, kind = excluded.kind, unit = excluded.unit, description = excluded.description, value = excluded.value, \
                       count = excluded.count, bounds = excluded.bounds, buckets = excluded.buckets \
                       WHERE excluded.time_ns >= exported.time_ns";
    let now = now();
    let stale = [(now - STALE_MS).into(), MOST_SERIES.into()];
    DATABASE.write::<()>(MAKE_ROOM, stale).await?;
    let parameters = [rows.into(), now.into(), MOST_SERIES.into()];
    DATABASE.write::<()>(SQL, parameters).await?;
    keep_within_bounds().await
}

async fn add(sql: &str, rows: String) -> Result<(), Error> {
    DATABASE
        .write::<()>(sql, [rows.into(), now().into()])
        .await?;
    keep_within_bounds().await
}

/// How many bytes of the database are in use. What was freed is used again before the file grows.
pub async fn bytes_in_use() -> Result<i64, Error> {
    const SQL: &str = "SELECT (page_count - freelist_count) * page_size \
                       FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let used: Option<Column<i64>> = DATABASE.read_one(SQL, []).await?;
    Ok(used.map_or(0, |Column(used)| used))
}

/// Forgets the oldest until no more of the database is in use than may be.
async fn keep_within_bounds() -> Result<(), Error> {
    /// A sixteenth of what there is goes at a time, so this empties it in any case.
    const ROUNDS: usize = 100;
    for _ in 0..ROUNDS {
        if bytes_in_use().await? <= MOST_BYTES {
            return Ok(());
        }
        forget_until(oldest_to_go().await?).await?;
    }
    Ok(())
}

/// When the last was received of the oldest sixteenth of traces and logs; now, where there is nothing of these.
async fn oldest_to_go() -> Result<i64, Error> {
    const SQL: &str = "SELECT received_at FROM traces UNION ALL SELECT received_at FROM logs ORDER BY received_at \
                       LIMIT 1 OFFSET ((SELECT count(*) FROM traces) + (SELECT count(*) FROM logs)) / 16";
    let until: Option<Column<i64>> = DATABASE.read_one(SQL, []).await?;
    Ok(until.map_or_else(now, |Column(until)| until))
}

/// Forgets what has been kept for as long as anything is.
pub async fn forget_old() -> Result<(), Error> {
    forget_until(now() - KEEP_HOURS * 3_600_000).await
}

/// Forgets what was received until then.
async fn forget_until(moment_ms: i64) -> Result<(), Error> {
    for sql in [
        "DELETE FROM traces WHERE received_at <= ?1",
        "DELETE FROM logs WHERE received_at <= ?1",
        "DELETE FROM points WHERE received_at <= ?1",
        "DELETE FROM exported WHERE received_at <= ?1",
        "DELETE FROM minutes WHERE minute < ?1 / 60000",
        "DELETE FROM all_requests WHERE minute < ?1 / 60000",
    ] {
        DATABASE.write::<()>(sql, [moment_ms.into()]).await?;
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;
    use souk_store::Value;

    /// Runs a statement that no handler would; its first row's first column as a number.
    pub fn run(sql: &str) -> i64 {
        let row: Option<Column<Option<i64>>> = block_on(DATABASE.write_one(sql, [])).unwrap();
        row.and_then(|Column(number)| number).unwrap_or(0)
    }

    /// How SQLite goes about a statement that has so many parameters.
    pub fn plan(sql: &str, parameters: usize) -> Vec<String> {
        block_on(DATABASE.plan(sql, vec![Value::Null; parameters])).unwrap()
    }

    #[test]
    fn a_migration_can_be_repeated_and_changes_nothing_that_was_kept() {
        crate::tests::keep_a_request(1);
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            run(statement);
        }
        crate::tests::keep_a_request(2);
        assert_eq!(run("SELECT count(*) FROM spans"), 2);
        assert_eq!(run("SELECT sum(calls) FROM totals"), 2);
    }

    #[test]
    fn the_oldest_is_found_along_indexes() {
        let plan = plan(
            "SELECT received_at FROM traces UNION ALL SELECT received_at FROM logs ORDER BY received_at LIMIT 1",
            0,
        );
        assert!(
            plan.iter().all(|step| !step.contains("TEMP B-TREE")),
            "{plan:?}"
        );
    }
}
