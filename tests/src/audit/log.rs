//! The broker's log where it is not in a database: as the public API shows it, copied beside the other books.

use rusqlite::Connection;
use serde_json::Value;

use crate::Caller;

/// What the checks look at.
const TABLES: &str = "ATTACH ':memory:' AS events; \
    CREATE TABLE events.log (position INTEGER PRIMARY KEY, source, id, type, subject, event); \
    CREATE TABLE events.subscriptions (consumer, position, failures, last_error); \
    CREATE TABLE events.held (consumer, position, state, attempts, reason);";

/// The position of the last event.
pub fn end(admin: &mut Caller) -> Result<Option<i64>, String> {
    let page = admin.get("/api/ops/events?limit=1")?.json();
    Ok(page["items"][0]["position"].as_i64())
}

/// Copies all there is.
pub fn copy(books: &Connection, admin: &mut Caller) -> Result<(), String> {
    books
        .execute_batch(TABLES)
        .map_err(|error| error.to_string())?;
    let standings = admin.list("/api/ops/subscriptions")?;
    let letters = admin.list("/api/ops/dead-letters")?;
    let events = admin.list("/api/ops/events")?;
    write(books, &standings, &letters, &events).map_err(|error| error.to_string())
}

fn write(
    books: &Connection,
    standings: &[Value],
    letters: &[Value],
    events: &[Value],
) -> rusqlite::Result<()> {
    let mut log = books.prepare(
        "INSERT INTO events.log SELECT ?1 ->> 'position', event ->> 'source', event ->> 'id', event ->> 'type', event ->> 'subject', event \
         FROM (SELECT ?1 -> 'event' AS event)",
    )?;
    for event in events {
        log.execute([event.to_string()])?;
    }
    let mut subscriptions = books.prepare(
        "INSERT INTO events.subscriptions SELECT ?1 ->> 'consumer', ?1 ->> 'position', ?1 ->> 'failures', ?1 ->> 'last_error'",
    )?;
    // What is tried again is counted and not shown.
    let mut held = books.prepare(
        "INSERT INTO events.held SELECT ?1 ->> 'consumer', NULL, ?1 ->> 'held' || ' held', NULL, ?1 ->> 'last_error' \
         WHERE ?1 ->> 'held' > 0",
    )?;
    for standing in standings {
        subscriptions.execute([standing.to_string()])?;
        held.execute([standing.to_string()])?;
    }
    let mut dead = books.prepare(
        "INSERT INTO events.held SELECT ?1 ->> 'consumer', ?1 ->> 'position', 'dead', ?1 ->> 'attempts', ?1 ->> 'reason'",
    )?;
    for letter in letters {
        dead.execute([letter.to_string()])?;
    }
    Ok(())
}
