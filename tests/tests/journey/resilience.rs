//! A shop parts of which fail, because an administrator has ordered it.

use serde_json::{Value, json};
use souk_tests::{Reply, Shop, cards, eventually, souk_only};
use std::time::{Duration, Instant};

/// A shop in which calls can be made to fail.
fn shop() -> Shop {
    Shop::launch(Shop::launcher().variable("fault_injection", "on"))
}

fn order_faults(shop: &Shop, faults: Value) {
    let told = Reply::to(
        shop.admin("PUT", "/api/ops/faults")
            .json(&json!({"faults": faults})),
    );
    assert_eq!(told.status, 200, "{}", told.text);
    // Instances look for new faults now and then.
    std::thread::sleep(Duration::from_millis(400));
}

/// The breaker of one service for another.
fn breaker(shop: &Shop, from: &str, to: &str) -> Value {
    let mut all = Value::Null;
    for _ in 0..20 {
        all = Reply::to(shop.admin("GET", "/api/ops/breakers")).json();
        if all["warnings"] == json!([]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(all["warnings"], json!([]), "{all}");
    let items = all["items"].as_array().unwrap();
    let own = items.iter().find(|it| it["from"] == from && it["to"] == to);
    own.cloned().unwrap_or_default()
}

#[test]
fn nothing_fails_on_purpose_unless_that_is_allowed() {
    souk_only!();
    let shop = Shop::start();
    for method in ["GET", "PUT"] {
        let body = json!({"faults": []});
        let refused = Reply::to(shop.admin(method, "/api/ops/faults").json(&body));
        assert_eq!(refused.status, 409, "{}", refused.text);
        assert!(
            refused.text.contains("fault_injection=on"),
            "{}",
            refused.text
        );
    }
}

#[test]
fn what_makes_no_sense_as_a_fault_is_named() {
    souk_only!();
    let shop = shop();
    let body = json!({"faults": [{"from": "gateway", "to": "products", "error_percent": 101}]});
    let refused = Reply::to(shop.admin("PUT", "/api/ops/faults").json(&body));
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        refused.text.contains("error_percent") && refused.text.contains("seconds"),
        "{}",
        refused.text
    );
}

#[test]
fn the_catalogue_is_shown_from_the_last_good_copy_while_products_is_gone() {
    souk_only!();
    let shop = shop();
    let product = shop.product_with_stock(5, 1_000);
    let path = format!("/api/products/{product}");
    let list = "/api/products?limit=5";
    for path in [&*path, list] {
        assert!(shop.get(path).headers.get("age").is_none());
    }

    order_faults(
        &shop,
        json!([{"from": "gateway", "to": "products", "blackhole": true, "seconds": 60}]),
    );
    for path in [&*path, list] {
        let begun = Instant::now();
        let copy = shop.get(path);
        assert_eq!(copy.status, 200, "{}", copy.text);
        assert!(copy.headers.contains_key("age"), "{:?}", copy.headers);
        assert!(
            copy.headers["cache-status"]
                .to_str()
                .unwrap()
                .contains("stale")
        );
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
    assert_eq!(shop.get(&path).json()["id"], json!(product));
    let search = shop.get("/api/products?q=tea");
    assert!(matches!(search.status, 503 | 504), "{}", search.text);

    // Once it is known to hang nobody waits for it, which is two seconds.
    eventually("the breaker opens", || {
        shop.get(&path);
        breaker(&shop, "gateway", "products")["state"] == "open"
    });
    let begun = Instant::now();
    let refused = shop.get("/api/products?q=tea");
    if refused.status == 503 {
        assert!(refused.headers.contains_key("retry-after"));
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    }

    order_faults(&shop, json!([]));
    eventually("it closes again", || {
        let fresh = shop.get(&path);
        assert_eq!(fresh.status, 200, "{}", fresh.text);
        fresh.headers.get("age").is_none()
            && breaker(&shop, "gateway", "products")["state"] == "closed"
    });
}

#[test]
fn a_fault_ends_by_itself() {
    souk_only!();
    let shop = shop();
    let fault = json!({"from": "gateway", "to": "inventory", "error_percent": 100, "seconds": 8});
    let path = format!("/api/inventory/{}", shop.product_with_stock(1, 100));
    order_faults(&shop, json!([fault]));
    let listed = Reply::to(shop.admin("GET", "/api/ops/faults")).json();
    assert_eq!(listed["items"][0]["to"], "inventory", "{listed}");
    eventually("it is over", || shop.get(&path).status == 200);
    let listed = Reply::to(shop.admin("GET", "/api/ops/faults")).json();
    assert_eq!(listed["items"], json!([]));
}

#[test]
fn a_failure_stays_where_it_is() {
    souk_only!();
    let shop = shop();
    let product = shop.product_with_stock(20, 1_000);
    let customer = shop.customer();
    order_faults(
        &shop,
        json!([{"from": "orders", "to": "payments", "blackhole": true, "seconds": 60}]),
    );
    let begun = Instant::now();
    let refused = customer.order(&[(&product, 1)], cards::GOOD);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(
        refused.headers.contains_key("retry-after"),
        "{:?}",
        refused.headers
    );
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );

    // Others go on, orders too, as far as they need no payments.
    assert_eq!(customer.get("/api/orders").status, 200);
    assert_eq!(shop.get(&format!("/api/products/{product}")).status, 200);
    assert_eq!(customer.get("/api/cart").status, 200);

    for _ in 0..12 {
        customer.order(&[(&product, 1)], cards::GOOD);
        if breaker(&shop, "orders", "payments")["state"] == "open" {
            break;
        }
    }
    let begun = Instant::now();
    let refused = customer.order(&[(&product, 1)], cards::GOOD);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    let toward_orders = breaker(&shop, "gateway", "orders");
    assert_ne!(
        toward_orders["state"], "open",
        "orders itself is well: {toward_orders}"
    );

    order_faults(&shop, json!([]));
    eventually("orders are taken again", || {
        matches!(
            customer.order(&[(&product, 1)], cards::GOOD).status,
            201 | 202
        )
    });
}
