//! What the other services are told.

use souk_contracts::wrong_with_events;
use souk_events::{fail, published};

use super::*;

fn tick() -> u16 {
    ask().send("POST", "/internal/tick").status
}

/// What was published: types and data.
fn told() -> Vec<(String, Value)> {
    let events = published().into_iter();
    events
        .map(|event| (event.kind, event.data.into()))
        .collect()
}

#[test]
fn the_others_are_told_of_accounts_by_their_ids_alone() {
    let id = register();
    assert_eq!(ask().user(&id).send("DELETE", "/api/users/me").status, 204);
    assert_eq!((tick(), tick()), (204, 204));
    assert_eq!(
        told(),
        [
            (
                "user.registered".into(),
                json!({"user_id": id, "role": "customer"})
            ),
            ("user.deleted".into(), json!({"user_id": id})),
        ]
    );
}

#[test]
fn what_cannot_be_told_now_is_told_later() {
    fail(true);
    register();
    assert_eq!(tick(), 204);
    assert!(told().is_empty());
    fail(false);
    assert_eq!(tick(), 204);
    assert!(told().is_empty(), "the broker is left alone for a moment");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(tick(), 204);
    assert_eq!(told().len(), 1);
}

#[test]
fn events_keep_to_their_schemas() {
    let id = register();
    ask().user(&id).send("DELETE", "/api/users/me");
    tick();
    let events: Vec<_> = published().iter().map(|event| json!(event)).collect();
    assert_eq!(wrong_with_events("users", &events), [""; 0]);
}
