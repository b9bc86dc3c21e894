//! Orders, among stand-ins of carts, inventory, payments and products.

use crate::Service;
use serde_json::{Value, json};
use souk_tests::{cards, order, souk_only};
use std::time::{Duration, Instant};

const PRODUCT: &str = "018f0000-0000-7000-8000-00000000000a";

/// The order, once it has this status.
fn wait_for(orders: &Service, id: &str, status: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = orders
            .by_customer("GET", &format!("/api/orders/{id}"), &Value::Null)
            .json();
        if found["status"] == status {
            return found;
        }
        assert!(Instant::now() < deadline, "no {status} order: {found}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_order_is_confirmed_and_cancelled() {
    souk_only!();
    let orders = Service::among_stand_ins("orders", "");
    let placed = orders.by_customer("POST", "/api/orders", &order(&[(PRODUCT, 2)], cards::GOOD));
    assert_eq!(placed.status, 201, "{}", placed.text);
    let placed = placed.json();
    assert_eq!(
        (&placed["status"], &placed["total"]["amount"]),
        (&json!("confirmed"), &json!(2))
    );
    let id = placed["id"].as_str().unwrap();
    let cancel = format!("/api/orders/{id}/cancel");
    let deadline = Instant::now() + Duration::from_secs(30);
    while orders.by_customer("POST", &cancel, &Value::Null).status == 409 {
        assert!(Instant::now() < deadline);
    }
    wait_for(&orders, id, "cancelled");
    orders.keeps_to_its_contracts();
}

#[test]
fn an_order_of_too_much_is_refused() {
    souk_only!();
    let orders = Service::among_stand_ins("orders", "");
    let refused = orders.by_customer("POST", "/api/orders", &order(&[(PRODUCT, 11)], cards::GOOD));
    assert_eq!(
        (refused.status, refused.problem()),
        (409, "out-of-stock".into()),
        "{}",
        refused.text
    );
    let line = &refused.json()["lines"][0];
    assert_eq!(
        (&line["requested"], &line["available"]),
        (&json!(11), &json!(10))
    );
    orders.keeps_to_its_contracts();
}

#[test]
fn a_declined_card_is_refused() {
    souk_only!();
    let orders = Service::among_stand_ins("orders", "a declined card's token");
    let refused = orders.by_customer("POST", "/api/orders", &order(&[(PRODUCT, 2)], cards::GOOD));
    assert_eq!(
        (refused.status, refused.problem()),
        (402, "payment-declined".into()),
        "{}",
        refused.text
    );
    orders.keeps_to_its_contracts();
}

#[test]
fn an_order_waits_for_a_payment_whose_outcome_is_not_known() {
    souk_only!();
    let orders = Service::among_stand_ins(
        "orders",
        "a card's token and a provider that does not answer",
    );
    let pending = orders.by_customer("POST", "/api/orders", &order(&[(PRODUCT, 2)], cards::GOOD));
    assert_eq!(pending.status, 202, "{}", pending.text);
    assert_eq!(pending.json()["status"], "reserved");
    orders.keeps_to_its_contracts();
}

#[test]
fn money_that_cannot_be_taken_undoes_the_order() {
    souk_only!();
    let given = "an authorized payment whose capture fails;a payment whose capture failed";
    let orders = Service::among_stand_ins("orders", given);
    let placed = orders.by_customer("POST", "/api/orders", &order(&[(PRODUCT, 2)], cards::GOOD));
    let id = match placed.status {
        201 => placed.json()["id"].clone(),
        402 => placed.json()["order_id"].clone(),
        status => panic!("{status} {}", placed.text),
    };
    let order = wait_for(&orders, id.as_str().unwrap(), "cancelled");
    assert_eq!(order["reason"], "payment_capture_failed");
    orders.keeps_to_its_contracts();
}

#[test]
fn the_cart_is_ordered() {
    souk_only!();
    let orders = Service::among_stand_ins("orders", "nothing");
    let mut body = order(&[], cards::GOOD);
    body.as_object_mut().unwrap().remove("items");
    body["cart"] = json!(true);
    let empty = orders.by_customer("POST", "/api/orders", &body);
    assert_eq!(
        (empty.status, empty.problem()),
        (422, "validation".into()),
        "{}",
        empty.text
    );
    orders.keeps_to_its_contracts();
}
