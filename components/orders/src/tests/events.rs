//! What orders tells the others, and what it makes of what it hears.

use futures::executor::block_on;
use neighbours::Fault::{AnswerLost, RequestLost};
use souk_contracts::wrong_with_events;

use super::*;
use crate::store::OUTBOX;

/// Delivers an event as the broker does.
pub fn deliver(kind: &str, data: Value) {
    let answer = souk_contracts::deliver(&SERVICE, kind, data);
    assert_eq!(answer.status, 204, "{}", answer.text);
}

/// All events so far: those that the broker has, and those that are still in the outbox.
fn outbox() -> Vec<Value> {
    let mut events = souk_events::published();
    events.extend(block_on(OUTBOX.unpublished()).unwrap());
    events.iter().map(|event| json!(event)).collect()
}

/// The types of the events about an order, in order.
pub fn told(order: &str) -> Vec<String> {
    let about = outbox()
        .into_iter()
        .filter(|event| event["subject"] == order);
    about
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_change_of_an_order_is_told_once() {
    open_shop();
    let good = id(&place("good", body()));
    assert_eq!(told(&good), ["order.placed", "order.confirmed"]);
    for (step, body) in [
        ("ship", json!({"carrier": "Post", "tracking": "1"})),
        ("deliver", json!({})),
    ] {
        for _ in 0..2 {
            let path = format!("/api/orders/{good}/{step}");
            assert_eq!(
                Ask::of(&SERVICE)
                    .admin()
                    .json(body.clone())
                    .send("POST", &path)
                    .status,
                200
            );
        }
    }
    assert_eq!(
        told(&good),
        [
            "order.placed",
            "order.confirmed",
            "order.shipped",
            "order.delivered"
        ]
    );
    let declined = id(&place("declined", paid_with(DECLINED)));
    assert_eq!(told(&declined), ["order.placed", "order.rejected"]);
    let cancelled = id(&place("cancelled", body()));
    cancel(&cancelled);
    assert_eq!(
        told(&cancelled),
        ["order.placed", "order.confirmed", "order.cancelled"]
    );

    let events = outbox();
    assert_eq!(wrong_with_events("orders", &events), [""; 0]);
    let text = json!(events).to_string();
    // Four digits alone are in many an id.
    for personal in ["Springfield", "High Street", "\"4242\"", "42424242"] {
        assert!(!text.contains(personal), "{personal} is in an event");
    }
}

#[test]
fn an_order_without_a_price_is_told_of_too() {
    open_shop();
    neighbours::fail("api/products", &[RequestLost; 1]);
    let order = id(&place("k", body()));
    let placed = outbox().into_iter().find(|event| event["subject"] == order);
    assert_eq!(placed.unwrap()["data"]["total"], Value::Null);
    simulation::finish();
    let events = outbox();
    let wrong = wrong_with_events("orders", &events);
    assert!(
        wrong
            .iter()
            .all(|wrong| wrong.starts_with("there is no event of")),
        "{wrong:?}"
    );
}

#[test]
fn news_of_the_payment_wakes_an_order_that_waits() {
    open_shop();
    neighbours::fail_always("/authorize", AnswerLost);
    let answer = place("k", body());
    assert_eq!(answer.status, 202);
    simulation::finish();
    let order = id(&answer);
    let before = simulation::now();
    assert_eq!(show(&order)["status"], "reserved");
    neighbours::heal();
    deliver("payment.authorized", json!({"order_id": order}));
    simulation::finish();
    assert_eq!(show(&order)["status"], "confirmed");
    assert!(
        simulation::now() - before < 1000,
        "it does not wait for its pause to end"
    );
    deliver("payment.captured", json!({"order_id": order}));
    deliver("stock.released", json!({"order_id": null}));
}

#[test]
fn an_order_whose_money_was_given_back_is_not_sent() {
    open_shop();
    let order = id(&place("k", body()));
    let refund = |amount: i64| {
        let money = json!({"amount": amount, "currency": "EUR"});
        deliver(
            "payment.refunded",
            json!({"order_id": order, "refunded_in_all": money}),
        );
    };
    refund(TOTAL);
    refund(5);
    assert_eq!(
        show(&order)["refunded"],
        json!({"amount": TOTAL, "currency": "EUR"})
    );
    let ship = json!({"carrier": "Post", "tracking": "1"});
    let answer = Ask::of(&SERVICE)
        .admin()
        .json(ship)
        .send("POST", &format!("/api/orders/{order}/ship"));
    assert_eq!(answer.status, 409);
    assert!(
        answer.text.contains("its payment was given back"),
        "{}",
        answer.text
    );
    assert_eq!(
        place("k", body()).body["refunded"],
        Value::Null,
        "the confirmation stays what it was"
    );
}

#[test]
fn events_come_from_the_broker_alone() {
    let event = json!({});
    let answer = Ask::of(&SERVICE)
        .service("users")
        .json(event)
        .send("POST", "/internal/events");
    assert_eq!(answer.status, 403);
}
