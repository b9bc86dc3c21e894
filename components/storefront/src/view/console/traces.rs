//! Traces: many, and one as a waterfall.

use maud::{Markup, html};

use super::logs::log_line;
use super::{Console, choice, counted, filter, filters, pages, table, table_below, tag, time};
use crate::domain::console::traces::{Row, Summary, Trace, WIDTH};
use crate::domain::console::{Asked, List, duration, link, service_page};
use crate::domain::moment;

const TRACES: &str = "/console/traces";

/// How high the bar of a part is.
const BAR: u32 = 14;

/// Characters of a statement that are shown on one line.
const SHORT: usize = 48;

/// How far a part is moved to the right for each that it is in, and the most of it.
const INDENT: usize = 12;
const DEEPEST: usize = 14;

impl Console {
    /// One page of traces.
    pub fn traces(&self, list: &List<Summary>, asked: &Asked) -> Markup {
        let fields = html! {
            (filter(asked, "service", "Service", "text"))
            (filter(asked, "caller", "Called by", "text"))
            (choice(asked, "kind", "Kind", &["server", "client", "internal"]))
            (filter(asked, "route", "Route", "text"))
            (filter(asked, "request_id", "Request", "text"))
            (choice(asked, "status", "Status", &["ok", "error"]))
            (filter(asked, "min_ms", "At least, in ms", "number"))
            (filter(asked, "max_ms", "At most, in ms", "number"))
            (filter(asked, "attribute", "Attribute, as name=value", "text"))
            (filter(asked, "from", "From, as 2026-01-31T12:00:00Z", "text"))
        };
        let columns = [
            "Began", "What", "Where", "Took", "Parts", "Failed", "Services",
        ];
        let content = html! {
            (filters(TRACES, fields))
            @if list.items.is_empty() {
                p { "No trace is like this, or none has arrived yet." }
            } @else {
                (table("Traces", &columns, html! { @for one in &list.items { (row(one)) } }))
            }
            (pages(TRACES, asked, list.next_cursor.as_deref()))
        };
        self.page("Traces", TRACES, content)
    }

    /// A trace.
    pub fn trace(&self, trace: &Trace) -> Markup {
        let summary = &trace.summary;
        let content = html! {
            (facts(trace))
            @if trace.truncated { p class="note" { "It has more parts or records than are shown." } }
            (waterfall(trace))
        };
        self.page(&format!("Trace of {}", summary.name), TRACES, content)
    }
}

/// A trace in a list.
fn row(one: &Summary) -> Markup {
    html! {
        tr {
            td { (time(&one.started_at)) }
            th scope="row" { a href=(one.href()) { (one.name) } }
            td { (one.service) }
            td class="digits" { (counted(&one.href(), duration(one.duration_ms), "from begin to end")) }
            td class="digits" { (counted(&one.href(), one.spans, "parts")) }
            td {
                @if one.errors > 0 { a href=(one.href()) { (tag("bad", &format!("{} failed", one.errors))) } }
                @else { (tag("good", "ok")) }
            }
            td { (one.services.join(", ")) }
        }
    }
}

/// Traces in a short list, such as those of one order.
pub fn short_list(traces: &[Summary]) -> Markup {
    let columns = [
        "Began", "What", "Where", "Took", "Parts", "Failed", "Services",
    ];
    html! {
        @if traces.is_empty() {
            p { "No trace of it was kept, or none has arrived yet." }
        } @else {
            (table("Traces", &columns, html! { @for one in traces { (row(one)) } }))
        }
    }
}

fn facts(trace: &Trace) -> Markup {
    let summary = &trace.summary;
    let culprits: Vec<_> = trace.culprits().into_iter().collect();
    html! {
        dl class="facts" {
            div { dt { "Began" } dd { time datetime=(summary.started_at) { (moment(&summary.started_at)) } " in " (summary.service) } }
            div { dt { "Took" } dd class="digits" { (counted("#parts", duration(summary.duration_ms), "from begin to end")) } }
            div {
                dt { "Parts" }
                dd { (counted("#parts", summary.spans, "parts")) " in " (summary.services.join(", ")) }
            }
            div {
                dt { "Failed" }
                dd {
                    @if culprits.is_empty() { (tag("good", "nothing")) }
                    @for culprit in culprits { a href=(service_page(culprit)) { (tag("bad", culprit)) } " " }
                }
            }
            @if let Some(id) = &summary.request_id {
                div {
                    dt { "Request" }
                    dd {
                        span class="digits" { (id) } " "
                        a href=(link("/console/logs", &[("request_id", id)])) { "Its log" }
                    }
                }
            }
            div { dt { "Trace" } dd class="digits" { (summary.trace_id) } }
        }
    }
}

fn waterfall(trace: &Trace) -> Markup {
    let waterfall = trace.waterfall();
    let head = html! {
        th scope="col" { "Part" }
        th scope="col" { "Took" }
        th scope="col" { (axis(trace.summary.duration_ms)) }
    };
    let rows = html! {
        @for row in &waterfall.rows {
            (bar(row))
            @for log in &row.logs { (record(trace, row.depth + 1, log_line(log), trace.offset_of(log))) }
        }
        @for log in &waterfall.logs { (record(trace, 0, log_line(log), trace.offset_of(log))) }
    };
    html! { div id="parts" class="waterfall" { (table_below("Waterfall", head, rows)) } }
}

/// The times that the bars stand below.
fn axis(duration_ms: f64) -> Markup {
    html! {
        span class="hidden" { "When" }
        span class="axis" {
            @for quarter in 0..=4 { span { (duration(duration_ms * f64::from(quarter) / 4.0)) } }
        }
    }
}

/// The lines of these times behind a bar.
fn quarters() -> Markup {
    let lines = [1.0, 2.0, 3.0].map(|quarter| format!("M{} 0V{BAR}", WIDTH * quarter / 4.0));
    html! { path class="grid-line" d=(lines.concat()) {} }
}

fn bar(row: &Row<'_>) -> Markup {
    let span = row.span;
    let detail = span.detail();
    html! {
        tr class=[span.failed().then_some("failed")] {
            th scope="row" {
                div class="part" {
                    (indent(row.depth))
                    div {
                        span class="service" { (span.service) } " " (span.name) " "
                        @if !detail.is_empty() { span class="hint" { (detail) } " " }
                        @if span.failed() { (tag("bad", "failed")) }
                        @if let Some(why) = &span.message { p class="why" { (why) } }
                        @if let Some(text) = span.statement() { (statement(text)) }
                    }
                }
            }
            td class="digits" { (duration(span.duration_ms)) }
            td {
                svg class="bar" viewBox={ "0 0 " (WIDTH) " " (BAR) } height=(BAR) preserveAspectRatio="none" aria-hidden="true" {
                    rect class="track" width=(WIDTH) height=(BAR) {}
                    (quarters())
                    rect class=(span.kind) x={ (format!("{:.1}", row.left)) } width={ (format!("{:.1}", row.width)) } height=(BAR) {}
                }
                span class="hidden" { "after " (duration(span.offset_ms)) }
            }
        }
    }
}

/// An SQL statement. Of a long one there is the beginning, which opens to all of it.
fn statement(text: &str) -> Markup {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    html! {
        @match line.char_indices().nth(SHORT) {
            None => code { (line) },
            Some((end, _)) => details class="statement" {
                summary { code { (line[..end]) "…" } }
                code { (text) }
            },
        }
    }
}

/// A drawing of nothing, as wide as a part is moved: the policy allows no style that would do it.
fn indent(depth: usize) -> Markup {
    let width = depth.min(DEEPEST) * INDENT;
    html! {
        @if width > 0 { svg class="indent" width=(width) height="1" aria-hidden="true" {} }
    }
}

/// A record of the log, where it was made.
fn record(trace: &Trace, depth: usize, line: Markup, offset_ms: f64) -> Markup {
    let at = offset_ms * WIDTH / trace.summary.duration_ms.max(0.001);
    let at = at.clamp(0.0, WIDTH - 4.0);
    html! {
        tr class="record" {
            td { div class="part" { (indent(depth)) div { (line) } } }
            td class="digits" { "at " (duration(offset_ms)) }
            td {
                svg class="bar" viewBox={ "0 0 " (WIDTH) " " (BAR) } height=(BAR) preserveAspectRatio="none" aria-hidden="true" {
                    (quarters())
                    rect class="mark" x=(format!("{at:.1}")) width="4" height=(BAR) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::console::traces::Log;
    use crate::domain::console::traces::tests::{span, trace};

    #[test]
    fn a_waterfall_has_statements_records_and_what_failed() {
        let mut select = span("b", Some("a"), 10.0, 20.0);
        select
            .attributes
            .insert("db.query.text".into(), "SELECT <1>".into());
        select.status = "error".into();
        select.message = Some("locked".into());
        let record = Log {
            at: "2026-01-31T12:00:00.010Z".into(),
            level: "warn".into(),
            message: "it is slow".into(),
            span_id: Some("b".into()),
            ..Log::default()
        };
        let trace = trace(vec![span("a", None, 0.0, 100.0), select], vec![record]);
        let page = Console::default().trace(&trace).0;
        assert!(page.contains("<code>SELECT &lt;1&gt;</code>"));
        assert!(page.contains("it is slow") && page.contains("locked"));
        assert!(page.contains("x=\"100.0\" width=\"200.0\""));
        assert!(
            page.contains("class=\"tag bad\">service-b<"),
            "whose fault it is"
        );
        assert!(!page.contains("style="), "the policy allows none");
    }

    #[test]
    fn a_long_statement_is_a_line_that_opens() {
        let long = "SELECT id\n  FROM orders\n WHERE status = 'pending' AND due_at <= ?1";
        let page = statement(long).0;
        assert!(page.contains("<summary><code>SELECT id FROM orders WHERE status = 'pending' A…"));
        assert!(page.contains(&format!(
            "</summary><code>{}</code>",
            long.replace('<', "&lt;")
        )));
        let short = statement("SELECT\n 1").0;
        assert_eq!(short, "<code>SELECT 1</code>");
    }

    #[test]
    fn a_trace_in_a_list_leads_to_its_page() {
        let list = List {
            items: vec![trace(Vec::new(), Vec::new()).summary],
            next_cursor: None,
        };
        let page = Console::default()
            .traces(&list, &Asked::of("", &["cursor"]))
            .0;
        assert!(page.contains("href=\"/console/traces/t\""));
    }
}
