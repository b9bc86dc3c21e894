//! The gateway: who may do what, and what every answer carries.

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use souk_tests::{Reply, Shop, eventually, souk_only, unique};
use std::collections::BTreeSet;
use std::io::Read;

#[test]
fn writing_is_for_the_administrator() {
    let shop = Shop::open();
    let body = json!({"name": "Things", "position": 1});
    let path = format!("/api/categories/{}", unique("cat"));
    let put = || shop.request("PUT", &path).json(&body);
    let nobody = Reply::to(put());
    assert_eq!(
        (nobody.status, nobody.problem()),
        (401, "unauthorized".into())
    );
    assert_eq!(Reply::to(put().bearer_auth("something else")).status, 401);
    assert_eq!(Reply::to(put().bearer_auth("")).status, 401);
    assert_eq!(
        Reply::to(put().header("authorization", "Basic YTpi")).status,
        401
    );
    assert_eq!(Reply::to(shop.admin("PUT", &path).json(&body)).status, 201);
}

#[test]
fn nobody_can_pass_for_a_service() {
    let shop = Shop::open();
    let path = format!("/api/categories/{}", unique("cat"));
    // A token as the gateway makes it where there is no key: signed with the empty one.
    let forged = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJnYXRld2F5IiwiYXVkIjoicHJvZHVjdHMiLCJleHAiOjk5OTk5OTk5OTksImlhdCI6MCwicm9sZSI6ImFkbWluIn0.x";
    let request = shop
        .request("PUT", &path)
        .json(&json!({"name": "x", "position": 1}));
    let request = request
        .header("x-souk-token", forged)
        .header("spin-client-addr", "0.0.0.0:0");
    assert_eq!(Reply::to(request).status, 401);
}

#[test]
fn every_answer_has_a_request_id() {
    let shop = Shop::open();
    for path in [
        "/healthz",
        "/api/products",
        "/api/nothing",
        "/api/products/x",
    ] {
        let own = shop.get(path);
        assert!(
            own.header("x-request-id").len() >= 32,
            "{path}: {:?}",
            own.headers
        );
        let given = Reply::to(shop.request("GET", path).header("x-request-id", "given-1"));
        assert_eq!(given.header("x-request-id"), "given-1", "{path}");
    }
    let odd = Reply::to(
        shop.request("GET", "/api/products")
            .header("x-request-id", "a b\"c"),
    );
    assert_ne!(odd.header("x-request-id"), "a b\"c");
    let problem = Reply::to(
        shop.request("GET", "/api/nothing")
            .header("x-request-id", "given-2"),
    );
    assert_eq!(problem.json()["request_id"], "given-2");
}

#[test]
fn errors_are_problems() {
    let shop = Shop::open();
    let status = |method: &str, path: &str| {
        let reply = Reply::to(
            shop.admin(method, path)
                .header("content-type", "application/json")
                .body("{"),
        );
        assert_eq!(
            reply.header("content-type"),
            "application/problem+json",
            "{method} {path}: {}",
            reply.text
        );
        reply.status
    };
    assert_eq!(status("GET", "/api/nothing"), 404);
    assert_eq!(status("GET", "/api/products/not-an-id"), 404);
    assert_eq!(status("PUT", "/api/products"), 405);
    assert_eq!(status("POST", "/api/products"), 400);
    let text = shop
        .admin("POST", "/api/products")
        .header("content-type", "text/plain");
    assert_eq!(Reply::to(text.body("{}")).status, 415);
    let large = shop
        .admin("POST", "/api/products")
        .header("content-type", "application/json");
    assert_eq!(Reply::to(large.body(" ".repeat(100_000))).status, 413);
}

#[test]
fn health_tells_of_every_service() {
    let shop = Shop::open();
    assert_eq!(shop.get("/healthz").json()["status"], "ok");
    let report = shop.get("/api/health").json();
    assert_eq!(report["status"], "ok", "{report}");
    let services = report["services"].as_array().unwrap();
    let named: BTreeSet<_> = services
        .iter()
        .map(|it| it["service"].as_str().unwrap())
        .collect();
    let expected = [
        "carts",
        "events",
        "inventory",
        "notifications",
        "orders",
        "payments",
        "products",
        "telemetry",
        "users",
    ];
    assert_eq!(named, BTreeSet::from(expected));
    for service in services {
        assert_eq!(service["status"], "ok", "{service}");
        assert!(service["latency_ms"].is_number(), "{service}");
    }
}

#[test]
fn the_start_page_has_everything_at_once() {
    let shop = Shop::open();
    let product = shop.product_with_stock(7, 450);
    // A part that takes long is left out, as is one whose database is only just made.
    eventually("it is whole", || {
        shop.get("/api/home").json()["warnings"] == json!([])
    });
    let home = shop.get("/api/home").json();
    assert_eq!(home["cart"], json!(null), "{home}");
    assert!(!home["categories"].as_array().unwrap().is_empty());
    assert!(!home["products"].as_array().unwrap().is_empty());
    assert!(home["availability"].is_object());

    let customer = shop.customer();
    customer.send(
        "PUT",
        &format!("/api/cart/items/{product}"),
        &json!({"quantity": 2}),
    );
    let home = customer.get("/api/home").json();
    assert_eq!(
        home["cart"]["items"][0]["product_id"],
        json!(product),
        "{home}"
    );
}

#[test]
fn data_is_served_as_nothing_else() {
    let shop = Shop::open();
    for (path, status) in [
        ("/api/products", 200),
        ("/api/orders", 401),
        ("/api/nothing", 404),
    ] {
        let reply = shop.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let policy = reply.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert!(
            reply.header("content-type").ends_with("json"),
            "{:?}",
            reply.headers
        );
    }
    assert_eq!(
        shop.get("/api/products").header("content-type"),
        "application/json"
    );
}

#[test]
fn what_is_somebodys_own_is_kept_by_no_cache() {
    let shop = Shop::open();
    let customer = shop.customer();
    for path in ["/api/users/me", "/api/orders", "/api/cart", "/api/sessions"] {
        let reply = customer.get(path);
        let cached = reply.header("cache-control");
        assert!(
            cached.contains("no-store") || cached.contains("private"),
            "{path}: {cached}"
        );
    }
}

#[test]
fn an_answer_is_compressed_for_whom_that_is_good() {
    let shop = Shop::open();
    let plain = shop.get("/api/openapi.json");
    assert_eq!(plain.header("content-encoding"), "");
    let request = shop
        .request("GET", "/api/openapi.json")
        .header("accept-encoding", "br, gzip;q=0.5");
    let answer = request.send().unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert!(
        answer.headers()["vary"]
            .to_str()
            .unwrap()
            .to_lowercase()
            .contains("accept-encoding")
    );
    let bytes = answer.bytes().unwrap();
    assert!(
        bytes.len() * 3 < plain.text.len(),
        "{} of {}",
        bytes.len(),
        plain.text.len()
    );
    let mut text = String::new();
    GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text);

    let small = shop
        .request("GET", "/healthz")
        .header("accept-encoding", "gzip");
    assert_eq!(
        Reply::to(small).header("content-encoding"),
        "",
        "it would not be worth it"
    );
}

#[test]
fn only_pages_that_are_known_may_use_the_api_from_elsewhere() {
    souk_only!();
    let shop = Shop::launch(Shop::launcher().variable("cors_origins", "https://app.example"));
    let ask = |origin: &str| {
        Reply::to(
            shop.request("GET", "/api/products")
                .header("origin", origin),
        )
    };
    let known = ask("https://app.example");
    assert_eq!(
        known.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        known
            .header("access-control-expose-headers")
            .contains("x-request-id")
    );
    assert_eq!(known.header("access-control-allow-credentials"), "");
    assert!(known.header("vary").to_lowercase().contains("origin"));
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "null",
    ] {
        let reply = ask(origin);
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (200, ""),
            "{origin}"
        );
    }

    let preflight = |origin: &str| {
        let request = shop
            .request("OPTIONS", "/api/orders")
            .header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        Reply::to(request.header(
            "access-control-request-headers",
            "authorization, idempotency-key",
        ))
    };
    let allowed = preflight("https://app.example");
    assert_eq!(allowed.status, 204);
    assert!(
        allowed
            .header("access-control-allow-methods")
            .contains("POST")
    );
    let headers = allowed.header("access-control-allow-headers");
    assert!(
        headers.contains("authorization") && headers.contains("idempotency-key"),
        "{headers}"
    );
    assert_eq!(
        preflight("https://evil.example").header("access-control-allow-methods"),
        ""
    );
}

#[test]
fn nothing_may_be_used_from_elsewhere_unless_that_is_set() {
    souk_only!();
    let shop = Shop::start();
    let request = shop
        .request("GET", "/api/products")
        .header("origin", "https://app.example");
    assert_eq!(Reply::to(request).header("access-control-allow-origin"), "");
}

#[test]
fn what_is_too_large_is_refused() {
    let shop = Shop::open();
    let header = shop
        .request("GET", "/api/products")
        .header("x-large", "x".repeat(20_000));
    assert_eq!(Reply::to(header).status, 431);
    let path = format!("/api/products?q={}", "x".repeat(9_000));
    assert_eq!(shop.get(&path).status, 414);
}

/// Where a contract refers to something that it does not have.
fn dangling(document: &Value, at: &Value, found: &mut Vec<String>) {
    match at {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let target = reference
                    .strip_prefix('#')
                    .and_then(|pointer| document.pointer(pointer));
                if target.is_none() {
                    found.push(reference.to_owned());
                }
            }
            members
                .values()
                .for_each(|member| dangling(document, member, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| dangling(document, item, found)),
        _ => {}
    }
}

/// That every operation of the shop is in it, the authorization matrix sees to.
#[test]
fn the_contract_is_one_and_whole() {
    let shop = Shop::open();
    let document = shop.get("/api/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut missing = Vec::new();
    dangling(&document, &document, &mut missing);
    assert!(missing.is_empty(), "{missing:?}");

    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(!path.contains("internal"), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let named = format!("{method} {path}");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|it| !it.is_empty()),
                "{named} has no summary"
            );
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{named}"
            );
            assert!(responses.contains_key("429"), "{named} may be limited");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_path = parameters.filter(|it| it["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{named}");
            if operation["security"]
                .as_array()
                .is_some_and(|it| !it.is_empty())
            {
                assert!(responses.contains_key("401"), "{named}");
            }
        }
    }
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["accessToken"]["scheme"], "bearer", "{schemes}");
}
