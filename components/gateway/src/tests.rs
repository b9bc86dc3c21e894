//! The gateway as its callers see it, as far as it answers by itself.
#![allow(clippy::unwrap_used)]

use axum::body::{Body, to_bytes};
use futures::executor::block_on;
use http::{HeaderMap, Request, header};
use serde_json::Value;
use souk_access::{LIFETIME, Role};
use souk_chassis::address::TrustedProxies;
use souk_chassis::{BODY_LIMIT, context};
use uuid::Uuid;

use crate::cors::Origins;
use crate::limits::Limit;
use crate::metrics::Token;
use crate::settings::{self, Settings};
use crate::{SERVICE, keys};

/// The key that `users` signs with, so to say.
const KEY: u8 = 1;

/// The token of metrics.
const METRICS: &str = "0123456789abcdef";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn problem(&self) -> &str {
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let kind = self.body["type"].as_str().unwrap();
        kind.rsplit(':').next().unwrap()
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

fn now() -> i64 {
    i64::try_from(context::now()).unwrap()
}

fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let limit = |setting| Limit::parse(setting).unwrap();
    settings::set(Settings {
        client: limit("50/1000"),
        account: limit("20/1000"),
        login: limit("5/1000"),
        origins: Origins::parse("https://shop.example").unwrap(),
        proxies: TrustedProxies::parse("1").unwrap(),
        metrics: Token::parse(METRICS).unwrap(),
    });
    keys::tests::knows(KEY, now());
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    block_on(async {
        let (parts, body) = SERVICE.answer(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    })
}

fn status(method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    ask(method, path, headers).status
}

fn bearer(key: u8, user: Uuid, role: Role, age: u64) -> String {
    let made = now() - i64::try_from(age).unwrap();
    format!("Bearer {}", keys::tests::token(key, user, role, made))
}

const FROM_OUTSIDE: (&str, &str) = ("spin-client-addr", "192.0.2.1:5000");

#[test]
fn every_answer_is_data_that_nobody_keeps() {
    for (method, path) in [
        ("GET", "/api/nothing"),
        ("OPTIONS", "/api/products"),
        ("POST", "/api/products"),
    ] {
        let answer = ask(method, path, &[]);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}

#[test]
fn what_is_not_in_the_table_is_not_there() {
    for path in [
        "/api",
        "/api/nothing",
        "/.well-known/nothing",
        "/internal/reservations/1",
        "/",
    ] {
        let answer = ask("GET", path, &[]);
        assert_eq!(
            (answer.status, answer.problem()),
            (404, "not-found"),
            "{path}"
        );
    }
    assert_eq!(status("GET", "/api/products/%2e%2e/users", &[]), 404);
    let answer = ask("PUT", "/api/orders", &[]);
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, "GET, HEAD, OPTIONS, POST")
    );
}

#[test]
fn routes_are_for_those_they_are_for() {
    let (user, customer, admin) = (
        Uuid::nil(),
        bearer(KEY, Uuid::nil(), Role::Customer, 0),
        bearer(KEY, Uuid::nil(), Role::Admin, 0),
    );
    for (method, path) in [
        ("GET", "/api/users/me"),
        ("GET", "/api/orders"),
        ("POST", "/api/orders"),
        ("GET", "/api/payments"),
        ("DELETE", "/api/sessions/current"),
        (
            "GET",
            "/api/orders/018f0000-0000-7000-8000-000000000000/summary",
        ),
    ] {
        let answer = ask(method, path, &[]);
        assert_eq!(
            (answer.status, answer.problem()),
            (401, "unauthorized"),
            "{path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{path}");
    }
    for (method, path) in [
        ("GET", "/api/users".to_owned()),
        ("GET", format!("/api/users/{user}")),
        ("POST", "/api/products".to_owned()),
        ("PUT", "/api/categories/x".to_owned()),
        ("GET", "/api/inventory/1/ledger".to_owned()),
        ("PUT", "/api/inventory/1".to_owned()),
        ("POST", "/api/orders/1/ship".to_owned()),
        ("POST", "/api/payments/1/refunds".to_owned()),
    ] {
        assert_eq!(status(method, &path, &[]), 401, "{path}");
        let headers = [("authorization", customer.as_str())];
        let answer = ask(method, &path, &headers);
        assert_eq!(
            (answer.status, answer.problem()),
            (403, "forbidden"),
            "{path}"
        );
        // Refused after the role has been looked at, since nothing here can pass a request on.
        let too_large = (BODY_LIMIT + 1).to_string();
        let headers = [
            ("authorization", admin.as_str()),
            ("content-length", &too_large),
        ];
        assert_eq!(status(method, &path, &headers), 413, "{path}");
    }
}

#[test]
fn a_token_that_is_not_valid_is_refused_everywhere() {
    let user = Uuid::nil();
    let expired = bearer(KEY, user, Role::Customer, LIFETIME + 60);
    let valid = bearer(KEY, user, Role::Customer, 0);
    let (signed, _) = valid.rsplit_once('.').unwrap();
    let another = bearer(KEY, Uuid::max(), Role::Admin, 0);
    let mixed = {
        let payload = another.split('.').nth(1).unwrap();
        let mut parts: Vec<_> = valid.split('.').collect();
        parts[1] = payload;
        parts.join(".")
    };
    for (authorization, problem) in [
        (expired.as_str(), "token-expired"),
        (&bearer(2, user, Role::Admin, 0), "unauthorized"),
        (&mixed, "unauthorized"),
        (&format!("{signed}."), "unauthorized"),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", "unauthorized"),
        ("Bearer something else", "unauthorized"),
        ("Bearer", "unauthorized"),
        ("Basic YTpi", "unauthorized"),
    ] {
        for (method, path) in [
            ("GET", "/api/products"),
            ("POST", "/api/sessions"),
            ("GET", "/api/orders"),
        ] {
            let answer = ask(method, path, &[("authorization", authorization)]);
            assert_eq!(
                (answer.status, answer.problem()),
                (401, problem),
                "{path} {authorization}"
            );
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
}

#[test]
fn metrics_are_for_whoever_brings_their_token() {
    let admin = bearer(KEY, Uuid::nil(), Role::Admin, 0);
    for authorization in [
        "",
        "Bearer",
        "Bearer 0123456789abcdeF",
        "Bearer 0123456789abcde",
        "Basic 0123456789abcdef",
        &admin,
    ] {
        let headers = [("authorization", authorization), FROM_OUTSIDE];
        let without = &headers[usize::from(authorization.is_empty())..];
        let answer = ask("GET", "/metrics", without);
        assert_eq!(
            (answer.status, answer.problem()),
            (401, "unauthorized"),
            "{authorization}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let remaining = ask("GET", "/metrics", &[FROM_OUTSIDE]);
    assert_eq!(
        remaining.header("ratelimit-remaining"),
        "43",
        "guesses are counted"
    );
    assert_eq!(status("POST", "/metrics", &[]), 405);
    let token = format!("Bearer {METRICS}");
    let elsewhere = ask("GET", "/api/ops/breakers", &[("authorization", &token)]);
    assert_eq!(
        (elsewhere.status, elsewhere.problem()),
        (401, "unauthorized")
    );
}

#[test]
fn a_client_has_its_limit() {
    let passed = (0..100).filter(|_| status("GET", "/api/nothing", &[FROM_OUTSIDE]) == 404);
    assert_eq!(passed.count(), 50);
    let refused = ask("GET", "/api/nothing", &[FROM_OUTSIDE]);
    assert_eq!(
        (refused.status, refused.problem()),
        (429, "too-many-requests")
    );
    assert_eq!(refused.header("ratelimit-limit"), "50");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert!((1..=20).contains(&refused.header("retry-after").parse::<i64>().unwrap()));
    assert!((980..=1000).contains(&refused.header("ratelimit-reset").parse::<i64>().unwrap()));

    let other = ask(
        "GET",
        "/api/nothing",
        &[("spin-client-addr", "192.0.2.2:5000")],
    );
    assert_eq!(
        (other.status, other.header("ratelimit-remaining")),
        (404, "49")
    );
    let inside = ask("GET", "/api/nothing", &[("spin-client-addr", "0.0.0.0:0")]);
    assert_eq!((inside.status, inside.header("ratelimit-limit")), (404, ""));
    assert_eq!(
        status("OPTIONS", "/api/products", &[FROM_OUTSIDE]),
        204,
        "costs nothing"
    );
}

#[test]
fn a_client_behind_a_proxy_is_who_the_proxy_says() {
    let left = |forwarded| {
        let headers = [FROM_OUTSIDE, ("x-forwarded-for", forwarded)];
        let answer = ask("GET", "/api/nothing", &headers);
        answer.header("ratelimit-remaining").to_owned()
    };
    assert_eq!(left("203.0.113.7"), "49");
    assert_eq!(left("203.0.113.9, 203.0.113.7"), "48");
    assert_eq!(left("203.0.113.7, 203.0.113.9"), "49");
    // Who has no service token says in vain whom they ask for.
    let claims = ("x-souk-client", "203.0.113.8");
    for (headers, left) in [(&[FROM_OUTSIDE][..], "49"), (&[FROM_OUTSIDE, claims], "48")] {
        let answer = ask("GET", "/api/nothing", headers);
        assert_eq!(answer.header("ratelimit-remaining"), left);
    }
}

#[test]
fn what_is_refused_counts_as_well() {
    let guess = |token| {
        ask(
            "GET",
            "/api/products",
            &[FROM_OUTSIDE, ("authorization", token)],
        )
    };
    assert_eq!(guess("Bearer a").header("ratelimit-remaining"), "49");
    assert_eq!(guess("Bearer b").header("ratelimit-remaining"), "48");
    assert_eq!(
        (0..60).filter(|_| guess("Bearer c").status == 401).count(),
        48
    );
}

#[test]
fn logging_in_has_a_stricter_limit() {
    let too_large = (BODY_LIMIT + 1).to_string();
    let log_in = |path| {
        status(
            "POST",
            path,
            &[FROM_OUTSIDE, ("content-length", &too_large)],
        )
    };
    let passed = ["/api/sessions", "/api/users", "/api/sessions/refresh"]
        .into_iter()
        .cycle()
        .take(12)
        .filter(|path| log_in(path) == 413);
    assert_eq!(passed.count(), 5);
    assert_eq!(
        status("GET", "/api/nothing", &[FROM_OUTSIDE]),
        404,
        "the rest goes on"
    );
}

#[test]
fn an_account_has_its_limit_wherever_it_is_used() {
    let user = bearer(KEY, Uuid::nil(), Role::Customer, 0);
    let from = |number: u8, user: &str| {
        let address = format!("192.0.2.{number}:5000");
        let headers = [
            ("spin-client-addr", address.as_str()),
            ("authorization", user),
        ];
        ask("GET", "/api/nothing", &headers)
    };
    assert_eq!(
        (0..30)
            .filter(|number| from(*number, &user).status == 404)
            .count(),
        20
    );
    assert_eq!(from(0, &user).header("ratelimit-limit"), "20");
    let other = bearer(KEY, Uuid::max(), Role::Customer, 0);
    assert_eq!(from(1, &other).status, 404);
}

#[test]
fn a_request_may_not_be_too_large() {
    let customer = bearer(KEY, Uuid::nil(), Role::Customer, 0);
    let with = |headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", customer.as_str())];
        all.extend(headers);
        ask("POST", "/api/orders", &all)
    };
    let body = with(&[("content-length", "70000")]);
    assert_eq!((body.status, body.problem()), (413, "too-large"));
    let headers = with(&[("x-long", &"a".repeat(17_000))]);
    assert_eq!(
        (headers.status, headers.problem()),
        (431, "headers-too-large")
    );
    let address = format!("/api/products?q={}", "a".repeat(9_000));
    assert_eq!(ask("GET", &address, &[]).problem(), "uri-too-long");
}

#[test]
fn a_browser_is_told_what_a_page_may_do() {
    let origin = ("origin", "https://shop.example");
    let asked = ("access-control-request-method", "PATCH");
    let preflight = ask("OPTIONS", "/api/products/1", &[origin, asked]);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), origin.1);
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("PATCH")
    );
    assert!(preflight.header("ratelimit-limit").is_empty());

    let elsewhere = ask(
        "OPTIONS",
        "/api/products/1",
        &[("origin", "https://other.example"), asked],
    );
    assert_eq!(elsewhere.status, 204);
    assert!(elsewhere.header("access-control-allow-origin").is_empty());

    let refused = ask("GET", "/api/orders", &[origin]);
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("access-control-allow-origin"),
        origin.1,
        "a page can read why"
    );
    assert!(
        refused
            .header("access-control-expose-headers")
            .contains("ratelimit-remaining")
    );
}

#[test]
fn options_says_what_there_is() {
    let answer = ask("OPTIONS", "/api/cart", &[]);
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("allow"),
        "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    );
    assert_eq!(status("OPTIONS", "/api/nothing", &[]), 404);
}

#[test]
fn nobody_ticks_it_from_outside() {
    assert_eq!(status("POST", "/internal/tick", &[]), 404);
}
