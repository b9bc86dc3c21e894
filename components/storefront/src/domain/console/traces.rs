//! Traces and logs, and where the parts of a trace are drawn.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::milliseconds;

/// A trace in a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Summary {
    /// Its id.
    pub trace_id: String,
    /// The service it began in.
    pub service: String,
    /// What it began with.
    pub name: String,
    /// When.
    pub started_at: String,
    /// How long it took.
    pub duration_ms: f64,
    /// How many parts it has.
    pub spans: i64,
    /// How many of them failed.
    pub errors: i64,
    /// The request it is of.
    pub request_id: Option<String>,
    /// All services that have a part in it.
    pub services: Vec<String>,
}

impl Summary {
    /// The address of its page.
    pub fn href(&self) -> String {
        href(&self.trace_id)
    }
}

/// The address of the page of the trace with this id.
pub fn href(trace_id: &str) -> String {
    format!("/console/traces/{trace_id}")
}

/// A whole trace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Trace {
    /// What there is to say of all of it.
    #[serde(flatten)]
    pub summary: Summary,
    /// Its parts, in the order they began.
    pub items: Vec<Span>,
    /// What was logged meanwhile.
    pub logs: Vec<Log>,
    /// Whether there is more than this.
    pub truncated: bool,
}

/// A part of a trace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Span {
    /// Its id.
    pub span_id: String,
    /// The part that it is a part of.
    pub parent_id: Option<String>,
    /// Whose it is.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// What kind it is.
    pub kind: String,
    /// How long after the trace it began.
    pub offset_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// `ok` or `error`.
    pub status: String,
    /// Why it failed.
    pub message: Option<String>,
    /// What else there is to say of it.
    pub attributes: Map<String, Value>,
}

impl Span {
    /// Whether it failed.
    pub fn failed(&self) -> bool {
        self.status == "error"
    }

    /// The SQL statement that it is.
    pub fn statement(&self) -> Option<&str> {
        self.attributes.get("db.query.text")?.as_str()
    }

    /// What it was about, for a request: the path, and how it was answered; for what a service says itself: how it went.
    pub fn detail(&self) -> String {
        let said = |name| self.attributes.get(name).and_then(Value::as_str);
        let path = said("url.path").or_else(|| said("outcome"));
        let status = self.attributes.get("http.response.status_code");
        let status = status.and_then(Value::as_i64);
        let status = status.map_or(String::new(), |status| format!(" {status}"));
        format!("{}{status}", path.unwrap_or_default())
            .trim()
            .to_owned()
    }
}

/// Something that was logged.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Log {
    /// When.
    pub at: String,
    /// By whom.
    pub service: String,
    /// How bad it is: `trace`, `debug`, `info`, `warn`, `error` or `fatal`.
    pub level: String,
    /// What it says.
    pub message: String,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// The part of that.
    pub span_id: Option<String>,
    /// The request it belongs to.
    pub request_id: Option<String>,
    /// What else it says.
    pub attributes: Map<String, Value>,
}

impl Log {
    /// How it is coloured.
    pub fn tone(&self) -> &'static str {
        match self.level.as_str() {
            "error" | "fatal" => "bad",
            "warn" => "waiting",
            _ => "",
        }
    }

    /// What else it says, in a line.
    pub fn details(&self) -> String {
        const SAID_ELSEWHERE: [&str; 5] = [
            "request_id",
            "trace_id",
            "span_id",
            "component_id",
            "service",
        ];
        let told = self
            .attributes
            .iter()
            .filter(|(name, _)| !SAID_ELSEWHERE.contains(&name.as_str()));
        let pairs = told.map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        });
        pairs.collect::<Vec<_>>().join(" ")
    }
}

/// A part of the log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Logs {
    /// Newest first.
    pub items: Vec<Log>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// How wide a waterfall is, in whatever it is measured in.
pub const WIDTH: f64 = 1000.0;

/// What is shorter than this would not be seen.
const NARROWEST: f64 = 3.0;

/// A part of a trace, and where it is drawn.
#[derive(Debug, PartialEq)]
pub struct Row<'a> {
    /// The part.
    pub span: &'a Span,
    /// In how many others it is.
    pub depth: usize,
    /// Where its bar begins.
    pub left: f64,
    /// How long its bar is.
    pub width: f64,
    /// What was logged during it.
    pub logs: Vec<&'a Log>,
}

/// A trace as it is drawn.
#[derive(Debug, PartialEq)]
pub struct Waterfall<'a> {
    /// Each part after the one it is a part of.
    pub rows: Vec<Row<'a>>,
    /// What was logged during none of them.
    pub logs: Vec<&'a Log>,
}

impl Trace {
    /// Where its parts are drawn. One whose own whole has not arrived begins anew on the left.
    pub fn waterfall(&self) -> Waterfall<'_> {
        let known: BTreeSet<_> = self
            .items
            .iter()
            .map(|span| span.span_id.as_str())
            .collect();
        let inside = |span: &Span| span.parent_id.clone().filter(|id| known.contains(&**id));
        let mut parts: BTreeMap<String, Vec<&Span>> = BTreeMap::new();
        for span in &self.items {
            let whole = inside(span).unwrap_or_default();
            parts.entry(whole).or_default().push(span);
        }
        let mut logs: BTreeMap<&str, Vec<&Log>> = BTreeMap::new();
        for log in &self.logs {
            let span = log.span_id.as_deref().filter(|id| known.contains(id));
            logs.entry(span.unwrap_or_default()).or_default().push(log);
        }
        let mut rows = Vec::with_capacity(self.items.len());
        let mut next: Vec<_> = outermost(&mut parts, 0, "");
        loop {
            while let Some((span, depth)) = next.pop() {
                let logs = logs.remove(&*span.span_id).unwrap_or_default();
                rows.push(self.row(span, depth, logs));
                next.extend(outermost(&mut parts, depth + 1, &span.span_id));
            }
            // What is left says that it is in itself, by others or not.
            let Some(whole) = parts.keys().next().cloned() else {
                break;
            };
            next = outermost(&mut parts, 0, &whole);
        }
        let logs = logs.remove("").unwrap_or_default();
        Waterfall { rows, logs }
    }

    fn row<'a>(&self, span: &'a Span, depth: usize, logs: Vec<&'a Log>) -> Row<'a> {
        let scale = WIDTH / self.summary.duration_ms.max(0.001);
        let left = (span.offset_ms * scale).clamp(0.0, WIDTH - NARROWEST);
        let width = (span.duration_ms * scale).clamp(NARROWEST, WIDTH - left);
        Row {
            span,
            depth,
            left,
            width,
            logs,
        }
    }

    /// How long after the trace a record was made, in milliseconds.
    pub fn offset_of(&self, log: &Log) -> f64 {
        (milliseconds(&log.at) - milliseconds(&self.summary.started_at)).max(0) as f64
    }

    /// The services with a part that failed while none of its own parts did: where the trouble began.
    pub fn culprits(&self) -> BTreeSet<&str> {
        let failed = self.items.iter().filter(|span| span.failed());
        let wholes: BTreeSet<_> = failed
            .clone()
            .filter_map(|span| span.parent_id.as_deref())
            .collect();
        let deepest = failed.filter(|span| !wholes.contains(&*span.span_id));
        deepest.map(|span| span.called_service()).collect()
    }
}

impl Span {
    /// The service that a call was made to; of anything else, whose it is.
    fn called_service(&self) -> &str {
        let peer = self.attributes.get("peer.service").and_then(Value::as_str);
        peer.unwrap_or(&self.service)
    }
}

/// Takes out what is inside of a part; the first comes last.
fn outermost<'a>(
    parts: &mut BTreeMap<String, Vec<&'a Span>>,
    depth: usize,
    whole: &str,
) -> Vec<(&'a Span, usize)> {
    let parts = parts.remove(whole).unwrap_or_default();
    parts.into_iter().rev().map(|span| (span, depth)).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn span(id: &str, parent: Option<&str>, offset_ms: f64, duration_ms: f64) -> Span {
        Span {
            span_id: id.into(),
            parent_id: parent.map(Into::into),
            service: format!("service-{id}"),
            offset_ms,
            duration_ms,
            status: "ok".into(),
            ..Span::default()
        }
    }

    pub fn trace(items: Vec<Span>, logs: Vec<Log>) -> Trace {
        Trace {
            summary: Summary {
                trace_id: "t".into(),
                service: "gateway".into(),
                name: "POST /api/orders".into(),
                started_at: "2026-01-31T12:00:00Z".into(),
                duration_ms: 100.0,
                spans: 0,
                errors: 0,
                request_id: Some("r".into()),
                services: vec!["gateway".into()],
            },
            items,
            logs,
            truncated: false,
        }
    }

    fn drawn(trace: &Trace) -> Vec<(&str, usize, f64, f64)> {
        let rows = trace.waterfall().rows.into_iter();
        let drawn = rows.map(|row| (row.span.span_id.as_str(), row.depth, row.left, row.width));
        drawn.collect()
    }

    #[test]
    fn each_part_stands_below_its_whole_where_it_happened() {
        let trace = trace(
            vec![
                span("a", None, 0.0, 100.0),
                span("b", Some("a"), 10.0, 50.0),
                span("d", Some("a"), 20.0, 0.01),
                span("c", Some("b"), 30.0, 10.0),
            ],
            Vec::new(),
        );
        assert_eq!(
            drawn(&trace),
            [
                ("a", 0, 0.0, 1000.0),
                ("b", 1, 100.0, 500.0),
                ("c", 2, 300.0, 100.0),
                ("d", 1, 200.0, 3.0),
            ]
        );
    }

    #[test]
    fn a_part_without_its_whole_is_drawn_and_none_leaves_the_paper() {
        let trace = trace(
            vec![
                span("x", Some("lost"), -5.0, 500.0),
                span("y", None, 100.0, 1.0),
            ],
            Vec::new(),
        );
        assert_eq!(drawn(&trace), [("x", 0, 0.0, 1000.0), ("y", 0, 997.0, 3.0)]);
    }

    #[test]
    fn parts_that_say_they_are_in_each_other_are_there_all_the_same() {
        let span = |id, whole| span(id, Some(whole), 0.0, 1.0);
        let trace = trace(
            vec![
                span("a", "b"),
                span("b", "a"),
                span("c", "a"),
                span("d", "d"),
            ],
            Vec::new(),
        );
        let waterfall = trace.waterfall();
        let mut ids: Vec<_> = waterfall
            .rows
            .iter()
            .map(|row| &*row.span.span_id)
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_was_logged_stands_with_its_part() {
        let log = |span: Option<&str>| Log {
            at: "2026-01-31T12:00:00.042Z".into(),
            span_id: span.map(Into::into),
            ..Log::default()
        };
        let trace = trace(
            vec![span("a", None, 0.0, 1.0)],
            vec![log(Some("a")), log(Some("lost")), log(None)],
        );
        let waterfall = trace.waterfall();
        assert_eq!((waterfall.rows[0].logs.len(), waterfall.logs.len()), (1, 2));
        assert_eq!(trace.offset_of(&trace.logs[0]), 42.0);
    }

    #[test]
    fn the_culprit_is_where_the_failing_began() {
        let failed = |mut span: Span| {
            span.status = "error".into();
            span
        };
        let mut call = failed(span("c", Some("b"), 0.0, 1.0));
        call.attributes
            .insert("peer.service".into(), "payments".into());
        let trace = trace(
            vec![
                failed(span("a", None, 0.0, 1.0)),
                failed(span("b", Some("a"), 0.0, 1.0)),
                call,
            ],
            Vec::new(),
        );
        assert_eq!(trace.culprits(), BTreeSet::from(["payments"]));
    }

    #[test]
    fn what_a_part_was_about_is_said_in_a_line() {
        let mut request = span("a", None, 0.0, 1.0);
        assert_eq!(request.detail(), "");
        request
            .attributes
            .insert("url.path".into(), "/api/orders".into());
        request
            .attributes
            .insert("http.response.status_code".into(), 201.into());
        assert_eq!(request.detail(), "/api/orders 201");
        let mut call = span("b", None, 0.0, 1.0);
        call.attributes.insert("outcome".into(), "declined".into());
        assert_eq!(call.detail(), "declined");
    }
}
