//! How events come into the log.

use super::*;

#[test]
fn an_event_is_in_the_log_once() {
    assert_eq!(
        publish(event("1", "a")).body,
        json!({"appended": 1, "known": 0})
    );
    assert_eq!(
        publish(event("1", "a")).body,
        json!({"appended": 0, "known": 1})
    );
    let batch = json!([
        event("1", "a"),
        event("2", "b"),
        event("3", "a"),
        event("2", "b")
    ]);
    assert_eq!(publish(batch).body, json!({"appended": 2, "known": 2}));
    let log = get("/api/ops/events");
    let ids: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["event"]["id"])
        .collect();
    assert_eq!(ids, ["3", "2", "1"]);
}

#[test]
fn services_publish_what_is_theirs() {
    let as_service = |service| {
        Ask::of(&SERVICE)
            .service(service)
            .json(event("1", "a"))
            .send("POST", "/events")
            .status
    };
    assert_eq!(as_service("orders"), 403);
    assert_eq!(as_service("things"), 200);
    assert_eq!(
        Ask::of(&SERVICE)
            .json(event("1", "a"))
            .send("POST", "/events")
            .status,
        401
    );
}

#[test]
fn every_wrong_field_of_a_batch_is_named() {
    let mut wrong = event("2", "b");
    wrong["type"] = json!("no type");
    let answer = publish(json!([event("1", "a"), wrong, {}]));
    assert_eq!(answer.status, 422);
    let fields = answer.bad_fields();
    assert!(
        fields.contains(&"[1].type") && fields.contains(&"[2].subject"),
        "{fields:?}"
    );
    assert_eq!(
        get("/api/ops/events")["items"],
        json!([]),
        "a batch is taken as a whole"
    );
    let many: Vec<_> = (0..501).map(|id| event(&id.to_string(), "a")).collect();
    assert_eq!(publish(many.into()).status, 400);
}

#[test]
fn the_log_is_listed_and_filtered_page_by_page() {
    published(&[("1", "a"), ("2", "b"), ("3", "a")]);
    let first = get("/api/ops/events?limit=2");
    assert_eq!(first["items"][0]["event"]["id"], "3");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = get(&format!("/api/ops/events?limit=2&cursor={cursor}"));
    assert_eq!(
        (&second["items"][0]["event"]["id"], &second["next_cursor"]),
        (&json!("1"), &Value::Null)
    );
    assert_eq!(
        get("/api/ops/events?subject=b")["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(get("/api/ops/events?type=thing.lost")["items"], json!([]));
}

#[test]
fn the_log_is_listed_from_a_position_on_or_at_it() {
    published(&[("1", "a"), ("2", "b"), ("3", "a"), ("4", "a")]);
    let ids = |query: &str| -> Vec<Value> {
        let items = get(&format!("/api/ops/events?{query}"))["items"].clone();
        let items = items.as_array().unwrap().iter();
        items.map(|it| it["event"]["id"].clone()).collect()
    };
    assert_eq!(ids("after=2"), ["4", "3"]);
    assert_eq!(ids("after=4"), [""; 0]);
    assert_eq!(ids("after=0&subject=b"), ["2"]);
    assert_eq!(ids("position=2"), ["2"]);
    assert_eq!(ids("position=2&after=2"), [""; 0]);
    assert_eq!(ids("position=0"), [""; 0]);
    let first = get("/api/ops/events?after=1&limit=2");
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&format!("after=1&cursor={cursor}")), ["2"]);
    let wrong = Ask::of(&SERVICE)
        .admin()
        .send("GET", "/api/ops/events?after=-1");
    assert_eq!(wrong.status, 400);
}

#[test]
fn the_log_is_for_administrators() {
    for path in [
        "/api/ops/events",
        "/api/ops/subscriptions",
        "/api/ops/subscriptions/first/held",
        "/api/ops/dead-letters",
    ] {
        assert_eq!(Ask::of(&SERVICE).user("u").send("GET", path).status, 403);
        assert_eq!(Ask::of(&SERVICE).send("GET", path).status, 401);
    }
}
