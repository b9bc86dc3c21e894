//! The same request more than once.

use serde_json::{Value, json};
use souk_tests::{Reply, Shop, at_once, cards, order, unique};

#[test]
fn twenty_equal_orders_at_once_are_one() {
    let shop = Shop::open();
    let product = shop.product_with_stock(100, 450);
    let customer = shop.customer();
    let (key, body) = (unique("order"), order(&[(&product, 3)], cards::GOOD));
    let replies = at_once(20, || customer.place(&key, &body));
    for reply in &replies {
        assert_eq!((reply.status, &reply.text), (201, &replies[0].text));
    }
    let orders = customer.get("/api/orders").json();
    assert_eq!(orders["items"].as_array().unwrap().len(), 1, "{orders}");
    let id = orders["items"][0]["id"].as_str().unwrap();
    let payment = customer.wait_for_payment(id, "captured");
    assert_eq!(payment["captured"]["amount"], 1350);
    assert_eq!(
        payment["transactions"].as_array().unwrap().len(),
        2,
        "{payment}"
    );
    shop.wait_for_stock(&product, [97, 0, 97]);

    let later = customer.place(&key, &body);
    assert_eq!(
        (later.status, &later.text),
        (201, &replies[0].text),
        "and ever after"
    );
    let other = order(&[(&product, 4)], cards::GOOD);
    let reused = customer.place(&key, &other);
    assert_eq!(
        (reused.status, reused.problem()),
        (422, "idempotency-key-reused".into()),
        "{}",
        reused.text
    );
    assert_eq!(shop.stock(&product), [97, 0, 97]);
}

#[test]
fn a_refusal_is_repeated_as_well() {
    let shop = Shop::open();
    let product = shop.product_with_stock(100, 450);
    let customer = shop.customer();
    let (key, body) = (unique("order"), order(&[(&product, 3)], cards::DECLINED));
    let without_id = |reply: Reply| {
        let mut problem = reply.json();
        problem.as_object_mut().unwrap().remove("request_id");
        (reply.status, problem)
    };
    let replies: Vec<(u16, Value)> = at_once(8, || customer.place(&key, &body))
        .into_iter()
        .map(without_id)
        .collect();
    assert_eq!(replies[0].0, 402, "{:?}", replies[0]);
    assert!(
        replies.iter().all(|reply| *reply == replies[0]),
        "{replies:?}"
    );
    shop.wait_for_stock(&product, [100, 0, 100]);
}

#[test]
fn two_customers_may_use_the_same_key() {
    let shop = Shop::open();
    let product = shop.product_with_stock(100, 450);
    let (one, other) = (shop.customer(), shop.customer());
    let (key, body) = (unique("order"), order(&[(&product, 1)], cards::GOOD));
    let ids = [&one, &other].map(|customer| {
        let reply = customer.place(&key, &body);
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()["id"].clone()
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn many_who_cancel_at_once_get_one_refund() {
    let shop = Shop::open();
    let product = shop.product_with_stock(100, 450);
    let customer = shop.customer();
    let id = customer.buy(&[(&product, 3)]);
    let replies = at_once(10, || {
        customer.act("POST", &format!("/api/orders/{id}/cancel"))
    });
    assert!(
        replies
            .iter()
            .all(|reply| matches!(reply.status, 200 | 202)),
        "{replies:?}"
    );
    customer.wait_for(&id, "cancelled");
    let payment = customer.payment(&id);
    assert!(
        matches!(payment["status"].as_str().unwrap(), "voided" | "refunded"),
        "{payment}"
    );
    assert_eq!(payment["captured"], payment["refunded"], "{payment}");
    shop.wait_for_stock(&product, [100, 0, 100]);
}

#[test]
fn a_repeated_adjustment_counts_once() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let key = unique("adjustment");
    let replies = at_once(8, || {
        let request = shop.admin("POST", &format!("/api/inventory/{product}/adjustments"));
        let request = request.header("idempotency-key", &key);
        Reply::to(request.json(&json!({"delta": -2, "reason": "two broke"})))
    });
    assert!(
        replies.iter().all(|reply| reply.status == 200),
        "{replies:?}"
    );
    assert_eq!(shop.stock(&product), [8, 0, 8]);
}
