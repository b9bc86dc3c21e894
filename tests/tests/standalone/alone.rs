//! Each service from its own manifest, reached over the network.

use crate::{SERVICE_KEY, Service, USER, now, service_token};
use serde_json::{Value, json};
use souk_tests::{Launch, Reply, client, souk_only};
use souk_tokens::{Claims, Key, LIFETIME, Role};

const SERVICES: [&str; 10] = [
    "carts",
    "gateway",
    "inventory",
    "orders",
    "payments",
    "products",
    "registry",
    "storefront",
    "telemetry",
    "users",
];

#[test]
fn each_serves_its_health_and_its_contract() {
    souk_only!();
    for name in SERVICES {
        let service = Service::alone(name);
        let health = service.ask("GET", "/healthz", &[], &Value::Null);
        assert_eq!(
            (health.status, &health.json()["status"]),
            (200, &json!("ok")),
            "{name}"
        );
        let contract = service
            .ask("GET", "/openapi.json", &[], &Value::Null)
            .json();
        assert!(
            contract["openapi"]
                .as_str()
                .is_some_and(|it| it.starts_with("3.1.")),
            "{name}: {contract}"
        );
        assert!(contract["paths"].is_object(), "{name}: {contract}");
        assert_eq!(
            service.ask("GET", "/api/nothing", &[], &Value::Null).status,
            404,
            "{name}"
        );
    }
}

/// What each service does only for whom it knows: the request, and whom the token speaks for.
const GUARDED: [(&str, &str, &str, Option<Role>, u16); 7] = [
    (
        "products",
        "DELETE",
        "/api/products/018f0000-0000-7000-8000-000000000001",
        Some(Role::Admin),
        404,
    ),
    (
        "inventory",
        "GET",
        "/api/inventory/audit",
        Some(Role::Admin),
        200,
    ),
    ("orders", "GET", "/api/orders", Some(Role::Customer), 200),
    (
        "orders",
        "GET",
        "/api/orders/018f0000-0000-7000-8000-000000000001",
        Some(Role::Customer),
        404,
    ),
    (
        "payments",
        "GET",
        "/api/payments?order_id=018f0000-0000-7000-8000-000000000001",
        Some(Role::Customer),
        200,
    ),
    ("users", "GET", "/api/sessions", Some(Role::Customer), 200),
    (
        "inventory",
        "GET",
        "/api/inventory/018f0000-0000-7000-8000-000000000001/ledger",
        Some(Role::Admin),
        404,
    ),
];

#[test]
fn none_believes_a_token_that_is_not_for_it_or_over_or_forged() {
    souk_only!();
    for name in ["users", "products", "inventory", "orders", "payments"] {
        let service = Service::alone(name);
        for (_, method, path, role, good) in GUARDED.into_iter().filter(|row| row.0 == name) {
            let with = |token: &str| {
                service
                    .ask(method, path, &[("x-souk-token", token)], &Value::Null)
                    .status
            };
            let token =
                |key: &str, audience: &str, made: u64| service_token(key, audience, made, role);
            let nobody = service.ask(method, path, &[], &Value::Null);
            assert_eq!(
                (nobody.status, nobody.problem()),
                (401, "unauthorized".into()),
                "{name} {path}"
            );
            assert_eq!(
                with(&token(SERVICE_KEY, name, now())),
                good,
                "{name} {path}"
            );
            assert_eq!(
                with(&token(SERVICE_KEY, "another", now())),
                401,
                "{name} {path}: for another"
            );
            assert_eq!(
                with(&token(SERVICE_KEY, name, now() - LIFETIME - 60)),
                401,
                "{name} {path}: over"
            );
            assert_eq!(
                with(&token(SERVICE_KEY, name, now() + 600)),
                401,
                "{name} {path}: not yet begun"
            );
            assert_eq!(
                with(&token("guessed", name, now())),
                401,
                "{name} {path}: forged"
            );
            assert_eq!(
                with(&token("", name, now())),
                401,
                "{name} {path}: without a key"
            );
            assert_eq!(with(&eternal(name, role)), 401, "{name} {path}: for ever");
            assert_eq!(with("rubbish"), 401, "{name} {path}");
            if role == Some(Role::Admin) {
                let customer = service_token(SERVICE_KEY, name, now(), Some(Role::Customer));
                assert_eq!(with(&customer), 403, "{name} {path}: a customer");
            }
        }
    }
}

fn eternal(service: &str, role: Option<Role>) -> String {
    let mut claims = Claims::new("gateway", service, now()).acting_as(Some(USER.into()), role);
    claims.exp = now() + 86_400 * 365;
    Key::new(SERVICE_KEY).sign(&claims)
}

/// What is for the service `orders` alone.
#[test]
fn what_is_between_two_services_is_for_no_third() {
    souk_only!();
    let order = "018f0000-0000-7000-8000-000000000001";
    for (name, path) in [
        ("inventory", format!("/internal/reservations/{order}")),
        ("payments", format!("/internal/payments/{order}")),
    ] {
        let service = Service::alone(name);
        let by = |caller: &str| {
            let claims =
                Claims::new(caller, name, now()).acting_as(Some(USER.into()), Some(Role::Admin));
            let token = Key::new(SERVICE_KEY).sign(&claims);
            service
                .ask("GET", &path, &[("x-souk-token", &token)], &Value::Null)
                .status
        };
        assert_eq!(by("orders"), 404, "{name}");
        for other in ["gateway", "carts", name, ""] {
            assert_eq!(by(other), 403, "{name} by {other}");
        }
        assert_eq!(
            service.ask("GET", &path, &[], &Value::Null).status,
            401,
            "{name}"
        );
    }
}

#[test]
fn without_a_key_nobody_from_the_network_is_believed() {
    souk_only!();
    let host = Launch::of("components/products/spin.toml")
        .runtime_config("runtime-config.toml")
        .start();
    assert_eq!(host.get("/api/products").status, 200);
    let put = |token: &str| {
        let request = client().put(format!("{}/api/categories/x", host.url));
        let request = request
            .header("spin-client-addr", "0.0.0.0:0")
            .header("x-souk-token", token);
        Reply::to(request.json(&json!({"name": "x", "position": 1}))).status
    };
    for key in ["", "guessed"] {
        assert_eq!(
            put(&service_token(key, "products", now(), Some(Role::Admin))),
            401,
            "{key:?}"
        );
    }
}

#[test]
fn a_service_says_when_a_neighbour_it_needs_is_not_there() {
    souk_only!();
    let orders = Service::alone("orders");
    let body = souk_tests::order(&[(USER, 1)], souk_tests::cards::GOOD);
    let refused = orders.by_customer("POST", "/api/orders", &body);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(
        orders
            .by_customer("GET", "/api/orders", &Value::Null)
            .json()["items"],
        json!([])
    );

    let gateway = Service::alone("gateway");
    let products = gateway.ask("GET", "/api/products", &[], &Value::Null);
    assert_eq!(
        (products.status, products.problem()),
        (503, "unavailable".into()),
        "{}",
        products.text
    );
    let health = gateway.ask("GET", "/api/health", &[], &Value::Null).json();
    assert_eq!(health["status"], "down", "{health}");
    let home = gateway.ask("GET", "/api/home", &[], &Value::Null).json();
    assert_eq!(
        (
            &home["products"],
            home["warnings"].as_array().unwrap().is_empty()
        ),
        (&Value::Null, false),
        "{home}"
    );
}
