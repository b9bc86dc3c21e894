//! The log: one JSON object a line, on standard error.
//!
//! Services write by the macros of [`tracing`]: `tracing::warn!(order_id, %error, "cannot be taken up")`. What every line has beside
//! that comes from the request it is written for: `service`, `request_id`, and `trace_id` where the request came with a trace.
//! [`Service`](crate::Service) says which request that is, and work that goes on [beside it or after it](crate::background) carries that along.
//!
//! What takes its time where nobody else sees it is a [span](crate::span), by the macros of `tracing` too.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Once;
use std::task::Poll;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::context::Context;
use crate::span;
use crate::traceparent::Traceparent;

thread_local! {
    /// What is being worked on. An instance has one thread, and many requests that take turns on it.
    static CURRENT: RefCell<Option<Rc<Origin>>> = const { RefCell::new(None) };
}

/// What a line is written for.
pub(crate) struct Origin {
    pub(crate) service: &'static str,
    pub(crate) request_id: String,
    pub(crate) traceparent: Option<Traceparent>,
    /// Whether the host knows that what is done now is done for it.
    is_known: bool,
}

impl Origin {
    fn of(context: &Context, is_known: bool) -> Self {
        Self {
            service: context.service,
            request_id: context.request_id().to_owned(),
            traceparent: context.traceparent,
            is_known,
        }
    }

    /// The id of the trace.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        Some(self.traceparent.as_ref()?.trace_id())
    }
}

/// Has everything be written that is logged from now on.
pub(crate) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        // It only fails where somebody else writes the log already.
        _ = tracing::subscriber::set_global_default(JsonLines {
            has_spans: span::are_taken(),
            write: to_stderr,
        });
    });
}

/// Does this work, whose lines are written for a request.
pub fn within<T>(context: &Context, work: impl Future<Output = T>) -> impl Future<Output = T> {
    with(Some(Rc::new(Origin::of(context, false))), work)
}

/// Answers the request that the host waits for. It may know what is done for it: what it is asked for in that, and what is sent.
pub(crate) fn answering<T>(
    context: &Context,
    host_knows: bool,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    with(Some(Rc::new(Origin::of(context, host_knows))), work)
}

/// Does this work, whose lines are written for the request that is being worked on now.
pub(crate) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    with(CURRENT.with_borrow(Clone::clone), work)
}

async fn with<T>(origin: Option<Rc<Origin>>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(move |cx| {
        let before = CURRENT.replace(origin.clone());
        let polled: Poll<T> = Pin::as_mut(&mut work).poll(cx);
        CURRENT.set(before);
        polled
    })
    .await
}

/// Whether the host knows that what is done now is done for the request that came with this place.
pub(crate) fn is_known(came: Traceparent) -> bool {
    CURRENT.with_borrow(|origin| {
        let origin = origin.as_ref();
        origin.is_some_and(|origin| origin.is_known && origin.traceparent == Some(came))
    })
}

/// What is being worked on, if that is known.
pub(crate) fn current() -> Option<Rc<Origin>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Writes events, and spans when they end.
struct JsonLines {
    has_spans: bool,
    write: fn(String),
}

/// All of it at once: each write is a call of the host.
fn to_stderr(mut line: String) {
    line.push('\n');
    _ = std::io::stderr().write_all(line.as_bytes());
}

impl Subscriber for JsonLines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.enabled(metadata) {
            // Whether a span is wanted depends on the request.
            _ if metadata.is_span() => Interest::sometimes(),
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_wanted = || metadata.is_event() || self.has_spans && is_in_a_trace();
        *metadata.level() <= Level::INFO && is_wanted()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        (self.write)(line(event).to_string());
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span::open(span)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        span::record(id, values);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, id: &Id) {
        span::enter(id);
    }

    fn exit(&self, id: &Id) {
        span::exit(id);
    }

    fn clone_span(&self, id: &Id) -> Id {
        span::hold(id);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let line = span::let_go(&id);
        let is_closed = line.is_some();
        if let Some(line) = line {
            (self.write)(line);
        }
        is_closed
    }
}

fn is_in_a_trace() -> bool {
    CURRENT.with_borrow(|origin| {
        let traceparent = origin.as_ref().and_then(|origin| origin.traceparent);
        traceparent.is_some()
    })
}

/// The time, as lines say it.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn line(event: &Event<'_>) -> Value {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let Fields(mut line) = fields;
    line.insert("time".into(), now().into());
    let level = event.metadata().level().as_str().to_ascii_lowercase();
    line.insert("level".into(), level.into());
    CURRENT.with_borrow(|origin| {
        if let Some(origin) = origin {
            line.insert("service".into(), origin.service.into());
            line.insert("request_id".into(), origin.request_id.clone().into());
            if let Some(trace_id) = origin.trace_id() {
                line.insert("trace_id".into(), trace_id.into());
            }
        }
    });
    line.into()
}

/// The fields of an event, its message among them, or of a span.
#[derive(Default)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        _ = write!(text, "{value:?}");
        self.insert(field, text);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::context::{REQUEST_ID, TRACEPARENT};
    use futures::executor::block_on;
    use http::{HeaderMap, HeaderValue};

    thread_local! {
        static WRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// What is written meanwhile, on a host that takes spans or on one that does not.
    pub fn written(has_spans: bool, work: impl FnOnce()) -> Vec<String> {
        let write = |line| WRITTEN.with_borrow_mut(|lines| lines.push(line));
        tracing::subscriber::with_default(JsonLines { has_spans, write }, work);
        WRITTEN.take()
    }

    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let lines = written(false, work);
        let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        parsed.collect()
    }

    pub fn context(request_id: &'static str) -> Context {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers = HeaderMap::from_iter([
            (REQUEST_ID, HeaderValue::from_static(request_id)),
            (TRACEPARENT, HeaderValue::from_static(traceparent)),
        ]);
        Context::anonymous("test", &headers)
    }

    #[test]
    fn a_line_says_what_and_for_whom() {
        let lines = lines(|| {
            block_on(within(&context("r1"), async {
                let error = "it broke";
                tracing::warn!(tries = 3, %error, "cannot be {}", "done");
                tracing::debug!("not this");
            }));
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!(line["level"], "warn");
        assert_eq!(line["message"], "cannot be done");
        assert_eq!(line["tries"], 3);
        assert_eq!(line["error"], "it broke");
        assert_eq!(line["service"], "test");
        assert_eq!(line["request_id"], "r1");
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }

    /// Lets others go on.
    pub async fn pause() {
        let mut polled = false;
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            match std::mem::replace(&mut polled, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    #[test]
    fn requests_that_take_turns_are_not_mixed_up() {
        async fn twice() {
            tracing::info!("first");
            pause().await;
            carried(async { tracing::info!("second") }).await;
        }
        let (one, other) = (context("r1"), context("r2"));
        let lines = lines(|| {
            block_on(async { futures::join!(within(&one, twice()), within(&other, twice())) });
            tracing::info!("outside");
        });
        let ids = lines.iter().map(|line| line["request_id"].as_str());
        let wanted = [Some("r1"), Some("r2"), Some("r1"), Some("r2"), None];
        assert_eq!(ids.collect::<Vec<_>>(), wanted);
    }
}
