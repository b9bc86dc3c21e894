//! The service as its callers see it, on a real SQLite.
#![allow(clippy::unwrap_used)]

mod accounts;
mod addresses;
mod admins;
mod backoff;
mod contact;
mod contract;
mod events;
mod keys;
mod sessions;

use serde_json::{Value, json};
use souk_access::{AUDIENCE, Claims, ISSUER, Jwks};
use souk_chassis::context::now;
use souk_contracts::{Answer, Ask};

use crate::SERVICE;
use crate::store::tests::{everything, number, run};

const PASSWORD: &str = "correct horse";
const EMAIL: &str = "ada@example.org";
const HOME: &str = "192.0.2.1";

fn ask() -> Ask {
    Ask::of(&SERVICE)
}

/// A request of nobody, as the gateway passes it on.
fn from(client: &str) -> Ask {
    ask().service("gateway").header("x-souk-client", client)
}

fn register_as(email: &str) -> Answer {
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada"});
    ask().json(body).send("POST", "/api/users")
}

/// Opens an account and returns its id.
fn register() -> String {
    let answer = register_as(EMAIL);
    assert_eq!(answer.status, 201, "{}", answer.text);
    text(&answer.body["id"])
}

fn log_in_from(client: &str, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    from(client).json(body).send("POST", "/api/sessions")
}

/// Logs in from home and returns the tokens.
fn log_in() -> Value {
    let answer = log_in_from(HOME, EMAIL, PASSWORD);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.body
}

fn refresh(token: &Value) -> Answer {
    let body = json!({"refresh_token": token});
    ask().json(body).send("POST", "/api/sessions/refresh")
}

/// What the gateway reads off an access token.
fn claims(tokens: &Value) -> Claims {
    let jwks = ask().send("GET", "/.well-known/jwks.json").body;
    let jwks: Jwks = serde_json::from_value(jwks).unwrap();
    let token = text(&tokens["access_token"]);
    jwks.verify(&token, ISSUER, AUDIENCE, now()).unwrap()
}

/// A request in the session of these tokens, as the gateway passes it on.
fn with(tokens: &Value) -> Ask {
    let claims = claims(tokens);
    ask()
        .user_role(&claims.sub.to_string(), claims.role)
        .header("x-souk-session", &claims.sid.to_string())
        .header("x-souk-client", HOME)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn retry_after(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 429, "{}", answer.text);
    answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}
