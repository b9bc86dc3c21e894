//! Money given back: in parts, at once, and never more than was taken.

use super::*;
use crate::provider::scripted::{Money, Turn, calls, money, next};

#[test]
fn parts_are_refunded_until_nothing_is_left() {
    let order = Order::captured();
    let first = order.refund("a", json!({"amount": 1000}));
    assert_eq!(
        (first.status, &first.body["status"]),
        (201, &json!("partially_refunded"))
    );
    assert_eq!(first.body["refunded"]["amount"], 1000);
    assert_eq!(order.refund("b", json!({"amount": 3901})).status, 409);
    let rest = order.refund("c", json!({}));
    assert_eq!(
        (rest.status, &rest.body["status"]),
        (201, &json!("refunded"))
    );
    assert_eq!(rest.body["refunded"]["amount"], 4900);
    assert_eq!(order.refund("d", json!({"amount": 1})).status, 409);
    assert_eq!(order.refund("d", json!({})).status, 409);
    assert_eq!(money().refunded, 4900);
    assert_eq!(
        order.history()[2..],
        ["refund succeeded", "refund succeeded"]
    );
}

#[test]
fn a_refund_is_known_by_its_key() {
    let order = Order::captured();
    for _ in 0..3 {
        let answer = order.refund("a", json!({"amount": 1000}));
        assert_eq!(
            (answer.status, &answer.body["refunded"]["amount"]),
            (201, &json!(1000))
        );
    }
    let other = order.refund("a", json!({"amount": 999}));
    assert_eq!(
        (other.status, &other.body["errors"][0]["field"]),
        (422, &json!("amount"))
    );
    assert_eq!(money().refunded, 1000);
    let all = order.refund("b", json!({}));
    assert_eq!(all.status, 201);
    assert_eq!(
        order.refund("a", json!({"amount": 1000})).status,
        201,
        "also when nothing is left"
    );
    assert_eq!(order.refund("b", json!({})).status, 201);
    assert_eq!(calls().len(), 2);
}

#[test]
fn refunds_need_a_key_an_administrator_and_money() {
    let order = Order::captured();
    let path = format!(
        "/api/payments/{}/refunds",
        order.payment()["id"].as_str().unwrap()
    );
    assert_eq!(admin().json(json!({})).send("POST", &path).status, 400);
    let keyed = |ask: Ask| ask.header("idempotency-key", "k").json(json!({}));
    assert_eq!(
        keyed(Ask::of(&SERVICE).user(USER))
            .send("POST", &path)
            .status,
        403
    );
    assert_eq!(keyed(Ask::of(&SERVICE)).send("POST", &path).status, 401);
    assert_eq!(order.refund("k", json!({"amount": 0})).status, 422);
    let nowhere = format!("/api/payments/{}/refunds", Uuid::now_v7());
    assert_eq!(keyed(admin()).send("POST", &nowhere).status, 404);
    assert_eq!(Order::authorized().refund("k", json!({})).status, 409);
    assert_eq!(calls().last().unwrap(), "authorize authorize-1");
}

/// The statuses of refunds, each of a third of the whole and under a key of its own, that are made at once.
fn refunds_at_once(order: &Order, count: usize) -> Vec<u16> {
    let id = order.payment()["id"].as_str().unwrap().to_owned();
    let admin = || Caller {
        service: Some("gateway".into()),
        user: None,
        role: Some(Role::Admin),
    };
    let path = format!("/api/payments/{id}/refunds");
    let answers = (0..count).map(|number| {
        let mut request = request(&path, &json!({"amount": 1633}));
        let key = number.to_string().parse().unwrap();
        request.headers_mut().insert("idempotency-key", key);
        async {
            SERVICE
                .answer_to(Ok(Some(admin())), request)
                .await
                .status()
                .as_u16()
        }
    });
    block_on(join_all(answers))
}

#[test]
fn refunds_at_once_never_exceed_what_was_captured() {
    let order = Order::captured();
    let mut statuses = refunds_at_once(&order, 10);
    statuses.sort_unstable();
    assert_eq!(statuses[..3], [201, 201, 201]);
    assert!(
        statuses[3..].iter().all(|status| *status == 409),
        "{statuses:?}"
    );
    assert_eq!(money().refunded, 4899);
    assert_eq!(order.status(), "partially_refunded");
}

#[test]
fn a_refund_on_its_way_counts() {
    let order = Order::captured();
    next([Turn::UnknownNotDone]);
    let first = order.refund("a", json!({"amount": 3000}));
    assert_eq!(
        (first.status, &first.body["status"]),
        (202, &json!("refunding"))
    );
    assert_eq!(first.body["refunded"]["amount"], 0);
    assert_eq!(order.refund("b", json!({"amount": 1901})).status, 409);
    assert_eq!(order.refund("a", json!({"amount": 3000})).status, 201);
    assert_eq!(
        money(),
        Money {
            captured: 4900,
            refunded: 3000,
            ..Money::default()
        }
    );
}

#[test]
fn a_refund_can_be_declined_and_others_tried() {
    let order = Order::captured();
    next([Turn::Decline]);
    for _ in 0..2 {
        let refused = order.refund("a", json!({"amount": 4900}));
        assert_eq!(refused.status, 409);
        assert!(
            refused.body["detail"]
                .as_str()
                .unwrap()
                .contains("insufficient_funds")
        );
    }
    assert_eq!(order.status(), "captured");
    assert_eq!(order.refund("b", json!({"amount": 100})).status, 201);
    next([Turn::Decline]);
    assert_eq!(order.refund("c", json!({})).status, 409);
    assert_eq!(order.status(), "partially_refunded");
    assert_eq!(
        order.history()[2..],
        ["refund declined", "refund succeeded", "refund declined"]
    );
}

#[test]
fn an_order_gets_back_what_is_left() {
    let order = Order::captured();
    order.refund("a", json!({"amount": 900}));
    for _ in 0..2 {
        let refunded = order.post("refund");
        assert_eq!(
            (refunded.status, &refunded.body["status"]),
            (200, &json!("refunded"))
        );
    }
    assert_eq!(calls(), ["refund refund-1", "refund refund-1"]);
    assert_eq!(money().refunded, 4900);
}

#[test]
fn an_order_can_ask_again_for_a_refund_that_was_declined() {
    let order = Order::captured();
    next([Turn::Decline]);
    assert_eq!(order.post("refund").status, 409);
    assert_eq!(order.post("refund").body["status"], "refunded");
}

#[test]
fn the_rest_is_refunded_beside_a_part_that_is_unknown() {
    let order = Order::captured();
    next([Turn::UnknownDone]);
    assert_eq!(order.refund("a", json!({"amount": 1000})).status, 202);
    let rest = order.post("refund");
    assert_eq!(
        (rest.status, &rest.body["status"]),
        (202, &json!("refunding"))
    );
    let all = order.post("refund");
    assert_eq!((all.status, &all.body["status"]), (200, &json!("refunded")));
    assert_eq!(money().refunded, 4900);
}
