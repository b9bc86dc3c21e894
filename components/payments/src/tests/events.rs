//! What payments tells the others.

use souk_contracts::wrong_with_events;

use super::*;
use crate::provider::scripted::{self, Turn};
use crate::store::OUTBOX;

fn outbox() -> Vec<Value> {
    let events = block_on(OUTBOX.unpublished()).unwrap();
    events.iter().map(|event| json!(event)).collect()
}

/// The types of the events about an order's payment, in order.
fn told(order: &Order) -> Vec<String> {
    let about = outbox()
        .into_iter()
        .filter(|event| event["data"]["order_id"] == order.id);
    about
        .map(|event| event["type"].as_str().unwrap().replace("payment.", ""))
        .collect()
}

#[test]
fn what_becomes_of_the_money_is_told_once() {
    let order = Order::captured();
    assert_eq!(order.post("capture").status, 200);
    for (key, amount) in [("one", 900), ("two", 4000), ("two", 4000)] {
        assert_eq!(order.refund(key, json!({"amount": amount})).status, 201);
    }
    assert_eq!(
        told(&order),
        ["authorized", "captured", "refunded", "refunded"]
    );
    let events = outbox();
    let refund = &events.last().unwrap()["data"];
    assert_eq!(
        (
            &refund["refunded"]["amount"],
            &refund["refunded_in_all"]["amount"]
        ),
        (&json!(4000), &json!(4900))
    );

    let voided = Order::authorized();
    assert_eq!(voided.post("void").status, 200);
    assert_eq!(told(&voided), ["authorized", "voided"]);

    let declined = Order::new();
    scripted::next([Turn::Decline]);
    assert_eq!(declined.authorize().status, 200);
    assert_eq!(told(&declined), ["declined"]);

    let events = outbox();
    assert_eq!(wrong_with_events("payments", &events), [""; 0]);
    assert!(
        !json!(events).to_string().contains(&order.token),
        "a token is good for money"
    );
}

#[test]
fn of_money_that_never_was_nothing_is_told() {
    let order = Order::new();
    assert_eq!(order.post("void").status, 200);
    assert_eq!(told(&order), [""; 0]);
}
