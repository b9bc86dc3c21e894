//! The invariants, against statements that no handler would run.

use super::*;
use crate::store::tests::run;

/// The constraint that refuses a statement.
fn refusal(sql: &str) -> String {
    let error = run(sql).expect_err(sql).to_string();
    let (_, constraint) = error.split_once("constraint failed: ").expect(&error);
    constraint.to_owned()
}

fn audit() -> Value {
    let answer = Ask::of(&SERVICE)
        .admin()
        .send("GET", "/api/inventory/audit");
    assert_eq!(answer.status, 200);
    answer.body
}

/// A product with 5 on hand of which an order holds 2.
fn reserved_chair() -> Uuid {
    let chair = stocked(1, 5);
    assert_eq!(reserve(1, &[(chair, 2)]).status, 201);
    chair
}

fn reservation(state: &str, lines: &str) -> String {
    format!(
        "INSERT INTO reservations (order_id, state, lines, expires_at) VALUES ('o', '{state}', '{lines}', '9')"
    )
}

#[test]
fn no_statement_oversells() {
    let chair = reserved_chair();
    for sql in [
        "UPDATE stock SET reserved = 6, version = version + 1",
        "UPDATE stock SET on_hand = 1, version = version + 1",
        "UPDATE stock SET on_hand = -1, reserved = 0, version = version + 1",
        "INSERT INTO stock (product_id, on_hand, last_kind) VALUES ('p', -1, 'set')",
    ] {
        assert_eq!(refusal(sql), "never_oversold", "{sql}");
    }
    let negative = "UPDATE stock SET reserved = -1, version = version + 1";
    assert_eq!(refusal(negative), "reserved_not_negative");
    let too_many = format!(r#"{{"{chair}": 4}}"#);
    assert_eq!(refusal(&reservation("open", &too_many)), "never_oversold");
}

#[test]
fn the_ledger_is_append_only() {
    let chair = reserved_chair();
    let told = ledger(chair);
    assert_eq!(
        refusal("UPDATE ledger SET reason = 'x'"),
        "ledger_is_append_only"
    );
    assert_eq!(refusal("DELETE FROM ledger"), "ledger_is_append_only");
    let forged = |verb: &str, version: i64| {
        format!(
            "{verb} INTO ledger (product_id, version, kind, on_hand_change, reserved_change, on_hand, reserved, at) \
             VALUES ('{chair}', {version}, 'set', 0, 0, 5, 2, '')"
        )
    };
    let instead_of_one = forged("INSERT OR REPLACE", 2);
    let of_one_to_come = forged("INSERT", 3);
    assert_eq!(refusal(&instead_of_one), "ledger_tells_movements");
    assert_eq!(refusal(&of_one_to_come), "ledger_tells_movements");
    assert_eq!(ledger(chair), told);
}

#[test]
fn no_level_changes_without_its_entry() {
    let chair = reserved_chair();
    assert_eq!(
        refusal("UPDATE stock SET on_hand = 9"),
        "ledger_tells_movements"
    );
    assert_eq!(refusal("DELETE FROM stock"), "stock_stays");
    run("UPDATE stock SET on_hand = 9, version = version + 1").unwrap();
    assert_eq!(ledger(chair)[0]["on_hand_change"], 4);
    assert_eq!(audit()["mismatches"], json!([]));
}

#[test]
fn no_key_is_used_twice_for_a_product() {
    reserved_chair();
    let adjust = "UPDATE stock SET on_hand = on_hand + 1, version = version + 1, last_key = 'k'";
    run(adjust).unwrap();
    assert!(refusal(adjust).contains("ledger.idempotency_key"));
}

#[test]
fn reservations_follow_their_rules() {
    let chair = reserved_chair();
    let of = |quantity: &str| format!(r#"{{"{chair}": {quantity}}}"#);
    for quantity in ["0", "-1", "1.5", "\"1\"", "null"] {
        let refused = refusal(&reservation("open", &of(quantity)));
        assert_eq!(refused, "quantity_is_positive", "{quantity}");
    }
    assert_eq!(
        refusal(&reservation("open", r#"{"p": 1}"#)),
        "stock_is_kept"
    );
    assert_eq!(refusal(&reservation("open", "x")), "lines_are_json");
    assert_eq!(
        refusal(&reservation("committed", &of("1"))),
        "begins_open_or_released"
    );
    assert_eq!(
        refusal("UPDATE reservations SET lines = '{}'"),
        "reservation_follows"
    );
    assert_eq!(
        refusal("UPDATE reservations SET state = 'gone'"),
        "state_is_known"
    );
    assert_eq!(refusal("DELETE FROM reservations"), "reservation_stays");
    commit(1);
    for state in ["open", "expired"] {
        let back = format!("UPDATE reservations SET state = '{state}'");
        assert_eq!(refusal(&back), "reservation_follows", "{state}");
    }
    release(1);
    for state in ["open", "committed", "expired"] {
        let back = format!("UPDATE reservations SET state = '{state}'");
        assert_eq!(refusal(&back), "reservation_follows", "{state}");
    }
    assert_eq!(level(chair), (5, 0));
}

#[test]
fn books_that_balance_have_no_mismatch() {
    reserved_chair();
    stocked(2, 0);
    assert_eq!(audit(), json!({"products": 2, "mismatches": []}));
}

#[test]
fn books_that_do_not_balance_are_told() {
    let chair = reserved_chair();
    let mismatch = |changes: Value| {
        let mut expected = json!({"product_id": chair, "on_hand": 5, "reserved": 2, "movements": 2,
            "ledger_on_hand": 5, "ledger_reserved": 2, "ledger_entries": 2, "held": 2});
        let changes = changes.as_object().unwrap().clone();
        expected.as_object_mut().unwrap().extend(changes);
        assert_eq!(audit(), json!({"products": 1, "mismatches": [expected]}));
    };
    run("DROP TRIGGER ledger_is_not_changed").unwrap();
    run("UPDATE ledger SET on_hand_change = 6 WHERE version = 1").unwrap();
    mismatch(json!({"ledger_on_hand": 6}));
    run("UPDATE ledger SET on_hand_change = 5, reserved_change = 1 WHERE version = 1").unwrap();
    mismatch(json!({"ledger_reserved": 3}));
    run("UPDATE ledger SET reserved_change = 0 WHERE version = 1").unwrap();
    assert_eq!(audit()["mismatches"], json!([]));

    run("DROP TRIGGER reservation_changed").unwrap();
    run("UPDATE reservations SET state = 'expired', version = 2").unwrap();
    mismatch(json!({"held": 0}));
    run("UPDATE reservations SET state = 'open'").unwrap();

    run("DROP TRIGGER ledger_is_not_shortened").unwrap();
    run("DELETE FROM ledger").unwrap();
    mismatch(json!({"ledger_on_hand": 0, "ledger_reserved": 0, "ledger_entries": 0}));
}
