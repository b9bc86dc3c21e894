//! The baseline's checkout: the statements of `orders`, `inventory` and `payments`, in the order in which a good checkout runs
//! them, each committed on its own as there: eleven commits to three databases. The provider approves at once.

use crate::native_shop::{Money, PRODUCTS, open, read_product};
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use rusqlite::{Connection, ToSql, params};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{LazyLock, Mutex, PoisonError};

/// One connection writes to each database, so that nobody waits for SQLite's lock by polling.
static DATABASES: LazyLock<[Mutex<Option<Connection>>; 3]> = LazyLock::new(|| {
    ["orders", "inventory", "payments"].map(|name| Mutex::new(open(name, "FULL").ok()))
});

#[derive(Clone, Copy)]
enum Database {
    Orders,
    Inventory,
    Payments,
}

/// The body of `POST /api/orders`.
#[derive(Deserialize)]
pub struct Body {
    items: Vec<Item>,
    shipping_address: Value,
    payment_method: Card,
}

#[derive(Deserialize)]
struct Item {
    product_id: String,
    quantity: i64,
}

#[derive(Deserialize)]
struct Card {
    number: String,
    exp_month: i64,
    exp_year: i64,
}

/// `POST /api/orders`
pub async fn place(headers: HeaderMap, Json(body): Json<Body>) -> (StatusCode, Json<Value>) {
    let key = headers.get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    let key = key.to_owned();
    let placed = tokio::task::spawn_blocking(move || checkout(&key, &body)).await;
    match placed {
        Ok(Ok(order)) => (StatusCode::CREATED, Json(order)),
        Ok(Err(error)) => failed(&error.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> (StatusCode, Json<Value>) {
    let detail = json!({"detail": why});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(detail))
}

fn checkout(key: &str, body: &Body) -> rusqlite::Result<Value> {
    let (lines, total) = price(&body.items)?;
    let card = &body.payment_method;
    let last4 = &card.number[card.number.len().saturating_sub(4)..];
    let (order, user, payment) = (uuid(), uuid(), uuid());
    let token = format!("tok_{}", uuid());
    write(
        Database::Payments,
        "INSERT INTO card_tokens (token, brand, last4, exp_month, exp_year) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![token, "visa", last4, card.exp_month, card.exp_year],
    )?;
    write(
        Database::Orders,
        "INSERT INTO orders (id, user_id, idempotency_key, request_hash, items, total_amount, currency, shipping_address, card_brand, \
         card_last4, payment_token, step, attempt, lease, due_at, give_up_at, saga_events) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'visa', ?9, ?10, 'reserve', 1, 'lease', 1, 1, \
         '[{\"step\":\"price\",\"event\":\"done\"},{\"step\":\"reserve\",\"event\":\"started\"}]') \
         ON CONFLICT (user_id, idempotency_key) DO NOTHING",
        params![
            order,
            user,
            key,
            key,
            lines,
            total.amount,
            total.currency,
            body.shipping_address.to_string(),
            last4,
            token
        ],
    )?;
    write(
        Database::Inventory,
        "INSERT INTO reservations (order_id, lines, expires_at) VALUES (?1, ?2, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '900 seconds'))",
        params![order, reserved(&body.items)],
    )?;
    advance(
        &order,
        "reserved",
        "authorize",
        r#"[{"step":"reserve","event":"done"},{"step":"authorize","event":"started"}]"#,
    )?;
    write(
        Database::Payments,
        "INSERT INTO payments (id, order_id, user_id, token, amount, currency, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'authorizing')",
        params![payment, order, user, token, total.amount, total.currency],
    )?;
    decide(&format!("{payment}-authorize"))?;
    advance(
        &order,
        "confirmed",
        "settle",
        r#"[{"step":"authorize","event":"done"},{"step":"capture","event":"started"},{"step":"commit","event":"started"}]"#,
    )?;
    write(
        Database::Payments,
        "UPDATE payments SET status = 'capturing', updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE order_id = ?1 AND status = 'authorized'",
        params![order],
    )?;
    decide(&format!("{payment}-capture"))?;
    write(
        Database::Inventory,
        "UPDATE reservations SET state = 'committed', version = version + 1 WHERE order_id = ?1 AND state IN ('open', 'expired')",
        params![order],
    )?;
    finish(&order)?;
    Ok(json!({
        "id": order, "status": "confirmed", "items": serde_json::from_str::<Value>(&lines).unwrap_or_default(), "total": total,
        "shipping_address": body.shipping_address, "payment": {"brand": "visa", "last4": last4},
    }))
}

/// The lines as JSON, and their sum.
fn price(items: &[Item]) -> rusqlite::Result<(String, Money)> {
    let mut lines = Vec::new();
    let mut total = Money {
        amount: 0,
        currency: String::new(),
    };
    for item in items {
        let product = PRODUCTS.with(|products| read_product(products, &item.product_id))?;
        let line_total = product.price.amount * item.quantity;
        total.amount += line_total;
        total.currency.clone_from(&product.price.currency);
        lines.push(json!({
            "product_id": product.id, "name": product.name, "quantity": item.quantity, "unit_price": product.price,
            "line_total": {"amount": line_total, "currency": product.price.currency},
        }));
    }
    Ok((Value::from(lines).to_string(), total))
}

/// The lines as `inventory` keeps them.
fn reserved(items: &[Item]) -> String {
    let lines = items
        .iter()
        .map(|item| (item.product_id.clone(), json!(item.quantity)));
    Value::Object(lines.collect()).to_string()
}

fn advance(order: &str, status: &str, step: &str, events: &str) -> rusqlite::Result<()> {
    write(
        Database::Orders,
        "UPDATE orders SET status = ?2, step = ?3, saga_events = ?4 WHERE id = ?1",
        params![order, status, step, events],
    )
}

fn finish(order: &str) -> rusqlite::Result<()> {
    write(
        Database::Orders,
        "UPDATE orders SET step = 'done', lease = NULL, due_at = NULL, answer_status = 201, \
         saga_events = '[{\"step\":\"capture\",\"event\":\"done\"},{\"step\":\"commit\",\"event\":\"done\"}]' WHERE id = ?1",
        params![order],
    )
}

fn decide(operation: &str) -> rusqlite::Result<()> {
    write(
        Database::Payments,
        "UPDATE operations SET status = 'succeeded', reference = ?2, lease_until = 0 WHERE key = ?1 AND status = 'asked'",
        params![operation, operation],
    )
}

/// One statement, committed on its own, that must change a row.
fn write(database: Database, sql: &str, parameters: &[&dyn ToSql]) -> rusqlite::Result<()> {
    let kept = DATABASES[database as usize]
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let connection = kept.as_ref().ok_or(rusqlite::Error::InvalidQuery)?;
    match connection.prepare_cached(sql)?.execute(parameters)? {
        0 => Err(rusqlite::Error::QueryReturnedNoRows),
        _ => Ok(()),
    }
}

fn uuid() -> String {
    uuid::Uuid::now_v7().to_string()
}
