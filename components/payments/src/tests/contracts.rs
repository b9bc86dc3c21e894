//! What other services count on.

use std::collections::BTreeMap;

use super::*;
use crate::provider::scripted::{Turn, next};

#[test]
fn consumers_get_what_they_count_on() {
    souk_contracts::replay(&SERVICE, |given| {
        let order = in_state(given);
        BTreeMap::from([
            ("order_id".into(), order.id),
            ("token".into(), order.token),
            ("user_id".into(), USER.into()),
        ])
    });
}

/// A payment as the contract says it is; what the provider does next is part of that.
fn in_state(given: &str) -> Order {
    match given {
        "nothing" | "a good card's token" => Order::new(),
        "a declined card's token" => then(Order::new(), Turn::Decline),
        "a card's token and a provider that does not answer" => {
            then(Order::new(), Turn::UnknownNotDone)
        }
        "an authorized payment" => Order::authorized(),
        "an authorized payment whose capture fails" => then(Order::authorized(), Turn::Decline),
        "a payment whose capture failed" => {
            let order = then(Order::authorized(), Turn::Decline);
            after(order, "capture", "capture_failed")
        }
        "a captured payment" => Order::captured(),
        "a voided payment" => after(Order::authorized(), "void", "voided"),
        "a refunded payment" => after(Order::captured(), "refund", "refunded"),
        other => panic!("no state is called {other:?}"),
    }
}

fn then(order: Order, turn: Turn) -> Order {
    next([turn]);
    order
}

fn after(order: Order, action: &str, status: &str) -> Order {
    assert_eq!(order.post(action).body["status"], status);
    order
}
