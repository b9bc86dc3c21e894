//! The service as its callers see it, on a real SQLite, among instances that are as the test says.
#![allow(clippy::unwrap_used)]

mod contracts;
mod leases;
pub mod machine;
mod probing;
mod registering;
mod watching;

use futures::FutureExt;
use serde_json::{Value, json};
use souk_contracts::{Answer, Ask};

use crate::SERVICE;
use crate::domain::Registration;
use crate::store::{self, tests::run};

fn host(method: &str, path: &str, body: Value) -> Answer {
    let ask = Ask::of(&SERVICE).service("host");
    match body {
        Value::Null => ask.send(method, path),
        body => ask.json(body).send(method, path),
    }
}

fn put(instance: &str, address: &str, incarnation: &str) -> Answer {
    let body = json!({"address": address, "lease_seconds": 9, "incarnation": incarnation});
    host("PUT", &format!("/instances/{instance}"), body)
}

/// Registers or renews `service/id`, in its first incarnation.
fn register(instance: &str, address: &str) {
    let answer = put(instance, address, "i1");
    assert!([200, 201].contains(&answer.status), "{}", answer.text);
}

/// As [`register`], where something runs already.
fn register_meanwhile(service: &'static str, id: &'static str, address: &str, incarnation: &str) {
    let registration = Registration {
        address: address.into(),
        lease_seconds: 9,
        incarnation: incarnation.into(),
    };
    let registered = store::register(service, id, &registration).now_or_never();
    assert!(registered.unwrap().is_ok());
}

fn deregister(instance: &str) {
    let path = format!("/instances/{instance}");
    assert_eq!(host("DELETE", &path, Value::Null).status, 204);
}

fn get(query: &str) -> Value {
    let ask = Ask::of(&SERVICE).service("orders");
    let answer = ask.send("GET", &format!("/instances?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

fn revision(query: &str) -> i64 {
    get(query)["revision"].as_i64().unwrap()
}

fn items(query: &str) -> Vec<Value> {
    get(query)["items"].as_array().unwrap().clone()
}

/// `service/id state` of each.
fn states() -> Vec<String> {
    let word = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let shown = |it: &Value| {
        let (service, id, state) = (word(it, "service"), word(it, "id"), word(it, "state"));
        format!("{service}/{id} {state}")
    };
    items("").iter().map(shown).collect()
}

fn tick() {
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
}

/// Lets so many seconds pass for what is in the database.
fn pass(seconds: u32) {
    let earlier = |column: &str| {
        format!("{column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '-{seconds} seconds')")
    };
    let columns = ["registered_at", "renewed_at", "expires_at", "probe_at"].map(earlier);
    run(&format!("UPDATE instances SET {}", columns.join(", "))).unwrap();
}
