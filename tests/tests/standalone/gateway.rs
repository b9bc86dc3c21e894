//! The gateway, among stand-ins of all services.

use crate::{SERVICE_KEY, Service, USER, now};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use souk_access::{Claims, Role, SigningKey};
use souk_tests::{Launch, Manner, Neighbour, Reply, souk_only};
use souk_tokens::Key;
use std::time::{Duration, Instant};
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

const TOKEN: &str = "the-token-of-metrics-of-this-test";

#[test]
fn who_is_down_or_hangs_fails_no_scrape() {
    souk_only!();
    let neighbour = Neighbour::start();
    neighbour.behave(Manner::Hangs);
    let gateway = Launch::of("components/gateway/spin.toml")
        .runtime_config("runtime-config.toml")
        .variable("metrics_token", TOKEN)
        .variable(
            "discovery",
            &format!("telemetry={0},orders={0}", neighbour.url),
        )
        .variable("instances", &neighbour.url)
        .start();
    let begun = Instant::now();
    let scraped = Reply::to(gateway.request("/metrics").bearer_auth(TOKEN));
    let took = begun.elapsed();
    assert_eq!(scraped.status, 200, "{}", scraped.text);
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(neighbour.calls() > 2, "it was asked");
    for service in ["carts", "orders", "telemetry", "users"] {
        let down = format!("souk_service_up{{service=\"{service}\"}} 0\n");
        assert!(scraped.text.contains(&down), "{down}{}", scraped.text);
    }
}

#[test]
fn a_service_that_answers_with_a_failure_counts_as_down() {
    souk_only!();
    // These answer 501 to what is in no contract.
    let gateway = Service::among_stand_ins("gateway", "");
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*token)];
    let scraped = gateway.ask("GET", "/metrics", &headers, &Value::Null);
    assert_eq!(scraped.status, 200, "{}", scraped.text);
    let down = "souk_service_up{service=\"orders\"} 0\n";
    assert!(scraped.text.contains(down), "{}", scraped.text);
}
