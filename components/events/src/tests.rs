//! The service as a whole, with consumers that do as they are told.

#![allow(clippy::unwrap_used)]

pub mod consumers;
mod contracts;
mod delivering;
mod publishing;
mod subscriptions;

use futures::executor::block_on;
use serde_json::{Value, json};
use souk_chassis::Context;
use souk_contracts::{Answer, Ask};

use crate::SERVICE;

fn event(id: &str, subject: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/services/things", "type": "thing.made", "subject": subject,
        "time": "2026-01-01T00:00:00.000Z", "data": {"size": 1},
    })
}

fn publish(events: Value) -> Answer {
    Ask::of(&SERVICE)
        .service("things")
        .json(events)
        .send("POST", "/events")
}

/// Publishes events with these ids and subjects.
fn published(events: &[(&str, &str)]) {
    let events: Vec<_> = events
        .iter()
        .map(|(id, subject)| event(id, subject))
        .collect();
    assert_eq!(publish(events.into()).status, 200);
}

fn get(path: &str) -> Value {
    let answer = Ask::of(&SERVICE).admin().send("GET", path);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

fn post(path: &str, body: Value) -> Answer {
    Ask::of(&SERVICE).admin().json(body).send("POST", path)
}

/// How a consumer is doing.
fn standing(consumer: &str) -> Value {
    let standings = get("/api/ops/subscriptions")["items"].clone();
    let standings = standings.as_array().unwrap().clone();
    standings
        .into_iter()
        .find(|standing| standing["consumer"] == consumer)
        .unwrap()
}

/// The context of the last request that an instance had, in which it goes on.
fn context() -> Context {
    Context {
        service: "events",
        request_id: http::HeaderValue::from_static("r1"),
        traceparent: None,
        tracestate: None,
        caller: None,
        deadline: None,
        load: None,
    }
}

/// Delivers what is due.
fn deliver() {
    block_on(crate::delivery::run(&context())).unwrap();
}

/// Lets everything be due that waits for its time.
fn later() {
    use crate::store::tests::run;
    run("UPDATE subscriptions SET due_at = 0, lease = NULL").unwrap();
    run("UPDATE held SET due_at = 0 WHERE state = 'retrying'").unwrap();
}
