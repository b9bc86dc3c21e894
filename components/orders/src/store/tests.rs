//! The database refuses what must not be, and answers lists along its indexes.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::Status;
use crate::domain::saga::Outcome;
use crate::domain::tests::order;
use futures::executor::block_on;

struct Texts(Vec<String>);

impl FromRow for Texts {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let mut texts = Vec::new();
        while let Some(text) = row.take::<Option<String>>()? {
            texts.push(text);
        }
        Ok(Self(texts))
    }
}

fn texts(sql: &str, parameters: impl IntoIterator<Item = Value>) -> Result<Vec<String>, Error> {
    let rows: Vec<Texts> = block_on(DATABASE.read(sql, parameters))?;
    Ok(rows
        .into_iter()
        .map(|Texts(texts)| texts.join(" "))
        .collect())
}

/// An order's saga log, as `step event attempt`.
pub fn log(id: &str) -> Vec<String> {
    const SQL: &str =
        "SELECT step, event, CAST(attempt AS TEXT) FROM saga_log WHERE order_id = ?1 ORDER BY seq";
    texts(SQL, [id.into()]).unwrap()
}

/// Everything in the database, as text.
pub fn everything() -> String {
    let tables = ["orders", "order_history", "saga_log"];
    let columns = |table: &str| {
        let sql = "SELECT group_concat('ifnull(' || name || ', '''')', ' || ''|'' || ') FROM pragma_table_info(?1)";
        texts(sql, [table.into()]).unwrap().concat()
    };
    let rows = |table: &str| texts(&format!("SELECT {} FROM {table}", columns(table)), []).unwrap();
    tables.into_iter().flat_map(rows).collect()
}

/// Inserts orders whose sagas somebody drives until a moment.
pub fn insert_driven(count: i64, until: i64) {
    const SQL: &str = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) \
                       INSERT INTO orders (id, user_id, idempotency_key, request_hash, items, shipping_address, card_brand, \
                       card_last4, step, lease, due_at, give_up_at, saga_events) \
                       SELECT 'driven' || n, 'u', n, 'h', '[]', '{}', 'visa', '4242', 'reserve', 'l', ?2, ?2, '[]' FROM numbers";
    texts(SQL, [count.into(), until.into()]).unwrap();
}

/// What the database says to a statement; a refusal is named.
fn try_to(sql: &str) -> Result<Vec<String>, String> {
    texts(sql, []).map_err(|error| error.to_string())
}

fn insert_order(step: &str, status: &str) -> Result<Vec<String>, String> {
    try_to(&format!(
        "INSERT INTO orders (id, user_id, idempotency_key, request_hash, status, items, shipping_address, card_brand, \
         card_last4, step, due_at, give_up_at, saga_events) VALUES ('o', 'u', 'k', 'h', '{status}', '[]', '{{}}', \
         'visa', '4242', '{step}', 1, 1, '[{{\"step\":\"price\",\"event\":\"started\"}}]')"
    ))
}

fn refused(sql: &str, constraint: &str) {
    let refusal = try_to(sql).expect_err(sql);
    assert!(refusal.contains(constraint), "{sql}: {refusal}");
}

#[test]
fn a_status_changes_along_the_path_only() {
    refused_insert("confirmed");
    insert_order("reserve", "pending").unwrap();
    for status in ["confirmed", "shipped", "delivered"] {
        let sql = format!(
            "UPDATE orders SET status = '{status}', step = 'done', due_at = NULL, total_amount = 1, \
                           currency = 'EUR', tracking = 't'"
        );
        refused(&sql, "legal_transition");
    }
    try_to("UPDATE orders SET total_amount = 1, currency = 'EUR'").unwrap();
    try_to("UPDATE orders SET status = 'reserved'").unwrap();
    try_to("UPDATE orders SET status = 'confirmed'").unwrap();
    refused("UPDATE orders SET status = 'reserved'", "legal_transition");
    refused(
        "UPDATE orders SET status = 'rejected', reason = 'r', step = 'done', due_at = NULL",
        "legal_transition",
    );
    refused(
        "UPDATE orders SET status = 'shipped', tracking = 't'",
        "ends_are_for_finished_sagas",
    );
    refused(
        "UPDATE orders SET status = 'cancelled', step = 'done', due_at = NULL",
        "ends_have_reasons",
    );
    assert_eq!(
        try_to("SELECT CAST(seq AS TEXT), status FROM order_history ORDER BY seq").unwrap(),
        ["1 pending", "2 reserved", "3 authorized", "4 confirmed"]
    );
}

fn refused_insert(status: &str) {
    let refusal = insert_order("done", status).expect_err("it is not pending");
    assert!(refusal.contains("legal_transition"), "{refusal}");
}

#[test]
fn an_unfinished_order_is_due_and_a_finished_one_is_not_pending() {
    insert_order("reserve", "pending").unwrap();
    refused(
        "UPDATE orders SET due_at = NULL",
        "unfinished_sagas_are_due",
    );
    refused(
        "UPDATE orders SET step = 'done'",
        "unfinished_sagas_are_due",
    );
    refused(
        "UPDATE orders SET step = 'done', due_at = NULL",
        "finished_sagas_end_orders",
    );
}

#[test]
fn what_was_ordered_and_what_happened_is_kept() {
    insert_order("reserve", "pending").unwrap();
    try_to("UPDATE orders SET total_amount = 1, currency = 'EUR', answer_status = 201").unwrap();
    for change in [
        "user_id = 'x'",
        "shipping_address = '[]'",
        "total_amount = 2",
        "items = '[1]'",
        "answer_status = 402",
    ] {
        refused(&format!("UPDATE orders SET {change}"), "orders_are_kept");
    }
    refused("DELETE FROM orders", "orders_are_kept");
    for (table, constraint) in [
        ("order_history", "history_is_append_only"),
        ("saga_log", "saga_log_is_append_only"),
    ] {
        refused(&format!("UPDATE {table} SET at = 'never'"), constraint);
        refused(&format!("DELETE FROM {table}"), constraint);
    }
}

#[test]
fn a_migration_can_be_repeated() {
    insert_order("reserve", "pending").unwrap();
    for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
        // Migrations pass over a column that is there already.
        if let Err(error) = try_to(statement) {
            assert!(
                error.to_string().contains("duplicate column name"),
                "{error}"
            );
        }
    }
}

fn plan(sql: &str, parameters: Vec<Value>) -> String {
    let steps = block_on(DATABASE.plan(sql, parameters)).unwrap();
    steps[0].clone()
}

#[test]
fn unfinished_sagas_are_counted_and_finished_ones_not_looked_at() {
    use crate::domain::ops::Unfinished;
    let now = souk_chassis::background::now();
    let counted = || block_on(ops::count_unfinished(now)).unwrap();
    assert_eq!(counted(), Unfinished::default());
    insert_driven(9, now + 1);
    for change in [
        "lease = NULL WHERE id = 'driven2'",
        "lease = NULL, due_at = due_at - 1 WHERE id = 'driven3'",
        "due_at = due_at - 70000 WHERE id = 'driven4'",
        "attempt = 21 WHERE id = 'driven5'",
        "attempt = 20 WHERE id = 'driven6'",
        "step = 'done', due_at = NULL, lease = NULL, status = 'rejected', reason = 'products_unreachable' \
         WHERE id IN ('driven7', 'driven8', 'driven9')",
    ] {
        try_to(&format!("UPDATE orders SET {change}")).unwrap();
    }
    let Unfinished { oldest_ms, .. } = counted();
    assert!((-1_000..10_000).contains(&oldest_ms), "{oldest_ms}");
    let expected = Unfinished {
        running: 3,
        waiting: 1,
        due: 2,
        stuck: 2,
        oldest_ms,
    };
    assert_eq!(counted(), expected);
    assert_eq!(
        plan(ops::UNFINISHED, vec![now.into(), 0.into(), 0.into()]),
        "SEARCH orders USING INDEX orders_due (due_at>?)"
    );
}

#[test]
fn every_list_is_read_along_an_index_from_the_cursor_on() {
    let filter = |query: &str| souk_chassis::fields::from_query::<Filter>(query).unwrap();
    let list = |query: &str, user: Option<&str>| {
        let before = query.contains("after").then(uuid::Uuid::nil);
        let (sql, parameters) = list_statement(
            &Filter {
                before,
                ..filter(query)
            },
            user,
        );
        plan(&sql, parameters)
    };
    assert_eq!(
        list("", Some("u")),
        "SEARCH orders USING INDEX orders_by_user (user_id=?)"
    );
    assert_eq!(
        list("after", Some("u")),
        "SEARCH orders USING INDEX orders_by_user (user_id=? AND id<?)"
    );
    assert_eq!(
        list("status=pending", None),
        "SEARCH orders USING INDEX orders_by_status (status=?)"
    );
    assert_eq!(
        list("status=confirmed,shipped&from=2026-01-31T12:00:00Z", None),
        "SEARCH orders USING INDEX sqlite_autoindex_orders_1 (id>?)"
    );
    assert_eq!(
        list("number=0000CAFE4711", None),
        "SEARCH orders USING INDEX orders_by_number (<expr>=?)"
    );
    assert_eq!(
        list("", None),
        "SCAN orders USING INDEX sqlite_autoindex_orders_1"
    );
    let due = plan(
        "SELECT id, step FROM orders WHERE due_at <= 5 ORDER BY due_at LIMIT 5",
        Vec::new(),
    );
    assert_eq!(due, "SEARCH orders USING INDEX orders_due (due_at<?)");
    let under_way = plan(
        "SELECT 1 FROM orders WHERE lease IS NOT NULL AND due_at > 5 LIMIT 5",
        Vec::new(),
    );
    assert_eq!(
        under_way,
        "SEARCH orders USING INDEX orders_under_way (due_at>?)"
    );
}

#[test]
fn a_saga_is_taken_up_when_it_is_due_and_by_one_alone() {
    let mut first = order();
    let events = first.saga.step.begins();
    let due_at = first.saga.due_at.unwrap();
    assert!(block_on(insert(&first, "k", &events)).unwrap());
    assert!(
        !block_on(insert(&first, "k", &events)).unwrap(),
        "a key is one order"
    );

    let claim = |lease: &str, now: i64| {
        let due = Due {
            id: first.id.clone(),
            step: Step::Price,
        };
        block_on(claim(&due, lease, now + 100, now)).unwrap()
    };
    assert!(claim("early", due_at - 1).is_none());
    let second = claim("second", due_at).unwrap();
    assert_eq!(
        (second.saga.attempt, second.saga.lease.as_deref()),
        (2, Some("second"))
    );
    assert!(claim("late", due_at).is_none());
    assert_eq!(log("o1"), ["price started 1", "price started 2"]);

    // Whoever had it before has lost it, at the same step as well.
    let held = first.held();
    let events = first.apply(Outcome::Later("slow".into()), 0);
    assert!(!block_on(save(&first, &held, &events)).unwrap());
    let held = second.held();
    assert!(block_on(save(&second, &held, &[])).unwrap());
}

#[test]
fn a_row_that_says_something_else_is_not_written() {
    let order = order();
    assert!(block_on(insert(&order, "k", &order.saga.step.begins())).unwrap());
    let held = order.held();
    for stale in [
        Held {
            status: Status::Reserved,
            ..held.clone()
        },
        Held {
            step: Step::Reserve,
            ..held.clone()
        },
        Held {
            lease: None,
            ..held.clone()
        },
    ] {
        assert!(!block_on(save(&order, &stale, &[])).unwrap(), "{stale:?}");
    }
    assert!(block_on(save(&order, &held, &[])).unwrap());
}
