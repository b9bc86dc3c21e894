//! Spans that components make themselves, by lines of their log.

use crate::telemetry::{TRACE, is_server_of, only, told, unsampled};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use souk_tests::{Host, Otlp, Span, eventually, souk_only};
use std::time::Duration;

const OUTER: &str = "00000000000000a1";
const INNER: &str = "00000000000000b2";

/// A span, as a component says it.
fn span(id: &str) -> Value {
    json!({
        "traceparent": "TRACEPARENT",
        "id": id,
        "name": "look it up",
        "kind": "client",
        "duration_ns": 5_000_000,
        "attributes": {"peer.service": "books", "tries": 2},
    })
}

fn with(mut span: Value, name: &str, value: impl Into<Value>) -> Value {
    span[name] = value.into();
    span
}

/// The line that says it.
fn line(span: &Value) -> String {
    format!(r#"{{"span":{span},"level":"debug","message":"it took a while"}}"#)
}

/// How many lines like that came as log records.
fn logged(otlp: &Otlp) -> usize {
    let logs = otlp.logs();
    let said = logs.iter().filter(|it| it.message == "it took a while");
    said.count()
}

/// Has the component write a line after others; when it is told, so are they.
fn write_last(host: &Host, otlp: &Otlp) {
    host.post("/spans/", "the last");
    eventually("the last line comes", || {
        otlp.logs().iter().any(|line| line.message == "the last")
    });
}

fn of<'a>(spans: &'a [Span], id: &str) -> &'a Span {
    only(spans, |span| span.id == id)
}

#[test]
fn a_component_says_itself_what_takes_its_time() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    assert_eq!(host.get("/settings/env?name=SOUK_SPANS").text, "1");
    let inner = with(with(span(INNER), "parent", OUTER), "error", "too late");
    let lines = [line(&inner), line(&span(OUTER))].join("\n");
    let path = format!("/spans/?ms=50&url=http://hello.spin.internal/&span={OUTER}");
    host.post(&path, lines);
    let spans = otlp.trace_with(is_server_of("spans"));
    let executed = only(&spans, |s| s.name == "execute_wasm_component spans");
    let outer = of(&spans, OUTER);
    assert_eq!(
        (&*outer.service, &*outer.name, outer.kind),
        ("spans", "look it up", SpanKind::Client)
    );
    assert_eq!(
        (outer.get("peer.service"), outer.get("tries")),
        ("books", "2")
    );
    assert_eq!((&outer.parent, &outer.error), (&executed.id, &None));
    assert!(executed.start <= outer.start && outer.end <= executed.end);
    assert_eq!(outer.end - outer.start, 5_000_000);
    let inner = of(&spans, INNER);
    assert_eq!(inner.parent, OUTER);
    assert_eq!(inner.error.as_deref(), Some("too late"));
    // What is sent for it is a part of it, and what is done there for that.
    let sent = only(&spans, |s| s.get("peer.service") == "hello");
    assert_eq!(sent.parent, OUTER);
    assert_eq!(only(&spans, is_server_of("hello")).parent, sent.id);
    write_last(&host, &otlp);
    assert_eq!(logged(&otlp), 0);
    let output = host.says("the last");
    assert!(!output.contains("it took a while"), "{output}");
}

#[test]
fn spans_of_requests_at_once_are_each_in_its_own_trace() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    let ids: Vec<_> = (1..=40).map(|number| format!("{number:016x}")).collect();
    std::thread::scope(|scope| {
        for id in &ids {
            scope.spawn(|| host.post("/spans/?ms=200", line(&span(id))));
        }
    });
    for id in &ids {
        let spans = otlp.trace_with(|s| s.id == *id);
        let executed = only(&spans, |s| s.kind == SpanKind::Internal);
        assert_eq!(of(&spans, id).parent, executed.id);
    }
}

#[test]
fn a_span_after_the_answer_is_in_its_requests_trace() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    host.post("/spans/?later=1&ms=200", line(&span(OUTER)));
    let spans = otlp.trace_with(|s| s.id == OUTER);
    let executed = only(&spans, |s| s.kind == SpanKind::Internal);
    assert_eq!(of(&spans, OUTER).parent, executed.id);
}

#[test]
fn a_span_is_forgotten_with_its_trace_and_a_call_that_failed_keeps_it() {
    souk_only!();
    let otlp = Otlp::start();
    let host = unsampled(&otlp.url).start();
    let failing = |id| with(span(id), "error", "away");
    let failed = |id| line(&failing(id));
    host.post("/spans/", line(&span("0000000000000001")));
    // What it failed for was no call, or would have failed too.
    let internal = with(failing("0000000000000003"), "kind", "internal");
    host.post("/spans/", line(&internal));
    // When it fails the request has been answered.
    host.post("/spans/?later=1&ms=100", failed("0000000000000002"));
    std::thread::sleep(Duration::from_millis(500));
    host.post("/spans/", failed(OUTER));
    let spans = otlp.trace_with(|s| s.id == OUTER);
    only(&spans, is_server_of("spans"));
    assert_eq!(otlp.spans().len(), spans.len());
    write_last(&host, &otlp);
    assert_eq!(logged(&otlp), 0);
}

#[test]
fn a_line_that_can_be_no_span_is_one_of_the_log() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    let elsewhere = format!("00-{TRACE}-b7ad6b7169203331-01");
    let no_spans = [
        with(span(OUTER), "traceparent", elsewhere),
        with(span(OUTER), "traceparent", "TRACEPARENT-more"),
        with(span(OUTER), "id", "SPAN_ID"),
        with(span(OUTER), "id", "0000000000000000"),
        with(span(OUTER), "id", "a1"),
        with(span(OUTER), "parent", "outside"),
        with(span(OUTER), "parent", OUTER),
        with(span(OUTER), "duration_ns", -1),
        with(span(OUTER), "duration_ns", "long"),
        with(span(OUTER), "name", Value::Null),
        with(span(OUTER), "name", "x".repeat(2048)),
        with(span(OUTER), "attributes", "none"),
        json!(OUTER),
    ];
    let mut lines: Vec<_> = no_spans.iter().map(line).collect();
    let is_logged = lines.len();
    lines.push(r#"{"span":"#.to_owned() + &"[".repeat(1500));
    let endless = with(span(OUTER), "duration_ns", u64::MAX);
    let mut disguised = json!({"component_id": "hello", "list": [[1], {"a": null}]});
    for number in 0..100 {
        disguised[format!("n{number}")] = number.into();
    }
    let disguised = with(with(span(INNER), "attributes", disguised), "kind", "server");
    lines.extend([line(&endless), line(&disguised)]);
    host.post("/spans/", lines.join("\n"));
    let spans = otlp.trace_with(is_server_of("spans"));
    assert_eq!(spans.len(), 4, "{spans:#?}");
    // Nothing of a trace is older than the trace.
    let age = of(&spans, OUTER).end - of(&spans, OUTER).start;
    let server = only(&spans, is_server_of("spans"));
    assert!(age <= server.end - server.start, "{age}");
    let disguised = of(&spans, INNER);
    assert_eq!(
        (disguised.kind, &*disguised.service),
        (SpanKind::Internal, "spans")
    );
    assert_eq!(disguised.get("component_id"), "");
    assert_eq!(disguised.attributes.len(), 16);
    assert_eq!(disguised.get("list"), r#"[[1],{"a":null}]"#);
    write_last(&host, &otlp);
    assert_eq!(logged(&otlp), is_logged);
    assert!(otlp.logs().iter().any(|it| it.message.contains("[[[[")));
}

#[test]
fn a_request_has_only_so_many_of_them() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    let many = (1..=1000).map(|number| line(&span(&format!("{number:016x}"))));
    host.post("/spans/", many.collect::<Vec<_>>().join("\n"));
    let count = || otlp.spans().len();
    eventually("all that are taken are there", || count() >= 256 + 2);
    write_last(&host, &otlp);
    let said = otlp.spans();
    let said = said.iter().filter(|it| it.name == "look it up");
    assert_eq!(said.count(), 256);
    assert_eq!(logged(&otlp), 0);
}

#[test]
fn a_call_that_failed_keeps_its_trace_however_many_there_were() {
    souk_only!();
    let otlp = Otlp::start();
    let host = unsampled(&otlp.url).start();
    let mut lines: Vec<_> = (1..=300)
        .map(|number| line(&span(&format!("{number:016x}"))))
        .collect();
    lines.push(line(&with(span(OUTER), "error", "away")));
    host.post("/spans/", lines.join("\n"));
    let spans = otlp.trace_with(is_server_of("spans"));
    assert!(spans.len() > 256);
}

#[test]
fn a_component_is_told_where_nobody_makes_spans_of_its_lines() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url)
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .start();
    assert_eq!(host.get("/settings/env?name=SOUK_SPANS").text, "none");
    host.post("/spans/", line(&span(OUTER)));
    write_last(&host, &otlp);
    assert_eq!(logged(&otlp), 1);
}
