//! Events: the log, who listens to it, and what nobody took.

use maud::{Markup, html};
use serde_json::Value;

use super::{Console, counted, filter, filters, live, pages, table, tag, time};
use crate::domain::console::operations::{DeadLetter, Event, HeldBack, Logged, Standing};
use crate::domain::console::{Asked, List, duration, link, service_page};
use crate::domain::order::number;
use crate::view::fields::form_token;

const EVENTS: &str = "/console/events";
const SUBSCRIPTIONS: &str = "/console/events/subscriptions";
const DEAD_LETTERS: &str = "/console/events/dead-letters";

impl Console {
    /// One page of the log of events.
    pub fn events(&self, list: &List<Logged>, asked: &Asked) -> Markup {
        let fields = html! {
            (filter(asked, "type", "Type", "text"))
            (filter(asked, "subject", "Subject", "text"))
            (filter(asked, "source", "Source", "text"))
            (filter(asked, "after", "After the position", "number"))
            (filter(asked, "position", "Position", "number"))
        };
        let columns = ["Position", "What", "Of", "When", "Trace", "Source", "Data"];
        let rows = html! {
            @for one in &list.items {
                tr {
                    (position_cell(one.position))
                    (what_cells(&one.event))
                    (more_cells(&one.event))
                }
            }
        };
        let content = html! {
            (tabs(EVENTS))
            (filters(EVENTS, fields))
            @match (list.items.is_empty(), &list.next_cursor) {
                (false, _) => { (table("Events", &columns, rows)) }
                (true, None) => p { "No event is like this." },
                (true, Some(_)) => p { "None of those looked at so far is like this." },
            }
            (pages(EVENTS, asked, list.next_cursor.as_deref()))
        };
        self.page("Events", EVENTS, content)
    }

    /// How the consumers are doing.
    pub fn subscriptions(&self, standings: &[Standing]) -> Markup {
        let columns = [
            "Consumer",
            "State",
            "Behind",
            "Held back",
            "Waiting for",
            "Dead letters",
            "Position",
            "What went wrong last",
        ];
        let rows = html! {
            @for one in standings {
                tr {
                    th scope="row" { a href=(service_page(&one.consumer)) { (one.consumer) } }
                    td { (state(one)) }
                    (standing_cells(one))
                    td class="words" { (one.last_error.as_deref().unwrap_or("")) }
                }
            }
        };
        let content = html! {
            (tabs(SUBSCRIPTIONS))
            (live("subscriptions", table("Consumers", &columns, rows)))
        };
        self.page("Subscriptions", EVENTS, content)
    }

    /// One page of what is held back for a consumer.
    pub fn held(&self, consumer: &str, list: &List<HeldBack>, asked: &Asked) -> Markup {
        let columns = [
            "Position", "What", "Of", "State", "Why", "Tries", "Next", "When", "Trace", "Source",
            "Data",
        ];
        let rows = html! {
            @for one in &list.items {
                tr {
                    (position_cell(one.position))
                    (what_cells(&one.event))
                    td { (tag("waiting", &one.state)) }
                    td class="words" { (one.reason.as_deref().unwrap_or("")) }
                    td { (tries(&one.id, one.attempts, &one.since)) }
                    td { @if let Some(due) = &one.due_at { (time(due)) } @else { "after the one before it" } }
                    (more_cells(&one.event))
                }
            }
        };
        let content = html! {
            (tabs(SUBSCRIPTIONS))
            @if list.items.is_empty() { p { "Nothing is held back for it." } }
            @else { (live("held", table("Held back", &columns, rows))) }
            (pages(&page_of(consumer), asked, list.next_cursor.as_deref()))
        };
        self.page(&format!("Held back for {consumer}"), EVENTS, content)
    }

    /// One page of dead letters.
    pub fn dead_letters(
        &self,
        list: &List<DeadLetter>,
        asked: &Asked,
        redelivered: bool,
    ) -> Markup {
        let columns = [
            "Position",
            "What",
            "Of",
            "Not taken by",
            "Why",
            "Tries",
            "Again",
            "When",
            "Trace",
            "Source",
            "Data",
        ];
        let rows = html! {
            @for one in &list.items {
                tr {
                    (position_cell(one.position))
                    (what_cells(&one.event))
                    td { a href=(service_page(&one.consumer)) { (one.consumer) } }
                    td class="words" { (one.reason.as_deref().unwrap_or("")) }
                    td { (tries(&one.id, one.attempts, &one.since)) }
                    td { (self.redeliver_form(one)) }
                    (more_cells(&one.event))
                }
            }
        };
        let content = html! {
            (tabs(DEAD_LETTERS))
            @if redelivered { p class="note good" role="status" { "It is delivered again. If it is not taken, it comes back here." } }
            (filters(DEAD_LETTERS, filter(asked, "consumer", "Not taken by", "text")))
            @if list.items.is_empty() { p { "There are no dead letters: everything was taken, or is still tried." } }
            @else { (table("Dead letters", &columns, rows)) }
            (pages(DEAD_LETTERS, asked, list.next_cursor.as_deref()))
        };
        self.page("Dead letters", EVENTS, content)
    }

    fn redeliver_form(&self, letter: &DeadLetter) -> Markup {
        html! {
            form action={ (DEAD_LETTERS) "/" (letter.id) "/redeliver" } method="post" {
                (form_token(&self.token))
                button class="button quiet" type="submit" { "Redeliver" span class="hidden" { " " (letter.id) } }
            }
        }
    }
}

fn tabs(here: &str) -> Markup {
    let places = [
        (EVENTS, "Log"),
        (SUBSCRIPTIONS, "Subscriptions"),
        (DEAD_LETTERS, "Dead letters"),
    ];
    html! {
        nav class="spans" aria-label="Events" {
            ul {
                @for (path, name) in places {
                    li { a href=(path) aria-current=[(path == here).then_some("page")] { (name) } }
                }
            }
        }
    }
}

/// The address of the page with what is held back for a consumer.
fn page_of(consumer: &str) -> String {
    format!("{SUBSCRIPTIONS}/{consumer}")
}

/// How far a consumer has come, in numbers.
fn standing_cells(one: &Standing) -> Markup {
    let at = one.position.to_string();
    let next = link(EVENTS, &[("after", &at)]);
    let held = page_of(&one.consumer);
    // What is held back has been in the log for longer than what comes next.
    let oldest = if one.held > 0 { &held } else { &next };
    let dead = link(DEAD_LETTERS, &[("consumer", &one.consumer)]);
    let waiting = duration(one.waiting_ms as f64);
    let of = |what: &str| format!("{what}, {}", one.consumer);
    html! {
        td class="digits" { (counted(&next, one.behind, &of("events behind"))) }
        td class="digits" { (counted(&held, one.held, &of("events held back"))) }
        td class="digits" { (counted(oldest, waiting, &of("that the oldest waits"))) }
        td class="digits" { (counted(&dead, one.dead, &of("dead letters"))) }
        td class="digits" { (counted(&link(EVENTS, &[("position", &at)]), &at, &of("reached in the log"))) }
    }
}

/// Where an event is in the log, which leads to it there.
fn position_cell(position: i64) -> Markup {
    let at = position.to_string();
    html! { td class="digits" { (counted(&link(EVENTS, &[("position", &at)]), &at, "position in the log")) } }
}

/// How often an event was tried: the broker has logged each time.
fn tries(letter: &str, attempts: i64, since: &str) -> Markup {
    let attribute = format!("letter={letter}");
    let log = link(
        "/console/logs",
        &[
            ("service", "events"),
            ("attribute", &attribute),
            ("from", since),
        ],
    );
    html! { (counted(&log, attempts, &format!("tries of {letter}"))) " since " (time(since)) }
}

/// What happened, and to what.
fn what_cells(event: &Event) -> Markup {
    html! {
        th scope="row" { a href=(link(EVENTS, &[("type", &event.kind)])) { (event.kind) } }
        td class="digits" { (subject(event)) }
    }
}

/// When, where, and what there is to know about it.
fn more_cells(event: &Event) -> Markup {
    let data = serde_json::to_string_pretty(&Value::Object(event.data.clone()));
    html! {
        td { (time(&event.time)) }
        td { @if let Some(trace) = event.trace() { a href={ "/console/traces/" (trace) } { "Trace" span class="hidden" { " of " (event.id) } } } }
        td { (event.source.trim_start_matches("/services/")) }
        td {
            details {
                summary { "Data" span class="hidden" { " of " (event.id) } }
                pre tabindex="0" { (data.unwrap_or_default()) }
            }
        }
    }
}

/// What an event happened to: an order has a page, and whatever else it is, other events have happened to it.
fn subject(event: &Event) -> Markup {
    let href = match event.kind.starts_with("order.") {
        true => format!("/console/orders/{}", event.subject),
        false => link(EVENTS, &[("subject", &event.subject)]),
    };
    // Of an id its end tells most.
    let short = match event.subject.len() == 36 {
        true => number(&event.subject),
        false => event.subject.clone(),
    };
    html! { a href=(href) { (short) } }
}

fn state(one: &Standing) -> Markup {
    match (one.dead, one.failures, one.behind + one.held) {
        (1.., _, _) => tag("bad", "has dead letters"),
        (_, 1.., _) => tag("bad", "takes nothing"),
        (_, _, 1..) => tag("waiting", "behind"),
        _ => tag("good", "up to date"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            id: "carts-7".into(),
            consumer: "carts".into(),
            position: 7,
            attempts: 30,
            reason: Some("409: no".into()),
            since: "2026-01-31T12:00:00Z".into(),
            event: Event {
                id: "e".into(),
                source: "/services/orders".into(),
                kind: "order.confirmed".into(),
                subject: "o1".into(),
                time: "2026-01-31T12:00:00Z".into(),
                traceparent: Some("00-7ace-5a-01".into()),
                data: [("total".to_owned(), 5.into())].into_iter().collect(),
            },
        }
    }

    #[test]
    fn a_dead_letter_can_be_delivered_again() {
        let console = Console {
            token: "secret".into(),
            ..Console::default()
        };
        let list = List {
            items: vec![letter()],
            next_cursor: None,
        };
        let page = console
            .dead_letters(&list, &Asked::of("", &["consumer", "cursor"]), false)
            .0;
        assert!(
            page.contains(
                "action=\"/console/events/dead-letters/carts-7/redeliver\" method=\"post\""
            )
        );
        assert!(page.contains("value=\"secret\"") && page.contains("409: no"));
        assert!(page.contains("href=\"/console/orders/o1\""));
        assert!(page.contains("href=\"/console/traces/7ace\""));
        assert!(
            page.contains(
                "href=\"/console/logs?service=events&amp;attribute=letter%3Dcarts-7&amp;from=2026-01-31T12%3A00%3A00Z\">30<"
            )
        );
        assert!(page.contains("href=\"/console/events?position=7\">7<"));
    }

    #[test]
    fn what_is_held_back_says_why_and_when_it_goes_on() {
        let DeadLetter { id, event, .. } = letter();
        let held = |state: &str, due_at: Option<&str>| HeldBack {
            id: id.clone(),
            position: 7,
            state: state.into(),
            attempts: 3,
            due_at: due_at.map(Into::into),
            reason: Some("500: no".into()),
            since: "2026-01-31T12:00:00Z".into(),
            event: event.clone(),
        };
        let list = List {
            items: vec![
                held("retrying", Some("2026-01-31T12:00:09Z")),
                held("waiting", None),
            ],
            next_cursor: Some("more".into()),
        };
        let page = Console::default().held("carts", &list, &Asked::of("", &["cursor"]));
        assert!(page.0.contains("500: no") && page.0.contains("31 Jan 12:00:09"));
        assert!(page.0.contains("after the one before it"));
        assert!(
            page.0
                .contains("href=\"/console/events/subscriptions/carts?cursor=more\"")
        );
    }

    #[test]
    fn how_far_a_consumer_is_leads_to_what_it_is_still_to_get() {
        let cells = |held| {
            let standing = Standing {
                consumer: "carts".into(),
                position: 40,
                behind: 2,
                held,
                dead: 1,
                waiting_ms: 1500,
                failures: 0,
                last_error: None,
            };
            standing_cells(&standing).0
        };
        let some = cells(3);
        for (href, number) in [
            ("/console/events?after=40", "2"),
            ("/console/events/subscriptions/carts", "3"),
            ("/console/events/subscriptions/carts", "1.5 s"),
            ("/console/events/dead-letters?consumer=carts", "1"),
            ("/console/events?position=40", "40"),
        ] {
            let leads = format!("<a href=\"{href}\">{number}<");
            assert!(some.contains(&leads), "{leads}: {some}");
        }
        assert!(cells(0).contains("<a href=\"/console/events?after=40\">1.5 s<"));
    }

    #[test]
    fn what_is_wrong_with_a_consumer_comes_first() {
        let standing = |dead, failures, behind| Standing {
            consumer: "carts".into(),
            position: 1,
            behind,
            held: 0,
            dead,
            waiting_ms: 0,
            failures,
            last_error: None,
        };
        let told = |dead, failures, behind| state(&standing(dead, failures, behind)).0;
        assert!(told(1, 1, 1).contains("has dead letters"));
        assert!(told(0, 1, 1).contains("takes nothing"));
        assert!(told(0, 0, 1).contains("behind"));
        assert!(told(0, 0, 0).contains("up to date"));
    }
}
