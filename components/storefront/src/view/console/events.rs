//! Events: the log, who listens to it, and what nobody took.

use maud::{Markup, html};
use serde_json::Value;

use super::{Console, filter, filters, live, pages, table, tag, time};
use crate::domain::console::operations::{DeadLetter, Event, Logged, Standing};
use crate::domain::console::{Asked, List, link};
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
        };
        let columns = ["Position", "What", "Of", "When", "Trace", "Source", "Data"];
        let rows = html! {
            @for one in &list.items {
                tr {
                    td class="digits" { (one.position) }
                    (what_cells(&one.event))
                    (more_cells(&one.event))
                }
            }
        };
        let content = html! {
            (tabs(EVENTS))
            (filters(EVENTS, fields))
            @if list.items.is_empty() { p { "No event is like this." } } @else { (table("Events", &columns, rows)) }
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
            "Dead letters",
            "Position",
            "What went wrong last",
        ];
        let rows = html! {
            @for one in standings {
                tr {
                    th scope="row" { a href={ "/console/services/" (one.consumer) } { (one.consumer) } }
                    td { (state(one)) }
                    td class="digits" { a href=(EVENTS) { (one.behind) } }
                    td class="digits" { (one.held) }
                    td class="digits" { a href=(link(DEAD_LETTERS, &[("consumer", &one.consumer)])) { (one.dead) } }
                    td class="digits" { (one.position) }
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
                    td class="digits" { (one.position) }
                    (what_cells(&one.event))
                    td { a href={ "/console/services/" (one.consumer) } { (one.consumer) } }
                    td class="words" { (one.reason.as_deref().unwrap_or("")) }
                    td { (one.attempts) " since " (time(&one.since)) }
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
    }

    #[test]
    fn what_is_wrong_with_a_consumer_comes_first() {
        let standing = |dead, failures, behind| Standing {
            consumer: "carts".into(),
            position: 1,
            behind,
            held: 0,
            dead,
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
