//! Spans: what takes its time where nobody but the service sees it, such as a call of another part of the same component.
//!
//! ```no_run
//! # async fn convert() {}
//! # async fn example() {
//! use tracing::Instrument;
//!
//! let span = tracing::info_span!("convert", currency = "EUR", error = tracing::field::Empty);
//! convert().instrument(span.clone()).await;
//! span.record("error", "there is no such currency");
//! # }
//! ```
//!
//! It is a span of the trace that its request came with, within the one it was made in. These fields say something about it, as they do with
//! `tracing-opentelemetry`; the others are its attributes:
//!
//! | field | |
//! |---|---|
//! | `otel.name` | its name, where that is not always the same |
//! | `otel.kind` | `client` where it is a call of somebody else |
//! | `error` | it failed, and why; of a client that has the trace be kept |
//!
//! A span is written when it ends, as a line of the [log](crate::log) that begins with `{"span":`. A host that makes spans of such lines says so in a
//! variable of the environment. Anywhere else there are no spans, and all they cost is a look whether there are. Calls made within a span say so
//! (see [`Context::place`](crate::Context::place)).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::span::{Attributes, Id, Record};
use uuid::Uuid;

use crate::log::{self, Fields, Origin};
use crate::traceparent::Traceparent;

/// How long a text of a span may be, in bytes, so that its line is not too long for a host; the rest is cut off.
const MOST_BYTES: usize = 200;

/// A host that takes spans sets this variable.
const TAKEN: &str = "SOUK_SPANS";

thread_local! {
    static SPANS: RefCell<Spans> = const { RefCell::new(Spans::new()) };
}

/// The spans of an instance that have not ended, by id.
struct Spans {
    open: BTreeMap<u64, Open>,
    /// Those that are being worked in, the innermost last.
    entered: Vec<u64>,
}

struct Open {
    origin: Rc<Origin>,
    parent: Option<u64>,
    name: &'static str,
    fields: Fields,
    begun: Instant,
    /// How many still hold it.
    handles: usize,
}

impl Spans {
    const fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            entered: Vec::new(),
        }
    }

    /// The innermost one that is being worked in, if it is of a request that came with this.
    fn innermost(&self, traceparent: Traceparent) -> Option<u64> {
        let id = *self.entered.last()?;
        let of = self.open.get(&id)?.origin.traceparent;
        (of == Some(traceparent)).then_some(id)
    }
}

/// Whether the host takes spans.
pub(crate) fn are_taken() -> bool {
    static ARE_TAKEN: LazyLock<bool> = LazyLock::new(|| std::env::var_os(TAKEN).is_some());
    *ARE_TAKEN
}

/// What the host has to be told of the place of what is done now for a request that came with this one: that of the innermost span,
/// or its own; nothing where the host knows that.
pub(crate) fn place(came: Traceparent) -> Option<Traceparent> {
    match SPANS.with_borrow(|spans| spans.innermost(came)) {
        Some(id) => Some(came.within(id)),
        None => (!log::is_known(came)).then_some(came),
    }
}

/// Begins a span. There is an origin with a trace, or it would not be enabled.
pub(crate) fn open(attributes: &Attributes<'_>) -> Id {
    // Never 0, and different in all instances.
    let (_, id) = Uuid::now_v7().as_u64_pair();
    let mut fields = Fields::default();
    attributes.record(&mut fields);
    if let Some(origin) = log::current() {
        SPANS.with_borrow_mut(|spans| {
            let innermost = origin.traceparent.and_then(|it| spans.innermost(it));
            let parent = match attributes.parent() {
                Some(parent) => Some(parent.into_u64()),
                None => innermost.filter(|_| attributes.is_contextual()),
            };
            let open = Open {
                origin,
                parent,
                name: attributes.metadata().name(),
                fields,
                begun: Instant::now(),
                handles: 1,
            };
            spans.open.insert(id, open);
        });
    }
    Id::from_u64(id)
}

pub(crate) fn record(id: &Id, values: &Record<'_>) {
    with(id, |span| values.record(&mut span.fields));
}

pub(crate) fn hold(id: &Id) {
    with(id, |span| span.handles += 1);
}

fn with(id: &Id, change: impl FnOnce(&mut Open)) {
    SPANS.with_borrow_mut(|spans| spans.open.get_mut(&id.into_u64()).map(change));
}

pub(crate) fn enter(id: &Id) {
    SPANS.with_borrow_mut(|spans| spans.entered.push(id.into_u64()));
}

pub(crate) fn exit(id: &Id) {
    SPANS.with_borrow_mut(|spans| {
        let last = spans.entered.iter().rposition(|it| *it == id.into_u64());
        last.map(|last| spans.entered.remove(last))
    });
}

/// Holds a span no more; when nobody does it ends, and this is the line that says so.
pub(crate) fn let_go(id: &Id) -> Option<String> {
    let id = id.into_u64();
    let ended = SPANS.with_borrow_mut(|spans| {
        let span = spans.open.get_mut(&id)?;
        span.handles -= 1;
        match span.handles {
            0 => spans.open.remove(&id),
            _ => None,
        }
    });
    ended.and_then(|span| span.line(id))
}

/// A line of the log like any other, to whoever makes no spans of such lines.
#[derive(Serialize)]
struct Line<'a> {
    /// It comes first: by that the host knows the line.
    span: Ended<'a>,
    time: String,
    level: &'static str,
    message: &'a str,
    service: &'static str,
    request_id: &'a str,
    trace_id: Option<&'a str>,
}

/// What a host needs to make a span. When it began follows from when the line is written.
#[derive(Serialize)]
struct Ended<'a> {
    /// That of the request.
    traceparent: &'a str,
    id: String,
    /// The span it is in; none where that is the request itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    name: &'a str,
    kind: &'a str,
    duration_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    attributes: Map<String, Value>,
}

impl Open {
    fn line(self, id: u64) -> Option<String> {
        let Fields(mut attributes) = self.fields;
        for value in attributes.values_mut() {
            if let Value::String(text) = value {
                text.truncate(text.floor_char_boundary(MOST_BYTES));
            }
        }
        let mut take = |field| match attributes.remove(field) {
            Some(Value::String(text)) => Some(text),
            other => other.map(|value| value.to_string()),
        };
        let (name, kind, error) = (take("otel.name"), take("otel.kind"), take("error"));
        let name = name.as_deref().unwrap_or(self.name);
        let elapsed = self.begun.elapsed().as_nanos();
        let span = Ended {
            traceparent: self.origin.traceparent.as_ref()?.as_str(),
            id: format!("{id:016x}"),
            parent: self.parent.map(|id| format!("{id:016x}")),
            name,
            kind: kind.as_deref().unwrap_or("internal"),
            duration_ns: elapsed.try_into().unwrap_or(u64::MAX),
            error: error.as_deref(),
            attributes,
        };
        let line = Line {
            span,
            time: log::now(),
            level: "debug",
            message: name,
            service: self.origin.service,
            request_id: &self.origin.request_id,
            trace_id: self.origin.trace_id(),
        };
        serde_json::to_string(&line).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Context;
    use crate::log::tests::{context, pause, written};
    use crate::log::{answering, within};
    use futures::executor::block_on;
    use http::HeaderMap;
    use tracing::{Instrument, field::Empty, info_span};

    /// The lines that are written while a request is handled that came with a trace.
    fn lines(work: impl Future<Output = ()>) -> Vec<Value> {
        let lines = written(true, || block_on(within(&context("r1"), work)));
        let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        parsed.collect()
    }

    #[test]
    fn a_span_is_a_line_when_it_ends() {
        let lines = written(true, || {
            block_on(within(&context("r1"), async {
                let span = info_span!(
                    "ask",
                    otel.name = "ask for it",
                    otel.kind = "client",
                    peer.service = "somebody",
                    tries = 3,
                    error = Empty
                );
                pause().instrument(span.clone()).await;
                span.record("error", "no");
            }));
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert!(line.starts_with(r#"{"span":{"#), "{line}");
        let line: Value = serde_json::from_str(line).unwrap();
        let span = &line["span"];
        let traceparent = context("r1").traceparent.unwrap();
        assert_eq!(span["traceparent"], traceparent.as_str());
        assert_eq!(span["name"], "ask for it");
        assert_eq!(span["kind"], "client");
        assert_eq!(span["error"], "no");
        assert_eq!(
            span["attributes"],
            serde_json::json!({"peer.service": "somebody", "tries": 3})
        );
        assert!(span["duration_ns"].as_u64().unwrap() > 0);
        assert_eq!(span["id"].as_str().unwrap().len(), 16);
        assert_eq!(span.get("parent"), None);
        assert_eq!(
            (&line["level"], &line["service"]),
            (&"debug".into(), &"test".into())
        );
        assert_eq!(line["request_id"], "r1");
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = "ä".repeat(5_000);
        let lines = lines(async {
            pause()
                .instrument(info_span!("a", error = long, text = long))
                .await;
        });
        let span = &lines[0]["span"];
        let cut = "ä".repeat(100);
        assert_eq!(
            (&span["error"], &span["attributes"]["text"]),
            (&cut.clone().into(), &cut.into())
        );
    }

    #[test]
    fn a_span_is_in_the_one_it_was_made_in_though_requests_take_turns() {
        async fn nested(name: &'static str) {
            let inner = async {
                pause().await;
                pause().instrument(info_span!("inner")).await;
            };
            inner.instrument(info_span!("outer", name)).await;
            pause().instrument(info_span!("after")).await;
        }
        let lines = lines(async {
            let other = context("r2");
            futures::join!(nested("one"), within(&other, nested("two")));
        });
        let of = |request: &str, name: &str| {
            let is_it =
                |line: &&Value| line["request_id"] == request && line["span"]["name"] == name;
            let mut found = lines.iter().filter(is_it).map(|line| line["span"].clone());
            (found.next().unwrap(), found.next()).0
        };
        assert_eq!(lines.len(), 6);
        for request in ["r1", "r2"] {
            assert_eq!(of(request, "inner")["parent"], of(request, "outer")["id"]);
            assert_eq!(of(request, "outer").get("parent"), None);
            assert_eq!(of(request, "after").get("parent"), None);
        }
        assert_ne!(of("r1", "outer")["id"], of("r2", "outer")["id"]);
    }

    #[test]
    fn work_that_is_given_up_ends_its_span() {
        let lines = lines(async {
            let work = std::future::pending::<()>().instrument(info_span!("endless"));
            _ = futures::future::select(Box::pin(work), Box::pin(pause())).await;
        });
        assert_eq!(lines[0]["span"]["name"], "endless");
    }

    #[test]
    fn a_call_says_which_span_it_is_made_in() {
        const ANOTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let places = RefCell::new(Vec::new());
        let lines = lines(async {
            let mine = context("r1");
            let note = |context: &Context| {
                let place = context.place().unwrap();
                places.borrow_mut().push(place.as_str().to_owned());
            };
            note(&mine);
            async {
                note(&mine);
                note(&mine.on_behalf_of(None, Some(ANOTHER)));
            }
            .instrument(info_span!("step"))
            .await;
            note(&mine);
        });
        let id = lines[0]["span"]["id"].as_str().unwrap();
        let came = context("r1").traceparent().unwrap().to_owned();
        let within = came.replace("b7ad6b7169203331", id);
        assert_eq!(*places.borrow(), [&came, &within, ANOTHER, &came]);
    }

    #[test]
    fn a_call_says_nothing_that_the_host_knows() {
        const ANOTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let mine = context("r1");
        let another = mine.on_behalf_of(None, Some(ANOTHER));
        let said = |context: &Context| Some(context.place()?.as_str().to_owned());
        let work = async {
            assert_eq!(said(&mine.unhurried()), None);
            assert_eq!(said(&another).as_deref(), Some(ANOTHER));
            // Its lines are about the other one, while the host waits for this one.
            let about = async { assert_eq!(said(&another).as_deref(), Some(ANOTHER)) };
            within(&another, about).await;
            let step = async { assert_ne!(said(&mine), None) };
            step.instrument(info_span!("step")).await;
            assert_eq!(said(&mine), None);
        };
        let lines = written(true, || block_on(answering(&mine, true, work)));
        assert_eq!(lines.len(), 1);
        let unknown = answering(&mine, false, async { said(&mine) });
        assert_eq!(block_on(unknown).as_deref(), mine.traceparent());
    }

    #[test]
    fn there_are_none_where_nobody_takes_them_or_there_is_no_trace() {
        let work = || {
            let span = info_span!("nothing");
            assert!(span.is_none());
        };
        let nobody = written(false, || {
            block_on(within(&context("r1"), async { work() }));
        });
        let traceless = written(true, || {
            let context = Context::anonymous("test", &HeaderMap::new());
            block_on(within(&context, async { work() }));
            work();
        });
        assert_eq!((nobody, traceless), (Vec::new(), Vec::new()));
    }
}
