//! The gateway, among stand-ins of all services.

use crate::{Service, USER, now};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use souk_access::{Claims, Role, SigningKey};
use souk_tests::souk_only;
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
