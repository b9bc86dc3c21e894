//! The gateway: who may do what, and what every answer carries.

use serde_json::json;
use souk_tests::{Reply, Shop, unique};

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
    let products = services
        .iter()
        .find(|s| s["service"] == "products")
        .unwrap();
    assert_eq!(products["status"], "ok");
    assert!(products["latency_ms"].is_number());
}

#[test]
fn data_is_served_as_nothing_else() {
    let shop = Shop::open();
    let reply = shop.get("/api/products");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert!(
        reply
            .header("content-security-policy")
            .contains("default-src 'none'")
    );
    assert_eq!(reply.header("content-type"), "application/json");
}
