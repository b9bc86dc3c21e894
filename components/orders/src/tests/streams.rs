//! Following an order.

use super::*;

/// The events of a stream, as `id status`, and what else is in it.
fn follow(id: &str, seen: &str) -> (Vec<String>, String) {
    let ask = Ask::of(&SERVICE).user(ADA).header("last-event-id", seen);
    let answer = ask.send("GET", &format!("/api/orders/{id}/stream"));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/event-stream");
    let (events, rest): (Vec<_>, Vec<_>) = answer
        .text
        .split_terminator("\n\n")
        .partition(|part| part.starts_with("id: "));
    let event = |event: &str| {
        let mut lines = event.lines();
        let id = lines.next().unwrap().trim_start_matches("id: ");
        assert_eq!(lines.next(), Some("event: status"));
        let data = lines.next().unwrap().trim_start_matches("data: ");
        let data: Value = serde_json::from_str(data).unwrap();
        assert!(data["at"].as_str().unwrap().ends_with('Z'));
        format!("{id} {}", data["status"].as_str().unwrap())
    };
    (events.into_iter().map(event).collect(), rest.concat())
}

#[test]
fn the_past_comes_first_and_the_final_status_ends_it() {
    open_shop();
    let id = id(&place("k", body()));
    cancel(&id);
    let (events, rest) = follow(&id, "");
    assert_eq!(
        events,
        [
            "1 pending",
            "2 reserved",
            "3 authorized",
            "4 confirmed",
            "5 cancelled"
        ]
    );
    assert_eq!(rest, "");
    assert_eq!(follow(&id, "3").0, ["4 confirmed", "5 cancelled"]);
    assert_eq!(follow(&id, "rubbish").0.len(), 5);
}

#[test]
fn who_has_seen_the_end_need_not_come_back() {
    open_shop();
    let id = id(&place("k", paid_with(DECLINED)));
    let ask = Ask::of(&SERVICE).user(ADA).header("last-event-id", "3");
    assert_eq!(
        ask.send("GET", &format!("/api/orders/{id}/stream")).status,
        204
    );
}

#[test]
fn each_change_is_told_as_it_happens() {
    open_shop();
    neighbours::slow_down(1500);
    neighbours::fail("/authorize", &[neighbours::Fault::Status(503)]);
    let answer = place("k", paid_with(DECLINED));
    assert_eq!(answer.status, 202);
    let (events, _) = follow(&id(&answer), "");
    assert_eq!(events, ["1 pending", "2 reserved", "3 rejected"]);
}

#[test]
fn a_quiet_stream_is_kept_alive_and_ends_after_minutes() {
    open_shop();
    let id = id(&place("k", body()));
    let before = simulation::now();
    let (events, rest) = follow(&id, "");
    assert_eq!(events.len(), 4);
    assert_eq!(rest.matches(": still here").count(), 19);
    let minutes = (simulation::now() - before) / 60_000;
    assert_eq!(minutes, 5);
}
