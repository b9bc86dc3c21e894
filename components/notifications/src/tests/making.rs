//! What makes a notification: each cause makes one, however often it comes.

use super::*;

#[test]
fn each_event_makes_its_notification() {
    confirm(1, ADA);
    capture(1, 1);
    ship(1, ADA);
    cancel(2, "cancelled_by_customer", false);
    let inbox = inbox(ADA);
    assert_eq!(
        kinds(&inbox),
        [
            "order_cancelled",
            "order_shipped",
            "payment_receipt",
            "order_confirmed"
        ]
    );
    let confirmed = &inbox[3];
    assert_eq!(confirmed["order_id"], id(1));
    assert_eq!(confirmed["title"], "Order 000000000001 is confirmed");
    assert!(confirmed["text"].as_str().unwrap().contains("EUR 12.34"));
    assert!(confirmed["html"].as_str().unwrap().contains("Oak chair"));
    assert_eq!(confirmed["read_at"], Value::Null);
    assert_eq!(confirmed["created_at"].as_str().unwrap().len(), 24);
    assert_eq!(
        Uuid::parse_str(confirmed["id"].as_str().unwrap())
            .unwrap()
            .get_version_num(),
        7
    );
    run_low(1);
    assert_eq!(kinds(&items(admin(), "")), ["stock_low"]);
}

#[test]
fn the_same_again_makes_none() {
    turn_on();
    for _ in 0..3 {
        confirm(1, ADA);
        capture(1, 1);
        ship(1, ADA);
        cancel(1, "cancelled_by_admin", true);
        run_low(1);
        tick();
    }
    assert_eq!(inbox(ADA).len(), 4);
    assert_eq!(items(admin(), "").len(), 1);
    assert_eq!(neighbours::arrived(MAIL).len(), 4);
    assert_eq!(neighbours::arrived(HOOK).len(), 5);
}

#[test]
fn another_cause_makes_another() {
    confirm(1, ADA);
    confirm(2, ADA);
    capture(1, 1);
    capture(2, 1);
    assert_eq!(inbox(ADA).len(), 4);
    run_low(1);
    run_low(8);
    assert_eq!(items(admin(), "").len(), 2);
}

#[test]
fn a_cancellation_that_is_no_news_makes_none() {
    cancel(1, "out_of_stock", false);
    cancel(2, "payments_unreachable", false);
    assert!(inbox(ADA).is_empty());
    cancel(3, "payment_capture_failed", true);
    assert_eq!(inbox(ADA).len(), 1);
}

#[test]
fn what_is_of_no_interest_is_passed_over() {
    for kind in ["order.delivered", "weather.changed"] {
        assert_eq!(bring(event(kind, json!({}))).status, 204);
    }
}

#[test]
fn an_event_that_cannot_be_understood_is_not_taken() {
    for (kind, data) in [
        ("order.confirmed", json!({})),
        ("order.confirmed", json!({"order_id": "o1"})),
        ("order.shipped", order(1, ADA, json!({}))),
        ("order.cancelled", order(1, ADA, json!({"reason": "x"}))),
        ("payment.captured", json!({"payment_id": id(1)})),
        (
            "stock.low",
            json!({"product_id": "p1", "available": 1, "version": 1}),
        ),
        ("user.deleted", json!({})),
    ] {
        let answer = bring(event(kind, data));
        assert_eq!(
            (answer.status, answer.bad_fields()),
            (422, vec!["data"]),
            "{kind}"
        );
    }
    assert!(inbox(ADA).is_empty());
}

#[test]
fn only_the_broker_brings_events() {
    let data = order(1, ADA, json!({}));
    let status = |ask: Ask| {
        let ask = ask.json(event("order.confirmed", data.clone()));
        ask.send("POST", "/internal/events").status
    };
    assert_eq!(status(Ask::of(&SERVICE)), 401);
    assert_eq!(status(Ask::of(&SERVICE).service("orders")), 403);
    assert_eq!(status(admin()), 403);
    assert!(inbox(ADA).is_empty());
}

#[test]
fn hostile_names_are_only_text() {
    turn_on();
    let name = "\"><script>alert(1)</script>\r\nBcc: all@example.org";
    let mut data = order(1, ADA, json!({"carrier": name, "tracking": name}));
    data["items"][0]["name"] = json!(name);
    happens("order.shipped", data);
    let shown = &inbox(ADA)[0];
    assert!(!shown["html"].as_str().unwrap().contains("<script"));
    tick();
    let mail = &neighbours::arrived(MAIL)[0].body;
    assert!(!mail["html"].as_str().unwrap().contains("<script"));
    assert!(!mail["subject"].as_str().unwrap().contains(char::is_control));
    assert!(!mail["text"].as_str().unwrap().contains("\nBcc:"));
}

#[test]
fn the_table_takes_no_title_of_two_lines_and_nothing_is_rewritten() {
    confirm(1, ADA);
    let copy = "INSERT INTO notifications (id, kind, cause, title, text, html, channels) SELECT 'n', kind, 'c', \
                'a' || char(10) || 'Bcc: b', text, html, channels FROM notifications";
    assert!(run(copy).unwrap_err().violates("title_is_one_line"));
    let rewrite = "UPDATE notifications SET text = ''";
    assert!(run(rewrite).unwrap_err().violates("notifications_stay"));
}
