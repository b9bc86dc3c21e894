//! The log.

use maud::{Markup, html};

use super::{Console, choice, filter, filters, followed, pages, tag, time};
use crate::domain::console::Asked;
use crate::domain::console::traces::{self, Log, Logs};

const LOGS: &str = "/console/logs";

impl Console {
    /// One page of the log, newest first. Who follows it looks at the newest page again and again.
    pub fn logs(&self, list: &Logs, asked: &Asked) -> Markup {
        let fields = html! {
            (filter(asked, "q", "Words", "search"))
            (filter(asked, "service", "Service", "text"))
            (choice(asked, "level", "At least", &["debug", "info", "warn", "error"]))
            (filter(asked, "request_id", "Request", "text"))
            (filter(asked, "trace_id", "Trace", "text"))
            (filter(asked, "attribute", "Attribute, as name=value", "text"))
            (filter(asked, "from", "From, as 2026-01-31T12:00:00Z", "text"))
            input type="hidden" name="follow" value=(asked.get("follow"));
        };
        let follows = !asked.get("follow").is_empty();
        let records = records(list);
        let content = html! {
            (filters(LOGS, fields))
            p class="actions" {
                @if follows {
                    a class="button quiet" href=(asked.with("follow", "").at(LOGS)) { "Stop following" }
                    a href=(asked.at(LOGS)) { "Look again" }
                } @else {
                    a class="button quiet" href=(asked.with("cursor", "").with("follow", "1").at(LOGS)) { "Follow" }
                }
            }
            @if follows { (followed("log", records)) } @else { (records) }
            // What is older does not change any more.
            (pages(LOGS, &asked.with("follow", ""), list.next_cursor.as_deref()))
        };
        self.page("Logs", LOGS, content)
    }
}

fn records(list: &Logs) -> Markup {
    html! {
        @if list.items.is_empty() {
            p { "No record is like this." }
        } @else {
            ol class="log" {
                @for one in &list.items {
                    li {
                        (time(&one.at)) " "
                        (log_line(one))
                        @if let Some(trace) = &one.trace_id { " " a href=(traces::href(trace)) { "Trace" span class="hidden" { " " (trace) } } }
                    }
                }
            }
        }
    }
}

/// What a record says, in a line.
pub fn log_line(log: &Log) -> Markup {
    let details = log.details();
    html! {
        (tag(log.tone(), &log.level)) " "
        span class="service" { (log.service) } " "
        (log.message) " "
        @if !details.is_empty() { span class="hint" { (details) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(query: &str) -> String {
        let mut log = Log {
            at: "2026-01-31T12:00:00Z".into(),
            service: "orders".into(),
            level: "error".into(),
            message: "<b>".into(),
            trace_id: Some("abc".into()),
            ..Log::default()
        };
        log.attributes.insert("order_id".into(), "o1".into());
        log.attributes.insert("trace_id".into(), "abc".into());
        let list = Logs {
            items: vec![log],
            next_cursor: Some("next".into()),
        };
        let asked = Asked::of(query, &["q", "level", "follow", "cursor"]);
        Console::default().logs(&list, &asked).0
    }

    #[test]
    fn a_record_is_shown_with_the_way_to_its_trace() {
        let page = shown("level=warn");
        assert!(page.contains("&lt;b&gt;") && page.contains("order_id=o1"));
        assert!(!page.contains("trace_id=abc"), "the link says that");
        assert!(page.contains("href=\"/console/traces/abc\""));
        assert!(page.contains("cursor=next") && !page.contains("data-refresh"));
    }

    #[test]
    fn who_follows_looks_again() {
        let page = shown("level=warn&follow=1");
        assert!(page.contains("id=\"log\" data-refresh=\"1\""));
        assert!(
            page.contains("href=\"/console/logs?level=warn\""),
            "the way to stop"
        );
    }
}
