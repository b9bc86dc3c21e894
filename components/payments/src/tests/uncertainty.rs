//! When the provider is down, gives no answer, or the instance ends: nothing is done twice, and no money stays held.

use super::*;
use crate::provider::scripted::{Money, Turn, calls, fail_finds, money, next};

const HELD: Money = Money {
    held: 4900,
    captured: 0,
    refunded: 0,
};
const CAPTURED: Money = Money {
    held: 0,
    captured: 4900,
    refunded: 0,
};
const NOTHING: Money = Money {
    held: 0,
    captured: 0,
    refunded: 0,
};

#[test]
fn a_provider_that_is_down_is_tried_again() {
    for down in [Turn::Unavailable, Turn::Invalid] {
        let order = Order::new();
        next([down, down]);
        for _ in 0..2 {
            let answer = order.authorize();
            assert_eq!(answer.status, 503);
            assert!(answer.headers.contains_key("retry-after"));
        }
        assert_eq!(order.status(), "authorizing");
        assert_eq!(order.authorize().body["status"], "authorized");
        assert_eq!(
            calls(),
            [
                "authorize authorize-1",
                "authorize authorize-2",
                "authorize authorize-3"
            ]
        );
        assert_eq!(order.history(), ["authorize succeeded"]);
    }
}

#[test]
fn nothing_is_authorized_that_nobody_asks_for_any_more() {
    let order = Order::new();
    next([Turn::Unavailable]);
    assert_eq!(order.authorize().status, 503);
    later();
    tick();
    assert_eq!(order.get().body["status"], "authorizing");
    assert_eq!(calls(), ["authorize authorize-1"]);
}

#[test]
fn what_waits_to_be_asked_for_is_in_nobodys_way() {
    for _ in 0..20 {
        let order = Order::new();
        next([Turn::Unavailable]);
        assert_eq!(order.authorize().status, 503);
    }
    let order = Order::authorized();
    next([Turn::Unavailable]);
    assert_eq!(order.post("capture").status, 202);
    later();
    tick();
    assert_eq!(order.status(), "captured");
}

#[test]
fn an_unknown_authorization_is_found_out_by_asking() {
    type Way = (&'static str, fn(&Order));
    let ways: [Way; 3] = [
        ("the caller tries again", |order| {
            assert_eq!(order.authorize().body["status"], "authorized");
        }),
        ("the caller looks", |order| {
            assert_eq!(order.get().body["status"], "authorized");
        }),
        ("the tick", |_| {
            later();
            tick();
        }),
    ];
    for (way, ask) in ways {
        let order = Order::new();
        next([Turn::UnknownDone]);
        let answer = order.authorize();
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (202, &json!("authorizing")),
            "{way}"
        );
        ask(&order);
        assert_eq!(order.status(), "authorized", "{way}");
        assert_eq!(
            calls(),
            ["authorize authorize-1", "find authorize-1"],
            "{way}"
        );
        assert_eq!(
            order.history(),
            ["authorize unknown", "authorize succeeded"],
            "{way}"
        );
        assert_eq!(order.post("void").status, 200);
        calls();
    }
}

#[test]
fn an_authorization_that_was_not_carried_out_is_asked_for_anew() {
    let order = Order::new();
    next([Turn::UnknownNotDone]);
    assert_eq!(order.authorize().status, 202);
    assert_eq!(order.authorize().body["status"], "authorized");
    assert_eq!(
        calls(),
        [
            "authorize authorize-1",
            "find authorize-1",
            "authorize authorize-2"
        ]
    );
    assert_eq!(money(), HELD);
}

#[test]
fn a_decline_that_got_lost_is_found() {
    let order = Order::new();
    next([Turn::UnknownDeclined]);
    assert_eq!(order.authorize().status, 202);
    let declined = order.authorize();
    assert_eq!(
        (declined.status, &declined.body["status"]),
        (200, &json!("declined"))
    );
    assert_eq!(order.history(), ["authorize unknown", "authorize declined"]);
}

#[test]
fn what_was_unknown_twice_is_noted_once() {
    let order = Order::new();
    next([Turn::UnknownNotDone, Turn::UnknownDone]);
    assert_eq!(order.authorize().status, 202);
    assert_eq!(order.authorize().status, 202);
    assert_eq!(order.get().body["status"], "authorized");
    assert_eq!(
        order.history(),
        ["authorize unknown", "authorize succeeded"]
    );
}

#[test]
fn while_the_provider_cannot_tell_it_stays_unknown() {
    let order = Order::new();
    next([Turn::UnknownDone]);
    assert_eq!(order.authorize().status, 202);
    fail_finds(2);
    assert_eq!(order.authorize().status, 202);
    assert_eq!(order.get().body["status"], "authorizing");
    assert_eq!(order.get().body["status"], "authorized");
    assert_eq!(money(), HELD);
}

#[test]
fn an_instance_that_ends_leaves_a_lease_and_then_a_question() {
    for (lost, asked_again) in [
        (
            Turn::DoneAndLost,
            &["authorize authorize-1", "find authorize-1"][..],
        ),
        (
            Turn::Lost,
            &[
                "authorize authorize-1",
                "find authorize-1",
                "authorize authorize-2",
            ],
        ),
    ] {
        let order = Order::new();
        next([lost]);
        cut_off(&order.path("authorize"), &order.request());
        let waiting = order.authorize();
        assert_eq!(
            (waiting.status, &waiting.body["status"]),
            (202, &json!("authorizing"))
        );
        assert_eq!(order.get().body["status"], "authorizing");
        tick();
        assert_eq!(
            calls(),
            ["authorize authorize-1"],
            "nobody asks while there is a lease"
        );
        next([]);
        later();
        assert_eq!(order.authorize().body["status"], "authorized");
        let again = calls();
        assert_eq!(again, asked_again[1..]);
        assert_eq!(money(), HELD);
        assert_eq!(order.post("void").status, 200);
        calls();
    }
}

#[test]
fn an_instance_can_end_in_each_step() {
    for lost in [Turn::DoneAndLost, Turn::Lost] {
        let order = Order::authorized();
        next([lost]);
        cut_off(&order.path("capture"), &Value::Null);
        assert_eq!(order.post("void").status, 409, "while it is being captured");
        later();
        tick();
        assert_eq!(order.status(), "captured");

        next([lost]);
        cut_off(&order.path("refund"), &Value::Null);
        assert_eq!(order.post("refund").status, 202);
        later();
        tick();
        assert_eq!(order.status(), "refunded");

        let order = Order::authorized();
        next([lost]);
        cut_off(&order.path("void"), &Value::Null);
        assert_eq!(order.post("void").status, 202);
        assert_eq!(order.post("capture").status, 409);
        later();
        tick();
        assert_eq!(order.status(), "voided");
    }
    assert_eq!(
        money(),
        Money {
            held: 0,
            captured: 9800,
            refunded: 9800
        }
    );
}

#[test]
fn a_capture_is_seen_through() {
    let order = Order::authorized();
    next([Turn::Unavailable, Turn::UnknownNotDone, Turn::UnknownDone]);
    for _ in 0..3 {
        let answer = order.post("capture");
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (202, &json!("capturing"))
        );
    }
    assert_eq!(order.post("capture").body["status"], "captured");
    assert_eq!(
        calls()[1..],
        [
            "capture capture-1",
            "capture capture-2",
            "find capture-2",
            "capture capture-3",
            "find capture-3"
        ]
    );
    assert_eq!(money(), CAPTURED);
    assert_eq!(
        order.history(),
        [
            "authorize succeeded",
            "capture unknown",
            "capture succeeded"
        ]
    );
}

#[test]
fn a_tick_sees_through_what_was_begun() {
    let order = Order::authorized();
    next([Turn::Unavailable]);
    assert_eq!(order.post("capture").status, 202);
    tick();
    assert_eq!(order.status(), "capturing", "it is not due yet");
    later();
    tick();
    assert_eq!(order.status(), "captured");
}

#[test]
fn a_void_while_the_authorization_is_unknown_leaves_no_money_held() {
    for (unknown, history) in [
        (
            Turn::UnknownDone,
            &["authorize unknown", "authorize succeeded", "void succeeded"][..],
        ),
        (
            Turn::UnknownDeclined,
            &["authorize unknown", "authorize declined"],
        ),
        (
            Turn::UnknownNotDone,
            &["authorize unknown", "authorize cancelled"],
        ),
    ] {
        let order = Order::new();
        next([unknown]);
        assert_eq!(order.authorize().status, 202);
        let voided = order.post("void");
        assert_eq!(
            (voided.status, &voided.body["status"]),
            (200, &json!("voided"))
        );
        assert_eq!(order.history(), history);
        assert_eq!(order.authorize().status, 409);
        assert_eq!(money(), NOTHING);
    }
}

#[test]
fn a_void_while_the_provider_cannot_tell_is_remembered() {
    let order = Order::new();
    next([Turn::UnknownDone]);
    assert_eq!(order.authorize().status, 202);
    fail_finds(1);
    let voiding = order.post("void");
    assert_eq!(
        (voiding.status, &voiding.body["status"]),
        (202, &json!("voiding"))
    );
    assert_eq!(money(), HELD);
    assert_eq!(order.authorize().status, 409, "and is not authorized again");
    later();
    tick();
    assert_eq!(order.status(), "voided");
    assert_eq!(money(), NOTHING);
}

#[test]
fn a_void_while_the_provider_is_down_needs_nobody() {
    let order = Order::new();
    next([Turn::Unavailable]);
    assert_eq!(order.authorize().status, 503);
    assert_eq!(order.post("void").body["status"], "voided");
    assert_eq!(calls(), ["authorize authorize-1"]);
    assert_eq!(order.history(), ["authorize cancelled"]);
}

#[test]
fn a_void_meets_an_authorization_on_its_way() {
    let order = Order::new();
    let answers = at_once(&[
        (order.path("authorize"), order.request()),
        (order.path("void"), Value::Null),
    ]);
    assert_eq!(answers[0].0, 409);
    assert_eq!(
        (answers[1].0, &answers[1].1["status"]),
        (200, &json!("voided"))
    );
    assert_eq!(money(), NOTHING);

    let order = Order::new();
    next([Turn::Decline]);
    let answers = at_once(&[
        (order.path("authorize"), order.request()),
        (order.path("void"), Value::Null),
    ]);
    assert_eq!((answers[0].0, answers[1].0), (409, 200));
    assert_eq!(order.history(), ["authorize declined"]);
    assert_eq!(order.status(), "voided");
}

#[test]
fn a_void_is_never_given_up() {
    let order = Order::authorized();
    next([Turn::Decline, Turn::Invalid]);
    for _ in 0..2 {
        let voiding = order.post("void");
        assert_eq!(
            (voiding.status, &voiding.body["status"]),
            (202, &json!("voiding"))
        );
    }
    later();
    tick();
    assert_eq!(order.status(), "voided");
    assert_eq!(money(), NOTHING);
}

#[test]
fn whoever_is_late_changes_nothing() {
    use crate::store;
    let order = Order::new();
    next([Turn::Lost]);
    cut_off(&order.path("authorize"), &order.request());
    let id = order.payment()["id"].as_str().unwrap().to_owned();
    let first = block_on(store::undecided(&id)).unwrap().remove(0);
    later();
    assert!(
        block_on(store::take(&first)).unwrap(),
        "somebody else takes over"
    );
    assert!(
        !block_on(store::take(&first)).unwrap(),
        "and nobody else can"
    );
    block_on(store::not_done(&first)).unwrap();
    block_on(store::unknown(&first)).unwrap();
    let now = block_on(store::undecided(&id)).unwrap().remove(0);
    assert_eq!((now.attempt, now.turn, now.leased), (1, 2, true));
    block_on(store::succeeded(&now, "held")).unwrap();
    block_on(store::declined(&first, "late", "")).unwrap();
    assert_eq!(order.status(), "authorized");
    assert_eq!(order.history(), ["authorize succeeded"]);
}

#[test]
fn what_comes_to_nothing_is_tried_less_and_less_often() {
    struct Wait(i64);
    impl FromRow for Wait {
        fn from_row(row: &mut Row) -> Result<Self, souk_store::Error> {
            row.take().map(Self)
        }
    }
    let order = Order::authorized();
    let mut waits = Vec::new();
    for _ in 0..12 {
        next([Turn::Unavailable]);
        assert_eq!(order.post("capture").status, 202);
        let wait = "SELECT (due_at - CAST(unixepoch('subsec') * 1000 AS INTEGER) + 500) / 1000 FROM operations WHERE status = 'ready'";
        let Wait(seconds) = block_on(DATABASE.read_one(wait, [])).unwrap().unwrap();
        waits.push(seconds);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}
