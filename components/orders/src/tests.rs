//! The service as its callers see it, on a real SQLite, among neighbours that behave as they are meant to.
#![allow(clippy::unwrap_used)]

mod contracts;
mod crashes;
mod events;
mod faults;
mod lives;
pub mod neighbours;
mod operators;
mod placing;
pub mod simulation;
mod streams;

use axum::body::{Body, to_bytes};
use futures::future::join_all;
use http::{Request, header};
use serde_json::{Value, json};
use souk_chassis::Caller;
use souk_contracts::{Answer, Ask};
use souk_tokens::Role;

use crate::SERVICE;
use crate::domain::placing::tests::body;
use crate::store::tests::log;
use neighbours::{Level, stock};

const CHAIR: &str = "018f0000-0000-7000-8000-00000000000a";
const TABLE: &str = "018f0000-0000-7000-8000-00000000000b";
const ADA: &str = "018f0000-0000-7000-8000-0000000000aa";
const BOB: &str = "018f0000-0000-7000-8000-0000000000bb";

const GOOD: &str = "4242424242424242";
const DECLINED: &str = "4000000000000002";
const CAPTURE_FAILS: &str = "4000000000000341";

/// A chair is 49.00 and a table 120.00; ten of each are there. [`body`] orders two chairs and a table.
fn open_shop() {
    neighbours::sell(CHAIR, 4900, 10);
    neighbours::sell(TABLE, 12_000, 10);
}

const TOTAL: i64 = 2 * 4900 + 12_000;

fn paid_with(card: &str) -> Value {
    let mut body = body();
    body["payment_method"]["number"] = json!(card);
    body
}

fn the_cart() -> Value {
    let mut body = body();
    body.as_object_mut().unwrap().remove("items");
    body["cart"] = json!(true);
    body
}

fn place(key: &str, body: Value) -> Answer {
    let ask = Ask::of(&SERVICE).user(ADA).header("idempotency-key", key);
    ask.json(body).send("POST", "/api/orders")
}

fn get(path: &str) -> Answer {
    Ask::of(&SERVICE).user(ADA).send("GET", path)
}

fn show(id: &str) -> Value {
    get(&format!("/api/orders/{id}")).body
}

fn post(path: &str) -> Answer {
    Ask::of(&SERVICE).user(ADA).send("POST", path)
}

fn cancel(id: &str) -> Answer {
    post(&format!("/api/orders/{id}/cancel"))
}

fn tick() {
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
}

fn id(answer: &Answer) -> String {
    let id = if answer.status < 300 {
        "id"
    } else {
        "order_id"
    };
    answer.body[id]
        .as_str()
        .unwrap_or_else(|| panic!("{}", answer.text))
        .to_owned()
}

fn problem(answer: &Answer) -> &str {
    let kind = answer.body["type"].as_str().unwrap_or_default();
    kind.trim_start_matches("urn:souk:problem:")
}

fn history(order: &Value) -> Vec<&str> {
    let entries = order["history"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["status"].as_str().unwrap())
        .collect()
}

/// The stock of both products when so many orders of [`body`] have taken theirs.
fn taken(orders: i64) -> (Level, Level) {
    let level = |on_hand| Level {
        on_hand,
        reserved: 0,
    };
    (level(10 - 2 * orders), level(10 - orders))
}

fn levels() -> (Level, Level) {
    (stock(CHAIR), stock(TABLE))
}

/// Requests as they arrive at once; none where the machine crashed.
fn at_once(requests: Vec<(&str, &str, Value)>) -> Option<Vec<(u16, String)>> {
    let sent = requests.into_iter().map(|(key, path, body)| {
        let caller = Caller {
            service: Some("gateway".into()),
            user: Some(ADA.into()),
            role: Some(Role::Customer),
        };
        let request = Request::post(path)
            .header("idempotency-key", key)
            .header("content-type", "application/json")
            .header("x-request-id", "r")
            .body(Body::from(body.to_string()));
        async {
            let response = SERVICE.answer_to(Ok(Some(caller)), request.unwrap()).await;
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            (
                parts.status.as_u16(),
                String::from_utf8(body.to_vec()).unwrap(),
            )
        }
    });
    simulation::run(join_all(sent.collect::<Vec<_>>()))
}
