//! What the other services are told.

use souk_contracts::wrong_with_events;
use souk_events::{Event, published};

use super::neighbours::Turn::Status;
use super::neighbours::next;
use super::*;

/// `type channel` of each event that was published.
fn told() -> Vec<String> {
    let channel = |event: &Event| event.data["channel"].as_str().unwrap().to_owned();
    let events = published();
    let told = events
        .iter()
        .map(|event| format!("{} {}", event.kind, channel(event)));
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[test]
fn what_is_told_is_as_the_schemas_say() {
    turn_on();
    next(MAIL, [Status(422)]);
    confirm(1, ADA);
    run_low(1);
    tick();
    let events: Vec<_> = published().iter().map(|event| json!(event)).collect();
    assert_eq!(events.len(), 5);
    assert_eq!(wrong_with_events("notifications", &events), [""; 0]);
}

#[test]
fn what_went_out_and_what_did_not_is_told() {
    turn_on();
    next(MAIL, [Status(422)]);
    confirm(1, ADA);
    run_low(1);
    tick();
    assert_eq!(
        told(),
        [
            "notification.failed email",
            "notification.sent inbox",
            "notification.sent inbox",
            "notification.sent webhook",
            "notification.sent webhook",
        ]
    );
    let failed = published()
        .into_iter()
        .find(|event| event.kind == "notification.failed")
        .unwrap();
    assert_eq!(failed.source, "/services/notifications");
    let data = Value::Object(failed.data);
    let notification = inbox(ADA)[0]["id"].clone();
    assert_eq!(
        data,
        json!({"notification_id": notification, "user_id": ADA, "kind": "order_confirmed", "channel": "email",
            "reason": "the mail API answered 422"})
    );
}

#[test]
fn an_attempt_that_decides_nothing_is_not_told_of() {
    turn_on_mail();
    next(MAIL, [Status(503)]);
    confirm(1, ADA);
    tick();
    assert_eq!(told(), ["notification.sent inbox"]);
    later();
    tick();
    assert_eq!(
        told(),
        ["notification.sent email", "notification.sent inbox"]
    );
}

#[test]
fn redelivery_tells_nothing_new() {
    for _ in 0..3 {
        confirm(1, ADA);
        tick();
    }
    assert_eq!(told().len(), 1);
}

#[test]
fn nothing_personal_is_told() {
    turn_on();
    next(MAIL, [Status(422)]);
    confirm(1, ADA);
    delete_account(ADA);
    confirm(2, BOB);
    tick();
    let told = serde_json::to_string(&published()).unwrap();
    for personal in ["ada@example.org", "Ada", "Oak chair"] {
        assert!(!told.contains(personal), "{told}");
    }
}
