//! The service as its callers see it, on a real SQLite and a provider that does as the test says.
#![allow(clippy::unwrap_used)]

mod cards;
mod contracts;
mod events;
mod invariants;
mod payments;
mod refunds;
mod uncertainty;

use std::pin::pin;
use std::task::Context;

use axum::body::{Body, to_bytes};
use futures::executor::block_on;
use futures::future::join_all;
use futures::task::noop_waker;
use http::Request;
use serde_json::{Value, json};
use souk_chassis::Caller;
use souk_contracts::{Answer, Ask};
use souk_store::{FromRow, Row};
use souk_tokens::Role;
use uuid::Uuid;

use crate::SERVICE;
use crate::store::DATABASE;

const USER: &str = "0192f0c1-0000-7000-8000-000000000001";

fn orders(method: &str, path: &str, body: Value) -> Answer {
    let ask = Ask::of(&SERVICE).service("orders");
    match body {
        Value::Null => ask.send(method, path),
        body => ask.json(body).send(method, path),
    }
}

fn admin() -> Ask {
    Ask::of(&SERVICE).admin()
}

fn card() -> Value {
    json!({"type": "card", "number": "4242424242424242", "exp_month": 12, "exp_year": 2099, "cvc": "123"})
}

/// An order that is to be paid, with a tokenized card.
struct Order {
    id: String,
    token: String,
}

impl Order {
    fn new() -> Self {
        let tokenized = orders("POST", "/internal/card-tokens", card());
        assert_eq!(tokenized.status, 201, "{}", tokenized.text);
        Self {
            id: Uuid::now_v7().to_string(),
            token: tokenized.body["token"].as_str().unwrap().to_owned(),
        }
    }

    /// One whose payment is authorized.
    fn authorized() -> Self {
        let order = Self::new();
        assert_eq!(order.authorize().status, 200);
        order
    }

    /// One whose payment, of 49.00, is captured.
    fn captured() -> Self {
        let order = Self::authorized();
        assert_eq!(order.post("capture").status, 200);
        crate::provider::scripted::calls();
        order
    }

    fn path(&self, action: &str) -> String {
        format!("/internal/payments/{}/{action}", self.id)
    }

    fn request(&self) -> Value {
        json!({"amount": {"amount": 4900, "currency": "EUR"}, "token": self.token, "user_id": USER})
    }

    fn authorize(&self) -> Answer {
        orders("POST", &self.path("authorize"), self.request())
    }

    fn post(&self, action: &str) -> Answer {
        orders("POST", &self.path(action), Value::Null)
    }

    fn get(&self) -> Answer {
        orders(
            "GET",
            &format!("/internal/payments/{}", self.id),
            Value::Null,
        )
    }

    /// The payment as it is, without anything being done about it.
    fn payment(&self) -> Value {
        let path = format!("/api/payments?order_id={}", self.id);
        admin_user().send("GET", &path).body["items"][0].clone()
    }

    fn status(&self) -> String {
        self.payment()["status"].as_str().unwrap().to_owned()
    }

    /// `kind status` of each transaction.
    fn history(&self) -> Vec<String> {
        let payment = self.payment();
        let transactions = payment["transactions"].as_array().unwrap();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        transactions
            .iter()
            .map(|transaction| {
                format!(
                    "{} {}",
                    word(&transaction["kind"]),
                    word(&transaction["status"])
                )
            })
            .collect()
    }

    fn refund(&self, key: &str, body: Value) -> Answer {
        let id = self.payment()["id"].as_str().unwrap().to_owned();
        let ask = admin().header("idempotency-key", key).json(body);
        ask.send("POST", &format!("/api/payments/{id}/refunds"))
    }
}

/// An administrator with an account.
fn admin_user() -> Ask {
    Ask::of(&SERVICE).user_role(USER, Role::Admin)
}

fn request(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn caller() -> Caller {
    Caller {
        service: Some("orders".into()),
        user: None,
        role: None,
    }
}

/// The statuses and bodies of requests of `orders` that are all made at once.
fn at_once(requests: &[(String, Value)]) -> Vec<(u16, Value)> {
    let answers = requests.iter().map(|(path, body)| async move {
        let response = SERVICE
            .answer_to(Ok(Some(caller())), request(path, body))
            .await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    });
    block_on(join_all(answers))
}

/// A request of `orders` during which the instance ends: when it has asked the provider, which gives no answer.
fn cut_off(path: &str, body: &Value) {
    let mut answer = pin!(SERVICE.answer_to(Ok(Some(caller())), request(path, body)));
    let waker = noop_waker();
    for _ in 0..10 {
        assert!(
            answer
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
}

/// Runs a statement that nothing in the service would.
fn sql(statement: &str) -> Result<(), souk_store::Error> {
    struct Ignored;
    impl FromRow for Ignored {
        fn from_row(_: &mut Row) -> Result<Self, souk_store::Error> {
            Ok(Self)
        }
    }
    block_on(DATABASE.write::<Ignored>(statement, [])).map(drop)
}

/// As if the holders of all leases had ended long ago, and everything were due.
fn later() {
    sql("UPDATE operations SET lease_until = 0, due_at = 0").unwrap();
}

fn tick() {
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
}
