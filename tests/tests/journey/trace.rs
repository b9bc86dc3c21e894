//! A checkout is one trace: all services are in it, in the order they do their work, and its time adds up. It is the same to whoever receives it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Deserialize;
use souk_tests::{
    Customer, Reply, Shop, cards, eventually, order, repo, skipped, souk_only, unique,
};
use uuid::Uuid;

/// The services of a checkout, in the order in which it comes to them, and the provider, which is a part of `payments`.
const IN_ORDER: [&str; 6] = [
    "gateway",
    "orders",
    "products",
    "payments",
    "provider",
    "inventory",
];

/// What is asked of the provider, each in a request of its own.
const OF_THE_PROVIDER: [&str; 3] = [
    "provider tokenize",
    "provider authorize",
    "provider capture",
];

/// What the saga does, and whom it calls for that.
const STEPS: [(&str, &[&str]); 3] = [
    ("step reserve", &["inventory"]),
    ("step authorize", &["payments"]),
    ("step capture and commit", &["inventory", "payments"]),
];

/// Those that are told what happened, in no order.
const TOLD: [&str; 3] = ["carts", "events", "notifications"];

/// The part of a checkout's time that may be lost on the ways between services.
const GAPS: f64 = 0.05;

/// How many checkouts there are. What the machine does meanwhile makes gaps larger, never smaller, so the best one is judged.
const CHECKOUTS: usize = 8;

/// A while between them, or a busy moment would be in all.
const BETWEEN: Duration = Duration::from_millis(400);

/// How long spans may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// The span of whoever buys.
const BUYER: &str = "00f067aa0ba902b7";

/// A span, as the shop shows it.
#[derive(Debug, Clone, Deserialize)]
struct Span {
    span_id: String,
    parent_id: String,
    service: String,
    name: String,
    kind: String,
    offset_ms: f64,
    duration_ms: f64,
}

#[test]
fn a_checkout_is_one_trace_whose_time_adds_up() {
    souk_only!();
    let shop = Shop::start();
    let traces = checkouts(&shop);
    judge(&traces.map(|trace| of_the_shop(&shop, &trace)));
}

#[test]
fn any_receiver_gets_the_whole_trace_of_a_checkout() {
    souk_only!();
    let Some(receiver) = Receiver::start() else {
        return skipped("there is no Python with OpenTelemetry's definitions");
    };
    let launcher = Shop::launcher().env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url);
    let shop = Shop::launch(launcher);
    let traces = checkouts(&shop);
    // What was recorded is sent before the shop ends.
    let host = shop.into_host().unwrap();
    host.signal(Signal::SIGTERM);
    host.wait(ARRIVAL);
    let mut received = receiver.end();
    judge(&traces.map(|trace| received.remove(&trace).unwrap()));
}

#[test]
fn checkouts_at_once_are_told_of_each_in_its_own_trace() {
    souk_only!();
    let shop = Shop::start();
    let product = shop.product_with_stock(100, 1000);
    let customer = shop.customer();
    let traces: [_; CHECKOUTS] = std::array::from_fn(|_| new_trace());
    thread::scope(|scope| {
        for trace in &traces {
            scope.spawn(|| check_out(&customer, &product, &begun_by_the_buyer(trace)));
        }
    });
    wait_for_deliveries(&shop);
    for trace in &traces {
        let spans = of_the_shop(&shop, trace);
        let services = services_of(&spans);
        for told in ["carts", "notifications"] {
            assert!(services.contains(&told), "{told} is not in {services:?}");
        }
    }
}

#[test]
fn a_trace_that_makes_no_sense_stops_no_events() {
    souk_only!();
    // Where the host writes it itself, none comes this far.
    let shop = Shop::launch(Shop::launcher().env("OTEL_SDK_DISABLED", "true"));
    let product = shop.product_with_stock(100, 1000);
    let customer = shop.customer();
    for odd in [String::new(), "x".repeat(201), "00-0-0-01".into()] {
        check_out(&customer, &product, &odd);
    }
    eventually("three orders are told of", || {
        let told = customer.get("/api/notifications").json();
        let told = told["items"].as_array().unwrap().iter();
        told.filter(|it| it.to_string().contains("order")).count() >= 3
    });
}

/// Has somebody buy a few times; the traces, each begun by who buys. It ends when everybody concerned has been told.
fn checkouts(shop: &Shop) -> [String; CHECKOUTS] {
    let product = shop.product_with_stock(100, 1000);
    let customer = shop.customer();
    customer.buy(&[(&product, 1)]);
    let traces = std::array::from_fn(|_| {
        let trace = new_trace();
        check_out(&customer, &product, &begun_by_the_buyer(&trace));
        thread::sleep(BETWEEN);
        trace
    });
    wait_for_deliveries(shop);
    traces
}

fn wait_for_deliveries(shop: &Shop) {
    eventually("all events are delivered", || {
        let standings = Reply::to(shop.admin("GET", "/api/ops/subscriptions")).json();
        let standings = standings["items"].as_array().unwrap();
        standings.iter().all(|standing| standing["behind"] == 0)
    });
}

fn new_trace() -> String {
    Uuid::now_v7().simple().to_string()
}

fn begun_by_the_buyer(trace: &str) -> String {
    format!("00-{trace}-{BUYER}-01")
}

fn check_out(customer: &Customer<'_>, product: &str, traceparent: &str) {
    let request = customer
        .request("POST", "/api/orders")
        .header("traceparent", traceparent)
        .header("idempotency-key", unique("order"))
        .json(&order(&[(product, 1)], cards::GOOD));
    assert_eq!(Reply::to(request).status, 201);
}

/// The spans of a trace, as the shop's own operators see them, once nothing more comes.
fn of_the_shop(shop: &Shop, trace: &str) -> Vec<Span> {
    let deadline = Instant::now() + ARRIVAL;
    let mut before = 0;
    loop {
        let reply = Reply::to(shop.admin("GET", &format!("/api/ops/traces/{trace}")));
        let spans = match reply.status {
            200 => serde_json::from_value(reply.json()["items"].take()).unwrap(),
            _ => Vec::new(),
        };
        if !spans.is_empty() && spans.len() == before {
            return spans;
        }
        before = spans.len();
        assert!(Instant::now() < deadline, "{}", reply.text);
        thread::sleep(Duration::from_secs(2));
    }
}

/// Fails unless each trace is whole and in order, and the best of them is without gaps.
fn judge(traces: &[Vec<Span>; CHECKOUTS]) {
    let gaps = traces.each_ref().map(|spans| {
        let root = root_of(spans);
        let mut services = services_of(spans);
        let mut told = services.split_off(IN_ORDER.len());
        told.sort_unstable();
        assert_eq!((&services[..], &told[..]), (&IN_ORDER[..], &TOLD[..]));
        judge_the_provider(spans);
        judge_the_steps(spans);
        gap_between_services(spans) / root.duration_ms
    });
    let least = gaps.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < GAPS, "{gaps:?} of the time: {:#?}", traces[0]);
}

/// The span that the buyer's request began; every other one has its parent in the trace.
fn root_of(spans: &[Span]) -> &Span {
    let known: BTreeSet<_> = spans.iter().map(|span| &*span.span_id).collect();
    let missing = |span: &&Span| !known.contains(&*span.parent_id);
    let tops: Vec<_> = spans.iter().filter(missing).collect();
    match tops[..] {
        [root] if root.parent_id == BUYER && root.service == "gateway" => root,
        _ => panic!("these have no parent: {tops:#?}"),
    }
}

/// The services that the trace came to, each where it did first, and the provider.
fn services_of(spans: &[Span]) -> Vec<&str> {
    let mut services = Vec::new();
    for span in in_order(spans) {
        let service = match () {
            () if span.name.starts_with("provider ") => "provider",
            () if span.kind == "server" => &span.service,
            () => continue,
        };
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

fn in_order(spans: &[Span]) -> Vec<&Span> {
    let mut spans: Vec<_> = spans.iter().collect();
    spans.sort_by(|a, b| a.offset_ms.total_cmp(&b.offset_ms));
    spans
}

/// Fails unless the provider's part is there, below `payments` and within its time.
fn judge_the_provider(spans: &[Span]) {
    let asked = in_order(spans);
    let asked: Vec<_> = asked
        .into_iter()
        .filter(|span| span.name.starts_with("provider "))
        .collect();
    let names: Vec<_> = asked.iter().map(|span| &*span.name).collect();
    assert_eq!(names, OF_THE_PROVIDER);
    for span in asked {
        assert_eq!((&*span.service, &*span.kind), ("payments", "client"));
        let request = parent_of(spans, parent_of(spans, span));
        assert_eq!((&*request.service, &*request.kind), ("payments", "server"));
        assert!(request.has_within(span), "{request:#?} {span:#?}");
    }
}

/// Fails unless each step of the saga is there, in order, with the calls it made within its time.
fn judge_the_steps(spans: &[Span]) {
    let steps = in_order(spans);
    let steps = steps
        .into_iter()
        .filter(|span| span.name.starts_with("step "));
    let with_calls = steps.map(|step| {
        let calls = in_order(spans);
        let calls = calls.into_iter().filter(|it| it.parent_id == step.span_id);
        let mut called: Vec<_> = calls
            .inspect(|call| assert!(step.has_within(call), "{step:#?} {call:#?}"))
            .filter_map(|call| spans.iter().find(|it| it.parent_id == call.span_id))
            .map(|served| &*served.service)
            .collect();
        called.sort_unstable();
        (&*step.name, called)
    });
    let with_calls: Vec<_> = with_calls.collect();
    let expected = STEPS.map(|(step, called)| (step, called.to_vec()));
    assert_eq!(with_calls, expected);
}

fn parent_of<'a>(spans: &'a [Span], span: &Span) -> &'a Span {
    let parent = spans.iter().find(|it| it.span_id == span.parent_id);
    parent.unwrap_or_else(|| panic!("{span:#?} has no parent"))
}

impl Span {
    /// Whether another one is within its time, as far as times are not rounded, and as one that a component tells of itself ends when the host
    /// hears of it, which a busy machine makes later.
    fn has_within(&self, part: &Self) -> bool {
        const ROUNDED: f64 = 0.1;
        const HEARD: f64 = 5.0;
        let end = |span: &Self| span.offset_ms + span.duration_ms;
        self.offset_ms <= part.offset_ms + HEARD && end(part) <= end(self) + ROUNDED
    }
}

/// For how long calls were neither with the caller nor with the callee, in milliseconds.
fn gap_between_services(spans: &[Span]) -> f64 {
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (&*span.span_id, span)).collect();
    let answered = spans.iter().filter(|span| span.kind == "server");
    let on_the_way = answered.filter_map(|served| {
        let call = by_id.get(&*served.parent_id)?;
        Some(call.duration_ms - served.duration_ms)
    });
    on_the_way.sum()
}

/// Somebody else's receiver.
struct Receiver {
    url: String,
    child: Child,
    reading: JoinHandle<Vec<Received>>,
}

/// A span, as that receiver writes it.
#[derive(Deserialize)]
struct Received {
    trace_id: String,
    #[serde(flatten)]
    span: Span,
}

impl Receiver {
    /// Starts it; none where there is no Python for it.
    fn start() -> Option<Self> {
        let mut child = Command::new(std::env::var_os("SOUK_OTEL_PYTHON")?)
            .arg(repo().join("tests/tests/journey/receiver.py"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let span = |line: io::Result<String>| serde_json::from_str(&line.unwrap()).unwrap();
        let reading = thread::spawn(move || lines.map(span).collect());
        Some(Self {
            url,
            child,
            reading,
        })
    }

    /// Ends it; the spans of each trace that it was sent.
    fn end(mut self) -> BTreeMap<String, Vec<Span>> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut traces: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for received in self.reading.join().unwrap() {
            traces
                .entry(received.trace_id)
                .or_default()
                .push(received.span);
        }
        traces
    }
}
