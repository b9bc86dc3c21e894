//! Neighbours that fail, answer late or not at all, and customers who change their minds meanwhile.

use std::time::Duration;

use super::crashes::recover;
use super::neighbours::Fault::{AnswerLost, RequestLost, Status};
use super::*;
use crate::clients::POLICIES;

const MINUTE: Duration = Duration::from_secs(60);

/// Places an order that cannot be answered for yet.
fn place_pending(key: &str, body: Value) -> String {
    let answer = place(key, body);
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = id(&answer);
    assert_eq!(
        answer.headers[header::LOCATION],
        format!("/api/orders/{id}")
    );
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    id
}

fn ended_well(id: &str) {
    assert_eq!(show(id)["status"], "confirmed", "{:#?}", log(id));
    assert_eq!((levels(), neighbours::charged(id)), (taken(1), TOTAL));
    assert_eq!(place("k", body()).status, 201);
}

fn left_nothing_behind(id: &str) {
    assert_eq!(
        (levels(), neighbours::charged(id)),
        (taken(0), 0),
        "{:#?}",
        log(id)
    );
    let held = [Some("authorized"), Some("authorizing"), Some("capturing")];
    assert!(!held.contains(&neighbours::payment_status(id)));
}

#[test]
fn an_order_completes_by_itself_when_a_neighbour_is_back() {
    for call in [
        "GET /api/products",
        "PUT /internal/reservations",
        "/authorize",
    ] {
        std::thread::spawn(move || {
            open_shop();
            neighbours::fail_always(call, Status(503));
            let id = place_pending("k", body());
            assert_eq!(place("k", body()).status, 202, "still pending");
            simulation::finish();
            neighbours::heal();
            recover();
            ended_well(&id);
        })
        .join()
        .unwrap();
    }
}

#[test]
fn an_order_that_waits_long_is_answered_at_once() {
    open_shop();
    neighbours::fail_always("PUT /internal/reservations", RequestLost);
    place_pending("k", body());
    simulation::finish();
    for _ in 0..5 {
        simulation::advance(MINUTE);
        tick();
    }
    let before = simulation::now();
    place_pending("k", body());
    assert!(
        simulation::now() - before < 1000,
        "the next attempt is too far off to wait for"
    );
}

#[test]
fn a_neighbour_that_fails_once_is_not_noticed() {
    let calls = [
        "GET /api/products",
        "PUT /internal/reservations",
        "/authorize",
        "/capture",
        "/commit",
    ];
    for call in calls {
        for fault in [
            RequestLost,
            AnswerLost,
            Status(500),
            Status(503),
            Status(429),
        ] {
            let run = move || {
                open_shop();
                neighbours::fail(call, &[fault]);
                let answer = place("k", body());
                // A confirmed order does not wait for the rest; an unpriced one waits for its prices.
                assert_eq!(answer.status, 201, "{call} {fault:?}: {}", answer.text);
                simulation::finish();
                ended_well(&id(&answer));
            };
            std::thread::spawn(run).join().unwrap();
        }
    }
}

#[test]
fn products_that_are_not_sold_are_found_out_later_as_well() {
    open_shop();
    neighbours::fail("GET /api/products", &[RequestLost]);
    let mut body = body();
    body["items"][1]["product_id"] = json!(BOB);
    let answer = place("k", body);
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["errors"][0]["field"], "items[1].product_id");
    let order = show(answer.body["order_id"].as_str().unwrap());
    assert_eq!(
        (&order["status"], &order["reason"]),
        (&json!("rejected"), &json!("product_unavailable"))
    );
    assert_eq!(
        (&order["total"], &order["items"][0]["unit_price"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn a_slow_neighbour_is_not_waited_for() {
    open_shop();
    neighbours::slow_down(1500);
    let before = simulation::now();
    let id = place_pending("k", body());
    assert_eq!(simulation::now() - before, 4000);
    simulation::finish();
    ended_well(&id);
}

#[test]
fn what_happened_without_an_answer_in_time_happens_once() {
    open_shop();
    neighbours::fail_always("/authorize", Status(503));
    let id = place_pending("k", body());
    simulation::finish();
    neighbours::heal();
    simulation::advance(MINUTE);
    neighbours::slow_down(9000);
    tick();
    simulation::finish();
    assert_eq!(neighbours::payment_status(&id), Some("authorized"));
    assert_eq!(show(&id)["status"], "reserved");
    neighbours::slow_down(0);
    recover();
    ended_well(&id);
}

#[test]
fn a_payment_nobody_knows_of_is_asked_for_until_it_is_known() {
    for card in [GOOD, DECLINED] {
        let run = move || {
            open_shop();
            neighbours::hold_decisions();
            let id = place_pending("k", paid_with(card));
            assert_eq!(show(&id)["status"], "reserved");
            recover();
            assert_eq!(
                show(&id)["status"],
                "rejected",
                "after a quarter of an hour it is given up"
            );
            left_nothing_behind(&id);
            let id = place_pending("k2", paid_with(card));
            neighbours::heal();
            recover();
            let expected = if card == GOOD {
                "confirmed"
            } else {
                "rejected"
            };
            assert_eq!(show(&id)["status"], expected);
        };
        std::thread::spawn(run).join().unwrap();
    }
}

#[test]
fn what_cannot_be_completed_is_given_up() {
    for (call, reason) in [
        ("GET /api/products", "products_unreachable"),
        ("PUT /internal/reservations", "inventory_unreachable"),
        ("/authorize", "payments_unreachable"),
    ] {
        let run = move || {
            open_shop();
            neighbours::fail_always(call, AnswerLost);
            let id = place_pending("k", body());
            simulation::advance(14 * MINUTE);
            tick();
            assert_eq!(show(&id)["reason"], Value::Null, "{call}");
            simulation::advance(2 * MINUTE);
            tick();
            let order = show(&id);
            assert_eq!(
                (&order["status"], &order["reason"]),
                (&json!("rejected"), &json!(reason))
            );
            left_nothing_behind(&id);
            let answer = place("k", body());
            assert_eq!((answer.status, problem(&answer)), (409, "order-rejected"));
        };
        std::thread::spawn(run).join().unwrap();
    }
}

#[test]
fn a_promise_is_kept_however_long_it_takes() {
    open_shop();
    neighbours::fail_always("/capture", Status(503));
    let answer = place("k", body());
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (201, &json!("confirmed"))
    );
    let id = id(&answer);
    assert_eq!(neighbours::charged(&id), 0);
    let ship = json!({"carrier": "DHL", "tracking": "1"});
    let ship = Ask::of(&SERVICE).admin().json(ship);
    assert_eq!(
        ship.send("POST", &format!("/api/orders/{id}/ship")).status,
        409,
        "it is not paid"
    );
    recover();
    assert_eq!(show(&id)["status"], "confirmed");
    neighbours::heal();
    recover();
    ended_well(&id);
    assert_eq!(place("k", body()).text, answer.text);
}

#[test]
fn an_answer_that_was_given_stays_the_answer() {
    open_shop();
    neighbours::fail_always("/capture", Status(503));
    let answer = place("k", paid_with(CAPTURE_FAILS));
    assert_eq!(answer.status, 201);
    neighbours::heal();
    recover();
    let id = id(&answer);
    assert_eq!(show(&id)["reason"], "payment_capture_failed");
    left_nothing_behind(&id);
    assert_eq!(place("k", paid_with(CAPTURE_FAILS)).text, answer.text);
}

#[test]
fn stock_that_is_gone_before_it_is_taken_undoes_the_order() {
    open_shop();
    neighbours::fail_always("/commit", Status(503));
    let id = id(&place("k", body()));
    assert_eq!(neighbours::charged(&id), TOTAL);
    neighbours::expire_reservations_and_sell_out();
    neighbours::heal();
    recover();
    let order = show(&id);
    assert_eq!(
        (&order["status"], &order["reason"]),
        (&json!("cancelled"), &json!("out_of_stock"))
    );
    assert_eq!(neighbours::charged(&id), 0);
    assert_eq!(neighbours::reservation_state(&id), Some("released"));
}

#[test]
fn undoing_is_tried_until_it_succeeds() {
    for (card, call) in [
        (DECLINED, "/release"),
        (CAPTURE_FAILS, "/void"),
        (CAPTURE_FAILS, "GET /internal/payments"),
        (CAPTURE_FAILS, "/release"),
    ] {
        let run = move || {
            open_shop();
            neighbours::fail_always(call, RequestLost);
            // An order that is being undone is not confirmed to anybody.
            let id = place_pending("k", paid_with(card));
            for _ in 0..3 {
                recover();
            }
            let order = show(&id);
            assert!(
                !["rejected", "cancelled"].contains(&order["status"].as_str().unwrap()),
                "{order}"
            );
            neighbours::heal();
            recover();
            let ends = if card == DECLINED {
                "rejected"
            } else {
                "cancelled"
            };
            assert_eq!(show(&id)["status"], ends);
            left_nothing_behind(&id);
            assert_eq!(place("k", paid_with(card)).status, 402);
        };
        std::thread::spawn(run).join().unwrap();
    }
}

#[test]
fn an_order_is_cancelled_at_whatever_step_it_is() {
    for call in [
        "GET /api/products",
        "PUT /internal/reservations",
        "/authorize",
        "/capture",
        "/commit",
    ] {
        for fault in [RequestLost, AnswerLost] {
            let run = move || {
                open_shop();
                neighbours::fail_always(call, fault);
                let placed = place("k", body());
                let id = id(&placed);
                let answer = cancel(&id);
                assert_eq!(
                    answer.status,
                    200,
                    "{call} {fault:?}: {} {:#?}",
                    answer.text,
                    log(&id)
                );
                assert_eq!(answer.body["reason"], "cancelled_by_customer");
                neighbours::heal();
                recover();
                left_nothing_behind(&id);
                let again = place("k", body());
                match placed.status {
                    201 => assert_eq!(again.text, placed.text),
                    _ => assert_eq!((again.status, problem(&again)), (409, "order-cancelled")),
                }
            };
            std::thread::spawn(run).join().unwrap();
        }
    }
}

#[test]
fn a_cancellation_overtakes_what_is_under_way() {
    // The slower the neighbours, the earlier the step that is under way when the customer cancels.
    let mut cancelled_at = Vec::new();
    let longest = POLICIES.to("payments").timeout_ms;
    for latency in (700..longest.into()).step_by(100) {
        let run = move || {
            open_shop();
            neighbours::slow_down(latency);
            let placed = place("k", body());
            let id = id(&placed);
            let at = show(&id)["status"].as_str().unwrap().to_owned();
            assert!([200, 202].contains(&cancel(&id).status));
            simulation::finish();
            neighbours::slow_down(0);
            recover();
            assert_eq!(show(&id)["status"], "cancelled", "{latency}");
            left_nothing_behind(&id);
            at
        };
        cancelled_at.push(std::thread::spawn(run).join().unwrap());
    }
    cancelled_at.dedup();
    assert_eq!(cancelled_at, ["confirmed", "reserved", "pending"]);
}

#[test]
fn a_cancellation_goes_on_by_itself() {
    open_shop();
    let id = id(&place("k", body()));
    neighbours::fail_always("/refund", AnswerLost);
    let answer = cancel(&id);
    // What was done without an answer is found out by asking.
    assert_eq!((answer.status, neighbours::charged(&id)), (200, 0));
    assert_eq!(neighbours::calls("/refund"), 1);

    let id = super::id(&place("k2", body()));
    neighbours::heal();
    neighbours::fail_always("/refund", RequestLost);
    let answer = cancel(&id);
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (202, &json!("confirmed"))
    );
    assert_eq!(cancel(&id).status, 202);
    let ship = json!({"carrier": "DHL", "tracking": "1"});
    let ship = Ask::of(&SERVICE).admin().json(ship);
    assert_eq!(
        ship.send("POST", &format!("/api/orders/{id}/ship")).status,
        409
    );
    neighbours::heal();
    recover();
    assert_eq!(cancel(&id).status, 200);
    left_nothing_behind(&id);
}

#[test]
fn what_is_being_rejected_is_not_cancelled() {
    open_shop();
    neighbours::fail_always("/release", Status(503));
    let id = place_pending("k", paid_with(DECLINED));
    assert_eq!(cancel(&id).status, 409);
}

#[test]
fn one_at_a_time_drives_an_order() {
    open_shop();
    neighbours::slow_down(1800);
    let id = place_pending("k", body());
    for _ in 0..20 {
        tick();
    }
    simulation::finish();
    ended_well(&id);
    assert_eq!(
        neighbours::calls(&format!("PUT /internal/reservations/{id}")),
        1
    );
    assert_eq!(neighbours::calls("/authorize"), 1);
    assert!(
        log(&id).iter().all(|entry| entry.ends_with('1')),
        "{:#?}",
        log(&id)
    );
}

#[test]
fn who_was_taken_for_dead_changes_nothing_any_more() {
    open_shop();
    neighbours::slow_down(1800);
    let id = place_pending("k", body());
    // Somebody else finds the lease over, and both go on.
    simulation::advance(Duration::from_secs(15));
    tick();
    simulation::finish();
    ended_well(&id);
    let started = |step: &str| {
        log(&id)
            .iter()
            .filter(|entry| entry.starts_with(&format!("{step} done")))
            .count()
    };
    assert_eq!(
        (started("authorize"), started("capture")),
        (1, 1),
        "{:#?}",
        log(&id)
    );
    assert_eq!(history(&show(&id)).len(), 4);
}

#[test]
fn a_shop_without_a_ticker_recovers_when_it_is_used() {
    open_shop();
    neighbours::fail_always("/authorize", Status(503));
    let id = place_pending("k", body());
    simulation::finish();
    neighbours::heal();
    simulation::advance(MINUTE);
    get("/api/orders");
    simulation::finish();
    ended_well(&id);
}

#[test]
fn many_that_are_due_are_taken_up_a_batch_at_a_time() {
    open_shop();
    neighbours::sell(CHAIR, 4900, 1000);
    neighbours::sell(TABLE, 12_000, 1000);
    neighbours::fail_always("PUT /internal/reservations", Status(503));
    for n in 0..40 {
        place_pending(&n.to_string(), body());
    }
    simulation::finish();
    neighbours::heal();
    simulation::advance(MINUTE);
    let confirmed = || {
        get("/api/orders?limit=100&status=confirmed").body["items"]
            .as_array()
            .unwrap()
            .len()
    };
    tick();
    assert_eq!(confirmed(), 16);
    tick();
    tick();
    assert_eq!(
        (confirmed(), neighbours::charged_altogether()),
        (40, 40 * TOTAL)
    );
}
