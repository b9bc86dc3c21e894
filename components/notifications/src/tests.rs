//! The service as its callers see it, on a real SQLite, among neighbours that are as the test says.
#![allow(clippy::unwrap_used)]

mod channels;
mod contracts;
mod erasure;
mod inbox;
mod making;
pub mod neighbours;
mod operating;
mod telling;

use serde_json::{Value, json};
use souk_contracts::{Answer, Ask, listeners, wrong_with};
use souk_tokens::Role;
use uuid::Uuid;

use crate::SERVICE;
use crate::settings::tests::set;
use crate::store::tests::run;

const ADA: &str = "0192f0c1-0000-7000-8000-00000000000a";
const BOB: &str = "0192f0c1-0000-7000-8000-00000000000b";
const ROOT: &str = "0192f0c1-0000-7000-8000-00000000000f";
const MAIL: &str = "https://mail.example/emails";
const HOOK: &str = "https://hooks.example/souk";

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

/// An event as the broker delivers it.
fn event(kind: &str, data: Value) -> Value {
    let producer = match kind.split_once('.') {
        Some(("payment", _)) => "payments",
        Some(("stock", _)) => "inventory",
        Some(("user", _)) => "users",
        _ => "orders",
    };
    json!({
        "specversion": "1.0", "id": Uuid::now_v7(), "source": format!("/services/{producer}"), "type": kind, "subject": "s",
        "time": "2026-01-01T00:00:00.000Z", "dataschema": format!("/schemas/{kind}/1"), "data": data,
    })
}

fn bring(event: Value) -> Answer {
    let ask = Ask::of(&SERVICE).service("events").json(event);
    ask.send("POST", "/internal/events")
}

/// Something happens, and its event, which is as who publishes it says, is taken notice of.
fn happens(kind: &str, data: Value) {
    let event = event(kind, data);
    let wrong = wrong_with(&event, &listeners());
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(bring(event).status, 204);
}

/// The data of an event about an order, with these fields beside what all have.
fn order(number: u128, user: &str, more: Value) -> Value {
    let price = json!({"amount": 1234, "currency": "EUR"});
    let mut order = json!({
        "order_id": id(number), "user_id": user, "total": price,
        "items": [{"product_id": id(7), "name": "Oak chair", "quantity": 1, "unit_price": price, "line_total": price}],
    });
    let more = more.as_object().unwrap().clone();
    order.as_object_mut().unwrap().extend(more);
    order
}

fn confirm(number: u128, user: &str) {
    happens(
        "order.confirmed",
        order(number, user, json!({"from_cart": false})),
    );
}

fn ship(number: u128, user: &str) {
    let shipment = json!({"carrier": "DHL", "tracking": "JD1"});
    happens("order.shipped", order(number, user, shipment));
}

fn cancel(number: u128, reason: &str, was_confirmed: bool) {
    let why = json!({"reason": reason, "was_confirmed": was_confirmed});
    happens("order.cancelled", order(number, ADA, why));
}

fn capture(payment: u128, number: u128) {
    let data = json!({
        "payment_id": id(payment), "order_id": id(number), "user_id": ADA,
        "amount": {"amount": 1234, "currency": "EUR"}, "card": {"brand": "visa", "last4": "4242"},
    });
    happens("payment.captured", data);
}

fn run_low(version: i64) {
    let data = json!({"product_id": id(7), "available": 4, "version": version});
    happens("stock.low", data);
}

fn delete_account(user: &str) {
    neighbours::delete_account(user);
    happens("user.deleted", json!({"user_id": user}));
}

fn admin() -> Ask {
    Ask::of(&SERVICE).user_role(ROOT, Role::Admin)
}

/// A page of somebody's inbox.
fn page(ask: Ask, query: &str) -> Value {
    let answer = ask.send("GET", &format!("/api/notifications?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

fn items(ask: Ask, query: &str) -> Vec<Value> {
    page(ask, query)["items"].as_array().unwrap().clone()
}

fn inbox(user: &str) -> Vec<Value> {
    items(Ask::of(&SERVICE).user(user), "")
}

fn kinds(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .collect()
}

fn read(ask: Ask, notification: &Value) -> Answer {
    let id = notification["id"].as_str().unwrap();
    ask.send("POST", &format!("/api/notifications/{id}/read"))
}

/// Turns both channels on, and opens an account for Ada.
fn turn_on() {
    turn_on_mail();
    set("webhook_origin", "https://hooks.example");
    set("webhook_path", "/souk");
    set("webhook_secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
}

fn turn_on_mail() {
    set("mail_api_origin", "https://mail.example");
    set("mail_api_key", "key-of-the-shop");
    set("mail_from", "shop@souk.example");
    neighbours::open_account(ADA, "ada@example.org");
}

fn tick() {
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
}

/// As if all leases had ended long ago, and everything were due.
fn later() {
    run("UPDATE deliveries SET due_at = 1 WHERE status = 'pending'").unwrap();
}

/// `channel status attempts last_error` of each delivery, as administrators see it, by channel.
fn deliveries() -> Vec<String> {
    let answer = Ask::of(&SERVICE)
        .admin()
        .send("GET", "/api/notifications/deliveries?limit=100");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let shown = |it: &Value| {
        let error = it["last_error"].as_str().unwrap_or("-");
        let word = |name: &str| it[name].as_str().unwrap().to_owned();
        format!(
            "{} {} {} {error}",
            word("channel"),
            word("status"),
            it["attempts"]
        )
    };
    let mut deliveries: Vec<_> = answer.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(shown)
        .collect();
    deliveries.sort();
    deliveries
}
