//! The machine crashes at every point there is, before and after each effect, and what is left is brought to an end.

use std::thread;
use std::time::Duration;

use super::*;
use crate::domain::saga::LEASE;
use simulation::{crash_after, restart};

/// What a customer does, in full or up to the crash.
#[derive(Clone, Copy)]
struct Scenario {
    /// What has happened before, undisturbed.
    before: fn(),
    card: &'static str,
    /// What is interrupted, and done again at the end.
    act: fn(&'static str),
    /// What the request that placed the order is answered with in the end, however often it is sent.
    answer: u16,
    /// How the order ends.
    ends: &'static str,
}

fn order(card: &'static str) {
    at_once(vec![("k", "/api/orders", paid_with(card))]);
}

const GOOD_ORDER: Scenario = Scenario {
    before: open_shop,
    card: GOOD,
    act: order,
    answer: 201,
    ends: "confirmed",
};

const DECLINED_ORDER: Scenario = Scenario {
    card: DECLINED,
    answer: 402,
    ends: "rejected",
    ..GOOD_ORDER
};

const UNCAPTURED_ORDER: Scenario = Scenario {
    card: CAPTURE_FAILS,
    answer: 402,
    ends: "cancelled",
    ..GOOD_ORDER
};

const ORDER_OF_TOO_MUCH: Scenario = Scenario {
    before: || {
        open_shop();
        neighbours::sell(CHAIR, 4900, 0);
    },
    answer: 409,
    ends: "rejected",
    ..GOOD_ORDER
};

const CANCELLATION: Scenario = Scenario {
    before: || {
        open_shop();
        order(GOOD);
    },
    act: |_| {
        let id = get("/api/orders").body["items"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        at_once(vec![("", &format!("/api/orders/{id}/cancel"), Value::Null)]);
    },
    ends: "cancelled",
    ..GOOD_ORDER
};

/// Brings to an end what was left, for a good quarter of an hour.
pub fn recover() {
    go_on(16);
}

/// Lets so many minutes pass, each with a tick.
fn go_on(minutes: usize) {
    simulation::advance(Duration::from_millis(LEASE as u64 + 1));
    for _ in 0..minutes {
        at_once(vec![("", "/internal/tick", Value::Null)]);
        simulation::finish();
        simulation::advance(Duration::from_secs(61));
    }
}

/// Nothing is pending, nothing held, and what was paid for is what left the shelf.
fn check(scenario: Scenario, context: &str) {
    let orders = get("/api/orders").body["items"].clone();
    let orders = orders.as_array().unwrap();
    assert!(orders.len() <= 1, "{context}: {orders:#?}");
    let Some(order) = orders.first() else {
        assert_eq!(
            (
                neighbours::charged_altogether(),
                neighbours::calls("reservations")
            ),
            (0, 0),
            "{context}"
        );
        return;
    };
    let id = order["id"].as_str().unwrap();
    let context = format!("{context}: {order:#} {:#?}", log(id));
    let confirmed = order["status"] == "confirmed";
    let charged = if confirmed { TOTAL } else { 0 };
    assert_eq!(neighbours::charged(id), charged, "{context}");
    let taken_of_table = i64::from(confirmed);
    assert_eq!(
        stock(TABLE),
        Level {
            on_hand: 10 - taken_of_table,
            reserved: 0
        },
        "{context}"
    );
    assert_eq!(stock(CHAIR).reserved, 0, "{context}");
    let payment = neighbours::payment_status(id);
    let settled = [
        None,
        Some("captured"),
        Some("refunded"),
        Some("voided"),
        Some("declined"),
    ];
    assert!(settled.contains(&payment), "{context}: {payment:?}");
    assert_eq!(order["status"], scenario.ends, "{context}");
    let told = events::told(id);
    let happened: Vec<_> = history(&show(id))
        .into_iter()
        .filter(|status| !["reserved", "authorized"].contains(status))
        .map(|status| {
            format!(
                "order.{}",
                if status == "pending" {
                    "placed"
                } else {
                    status
                }
            )
        })
        .collect();
    assert_eq!(told, happened, "{context}");
}

/// Runs a scenario that crashes after so many checkpoints, and the recovery after so many; says which of them crashed.
fn crash(scenario: Scenario, first: usize, second: Option<usize>) -> (bool, bool) {
    let run = move || {
        (scenario.before)();
        crash_after(first);
        (scenario.act)(scenario.card);
        let crashed = restart();
        let mut crashed_again = false;
        if let Some(second) = second {
            simulation::advance(Duration::from_millis(LEASE as u64 + 1));
            crash_after(second);
            at_once(vec![("", "/internal/tick", Value::Null)]);
            crashed_again = restart();
        }
        go_on(2);
        let context = format!("crash after {first}, then {second:?}");
        (scenario.act)(scenario.card);
        let answer = place("k", paid_with(scenario.card));
        assert_eq!(answer.status, scenario.answer, "{context}: {}", answer.text);
        check(scenario, &context);
        (crashed, crashed_again)
    };
    thread::spawn(run).join().unwrap()
}

fn crash_everywhere(scenario: Scenario) -> usize {
    let points = (0..).take_while(|point| crash(scenario, *point, None).0);
    points.count()
}

#[test]
fn an_order_survives_a_crash_at_every_point() {
    // There are two points for each of its calls and writes.
    assert_eq!(crash_everywhere(GOOD_ORDER), 2 * (6 + 4));
    assert_eq!(crash_everywhere(DECLINED_ORDER), 2 * (5 + 4));
    assert_eq!(crash_everywhere(UNCAPTURED_ORDER), 2 * (9 + 6));
    assert_eq!(crash_everywhere(ORDER_OF_TOO_MUCH), 2 * (3 + 2));
}

#[test]
fn a_cancellation_survives_a_crash_at_every_point() {
    // It asks for the payment, refunds it and releases the stock, and is begun, half way and done.
    assert_eq!(crash_everywhere(CANCELLATION), 2 * (3 + 3));
}

#[test]
fn a_recovery_survives_a_crash_at_every_point() {
    let mut points = 0;
    for scenario in [GOOD_ORDER, UNCAPTURED_ORDER, CANCELLATION] {
        for first in (0..).take_while(|point| crash(scenario, *point, None).0) {
            let seconds = (0..).take_while(|point| crash(scenario, first, Some(*point)).1);
            points += seconds.count();
        }
    }
    assert!(points > 300, "{points}");
}
