#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::json;

const NOW: i64 = 1_000_000;

pub fn event(id: i64, subject: &str) -> Event {
    Event {
        specversion: "1.0".into(),
        id: id.to_string(),
        source: "/services/things".into(),
        kind: "thing.made".into(),
        subject: subject.into(),
        time: "2026-01-01T00:00:00.000Z".into(),
        dataschema: None,
        traceparent: None,
        data: json!({"n": id}).as_object().unwrap().clone(),
    }
}

fn item(position: i64, subject: &str, origin: Origin) -> Item {
    Item {
        position,
        event: event(position, subject),
        attempts: 0,
        origin,
    }
}

fn refused() -> Outcome {
    Outcome::Failed(Failure::Event("422".into()))
}

fn gone() -> Outcome {
    Outcome::Failed(Failure::Consumer("503".into()))
}

/// What is held back after a round: position and state.
fn held(progress: &Progress) -> Vec<(i64, State)> {
    progress
        .hold
        .iter()
        .map(|hold| (hold.position, hold.state))
        .collect()
}

use Origin::{Behind, Log};
use Outcome::{Delivered, Left};
use State::{Dead, Retrying, Waiting};

#[test]
fn types_are_exact_or_begin_alike() {
    let subscription = |wanted: &str| Subscription {
        consumer: "c".into(),
        types: vec!["user.deleted".into(), wanted.into()],
    };
    assert!(subscription("order.*").wants("order.placed"));
    assert!(subscription("order.*").wants("user.deleted"));
    assert!(!subscription("order.*").wants("orders.placed"));
    assert!(!subscription("order.placed").wants("order.placed.again"));
    assert!(subscription("*").wants("anything.at-all"));
}

#[test]
fn each_subject_has_a_lane_in_order() {
    let items = [
        item(1, "a", Log),
        item(2, "b", Log),
        item(3, "a", Log),
        item(4, "c", Behind),
    ];
    assert_eq!(lanes(&items), [vec![0, 2], vec![1]]);
}

#[test]
fn lanes_begin_in_the_order_of_the_log() {
    let items = [item(1, "z", Log), item(2, "a", Log), item(3, "m", Log)];
    assert_eq!(lanes(&items), [[0], [1], [2]]);
}

#[test]
fn what_is_delivered_is_passed_by() {
    let items = [item(1, "a", Log), item(3, "b", Log)];
    let progress = conclude(&items, &[Delivered, Delivered], 7, 2, 5, NOW);
    assert_eq!(
        progress,
        Progress {
            position: 7,
            hold: vec![],
            done: vec![],
            rest: None
        }
    );
}

#[test]
fn an_event_that_is_refused_holds_up_its_subject_alone() {
    let items = [item(1, "a", Log), item(2, "b", Log), item(3, "a", Log)];
    let progress = conclude(&items, &[refused(), Delivered, Left], 3, 0, 5, NOW);
    assert_eq!(progress.position, 3);
    assert_eq!(held(&progress), [(1, Retrying), (3, Waiting)]);
    assert!((NOW + 100..NOW + 200).contains(&progress.hold[0].due_at));
    assert_eq!(progress.hold[0].reason.as_deref(), Some("422"));
    assert_eq!(progress.rest, None);
}

#[test]
fn what_comes_behind_something_held_waits_too() {
    let items = [item(5, "a", Behind), item(6, "b", Log)];
    let progress = conclude(&items, &[Left, Delivered], 6, 0, 5, NOW);
    assert_eq!(
        (progress.position, held(&progress)),
        (6, vec![(5, Waiting)])
    );
}

#[test]
fn what_was_not_tried_is_read_again() {
    let items = [
        item(1, "a", Log),
        item(2, "b", Log),
        item(3, "c", Log),
        item(4, "d", Log),
    ];
    let progress = conclude(
        &items,
        &[Delivered, Left, refused(), Delivered],
        9,
        0,
        5,
        NOW,
    );
    assert_eq!((progress.position, held(&progress)), (1, vec![]));
}

#[test]
fn a_consumer_that_is_not_there_costs_no_event_an_attempt() {
    let items = [item(1, "a", Log), item(2, "b", Log), item(3, "c", Log)];
    let progress = conclude(&items, &[Delivered, gone(), Left], 3, 0, 5, NOW);
    assert_eq!((progress.position, held(&progress)), (1, vec![]));
    let (why, until) = progress.rest.unwrap();
    assert!(why == "503" && until > NOW);
}

#[test]
fn where_nothing_is_taken_one_event_is_held_back() {
    let items = [item(1, "a", Log), item(2, "b", Log), item(3, "c", Log)];
    let progress = conclude(&items, &[refused(), refused(), refused()], 3, 0, 5, NOW);
    assert_eq!(
        (progress.position, held(&progress)),
        (1, vec![(1, Retrying)])
    );
    assert!(progress.rest.is_some());
}

#[test]
fn where_nothing_is_taken_the_consumer_is_left_alone_also_when_something_is_held_back() {
    let items = [
        item(1, "a", Origin::Held),
        item(5, "b", Log),
        item(6, "c", Log),
    ];
    let progress = conclude(&items, &[refused(), refused(), Left], 6, 0, 5, NOW);
    assert_eq!(
        (progress.position, held(&progress)),
        (4, vec![(1, Retrying)])
    );
    assert!(progress.rest.is_some());
}

#[test]
fn the_longer_a_consumer_is_away_the_longer_it_is_left_alone() {
    let rest = |failures| {
        let progress = conclude(&[item(1, "a", Log)], &[gone()], 1, failures, 5, NOW);
        progress.rest.unwrap().1 - NOW
    };
    assert!((100..200).contains(&rest(0)));
    assert!((200..400).contains(&rest(1)));
    assert!((2500..5000).contains(&rest(50)));
}

#[test]
fn an_event_that_is_refused_too_often_is_a_dead_letter() {
    let again = |attempts| Item {
        attempts,
        ..item(1, "a", Origin::Held)
    };
    let progress = conclude(&[again(3)], &[refused()], 9, 0, 5, NOW);
    assert_eq!(
        (held(&progress), progress.hold[0].attempts),
        (vec![(1, Retrying)], 4)
    );
    assert_eq!(progress.rest, None, "others can be delivered meanwhile");
    let progress = conclude(&[again(4)], &[refused()], 9, 0, 5, NOW);
    assert_eq!((held(&progress), progress.position), (vec![(1, Dead)], 9));
}

#[test]
fn what_was_held_back_and_is_delivered_is_done() {
    let items = [item(1, "a", Origin::Held), item(8, "b", Log)];
    let progress = conclude(&items, &[Delivered, Delivered], 9, 0, 5, NOW);
    assert_eq!((progress.done, progress.position), (vec![1], 9));
}

#[test]
fn what_is_held_back_stays_so_while_the_consumer_is_away() {
    let items = [item(1, "a", Origin::Held), item(8, "b", Log)];
    let progress = conclude(&items, &[gone(), Left], 9, 0, 5, NOW);
    assert_eq!(
        (held(&progress), progress.done, progress.position),
        (vec![], vec![], 7)
    );
}
