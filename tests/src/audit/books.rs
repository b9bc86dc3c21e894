//! The databases of a shop, side by side.

use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

use super::checks::{self, BOOKS, COUNTS, REST};
use super::{Answers, Findings, Promise, log};
use crate::Caller;

/// The services with a database and an outbox in it.
pub const PUBLISHERS: [&str; 6] = [
    "inventory",
    "notifications",
    "orders",
    "payments",
    "products",
    "users",
];

/// Opens them read-only, whether a host has them open or not. The log is copied by whom may see it if it is not one of them.
pub fn open(state_dir: &Path, admin: Option<&mut Caller>) -> Result<Connection, String> {
    let opened = attach(state_dir, admin.is_none()).map_err(|error| error.to_string())?;
    if let Some(admin) = admin {
        log::copy(&opened, admin)?;
    }
    Ok(opened)
}

fn attach(state_dir: &Path, with_log: bool) -> rusqlite::Result<Connection> {
    let books = Connection::open_in_memory()?;
    books.busy_timeout(Duration::from_secs(10))?;
    for name in PUBLISHERS.into_iter().chain(with_log.then_some("events")) {
        let file = state_dir.join(format!("{name}.db"));
        let uri = format!("file:{}?mode=ro", file.display());
        books.execute(&format!("ATTACH ?1 AS {name}"), [uri])?;
    }
    Ok(books)
}

/// What has not come to rest.
pub fn unrest(books: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found = Findings::default();
    for (name, sql) in REST {
        apply(books, name, sql, &mut found)?;
    }
    for service in PUBLISHERS {
        apply(books, "outbox", &checks::unpublished(service), &mut found)?;
    }
    Ok(found.discrepancies)
}

/// The position of the last event of the log.
pub fn end_of_log(books: &Connection) -> rusqlite::Result<Option<i64>> {
    books.query_row("SELECT max(position) FROM events.log", [], |row| row.get(0))
}

/// Makes every comparison there is within the databases, and of them with what clients were told.
pub fn compare(books: &Connection, answers: &Answers) -> Findings {
    let mut found = Findings::default();
    if let Err(error) = compare_all(books, answers, &mut found) {
        found.complain("books", format!("the databases cannot be read: {error}"));
    }
    found
}

fn compare_all(
    books: &Connection,
    answers: &Answers,
    found: &mut Findings,
) -> rusqlite::Result<()> {
    found.discrepancies = unrest(books)?;
    for (name, sql) in BOOKS {
        apply(books, name, sql, found)?;
    }
    for service in PUBLISHERS {
        apply(books, "outbox", &checks::not_logged(service), found)?;
        apply(books, "outbox", &checks::out_of_order(service), found)?;
    }
    for consumer in consumers() {
        let sql = "SELECT count(*) FROM events.subscriptions WHERE consumer = ?1";
        if books.query_row(sql, [&consumer], |row| row.get::<_, i64>(0))? == 0 {
            found.complain("delivery", format!("{consumer} has no place in the log"));
        }
    }
    for promise in &answers.promises {
        keeps(books, promise, found)?;
    }
    for customer in &answers.customers {
        let sql = "SELECT count(*) FROM users.users WHERE email = ?1 AND deleted_at IS NULL";
        let there: i64 = books.query_row(sql, [&customer.account.email], |row| row.get(0))?;
        if (there == 0) != customer.is_gone {
            let email = &customer.account.email;
            found.complain("promises", format!("{there} accounts of {email}, not so"));
        }
    }
    found.compared = books.query_row(COUNTS, [], |row| row.get(0))?;
    Ok(())
}

/// Who listens, as the broker is told.
fn consumers() -> Vec<String> {
    let file = include_str!("../../../components/events/config/subscriptions.json");
    let file: serde_json::Value = serde_json::from_str(file).expect("the broker reads it too");
    let consumers = file.as_array().into_iter().flatten();
    consumers
        .filter_map(|subscription| subscription["consumer"].as_str().map(Into::into))
        .collect()
}

/// A check is a query for what is wrong: each row is one discrepancy, in words.
fn apply(books: &Connection, name: &str, sql: &str, found: &mut Findings) -> rusqlite::Result<()> {
    let mut statement = books.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let what: Option<String> = row.get(0)?;
        found.complain(name, what.as_deref().unwrap_or("(a row that is not whole)"));
    }
    Ok(())
}

/// Looks for what was promised where it can be seen.
fn keeps(books: &Connection, promise: &Promise, found: &mut Findings) -> rusqlite::Result<()> {
    let (sql, id, key, amount) = match promise {
        Promise::Adjusted(product, key, delta) => (
            "SELECT count(*) FROM inventory.ledger WHERE product_id = ?1 AND idempotency_key = ?2 AND on_hand_change = ?3",
            product,
            key.as_str(),
            *delta,
        ),
        Promise::Refunded(payment, key, amount) => (
            "SELECT count(*) FROM payments.operations WHERE payment_id = ?1 AND request_key = ?2 AND amount = ?3 \
             AND status = 'succeeded'",
            payment,
            key.as_str(),
            *amount,
        ),
        Promise::Made(product) => (
            "SELECT count(*) FROM products.products WHERE id = ?1 AND ?2 = '' AND ?3 = 0",
            product,
            "",
            0,
        ),
        Promise::Deleted(product) => (
            "SELECT count(*) FROM products.products WHERE id = ?1 AND deleted_at IS NOT NULL AND ?2 = '' AND ?3 = 0",
            product,
            "",
            0,
        ),
        Promise::Cancelled(order) => (ORDER_IS, order, "cancelled", 0),
        Promise::Delivered(order) => (ORDER_IS, order, "delivered", 0),
        Promise::Shipped(order) => (ORDER_IS, order, "shipped,delivered", 0),
    };
    let kept: i64 = books.query_row(sql, (id, key, amount), |row| row.get(0))?;
    if kept != 1 {
        found.complain("promises", format!("{promise:?} is true {kept} times"));
    }
    Ok(())
}

const ORDER_IS: &str =
    "SELECT count(*) FROM orders.orders WHERE id = ?1 AND instr(?2, status) > 0 AND ?3 = 0";
