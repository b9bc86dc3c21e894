//! The auditor itself: it finds nothing where nothing is wrong, and whatever is broken.

use rusqlite::Connection;
use serde_json::json;
use souk_tests::audit::{self, Answers, Books, Placed, Promise};
use souk_tests::{Shop, eventually, souk_only};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::load::{Closing, Load};
use crate::plan;
use crate::site::{self, Site};

/// What is broken: which database, how, and the check that has to say so.
type Damage = (&'static str, &'static str, &'static str);

const DAMAGES: &[Damage] = &[
    (
        "notifications",
        "DELETE FROM notifications WHERE id = (SELECT id FROM notifications WHERE kind = 'order_confirmed')",
        "notifications: order",
    ),
    (
        "notifications",
        "DELETE FROM notifications WHERE id = (SELECT id FROM notifications WHERE kind = 'payment_receipt')",
        "notifications: order",
    ),
    (
        "notifications",
        "INSERT INTO notifications (id, user_id, kind, cause, order_id, title, text, html, channels) \
         SELECT 'again', user_id, kind, 'again', order_id, title, text, html, '[]' FROM notifications \
         WHERE kind = 'order_confirmed' LIMIT 1",
        "notifications: order",
    ),
    (
        "notifications",
        "UPDATE deliveries SET status = 'pending' WHERE id = (SELECT id FROM deliveries)",
        "notifications: the delivery",
    ),
    (
        "products",
        "UPDATE availability SET available = available + 1 WHERE product_id = (SELECT product_id FROM availability)",
        "availability",
    ),
    (
        "inventory",
        "UPDATE stock SET on_hand = on_hand + 1 WHERE product_id = (SELECT product_id FROM stock)",
        "ledger",
    ),
    (
        "inventory",
        "UPDATE reservations SET state = 'open' WHERE order_id = (SELECT order_id FROM reservations WHERE state = 'committed')",
        "reservations",
    ),
    (
        "inventory",
        "DELETE FROM stock WHERE product_id = (SELECT max(product_id) FROM stock)",
        "stock of products",
    ),
    (
        "payments",
        "UPDATE payments SET captured = 0 WHERE id = (SELECT id FROM payments WHERE status = 'captured')",
        "captures",
    ),
    (
        "payments",
        "INSERT INTO transactions (payment_id, kind, amount, status) \
         SELECT payment_id, kind, amount, status FROM transactions WHERE kind = 'capture' AND status = 'succeeded' LIMIT 1",
        "transactions",
    ),
    (
        "payments",
        "UPDATE payments SET refunded = refunded - 1 WHERE id = (SELECT id FROM payments WHERE status = 'refunded')",
        "charges",
    ),
    (
        "payments",
        "UPDATE operations SET status = 'asked' WHERE number = (SELECT number FROM operations WHERE kind = 'capture')",
        "operations",
    ),
    (
        "orders",
        "UPDATE orders SET step = 'settle', due_at = 1 WHERE id = (SELECT id FROM orders WHERE status = 'confirmed')",
        "sagas",
    ),
    (
        "orders",
        "UPDATE orders SET refunded = 0 WHERE refunded > 0",
        "refunds",
    ),
    ("orders", "DELETE FROM erased_users", "erasure"),
    (
        "orders",
        "UPDATE outbox_progress SET published = published - 1",
        "outbox",
    ),
    (
        "orders",
        "INSERT INTO outbox (type, subject, data) SELECT type, subject, data FROM outbox LIMIT 1",
        "outbox",
    ),
    (
        "events",
        "DELETE FROM log WHERE position = (SELECT max(position) FROM log WHERE type = 'order.confirmed')",
        "events",
    ),
    (
        "events",
        "DELETE FROM log WHERE position = (SELECT max(position) FROM log WHERE type = 'user.registered')",
        "outbox",
    ),
    (
        "events",
        "INSERT INTO log (source, id, type, subject, event) SELECT source, id, type, subject, event FROM log LIMIT 1",
        "events",
    ),
    (
        "events",
        "UPDATE log SET position = (SELECT max(position) + 1 FROM log) WHERE position = \
         (SELECT position FROM log WHERE type = 'order.placed' \
          AND subject IN (SELECT subject FROM log WHERE type = 'order.confirmed'))",
        "order of events",
    ),
    (
        "events",
        "UPDATE subscriptions SET position = position - 1 WHERE consumer = 'carts'",
        "delivery",
    ),
    (
        "events",
        "INSERT INTO held (consumer, position, source, subject, state, attempts, due_at) \
         SELECT 'products', position, source, subject, 'dead', 20, 0 FROM log LIMIT 1",
        "delivery",
    ),
    (
        "events",
        "DELETE FROM subscriptions WHERE consumer = 'carts'",
        "delivery: carts",
    ),
];

#[test]
fn whatever_is_broken_the_auditor_says_so() {
    souk_only!();
    let seed = plan::seed();
    let site = Site::new(Shop::launcher());
    let (shop, catalogue) = site.open();
    let leaver = shop.customer();
    leaver.buy(&[(&catalogue.plenty[0], 1)]);
    assert_eq!(leaver.act("DELETE", "/api/users/me").status, 204);
    let over = AtomicBool::new(false);
    let load = Load {
        url: &site.url,
        seed,
        catalogue: &catalogue,
        pause: 10,
        is_patient: true,
        over: &over,
    };
    let answers = std::thread::scope(|scope| {
        let answers = scope.spawn(|| load.run(4));
        let closing = Closing(&over);
        std::thread::sleep(Duration::from_secs(6));
        eventually("somebody gets their money back", || has_refunds(&site));
        drop(closing);
        answers.join().unwrap()
    });
    site.wait_for_rest();
    let good = tempfile::tempdir().unwrap();
    copy(&site.state_dir(), good.path());
    let (fits, text) = site::audit(&site.url, good.path(), "database", &answers, good.path());
    assert!(fits, "{text}");
    println!("{text}");

    for damage in DAMAGES {
        is_found(good.path(), &answers, damage);
    }
    for (check, answers) in wrong(&answers) {
        let (fits, text) = site::audit(&site.url, good.path(), "database", &answers, good.path());
        assert!(!fits && says(&text, check), "{check}:\n{text}");
    }
}

/// Whether there are refunds, which of all that can be broken are the rarest.
fn has_refunds(site: &Site) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM payments WHERE status = 'refunded')";
    let payments = site.read("payments");
    payments.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn is_found(good: &Path, answers: &Answers, (name, sql, check): &Damage) {
    let dir = tempfile::tempdir().unwrap();
    copy(good, dir.path());
    damage(&dir.path().join(format!("{name}.db")), sql);
    let books = Books {
        state_dir: dir.path(),
        log: None,
    };
    let found = audit::run_offline(&books, answers).discrepancies;
    let says = found.iter().any(|line| line.starts_with(check));
    assert!(says, "{check} after {sql}: {found:#?}");
}

/// Whether a line begins with this.
fn says(text: &str, check: &str) -> bool {
    text.lines().any(|line| line.starts_with(check))
}

/// Copies the databases as they are at a moment.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "db") {
            let database = Connection::open(&file).unwrap();
            let copy = to.join(file.file_name().unwrap());
            database.execute("VACUUM INTO ?1", [copy.to_str()]).unwrap();
        }
    }
}

/// Changes a database as nothing in the shop could: past its triggers and indexes.
fn damage(file: &Path, sql: &str) {
    let database = Connection::open(file).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    let guards = "SELECT group_concat('DROP ' || type || ' \"' || name || '\"', ';') FROM sqlite_schema \
                  WHERE type = 'trigger' OR type = 'index' AND sql IS NOT NULL";
    let drop: String = database.query_row(guards, [], |row| row.get(0)).unwrap();
    database.execute_batch(&drop).unwrap();
    let changed = database.execute(sql, []).unwrap();
    assert!(changed > 0, "there is nothing to break: {sql}");
}

/// Answers that are not true, and the check that has to say so.
fn wrong(answers: &Answers) -> Vec<(&'static str, Answers)> {
    let with = |change: &dyn Fn(&mut Answers)| {
        let mut changed = answers.clone();
        change(&mut changed);
        changed
    };
    let id = placed(&mut answers.clone(), true).answer["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    let customer =
        |answers: &mut Answers| answers.customers.iter().position(|it| !it.is_gone).unwrap();
    vec![
        ("answers", with(&|it| placed(it, true).status = 402)),
        (
            "answers",
            with(&|it| placed(it, true).answer["total"] = json!(0)),
        ),
        (
            "answers",
            with(&|it| {
                let refused = placed(it, false);
                refused.status = 201;
                refused.answer["id"] = refused.answer["order_id"].clone();
            }),
        ),
        (
            "carts",
            with(&|it| {
                let customer = customer(it);
                it.customers[customer].cart = Some(vec![("a product".into(), 1)]);
            }),
        ),
        (
            "promises",
            with(&|it| {
                it.promises
                    .push(Promise::Adjusted(id.clone(), "a key".into(), 1))
            }),
        ),
        (
            "promises",
            with(&|it| it.promises.push(Promise::Made(id.clone()))),
        ),
        (
            "promises",
            with(&|it| {
                let customer = customer(it);
                it.customers[customer].is_gone = true;
            }),
        ),
    ]
}

/// The answer to an order of somebody who is still there, that was confirmed or not.
fn placed(answers: &mut Answers, confirmed: bool) -> &mut Placed {
    let customers = answers.customers.iter_mut().filter(|it| !it.is_gone);
    let mut placed = customers.flat_map(|it| &mut it.orders);
    placed.find(|it| (it.status == 201) == confirmed).unwrap()
}
