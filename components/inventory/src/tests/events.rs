//! What inventory tells the others, and what it makes of what it hears.

use futures::executor::block_on;
use souk_contracts::wrong_with_events;

use super::*;
use crate::store::OUTBOX;

fn deliver(kind: &str, data: Value) -> u16 {
    souk_contracts::deliver(&SERVICE, kind, data).status
}

/// Type and available pieces of each event of a product, published or not.
fn told_so_far(product: Uuid) -> Vec<(String, i64)> {
    let published = souk_events::published()
        .into_iter()
        .map(|event| json!(event));
    about(product, published.chain(outbox()))
}

/// The events in the outbox, as they are published.
fn outbox() -> Vec<Value> {
    let events = block_on(OUTBOX.unpublished()).unwrap();
    events.iter().map(|event| json!(event)).collect()
}

/// Type and available pieces of each event of a product.
fn told(product: Uuid) -> Vec<(String, i64)> {
    about(product, outbox())
}

fn about(product: Uuid, events: impl IntoIterator<Item = Value>) -> Vec<(String, i64)> {
    let events = events.into_iter();
    events
        .filter(|event| event["subject"] == product.to_string())
        .map(|event| {
            let kind = event["type"].as_str().unwrap().to_owned();
            (kind, event["data"]["available"].as_i64().unwrap())
        })
        .collect()
}

fn is(kind: &str, available: i64) -> (String, i64) {
    (format!("stock.{kind}"), available)
}

#[test]
fn every_movement_is_told_once() {
    let product = stocked(1, 10);
    assert_eq!(reserve(1, &[(product, 2)]).status, 201);
    assert_eq!(reserve(1, &[(product, 2)]).status, 200);
    assert_eq!(commit(1).status, 200);
    assert_eq!(commit(1).status, 200);
    assert_eq!(release(1).status, 200);
    assert_eq!(reserve(2, &[(product, 10)]).status, 201);
    assert_eq!(reserve(3, &[(product, 1)]).status, 409);
    assert_eq!(release(2).status, 200);
    assert_eq!(
        told(product),
        [
            is("adjusted", 10),
            is("reserved", 8),
            is("committed", 8),
            is("released", 10),
            is("reserved", 0),
            is("low", 0),
            is("released", 10),
        ]
    );
    assert_eq!(wrong_with_events("inventory", &outbox()), [""; 0]);
}

#[test]
fn what_had_expired_and_is_committed_is_told_to_be_gone() {
    let product = stocked(1, 10);
    reserve(1, &[(product, 3)]);
    let_expire(1);
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
    assert_eq!(commit(1).status, 200);
    let all = told_so_far(product);
    assert_eq!(
        all[1..],
        [is("reserved", 7), is("released", 10), is("committed", 7)]
    );
}

#[test]
fn little_stock_is_told_once_each_time() {
    let product = stocked(1, 6);
    let low = || {
        told(product)
            .into_iter()
            .filter(|(kind, _)| kind == "stock.low")
            .count()
    };
    adjust(product, json!({"delta": -1, "reason": "broken"}), None);
    assert_eq!(low(), 0, "five are enough");
    for _ in 0..2 {
        adjust(product, json!({"delta": -1, "reason": "broken"}), None);
        assert_eq!(low(), 1);
    }
    adjust(product, json!({"delta": 5, "reason": "found"}), None);
    adjust(product, json!({"delta": -5, "reason": "lost"}), None);
    assert_eq!(low(), 2);
    let stocked = stocked(2, 3);
    assert_eq!(told(stocked), [is("adjusted", 3)], "there never were more");
}

#[test]
fn stock_is_kept_of_a_product_as_soon_as_it_is_listed() {
    let product = id(1);
    for _ in 0..2 {
        assert_eq!(
            deliver("product.created", json!({"product_id": product})),
            204
        );
        assert_eq!(level(product), (0, 0));
    }
    assert_eq!(ledger(product).len(), 1);
    stocked(1, 7);
    deliver("product.created", json!({"product_id": product}));
    assert_eq!(level(product), (7, 0), "what was counted stays");
    assert_eq!(deliver("product.created", json!({"product_id": 7})), 422);
    assert_eq!(deliver("something.else", json!({})), 204);
}
