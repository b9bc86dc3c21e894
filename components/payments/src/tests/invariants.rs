//! What the database refuses, whatever the code.

use super::*;

fn refused(statement: &str, constraint: &str) {
    let error = sql(statement).unwrap_err();
    assert!(error.violates(constraint), "{statement}: {error}");
}

#[test]
fn sums_stay_within_each_other() {
    Order::captured();
    refused(
        "UPDATE payments SET captured = 4901",
        "captured_was_authorized",
    );
    refused(
        "UPDATE payments SET refunded = 4901",
        "refunded_was_captured",
    );
    refused(
        "UPDATE payments SET refunded = 4000, refunding = 901",
        "refunded_was_captured",
    );
    refused("UPDATE payments SET refunded = -1", "refunded_was_captured");
    let refund = "INSERT INTO operations (key, payment_id, kind, amount, status, lease_until, due_at) \
        SELECT 'k', id, 'refund', 4901, 'asked', 0, 0 FROM payments";
    refused(refund, "refunded_was_captured");
}

#[test]
fn an_end_is_an_end() {
    use crate::provider::scripted::{Turn, next};
    let refunded = Order::captured();
    refunded.post("refund");
    let voided = Order::authorized();
    voided.post("void");
    let declined = Order::new();
    next([Turn::Decline]);
    declined.authorize();
    for (order, end) in [
        (refunded, "refunded"),
        (voided, "voided"),
        (declined, "declined"),
    ] {
        assert_eq!(order.status(), end);
        for status in [
            "authorizing",
            "authorized",
            "capturing",
            "captured",
            "capture_failed",
            "voiding",
            "refunding",
            "partially_refunded",
        ] {
            let change = format!(
                "UPDATE payments SET status = '{status}' WHERE order_id = '{}'",
                order.id
            );
            refused(&change, "payment_transition");
        }
    }
}

#[test]
fn nothing_is_captured_without_or_after_an_authorization() {
    let order = Order::authorized();
    refused(
        "UPDATE payments SET status = 'captured'",
        "payment_transition",
    );
    refused(
        "UPDATE payments SET status = 'voiding', captured = 1",
        "voided_is_not_captured",
    );
    order.post("void");
    refused("UPDATE payments SET captured = 1", "voided_is_not_captured");
    refused(
        "UPDATE payments SET status = 'capturing'",
        "payment_transition",
    );
    let made = |status: &str| {
        format!(
            "INSERT INTO payments (id, order_id, token, amount, currency, status) \
             SELECT 'x', 'y', token, 1, 'EUR', '{status}' FROM card_tokens"
        )
    };
    refused(&made("captured"), "payment_transition");
    refused(&made("authorized"), "payment_transition");
}

#[test]
fn what_was_agreed_stays() {
    Order::authorized();
    for change in [
        "amount = 1",
        "currency = 'USD'",
        "user_id = NULL",
        "token = 'other'",
        "order_id = 'other'",
        "id = 'other'",
    ] {
        refused(&format!("UPDATE payments SET {change}"), "payment_stays");
    }
}

#[test]
fn nothing_is_decided_twice() {
    Order::captured();
    for status in ["asked", "ready", "declined", "cancelled"] {
        let change = format!("UPDATE operations SET status = '{status}'");
        refused(&change, "operation_transition");
    }
    let again = "INSERT INTO operations (key, payment_id, kind, amount, status, lease_until, due_at) \
        SELECT 'k', id, 'capture', 1, 'ready', 0, 0 FROM payments";
    refused(again, "operations.payment_id");
}

#[test]
fn the_history_only_grows() {
    Order::captured();
    refused("UPDATE transactions SET amount = 1", "transactions_stay");
    refused("DELETE FROM transactions", "transactions_stay");
}
