//! Carts, among stand-ins of inventory and products.

use crate::Service;
use serde_json::{Value, json};
use souk_tests::souk_only;

const PRODUCT: &str = "018f0000-0000-7000-8000-00000000000a";
/// The contracts say that products does not sell it and inventory keeps none of it.
const UNKNOWN: &str = "018f0000-0000-7000-8000-000000000000";

fn item(product: &str) -> String {
    format!("/api/cart/items/{product}")
}

#[test]
fn a_customers_cart_is_priced_and_compared_with_the_stock() {
    souk_only!();
    let carts = Service::among_stand_ins("carts", "");
    let put =
        |quantity: i64| carts.by_customer("PUT", &item(PRODUCT), &json!({"quantity": quantity}));
    let cart = put(3).json();
    assert_eq!(
        cart["totals"],
        json!([{"amount": 3, "currency": "EUR"}]),
        "{cart}"
    );
    assert_eq!(
        (&cart["items"][0]["available"], &cart["items"][0]["status"]),
        (&json!(10), &json!("available"))
    );
    assert_eq!(put(11).json()["items"][0]["status"], "insufficient");
    assert_eq!(
        carts
            .by_customer("PUT", &item(UNKNOWN), &json!({"quantity": 1}))
            .status,
        404
    );
    let seen = carts.by_customer("GET", "/api/cart", &Value::Null).json();
    assert_eq!(
        (&seen["item_count"], &seen["warnings"]),
        (&json!(11), &json!([])),
        "{seen}"
    );
    carts.keeps_to_its_contracts();
}

#[test]
fn a_guest_has_a_cart() {
    souk_only!();
    let carts = Service::among_stand_ins("carts", "");
    let put = carts.ask("PUT", &item(PRODUCT), &[], &json!({"quantity": 2}));
    assert_eq!(put.status, 200, "{}", put.text);
    let token = put.json()["cart_token"].as_str().unwrap().to_owned();
    let cart = carts
        .ask(
            "GET",
            "/api/cart",
            &[("x-cart-token", &token)],
            &Value::Null,
        )
        .json();
    assert_eq!(cart["item_count"], 2, "{cart}");
    carts.keeps_to_its_contracts();
}
