//! Placing an order, and its answers.

use super::*;
use crate::api::AT_ONCE;
use crate::store::tests::{everything, insert_driven};
use std::time::Duration;

#[test]
fn a_good_order_is_confirmed_and_paid() {
    open_shop();
    let answer = place("k", body());
    assert_eq!(answer.status, 201, "{}", answer.text);
    let order = &answer.body;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["total"], json!({"amount": TOTAL, "currency": "EUR"}));
    assert_eq!(order["items"][0]["name"], format!("Product {CHAIR}"));
    assert_eq!(order["items"][0]["unit_price"]["amount"], 4900);
    assert_eq!(order["items"][0]["line_total"]["amount"], 9800);
    assert_eq!(order["payment"], json!({"brand": "visa", "last4": "4242"}));
    assert_eq!(order["shipping_address"]["city"], "Paris");
    assert_eq!(
        history(order),
        ["pending", "reserved", "authorized", "confirmed"]
    );
    let id = id(&answer);
    assert_eq!(
        answer.headers[header::LOCATION],
        format!("/api/orders/{id}")
    );
    assert_eq!(&show(&id), order);
    assert_eq!(levels(), taken(1));
    assert_eq!(neighbours::charged(&id), TOTAL);
    assert_eq!(
        log(&id),
        [
            "price done 1",
            "reserve started 1",
            "reserve done 1",
            "authorize started 1",
            "authorize done 1",
            "confirm done 1",
            "capture started 1",
            "commit started 1",
            "capture done 1",
            "commit done 1"
        ]
    );
}

#[test]
fn a_good_order_takes_four_writes() {
    open_shop();
    place("k", body());
    let before = (simulation::checkpoints(), neighbours::calls(""));
    place("k2", body());
    let (checkpoints, calls) = (simulation::checkpoints(), neighbours::calls(""));
    let (checkpoints, calls) = (checkpoints - before.0, calls - before.1);
    // Token, prices, reservation, authorization, capture and commitment; each effect has two checkpoints.
    assert_eq!((calls, checkpoints / 2 - calls), (6, 4));
}

#[test]
fn what_cannot_be_worked_on_now_is_refused_before_anything_is_done() {
    open_shop();
    let first = place("k", body());
    let over_at = simulation::now() + 10_000;
    insert_driven(AT_ONCE, over_at);
    let before = (simulation::checkpoints(), neighbours::calls(""));
    let answer = place("k2", body());
    assert_eq!((answer.status, problem(&answer)), (503, "unavailable"));
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    assert_eq!((simulation::checkpoints(), neighbours::calls("")), before);
    let repeated = place("k", body());
    assert_eq!(id(&repeated), id(&first), "what is known is answered");

    simulation::advance(Duration::from_millis(10_001));
    assert_eq!(
        place("k2", body()).status,
        201,
        "whoever drove them is gone"
    );
}

#[test]
fn a_declined_card_leaves_nothing_behind() {
    open_shop();
    let answer = place("k", paid_with(DECLINED));
    assert_eq!((answer.status, problem(&answer)), (402, "payment-declined"));
    assert_eq!(answer.body["decline_code"], "card_declined");
    let order = show(&id(&answer));
    assert_eq!(history(&order), ["pending", "reserved", "rejected"]);
    assert_eq!(order["reason"], "payment_declined");
    assert_eq!(order["history"][2]["reason"], "payment_declined");
    assert_eq!(levels(), taken(0));
    assert_eq!(neighbours::charged_altogether(), 0);
}

#[test]
fn what_is_not_in_stock_is_named() {
    open_shop();
    neighbours::sell(CHAIR, 4900, 1);
    let answer = place("k", body());
    assert_eq!((answer.status, problem(&answer)), (409, "out-of-stock"));
    let line = json!({"product_id": CHAIR, "name": format!("Product {CHAIR}"), "requested": 2, "available": 1});
    assert_eq!(answer.body["lines"], json!([line]));
    assert_eq!(show(&id(&answer))["reason"], "out_of_stock");
    assert_eq!(neighbours::calls("authorize"), 0);
    assert_eq!(stock(TABLE), taken(0).1);
}

#[test]
fn money_that_cannot_be_taken_undoes_the_order() {
    open_shop();
    let answer = place("k", paid_with(CAPTURE_FAILS));
    assert_eq!((answer.status, problem(&answer)), (402, "payment-declined"));
    assert_eq!(answer.body["decline_code"], "payment_capture_failed");
    let id = id(&answer);
    let order = show(&id);
    assert_eq!(
        history(&order),
        [
            "pending",
            "reserved",
            "authorized",
            "confirmed",
            "cancelled"
        ]
    );
    assert_eq!(order["reason"], "payment_capture_failed");
    assert_eq!((levels(), neighbours::charged(&id)), (taken(0), 0));
    assert_eq!(neighbours::payment_status(&id), Some("voided"));
}

#[test]
fn the_same_key_is_the_same_order_and_the_same_answer() {
    open_shop();
    let first = place("k", body());
    let again = place("k", body());
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(
        neighbours::calls("card-tokens"),
        1,
        "only a new key needs a token"
    );

    let id = id(&first);
    let ship = json!({"carrier": "DHL", "tracking": "1"});
    Ask::of(&SERVICE)
        .admin()
        .json(ship)
        .send("POST", &format!("/api/orders/{id}/ship"));
    assert_eq!(show(&id)["status"], "shipped");
    assert_eq!(
        place("k", body()).text,
        first.text,
        "also when the order has gone on"
    );

    let declined = place("d", paid_with(DECLINED));
    let mut again = place("d", paid_with(DECLINED)).body;
    again["request_id"] = declined.body["request_id"].clone();
    assert_eq!(again, declined.body);
    assert_eq!(
        get("/api/orders").body["items"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn a_key_belongs_to_one_request_of_one_user() {
    open_shop();
    place("k", body());
    let other = place("k", paid_with("5555555555554444"));
    assert_eq!(
        (other.status, problem(&other)),
        (422, "idempotency-key-reused")
    );
    let ask = Ask::of(&SERVICE).user(BOB).header("idempotency-key", "k");
    assert_eq!(ask.json(body()).send("POST", "/api/orders").status, 201);
    assert_eq!(levels(), taken(2));
}

#[test]
fn without_a_key_nothing_is_ordered() {
    let ask = Ask::of(&SERVICE)
        .user(ADA)
        .json(body())
        .send("POST", "/api/orders");
    assert_eq!(ask.status, 400);
    assert!(
        ask.body["detail"]
            .as_str()
            .unwrap()
            .contains("Idempotency-Key")
    );
    assert_eq!(place(&"k".repeat(256), body()).status, 400);
}

#[test]
fn twenty_equal_requests_at_once_are_one_order() {
    open_shop();
    neighbours::slow_down(70);
    for card in [GOOD, DECLINED] {
        let answers = at_once(vec![(card, "/api/orders", paid_with(card)); 20]).unwrap();
        let expected = if card == GOOD { 201 } else { 402 };
        assert_eq!(answers[0].0, expected);
        assert!(
            answers.iter().all(|answer| answer == &answers[0]),
            "{answers:#?}"
        );
    }
    assert_eq!(neighbours::calls("authorize"), 2);
    assert_eq!(
        (levels(), neighbours::charged_altogether()),
        (taken(1), TOTAL)
    );
}

#[test]
fn two_tabs_do_not_order_the_same_cart_twice() {
    open_shop();
    neighbours::slow_down(70);
    neighbours::fill_cart(&[(CHAIR, 2)]);
    let tabs = ["one", "other"].map(|key| (key, "/api/orders", the_cart()));
    let mut statuses: Vec<_> = at_once(tabs.to_vec()).unwrap();
    statuses.sort_by_key(|answer| answer.0);
    assert_eq!((statuses[0].0, statuses[1].0), (201, 409));
    assert_eq!(neighbours::calls("authorize"), 1);
}

#[test]
fn what_cannot_be_ordered_is_named() {
    open_shop();
    let fields = |answer: &Answer| -> Vec<String> {
        assert_eq!(answer.status, 422, "{}", answer.text);
        let errors = answer.body["errors"].as_array().unwrap().iter();
        errors
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut bad = paid_with("4111111111111111");
    bad["items"][1]["product_id"] = json!(BOB);
    assert_eq!(
        fields(&place("k", bad)),
        ["items[1].product_id", "payment_method.number"]
    );
    neighbours::sell_for(TABLE, 5, "USD", 1);
    assert_eq!(fields(&place("k", body())), ["items"]);
    // Nothing was created, so the key is still free.
    neighbours::sell(TABLE, 12_000, 10);
    assert_eq!(place("k", body()).status, 201);
}

#[test]
fn nothing_is_created_while_cards_cannot_be_taken() {
    open_shop();
    neighbours::fail("card-tokens", &[neighbours::Fault::Status(503)]);
    let answer = place("k", body());
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(get("/api/orders").body["items"], json!([]));
    assert_eq!(place("k", body()).status, 201);
}

#[test]
fn a_cart_is_ordered() {
    open_shop();
    assert_eq!(place("k", the_cart()).body["errors"][0]["field"], "cart");
    neighbours::fill_cart(&[(CHAIR, 2), (TABLE, 1)]);
    let ask = Ask::of(&SERVICE).user(ADA).header("idempotency-key", "k");
    let answer = ask
        .header("x-cart-token", "guest")
        .json(the_cart())
        .send("POST", "/api/orders");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body["total"]["amount"], TOTAL);
    assert_eq!(place("k", the_cart()).text, answer.text);

    neighbours::fill_cart(&[(CHAIR, 2)]);
    let declined = {
        let mut body = the_cart();
        body["payment_method"]["number"] = json!(DECLINED);
        place("d", body)
    };
    assert_eq!(declined.status, 402);
    neighbours::fill_cart(&[(BOB, 2)]);
    assert_eq!(place("x", the_cart()).body["errors"][0]["field"], "cart");
    neighbours::fail("GET /api/cart", &[neighbours::Fault::RequestLost]);
    assert_eq!(place("x", the_cart()).status, 503);
}

#[test]
fn what_is_known_of_a_guests_cart_reaches_carts() {
    open_shop();
    neighbours::fill_cart(&[(CHAIR, 100)]);
    let order = |token: &str| {
        let ask = Ask::of(&SERVICE).user(ADA).header("idempotency-key", "k");
        let ask = ask.header("x-cart-token", token).json(the_cart());
        ask.send("POST", "/api/orders")
    };
    let answer = order("guest");
    assert_eq!(
        answer.body["errors"][0]["field"], "cart",
        "100 are too many"
    );
    assert_eq!(neighbours::cart_token().as_deref(), Some("guest"));
    assert_eq!(order("rubbish").status, 400);
}

#[test]
fn nothing_is_to_be_paid_for_what_is_free() {
    open_shop();
    neighbours::sell(CHAIR, 0, 10);
    neighbours::sell(TABLE, 0, 10);
    let answer = place("k", body());
    assert_eq!(
        (answer.status, answer.body["total"]["amount"].as_i64()),
        (201, Some(0))
    );
    assert_eq!(cancel(&id(&answer)).status, 200);
    assert_eq!(levels(), taken(0));
    assert_eq!(neighbours::calls("/internal/payments"), 0);
}

#[test]
fn nothing_a_card_could_be_recovered_from_is_kept() {
    open_shop();
    for (key, card) in [("a", GOOD), ("b", DECLINED), ("c", CAPTURE_FAILS)] {
        place(key, paid_with(card));
    }
    let everything = everything();
    assert!(
        everything.contains("4242") && everything.contains("Paris"),
        "it is the database"
    );
    for secret in [
        GOOD,
        DECLINED,
        CAPTURE_FAILS,
        "42424242",
        "40000000",
        "tok_",
    ] {
        assert!(!everything.contains(secret), "{secret}");
    }
}
