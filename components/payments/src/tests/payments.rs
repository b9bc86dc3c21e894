//! What becomes of a payment when all goes as it should, and who may see it.

use super::*;
use crate::provider::scripted::{Money, Turn, calls, money, next};

#[test]
fn a_payment_is_authorized_and_captured() {
    let order = Order::new();
    let authorized = order.authorize();
    assert_eq!(authorized.status, 200);
    assert_eq!(authorized.body["status"], "authorized");
    assert_eq!(authorized.body["order_id"], order.id);
    assert_eq!(authorized.body["user_id"], USER);
    assert_eq!(
        authorized.body["card"],
        json!({"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2099})
    );
    assert_eq!(
        money(),
        Money {
            held: 4900,
            ..Money::default()
        }
    );

    let captured = order.post("capture");
    assert_eq!(captured.status, 200);
    assert_eq!(captured.body["status"], "captured");
    assert_eq!(
        captured.body["captured"],
        json!({"amount": 4900, "currency": "EUR"})
    );
    assert_eq!(
        captured.body["refunded"],
        json!({"amount": 0, "currency": "EUR"})
    );
    assert_eq!(
        order.history(),
        ["authorize succeeded", "capture succeeded"]
    );
    assert_eq!(
        money(),
        Money {
            captured: 4900,
            ..Money::default()
        }
    );
    assert_eq!(calls(), ["authorize authorize-1", "capture capture-1"]);
}

#[test]
fn the_history_has_what_an_audit_needs() {
    let order = Order::captured();
    let payment = order.payment();
    let capture = &payment["transactions"][1];
    let id: Uuid = capture["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    let (seconds, _) = id.get_timestamp().unwrap().to_unix();
    assert!(souk_chassis::context::now().abs_diff(seconds) < 60);
    assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    assert_eq!(
        capture["amount"],
        json!({"amount": 4900, "currency": "EUR"})
    );
    let reference = capture["provider_reference"].as_str().unwrap();
    assert!(reference.ends_with("-capture-1"), "{reference}");
    assert_ne!(payment["transactions"][0]["id"], capture["id"]);
}

#[test]
fn asking_again_changes_nothing() {
    let order = Order::captured();
    for _ in 0..2 {
        let authorized = order.authorize();
        assert_eq!(
            (authorized.status, &authorized.body["status"]),
            (200, &json!("captured"))
        );
        assert_eq!(order.post("capture").status, 200);
    }
    assert_eq!(calls(), [""; 0]);
    assert_eq!(order.history().len(), 2);
}

#[test]
fn a_declined_card_is_a_decision() {
    let order = Order::new();
    next([Turn::Decline]);
    for _ in 0..2 {
        let declined = order.authorize();
        assert_eq!(declined.status, 200);
        assert_eq!(declined.body["status"], "declined");
        assert_eq!(declined.body["decline_code"], "insufficient_funds");
    }
    assert_eq!(calls(), ["authorize authorize-1"]);
    assert_eq!(order.post("capture").status, 409);
    let voided = order.post("void");
    assert_eq!(
        (voided.status, &voided.body["status"]),
        (200, &json!("declined"))
    );
    assert_eq!(order.post("refund").status, 409);
    assert_eq!(order.history(), ["authorize declined"]);
    assert_eq!(order.payment()["transactions"][0]["detail"], "No.");
}

#[test]
fn a_capture_can_be_refused_for_good_and_then_voided() {
    let order = Order::authorized();
    next([Turn::Decline]);
    for _ in 0..2 {
        let failed = order.post("capture");
        assert_eq!(
            (failed.status, &failed.body["status"]),
            (200, &json!("capture_failed"))
        );
        assert_eq!(failed.body["decline_code"], "insufficient_funds");
    }
    assert_eq!(order.post("void").body["status"], "voided");
    assert_eq!(order.post("capture").status, 409);
    assert_eq!(
        order.history(),
        ["authorize succeeded", "capture declined", "void succeeded"]
    );
    assert_eq!(money(), Money::default());
}

#[test]
fn an_authorization_is_voided_once() {
    let order = Order::authorized();
    calls();
    for _ in 0..2 {
        let voided = order.post("void");
        assert_eq!(
            (voided.status, &voided.body["status"]),
            (200, &json!("voided"))
        );
    }
    assert_eq!(calls(), ["void void-1"]);
    for action in ["capture", "refund"] {
        assert_eq!(order.post(action).status, 409, "{action}");
    }
    assert_eq!(order.authorize().status, 409);
    assert_eq!(money(), Money::default());
}

#[test]
fn a_void_before_its_authorization_leaves_a_tombstone() {
    let order = Order::new();
    for _ in 0..2 {
        let voided = order.post("void");
        assert_eq!(
            (voided.status, &voided.body["status"]),
            (200, &json!("voided"))
        );
        assert_eq!(voided.body["card"], Value::Null);
    }
    assert_eq!(order.authorize().status, 409);
    assert_eq!(order.post("capture").status, 409);
    assert_eq!(calls(), [""; 0]);
}

#[test]
fn what_is_captured_is_not_voided() {
    let order = Order::captured();
    let refused = order.post("void");
    assert_eq!(refused.status, 409);
    assert_eq!(refused.body["payment_status"], "captured");
    assert_eq!(order.status(), "captured");
}

#[test]
fn an_order_is_paid_once_and_for_what_it_was() {
    let order = Order::authorized();
    let other = Order::new();
    for (field, value) in [
        ("amount", json!({"amount": 4901, "currency": "EUR"})),
        ("amount", json!({"amount": 4900, "currency": "USD"})),
        ("token", json!(other.token)),
        ("user_id", json!(Uuid::now_v7())),
    ] {
        let mut request = order.request();
        request[field] = value;
        let refused = orders("POST", &order.path("authorize"), request);
        assert_eq!(refused.status, 409, "{field}");
    }
    assert_eq!(order.status(), "authorized");
}

#[test]
fn what_is_asked_for_has_to_make_sense() {
    let order = Order::new();
    let answer = orders(
        "POST",
        &order.path("authorize"),
        json!({"amount": {"amount": -1}}),
    );
    let errors = answer.body["errors"].as_array().unwrap();
    let names: Vec<_> = errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["amount.amount", "amount.currency", "token", "user_id"]
    );
    let mut request = order.request();
    request["token"] = json!("token-of-somebody-else");
    let answer = orders("POST", &order.path("authorize"), request);
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["errors"][0]["field"], "token");
    assert_eq!(order.get().status, 404);
    for action in ["capture", "refund"] {
        assert_eq!(order.post(action).status, 404, "{action}");
    }
    assert_eq!(
        orders("POST", "/internal/payments/x/void", Value::Null).status,
        404
    );
}

#[test]
fn the_same_at_once_is_done_once() {
    let order = Order::new();
    let authorize = (order.path("authorize"), order.request());
    let answers = at_once(&vec![authorize; 8]);
    assert!(
        answers
            .iter()
            .all(|(status, body)| (*status, &body["status"]) == (200, &json!("authorized")))
    );
    let answers = at_once(&vec![(order.path("capture"), Value::Null); 8]);
    assert!(
        answers
            .iter()
            .all(|(status, body)| (*status, &body["status"]) == (200, &json!("captured")))
    );
    let answers = at_once(&vec![(order.path("refund"), Value::Null); 8]);
    assert!(
        answers
            .iter()
            .all(|(status, body)| (*status, &body["status"]) == (200, &json!("refunded")))
    );
    assert_eq!(
        calls(),
        [
            "authorize authorize-1",
            "capture capture-1",
            "refund refund-1"
        ]
    );
    assert_eq!(
        money(),
        Money {
            captured: 4900,
            refunded: 4900,
            ..Money::default()
        }
    );
}

#[test]
fn what_costs_nothing_goes_the_same_way() {
    let order = Order::new();
    let mut request = order.request();
    request["amount"]["amount"] = json!(0);
    let authorized = orders("POST", &order.path("authorize"), request);
    assert_eq!(authorized.body["status"], "authorized");
    assert_eq!(order.post("capture").body["status"], "captured");
    assert_eq!(order.post("refund").body["status"], "refunded");
    assert_eq!(order.post("refund").status, 200);
    assert_eq!(order.history().len(), 3);
}

#[test]
fn owners_and_administrators_see_a_payment() {
    let order = Order::captured();
    let one = format!("/api/payments/{}", order.payment()["id"].as_str().unwrap());
    let list = format!("/api/payments?order_id={}", order.id);
    let seen = |ask: fn() -> Ask| {
        let listed = ask().send("GET", &list).body["items"]
            .as_array()
            .map(Vec::len);
        (ask().send("GET", &one).status, listed)
    };
    assert_eq!(seen(|| Ask::of(&SERVICE).user(USER)), (200, Some(1)));
    assert_eq!(seen(admin_user), (200, Some(1)));
    assert_eq!(
        seen(|| Ask::of(&SERVICE).user(&Uuid::now_v7().to_string())),
        (404, Some(0))
    );
    assert_eq!(seen(|| Ask::of(&SERVICE)), (401, None));
    assert_eq!(admin_user().send("GET", "/api/payments").status, 400);
    assert_eq!(admin_user().send("GET", "/api/payments/x").status, 404);
}

#[test]
fn money_is_moved_by_orders_alone() {
    let order = Order::new();
    for action in ["authorize", "capture", "void", "refund"] {
        let status = |ask: Ask| {
            ask.json(order.request())
                .send("POST", &order.path(action))
                .status
        };
        assert_eq!(status(Ask::of(&SERVICE)), 401, "{action}");
        assert_eq!(status(Ask::of(&SERVICE).service("carts")), 403, "{action}");
        assert_eq!(status(admin_user()), 403, "{action}");
    }
    let tokenize = |ask: Ask| {
        ask.json(card())
            .send("POST", "/internal/card-tokens")
            .status
    };
    assert_eq!(tokenize(Ask::of(&SERVICE)), 401);
    let nothing = Ask::of(&SERVICE).send("POST", "/internal/card-tokens");
    assert_eq!(nothing.status, 401, "whatever the body");
    assert_eq!(tokenize(Ask::of(&SERVICE).service("gateway")), 403);
    let path = format!("/internal/payments/{}", order.id);
    assert_eq!(Ask::of(&SERVICE).user(USER).send("GET", &path).status, 403);
}
