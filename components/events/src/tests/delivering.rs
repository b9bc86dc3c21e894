//! How events come to their consumers.

use super::consumers::{fail, heal, taken};
use super::*;
use crate::domain::Failure;
use crate::store::tests::run;
use crate::store::{self, Lease};

const ALWAYS: i64 = i64::MAX;

fn refuses() -> Failure {
    Failure::Event("the answer was 422".into())
}

fn is_gone() -> Failure {
    Failure::Consumer("not to be reached".into())
}

#[test]
fn every_consumer_gets_every_event_it_wants() {
    published(&[("1", "a"), ("2", "b"), ("3", "a")]);
    deliver();
    assert_eq!(taken("first").len(), 3);
    assert_eq!(taken("second").len(), 3);
    let standing = standing("first");
    assert_eq!(
        (&standing["behind"], &standing["held"], &standing["dead"]),
        (&json!(0), &json!(0), &json!(0))
    );
    deliver();
    assert_eq!(taken("first").len(), 3, "and once");
}

#[test]
fn a_consumer_that_is_away_gets_everything_when_it_returns_and_nobody_else_waits() {
    fail("first", ALWAYS, is_gone());
    published(&[("1", "a"), ("2", "b"), ("3", "a")]);
    deliver();
    assert_eq!((taken("first").len(), taken("second").len()), (0, 3));
    let away = standing("first");
    assert_eq!(
        (&away["behind"], &away["held"], &away["failures"]),
        (&json!(3), &json!(0), &json!(1))
    );
    assert_eq!(away["last_error"], "not to be reached");
    deliver();
    assert_eq!(
        standing("first")["failures"],
        1,
        "it is left alone for a while"
    );
    for _ in 0..30 {
        later();
        deliver();
    }
    heal();
    later();
    deliver();
    assert_eq!(
        taken("first"),
        ["1", "3", "2"],
        "in the order of each subject"
    );
    let back = standing("first");
    assert_eq!(
        (&back["dead"], &back["failures"], &back["last_error"]),
        (&json!(0), &json!(0), &Value::Null)
    );
}

#[test]
fn an_event_that_is_refused_holds_back_what_follows_of_its_subject() {
    fail("first/1", 2, refuses());
    published(&[("1", "a"), ("2", "b"), ("3", "a"), ("4", "c")]);
    deliver();
    assert_eq!(taken("first"), ["2", "4"]);
    assert_eq!(standing("first")["held"], 2);
    published(&[("5", "a")]);
    later();
    deliver();
    assert_eq!(standing("first")["held"], 3);
    later();
    deliver();
    assert_eq!(taken("first"), ["2", "4", "1", "3", "5"]);
    assert_eq!(standing("first")["held"], 0);
}

#[test]
fn what_is_held_back_is_listed_in_the_order_of_the_log() {
    fail("first/1", ALWAYS, refuses());
    published(&[("1", "a"), ("2", "b"), ("3", "a"), ("4", "a")]);
    deliver();
    let held = |query: &str| get(&format!("/api/ops/subscriptions/first/held{query}"));
    let all = held("")["items"].as_array().unwrap().clone();
    assert_eq!(json!(all.len()), standing("first")["held"]);
    let told = |it: &Value| json!([it["id"], it["state"], it["attempts"], it["event"]["id"]]);
    assert_eq!(
        all.iter().map(told).collect::<Vec<_>>(),
        [
            json!(["first-1", "retrying", 1, "1"]),
            json!(["first-3", "waiting", 0, "3"]),
            json!(["first-4", "waiting", 0, "4"])
        ]
    );
    assert_eq!(all[0]["reason"], "the answer was 422");
    assert!(all[0]["due_at"].is_string() && all[1]["due_at"].is_null());
    let page = held("?limit=2");
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = held(&format!("?limit=2&cursor={cursor}"));
    assert_eq!(
        (&rest["items"][0]["id"], &rest["next_cursor"]),
        (&json!("first-4"), &Value::Null)
    );
    assert_eq!(
        get("/api/ops/subscriptions/second/held")["items"],
        json!([])
    );
    let nobody = Ask::of(&SERVICE)
        .admin()
        .send("GET", "/api/ops/subscriptions/nobody/held");
    assert_eq!(nobody.status, 404);
    for _ in 1..30 {
        later();
        deliver();
    }
    later();
    deliver();
    assert_eq!(held("")["items"], json!([]), "a dead letter is none of it");
}

#[test]
fn what_is_refused_too_often_is_a_dead_letter_and_the_rest_goes_on() {
    fail("first/1", ALWAYS, refuses());
    published(&[("1", "a"), ("2", "b"), ("3", "a")]);
    for _ in 0..30 {
        deliver();
        later();
    }
    assert_eq!(taken("first"), ["2", "3"]);
    let letters = get("/api/ops/dead-letters");
    let letter = &letters["items"][0];
    assert_eq!(
        (&letter["id"], &letter["attempts"], &letter["reason"]),
        (&json!("first-1"), &json!(30), &json!("the answer was 422"))
    );
    assert_eq!(letter["event"]["subject"], "a");
    assert_eq!(
        get("/api/ops/dead-letters?consumer=second")["items"],
        json!([])
    );

    heal();
    assert_eq!(
        post("/api/ops/dead-letters/first-1/redeliver", json!({})).status,
        202
    );
    deliver();
    assert_eq!(taken("first"), ["2", "3", "1"]);
    assert_eq!(get("/api/ops/dead-letters")["items"], json!([]));
    for unknown in ["first-1", "first-x", "first", "nobody-1"] {
        let path = format!("/api/ops/dead-letters/{unknown}/redeliver");
        assert_eq!(post(&path, json!({})).status, 404);
    }
}

/// The gauges of the first consumer: dead letters, events it is still to get, and for how long the oldest has been there.
fn stated() -> [f64; 3] {
    let gauges = Ask::of(&SERVICE)
        .service("gateway")
        .send("GET", "/internal/gauges");
    let gauges = gauges.body.as_array().unwrap().clone();
    let names = [
        "souk_dead_letters",
        "souk_subscription_lag",
        "souk_subscription_lag_seconds",
    ];
    names.map(|name| {
        let named = |it: &&Value| it["name"] == name && it["labels"]["consumer"] == "first";
        gauges.iter().find(named).unwrap()["value"]
            .as_f64()
            .unwrap()
    })
}

#[test]
fn what_waits_and_what_is_dead_is_stated() {
    assert_eq!(
        Ask::of(&SERVICE)
            .admin()
            .send("GET", "/internal/gauges")
            .body,
        json!([]),
        "nobody has listened yet"
    );
    fail("first/1", ALWAYS, refuses());
    published(&[("1", "a"), ("2", "b"), ("3", "a")]);
    deliver();
    let [dead, lag, seconds] = stated();
    assert_eq!((dead, lag), (0.0, 2.0));
    assert!(seconds < 60.0, "{seconds}");
    for _ in 1..30 {
        later();
        deliver();
    }
    later();
    deliver();
    assert_eq!(stated(), [1.0, 0.0, 0.0], "nobody waits for a dead letter");

    fail("first", ALWAYS, is_gone());
    run("INSERT INTO log (source, id, type, subject, event, appended_at) \
         VALUES ('s', '9', 'thing.made', 'z', '{}', CAST(unixepoch('subsec') * 1000 AS INTEGER) - 90000)")
    .unwrap();
    let [dead, lag, seconds] = stated();
    assert_eq!((dead, lag), (1.0, 1.0));
    assert!((90.0..150.0).contains(&seconds), "{seconds}");
}

#[test]
fn an_outage_with_errors_costs_no_event_all_its_attempts() {
    fail("first", 25, refuses());
    let many: Vec<_> = (0..100)
        .map(|id| event(&id.to_string(), &format!("s{id}")))
        .collect();
    publish(many.into());
    for _ in 0..30 {
        deliver();
        later();
    }
    assert_eq!(taken("first").len(), 100);
    assert_eq!(standing("first")["dead"], 0);
}

#[test]
fn a_consumer_that_takes_nothing_has_so_much_held_back_and_no_more() {
    let many = |from: i64| -> Value {
        let ids = from..from + 500;
        ids.map(|id| event(&id.to_string(), "one subject"))
            .collect()
    };
    fail("first/0", ALWAYS, refuses());
    (0..4).for_each(|part| drop(publish(many(part * 500))));
    for _ in 0..15 {
        deliver();
        run("UPDATE subscriptions SET due_at = 0, lease = NULL").unwrap();
    }
    let stuck = standing("first");
    assert_eq!(
        (&stuck["held"], &stuck["behind"]),
        (&json!(1000), &json!(1000))
    );
    heal();
    for _ in 0..3 {
        later();
        deliver();
    }
    let all: Vec<_> = (0..2000).map(|id| id.to_string()).collect();
    assert_eq!(taken("first"), all);
}

#[test]
fn whoever_lost_the_lease_writes_nothing() {
    published(&[("1", "a")]);
    deliver();
    published(&[("2", "a")]);
    let subscriptions: Vec<_> = crate::settings::subscriptions().unwrap().iter().collect();
    let now = souk_chassis::background::now();
    let claim = |lease, now| {
        block_on(store::claim(&subscriptions, lease, now, now + 10))
            .unwrap()
            .len()
    };
    assert_eq!(claim("mine", now), 2);
    assert_eq!(claim("theirs", now), 0, "it is taken");
    assert_eq!(claim("theirs", now + 11), 2, "it has ended");
    let work = block_on(store::work("first", now)).unwrap();
    let progress = crate::domain::Progress {
        position: 2,
        hold: vec![],
        done: vec![],
        rest: None,
    };
    assert_eq!(
        block_on(store::progress("first", "mine", &work, &progress, now)).unwrap(),
        Lease::Lost
    );
    assert_eq!(
        block_on(store::release("first", "mine", now)).unwrap(),
        Some(None)
    );
    assert_eq!(
        block_on(store::progress("first", "theirs", &work, &progress, now)).unwrap(),
        Lease::Ended
    );
}

#[test]
fn a_lease_ends_only_where_nothing_has_come_meanwhile() {
    published(&[("1", "a")]);
    let subscriptions: Vec<_> = crate::settings::subscriptions().unwrap().iter().collect();
    let now = souk_chassis::background::now();
    block_on(store::claim(&subscriptions, "mine", now, now + 10_000)).unwrap();
    assert_eq!(
        block_on(store::release("first", "mine", now)).unwrap(),
        None
    );
    run("UPDATE subscriptions SET position = 1").unwrap();
    assert_eq!(
        block_on(store::release("first", "mine", now)).unwrap(),
        Some(None)
    );
}

#[test]
fn a_consumer_can_be_sent_back() {
    published(&[("1", "a"), ("2", "a")]);
    deliver();
    let replayed = post("/api/ops/subscriptions/first/replay", json!({"from": 1}));
    assert_eq!(
        (replayed.status, &replayed.body["position"]),
        (200, &json!(1))
    );
    deliver();
    assert_eq!(taken("first"), ["1", "2", "2"]);
    assert_eq!(
        post("/api/ops/subscriptions/nobody/replay", json!({"from": 1})).status,
        404
    );
}

#[test]
fn a_consumer_that_is_sent_back_gets_its_dead_letters_too() {
    fail("first/1", 30, refuses());
    published(&[("1", "a"), ("2", "b")]);
    for _ in 0..30 {
        deliver();
        later();
    }
    assert_eq!(standing("first")["dead"], 1);
    post("/api/ops/subscriptions/first/replay", json!({"from": 0}));
    deliver();
    assert_eq!(taken("first"), ["2", "1", "2"]);
    let standing = standing("first");
    assert_eq!(
        (&standing["dead"], &standing["held"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn what_is_old_goes_when_everybody_has_it() {
    fail("first/1", ALWAYS, refuses());
    published(&[("1", "a"), ("2", "b"), ("3", "c")]);
    deliver();
    let all = || get("/api/ops/events")["items"].as_array().unwrap().len();
    let subscriptions = crate::settings::subscriptions().unwrap();
    let prune = |before| block_on(store::prune(subscriptions, before)).unwrap();
    prune(1);
    assert_eq!(all(), 3, "nothing is old");
    run("UPDATE subscriptions SET position = 2 WHERE consumer = 'second'").unwrap();
    run("UPDATE held SET due_at = due_at WHERE TRUE").unwrap();
    prune(i64::MAX);
    // One is held back for the first consumer, and one has not come to the second. The oldest is kept, but that does not keep others.
    let left = get("/api/ops/events");
    let ids: Vec<_> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["event"]["id"])
        .collect();
    assert_eq!(ids, ["3", "1"]);
}

#[test]
fn the_tick_delivers() {
    published(&[("1", "a")]);
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
    assert_eq!(taken("first"), ["1"]);
}
