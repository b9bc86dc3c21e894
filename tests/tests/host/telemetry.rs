//! What a receiver of OpenTelemetry is told about requests, and that telling it is in nobody's way.

use crate::at_once;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use souk_tests::{Host, Launch, Otlp, Reply, Span, eventually, skipped, souk_only};
use std::net::TcpListener;
use std::time::{Duration, Instant};

pub const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The fixtures, which tell `receiver` everything at once.
pub fn told(receiver: &str) -> Launch {
    Launch::fixtures()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver)
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
}

/// The same, where no request is sampled that does not ask for it.
pub fn unsampled(receiver: &str) -> Launch {
    told(receiver)
        .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0")
}

fn get(host: &Host, path: &str, header: (&str, &str)) -> Reply {
    Reply::to(host.request(path).header(header.0, header.1))
}

/// The only span like this.
pub fn only(spans: &[Span], is_it: impl Fn(&Span) -> bool) -> &Span {
    let found: Vec<_> = spans.iter().filter(|span| is_it(span)).collect();
    assert_eq!(found.len(), 1, "{spans:#?}");
    found[0]
}

pub fn is_server_of(service: &str) -> impl Fn(&Span) -> bool {
    move |span| span.kind == SpanKind::Server && span.service == service
}

#[test]
fn a_chained_request_is_one_trace() {
    souk_only!();
    for protocol in ["http/protobuf", "http/json"] {
        let otlp = Otlp::start();
        let host = told(&otlp.url)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
            .start();
        host.get("/call/?url=http://hello.spin.internal/");
        let spans = otlp.trace_with(is_server_of("caller"));
        assert_eq!(spans.len(), 5, "{spans:#?}");
        let outer = only(&spans, is_server_of("caller"));
        assert_eq!(outer.name, "GET /call/...");
        assert_eq!(outer.parent, "");
        assert_eq!(outer.get("url.path"), "/call/");
        assert_eq!(outer.get("http.response.status_code"), "200");
        let executed = only(&spans, |s| s.name == "execute_wasm_component caller");
        let sent = only(&spans, |s| s.kind == SpanKind::Client);
        assert_eq!(
            (&*sent.service, sent.get("peer.service")),
            ("caller", "hello")
        );
        assert_eq!(sent.get("url.full"), "http://hello.spin.internal/");
        let inner = only(&spans, is_server_of("hello"));
        let last = only(&spans, |s| s.name == "execute_wasm_component hello");
        let parents = [executed, sent, inner, last].map(|span| &*span.parent);
        assert_eq!(parents, [&*outer.id, &executed.id, &sent.id, &inner.id]);
        assert!(outer.start <= inner.start && inner.end <= outer.end);
        let (_, head) = otlp.requests();
        assert!(head.contains("authorization: Bearer x"), "{head}");
        assert!(head.contains("user-agent: OTel-OTLP-Exporter-"), "{head}");
    }
}

/// The trace of a request for which `caller` sends one to this URL.
fn trace_of_call(url: &str) -> Vec<Span> {
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    host.get(&format!("/call/?url={url}"));
    otlp.trace_with(is_server_of("caller"))
}

#[test]
fn a_component_is_the_same_however_its_name_is_written() {
    souk_only!();
    let spans = trace_of_call("http://Hello.Spin.Internal/");
    let sent = only(&spans, |s| s.kind == SpanKind::Client);
    assert_eq!(sent.get("peer.service"), "hello");
    assert_eq!(only(&spans, is_server_of("hello")).parent, sent.id);
}

#[test]
fn a_url_is_told_without_what_may_be_a_secret() {
    souk_only!();
    let spans = trace_of_call("http://ada:secret@hello.spin.internal:80/shown?key=secret");
    let sent = only(&spans, |s| s.kind == SpanKind::Client);
    assert_eq!(sent.get("url.full"), "http://hello.spin.internal:80/shown");
    assert_eq!(sent.get("server.address"), "hello.spin.internal");
    assert_eq!(sent.get("server.port"), "80");
}

#[test]
fn a_callers_trace_goes_on_here_and_further() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    let shown = get(
        &host,
        "/call/?url=http://self.alt/hello/shown",
        ("traceparent", SAMPLED),
    );
    let spans = otlp.trace_with(is_server_of("caller"));
    assert_eq!(
        only(&spans, is_server_of("caller")).parent,
        "b7ad6b7169203331"
    );
    assert_eq!(only(&spans, is_server_of("caller")).trace, TRACE);
    // The call went over the network and came in again with its own place.
    let spans = otlp.trace_with(is_server_of("hello"));
    let sent = only(&spans, |s| s.kind == SpanKind::Client);
    let there = only(&spans, is_server_of("hello"));
    assert_eq!((&there.trace, &there.parent), (&TRACE.to_owned(), &sent.id));
    let line = format!("traceparent: 00-{TRACE}-{}-01", there.id);
    assert!(shown.text.contains(&line), "{}", shown.text);
}

#[test]
fn requests_of_one_instance_are_told_apart() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    let path = |number: usize| format!("/call/?url=http://self.alt/streams/slow?ms=30{number}");
    at_once(&[&host], |number| path(number % 10));
    eventually("every request is told", || {
        let is_it = is_server_of("caller");
        otlp.spans().iter().filter(|span| is_it(span)).count() == 60
    });
    let spans = otlp.spans();
    let sent = spans.iter().filter(|s| s.kind == SpanKind::Client);
    let mut parents: Vec<_> = sent.map(|span| &span.parent).collect();
    assert_eq!(parents.len(), 60);
    parents.sort();
    parents.dedup();
    assert_eq!(parents.len(), 60, "each is sent for a request of its own");
}

#[test]
fn what_is_done_with_data_is_told_without_the_data() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    let sql = "CREATE TABLE t (a)\nINSERT INTO t VALUES (1)\nSELECT nothing";
    host.post("/sql/?db=default", sql);
    let spans = otlp.trace_with(is_server_of("sqlite"));
    let executed = only(&spans, |s| s.kind == SpanKind::Internal);
    let insert = only(&spans, |s| s.name == "INSERT default");
    assert_eq!(insert.get("db.system.name"), "sqlite");
    assert_eq!(insert.get("db.namespace"), "default");
    assert_eq!(insert.get("db.query.text"), "INSERT INTO t VALUES (1)");
    assert_eq!((&insert.parent, &insert.error), (&executed.id, &None));
    let failed = only(&spans, |s| s.name == "SELECT default");
    assert!(
        failed.error.as_ref().unwrap().contains("nothing"),
        "{failed:?}"
    );

    host.get("/kv/set?store=default&key=secret&value=v");
    let spans = otlp.trace_with(is_server_of("key-value"));
    let set = only(&spans, |s| s.name == "set default");
    assert_eq!(set.get("db.namespace"), "default");
    assert!(!format!("{:?}", set.attributes).contains("secret"));

    // The interfaces whose functions block.
    host.get("/atomics/conflict?store=default&key=c");
    let spans = otlp.trace_with(is_server_of("atomics"));
    let executed = only(&spans, |s| s.kind == SpanKind::Internal);
    let swaps = spans.iter().filter(|s| s.name == "swap default");
    assert!(swaps.clone().count() > 1, "{spans:#?}");
    assert!(swaps.clone().all(|swap| swap.parent == executed.id));
}

#[test]
fn work_after_the_answer_is_in_its_requests_trace() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    host.get("/streams/later?key=late");
    let spans = otlp.trace_with(|s| s.name == "set default");
    let executed = only(&spans, |s| s.kind == SpanKind::Internal);
    let set = only(&spans, |s| s.name == "set default");
    assert_eq!(set.parent, executed.id);
}

#[test]
fn what_components_write_is_told_with_its_trace() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    assert_eq!(host.get("/misbehave/trap").status, 500);
    let is_it = |line: &souk_tests::LogLine| line.message.contains("told to");
    eventually("the line comes", || otlp.logs().iter().any(is_it));
    let line = otlp.logs().into_iter().find(is_it).unwrap();
    assert_eq!(line.service, "misbehave");
    assert_eq!(line.attributes["log.iostream"], "stderr");
    let spans = otlp.trace_with(is_server_of("misbehave"));
    assert_eq!(line.trace, spans[0].trace);
    let failed = only(&spans, is_server_of("misbehave"));
    assert_eq!(failed.get("http.response.status_code"), "500");
    assert!(failed.error.is_some());
}

#[test]
fn of_what_is_not_sampled_only_failures_and_slow_requests_are_told() {
    souk_only!();
    let otlp = Otlp::start();
    let host = unsampled(&otlp.url).start();
    host.get("/hello/plain");
    let declined = SAMPLED.replace("-01", "-00");
    get(&host, "/hello/declined", ("traceparent", &declined));
    host.get("/misbehave/trap");
    host.get("/streams/slow?ms=1100");
    get(&host, "/kv/get?store=default&key=a", ("x-souk-trace", "1"));
    get(
        &host,
        "/call/?url=http://hello.spin.internal/",
        ("traceparent", SAMPLED),
    );
    for service in ["misbehave", "streams", "key-value", "hello"] {
        otlp.trace_with(is_server_of(service));
    }
    let spans = otlp.spans();
    assert_eq!(only(&spans, is_server_of("hello")).trace, TRACE);
    let asked = only(&spans, is_server_of("key-value"));
    assert_eq!(asked.get("souk.trace.asked"), "true");
    assert!(
        spans.iter().any(|s| s.name == "get default"),
        "all of it is told"
    );
}

#[test]
fn a_call_that_is_given_up_has_failed() {
    souk_only!();
    let otlp = Otlp::start();
    let host = unsampled(&otlp.url).start();
    let reply = host.get("/call/impatient?url=http://streams.spin.internal/slow?ms=60000");
    assert_eq!(reply.text, "given up");
    let spans = otlp.trace_with(is_server_of("caller"));
    let sent = only(&spans, |s| s.kind == SpanKind::Client);
    assert_eq!(sent.get("error.type"), "cancelled");
    assert!(sent.error.is_some());
    assert!(only(&spans, is_server_of("caller")).error.is_none());
}

#[test]
fn a_visitor_who_leaves_is_nobodys_failure() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    let impatient = host.request("/streams/slow?ms=60000");
    let left = impatient.timeout(Duration::from_millis(500)).send();
    assert!(left.is_err());
    let spans = otlp.trace_with(is_server_of("streams"));
    let served = only(&spans, is_server_of("streams"));
    assert_eq!(served.get("error.type"), "cancelled");
    assert!(served.error.is_none());
}

#[test]
fn what_was_recorded_is_sent_before_the_host_ends() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url)
        .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
        .start();
    host.get("/hello/last");
    assert!(otlp.spans().is_empty());
    host.signal(Signal::SIGTERM);
    assert_eq!(host.wait(Duration::from_secs(10)).code, Some(0));
    only(&otlp.spans(), is_server_of("hello"));
}

#[test]
fn what_comes_at_once_is_sent_in_full_requests() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url)
        .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "20")
        .env("OTEL_METRICS_EXPORTER", "none")
        .env("OTEL_LOGS_EXPORTER", "none")
        .start();
    let spans = spans_of_many(host, &otlp);
    let (sent, _) = otlp.requests();
    assert_eq!(sent, spans.div_ceil(20));
}

/// How many spans come of many requests at once, of which none is lost or comes twice, once the host has ended.
fn spans_of_many(host: Host, otlp: &Otlp) -> usize {
    let count = at_once(&[&host], |_| "/hello/".into()).len();
    host.signal(Signal::SIGTERM);
    assert_eq!(host.wait(Duration::from_secs(10)).code, Some(0));
    let spans = otlp.spans();
    let requests = spans.iter().filter(|it| is_server_of("hello")(it));
    assert_eq!(requests.count(), count, "none is lost or comes twice");
    spans.len()
}

#[test]
fn what_is_too_large_for_a_receiver_comes_in_parts() {
    souk_only!();
    let otlp = Otlp::with_limit(5_000);
    let host = told(&otlp.url)
        .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
        .start();
    spans_of_many(host, &otlp);
}

#[test]
fn a_receiver_that_says_nothing_holds_up_nothing() {
    souk_only!();
    // It takes connections, as the kernel does for it, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = told(&format!("http://{}", silent.local_addr().unwrap()))
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "10")
        .start();
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(host.get("/hello/").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    let count = |text| host.output().matches(text).count();
    eventually("the loss is said", || count("telemetry is lost") == 1);
    host.get("/hello/");
    host.says("cannot export telemetry");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(count("telemetry is lost"), 1, "once");
    assert_eq!(count("cannot export telemetry"), 1, "once");
    let begun = Instant::now();
    host.signal(Signal::SIGTERM);
    assert_eq!(host.wait(Duration::from_secs(20)).code, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn nothing_is_told_where_nobody_is_to_be_told() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).env("OTEL_SDK_DISABLED", "true").start();
    let shown = host.get("/hello/shown");
    assert!(!shown.text.contains("traceparent"), "{}", shown.text);
    let shown = get(&host, "/hello/shown", ("traceparent", SAMPLED));
    assert!(
        shown.text.contains(SAMPLED),
        "it passes through: {}",
        shown.text
    );
    host.signal(Signal::SIGTERM);
    host.wait(Duration::from_secs(10));
    assert_eq!(otlp.requests().0, 0);
}

#[test]
fn what_is_exported_to_a_component_is_not_traced_wherever_it_goes() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url)
        .env(
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "http://hello.spin.internal/in",
        )
        .env("OTEL_METRIC_EXPORT_INTERVAL", "50")
        .start();
    assert_eq!(host.get("/misbehave/trap").status, 500);
    eventually("the log is exported", || {
        !otlp
            .points_of("http.server.request.duration", "hello", &[])
            .is_empty()
    });
    host.get("/kv/get?store=default&key=a");
    otlp.trace_with(is_server_of("key-value"));
    assert!(!otlp.spans().iter().any(is_server_of("hello")));
}

#[test]
fn telemetry_that_comes_in_makes_no_more_of_it() {
    souk_only!();
    let otlp = Otlp::start();
    let host = told(&otlp.url).start();
    get(
        &host,
        "/hello/v1/traces",
        ("user-agent", "OTel-OTLP-Exporter-Python/1"),
    );
    host.get("/kv/get?store=default&key=a");
    otlp.trace_with(is_server_of("key-value"));
    assert!(!otlp.spans().iter().any(is_server_of("hello")));
}

#[test]
fn variables_that_mean_nothing_stop_the_start() {
    if souk_tests::on_spin() {
        return skipped("Spin goes on with its defaults");
    }
    let exit = told("collector:4318")
        .env("OTEL_TRACES_SAMPLER", "sometimes")
        .fail();
    assert_eq!(exit.code, Some(1));
    let lines: Vec<_> = exit.output.lines().collect();
    assert_eq!(
        lines[0],
        "error: OTEL_EXPORTER_OTLP_ENDPOINT: must be http://HOST:PORT or https://HOST:PORT"
    );
}
