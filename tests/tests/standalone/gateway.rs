//! The gateway, among stand-ins of all services.

use crate::{SERVICE_KEY, Service, USER, now};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use souk_access::{Claims, Role, SigningKey};
use souk_tests::{Launch, souk_only};
use souk_tokens::Key;
use uuid::Uuid;

/// The secret half of the key in the contract with users: that of RFC 8037, appendix A.1.
const SECRET: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

fn access_token(secret: [u8; 32]) -> String {
    let claims = Claims::new(
        USER.parse().unwrap(),
        Role::Customer,
        Uuid::now_v7(),
        Uuid::now_v7(),
        now(),
    );
    format!("Bearer {}", SigningKey::new(&secret).sign(&claims))
}

fn known() -> String {
    access_token(BASE64.decode(SECRET).unwrap().try_into().unwrap())
}

#[test]
fn the_start_page_is_put_together() {
    souk_only!();
    let gateway = Service::among_stand_ins("gateway", "");
    let home = gateway.ask("GET", "/api/home", &[], &Value::Null).json();
    assert_eq!(home["warnings"], json!([]), "{home}");
    let product = home["products"][0]["id"].as_str().unwrap();
    assert_eq!(home["availability"][product], 10, "{home}");
    assert_eq!(home["cart"], Value::Null, "{home}");
    let home = gateway
        .ask(
            "GET",
            "/api/home",
            &[("authorization", &known())],
            &Value::Null,
        )
        .json();
    assert_eq!(home["cart"], json!({}), "{home}");
    gateway.keeps_to_its_contracts();
}

#[test]
fn an_order_is_summarized_for_its_owner() {
    souk_only!();
    let gateway = Service::among_stand_ins("gateway", "");
    let path = format!("/api/orders/{USER}/summary");
    let ask = |token: &str| gateway.ask("GET", &path, &[("authorization", token)], &Value::Null);
    let summary = ask(&known());
    assert_eq!(summary.status, 200, "{}", summary.text);
    assert_eq!(
        summary.json(),
        json!({"order": {}, "payment": {}, "notifications": [{}], "warnings": []})
    );
    assert_eq!(
        ask(&access_token([9; 32])).status,
        401,
        "a key that users does not publish"
    );
    assert_eq!(gateway.ask("GET", &path, &[], &Value::Null).status, 401);
    gateway.keeps_to_its_contracts();
}

#[test]
fn the_health_of_all_is_asked_for() {
    souk_only!();
    let gateway = Service::among_stand_ins("gateway", "");
    let health = gateway.ask("GET", "/api/health", &[], &Value::Null).json();
    assert_eq!(health["status"], "ok", "{health}");
    assert_eq!(health["services"].as_array().unwrap().len(), 9);
}

#[test]
fn only_the_storefront_is_believed_who_a_visitor_is() {
    souk_only!();
    // So long a time that nothing is given back while the test runs.
    let host = Launch::of("components/gateway/spin.toml")
        .runtime_config("runtime-config.toml")
        .variable("service_key", SERVICE_KEY)
        .variable("rate_limit_client", "100/36000")
        .start();
    let name = "gateway";
    let gateway = Service { name, host };
    // How many requests are left to whoever this one is counted for.
    let left = |token: &str, client: &str| {
        let headers = [("x-souk-token", token), ("x-souk-client", client)];
        let answer = gateway.ask("GET", "/api/nothing", &headers, &Value::Null);
        assert_eq!(answer.status, 404, "{}", answer.text);
        answer.header("ratelimit-remaining").parse::<i64>().unwrap()
    };
    let token = |key: &str, caller: &str, called: &str, made: u64| {
        Key::new(key).sign(&souk_tokens::Claims::new(caller, called, made))
    };
    let good = token(SERVICE_KEY, "storefront", "gateway", now());
    assert_eq!(left(&good, "203.0.113.1"), 99);
    assert_eq!(left(&good, "203.0.113.2"), 99);
    assert_eq!(left(&good, "203.0.113.1"), 98);
    assert_eq!(left(&good, "2001:db8::1"), 99);

    // All of these are of whoever sent them.
    let untrusted = [
        token("guessed", "storefront", "gateway", now()),
        token("", "storefront", "gateway", now()),
        token(SERVICE_KEY, "orders", "gateway", now()),
        token(SERVICE_KEY, "storefront", "users", now()),
        token(SERVICE_KEY, "storefront", "gateway", now() - 600),
        String::new(),
        good.replace('.', "-"),
    ];
    for (token, expected) in untrusted.iter().zip((0..100).rev()) {
        assert_eq!(left(token, "203.0.113.3"), expected, "{token}");
    }
    // And so is what is no address.
    for (odd, expected) in ["", "elsewhere", "203.0.113.1, 203.0.113.4"]
        .into_iter()
        .zip([92, 91, 90])
    {
        assert_eq!(left(&good, odd), expected, "{odd}");
    }
}
