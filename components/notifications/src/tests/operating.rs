//! What administrators see of deliveries, and do about them.

use super::neighbours::Turn::Status;
use super::neighbours::{arrived, next};
use super::*;

fn list(query: &str) -> Value {
    let path = format!("/api/notifications/deliveries?{query}");
    Ask::of(&SERVICE).admin().send("GET", &path).body
}

fn retry(delivery: &str) -> Answer {
    let path = format!("/api/notifications/deliveries/{delivery}/retry");
    Ask::of(&SERVICE).admin().send("POST", &path)
}

/// The id of Ada's mail, which was refused.
fn parked() -> String {
    turn_on_mail();
    next(MAIL, [Status(403)]);
    confirm(1, ADA);
    tick();
    let items = list("status=parked")["items"].clone();
    items[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn parked_deliveries_are_listed_with_their_reason() {
    let id = parked();
    let list = list("status=parked");
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    let delivery = &items[0];
    assert_eq!(delivery["id"], id);
    assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    assert_eq!(delivery["notification_id"], inbox(ADA)[0]["id"]);
    assert_eq!(
        (&delivery["user_id"], &delivery["kind"]),
        (&json!(ADA), &json!("order_confirmed"))
    );
    assert_eq!(
        (&delivery["channel"], &delivery["status"]),
        (&json!("email"), &json!("parked"))
    );
    assert_eq!(
        (&delivery["attempts"], &delivery["last_error"]),
        (&json!(1), &json!("the mail API answered 403"))
    );
}

#[test]
fn parked_deliveries_are_stated() {
    let stated = || {
        let gauges = Ask::of(&SERVICE)
            .admin()
            .send("GET", "/internal/gauges")
            .body;
        let gauges = gauges.as_array().unwrap().clone();
        let parked = |gauge: &Value| gauge["name"] == "souk_deliveries_parked";
        let gauge = gauges.into_iter().find(parked).unwrap();
        gauge["value"].as_f64().unwrap()
    };
    assert_eq!(stated(), 0.0);
    let id = parked();
    assert_eq!(stated(), 1.0);
    retry(&id);
    assert_eq!(stated(), 0.0);
}

#[test]
fn a_parked_delivery_is_tried_again_when_somebody_says_so() {
    let id = parked();
    arrived(MAIL);
    for _ in 0..2 {
        let retried = retry(&id);
        assert_eq!(
            (retried.status, &retried.body["status"]),
            (200, &json!("pending"))
        );
        assert_eq!(retried.body["attempts"], 0);
    }
    tick();
    let mails = arrived(MAIL);
    assert_eq!(
        (mails.len(), &mails[0].headers["idempotency-key"]),
        (1, &id)
    );
    assert_eq!(deliveries()[0], "email sent 1 -");
    assert_eq!(retry(&id).status, 409);
    tick();
    assert!(arrived(MAIL).is_empty());
}

#[test]
fn what_is_not_there_is_not_tried() {
    assert_eq!(retry(&id(9)).status, 404);
    assert_eq!(retry("x").status, 404);
}

#[test]
fn deliveries_are_listed_page_by_page() {
    for number in 1..=3 {
        confirm(number, ADA);
    }
    let first = list("limit=2&status=sent");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(&format!("limit=2&status=sent&cursor={cursor}"));
    let items = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!((items(&first), items(&second)), (2, 1));
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(items(&list("status=pending")), 0);
}

#[test]
fn only_administrators_look_after_deliveries() {
    let retry = format!("/api/notifications/deliveries/{}/retry", id(1));
    for (method, path) in [("GET", "/api/notifications/deliveries"), ("POST", &retry)] {
        assert_eq!(Ask::of(&SERVICE).send(method, path).status, 401);
        assert_eq!(Ask::of(&SERVICE).user(ADA).send(method, path).status, 403);
    }
}

#[test]
fn what_was_sent_stays_sent() {
    confirm(1, ADA);
    let unsend = "UPDATE deliveries SET status = 'pending'";
    assert!(run(unsend).unwrap_err().violates("delivery_transition"));
    let silent = "INSERT INTO deliveries (notification_id, channel, status) SELECT id, 'email', 'parked' FROM notifications";
    assert!(run(silent).unwrap_err().violates("parked_for_a_reason"));
}
