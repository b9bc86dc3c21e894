//! The service `payments` on its own, with either provider: the sandbox, and the one that speaks to a card processor.

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use souk_tests::{
    Books, Host, Launch, Mishap, Otlp, PROCESSOR_KEY, Processor, Reply, Span, client, eventually,
    souk_only,
};
use souk_tokens::{Claims, Key};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const USER: &str = "018f0000-0000-7000-8000-000000000001";
const GOOD: &str = "4242424242424242";

/// A service that runs alone.
struct Payments {
    host: Host,
    orders: Orders,
}

/// What the service `orders` asks of it.
struct Orders {
    url: String,
    client: Client,
}

impl std::ops::Deref for Payments {
    type Target = Orders;

    fn deref(&self) -> &Orders {
        &self.orders
    }
}

impl Payments {
    fn with_processor(processor: &Processor) -> Self {
        Self::with_processor_at(&processor.url, PROCESSOR_KEY)
    }

    fn with_processor_at(url: &str, key: &str) -> Self {
        Self::start(Self::of_processor(url, key))
    }

    fn of_processor(url: &str, key: &str) -> Launch {
        Launch::of("components/providers/http/spin.toml")
            .env("SPIN_VARIABLE_PAYMENT_PROVIDER_URL", url)
            .env("SPIN_VARIABLE_PAYMENT_PROVIDER_KEY", key)
            .env("SPIN_VARIABLE_PAYMENT_PROVIDER_TIMEOUT", "2000")
    }

    fn with_sandbox(settings: &str) -> Self {
        let launch = Launch::of("components/payments/spin.toml");
        Self::start(launch.env("SPIN_VARIABLE_PAYMENT_PROVIDER_SETTINGS", settings))
    }

    fn start(launch: Launch) -> Self {
        let host = launch
            .runtime_config("runtime-config.toml")
            .env("SPIN_VARIABLE_SERVICE_KEY", "the key of this test")
            .start();
        let orders = Orders {
            url: host.url.clone(),
            client: client(),
        };
        Self { host, orders }
    }

    /// Ends the host, and gives all that it wrote.
    fn end(self) -> String {
        self.host.signal(Signal::SIGTERM);
        self.host.wait(Duration::from_secs(20)).output
    }
}

impl Orders {
    fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims = Claims::new("orders", "payments", now.as_secs());
        let token = Key::new("the key of this test").sign(&claims);
        let url = format!("{}{path}", self.url);
        let request = self.client.request(method.parse().unwrap(), url);
        Reply::to(request.header("x-souk-token", token).json(&body))
    }

    fn tokenize(&self, number: &str) -> Reply {
        let card = json!({"type": "card", "number": number, "exp_month": 12, "exp_year": 2099, "cvc": "123"});
        self.ask("POST", "/internal/card-tokens", card)
    }

    /// A request to authorize 49.00 on a card.
    fn purchase(&self, number: &str) -> Value {
        let tokenized = self.tokenize(number);
        assert_eq!(tokenized.status, 201, "{}", tokenized.text);
        json!({
            "amount": {"amount": 4900, "currency": "EUR"},
            "token": tokenized.json()["token"],
            "user_id": USER,
        })
    }

    /// The status of an answer, and that of the payment.
    fn post(&self, order: &str, action: &str, body: &Value) -> (u16, String) {
        let path = format!("/internal/payments/{order}/{action}");
        let reply = self.ask("POST", &path, body.clone());
        let status = reply.json()["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (reply.status, status)
    }

    fn payment(&self, order: &str) -> Value {
        self.ask("GET", &format!("/internal/payments/{order}"), Value::Null)
            .json()
    }

    /// Looks until the payment has this status.
    fn becomes(&self, order: &str, status: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.payment(order)["status"] != status {
            assert!(Instant::now() < deadline, "{}", self.payment(order));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The id of an order.
fn order() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn is(status: u16, payment: &str) -> (u16, String) {
    (status, payment.to_owned())
}

fn books(held: u64, captured: u64, refunded: u64) -> Books {
    Books {
        held,
        captured,
        refunded,
    }
}

#[test]
fn a_processor_authorizes_captures_and_refunds() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    let (order, purchase) = (order(), payments.purchase(GOOD));
    for _ in 0..2 {
        assert_eq!(
            payments.post(&order, "authorize", &purchase),
            is(200, "authorized")
        );
    }
    assert_eq!(processor.books(), books(4900, 0, 0));
    assert_eq!(
        payments.post(&order, "capture", &Value::Null),
        is(200, "captured")
    );
    assert_eq!(processor.books(), books(0, 4900, 0));
    assert_eq!(
        payments.post(&order, "refund", &Value::Null),
        is(200, "refunded")
    );
    assert_eq!(processor.books(), books(0, 4900, 4900));

    let payment = payments.payment(&order);
    let references: Vec<_> = payment["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["provider_reference"])
        .collect();
    assert_eq!(references, ["pi_1", "pi_1", "re_pi_1_4900"]);
    let asked = processor.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let mut keys: Vec<_> = asked.iter().map(|asked| &asked.key).collect();
    keys.dedup();
    assert_eq!(keys.len(), 4, "each operation has a key of its own");
}

#[test]
fn a_trace_shows_what_the_provider_is_asked_and_how_it_fares() {
    souk_only!();
    let (processor, otlp) = (Processor::start(), Otlp::start());
    let launch = Payments::of_processor(&processor.url, PROCESSOR_KEY);
    let payments = Payments::start(launch.env("OTEL_EXPORTER_OTLP_ENDPOINT", &otlp.url));
    let (order, purchase) = (order(), payments.purchase(GOOD));
    processor.next([Mishap::Refused(429)]);
    payments.post(&order, "authorize", &purchase);

    let one = |is_it: &dyn Fn(&Span) -> bool| {
        let spans = otlp.trace_with(is_it);
        spans.into_iter().find(is_it).unwrap()
    };
    let asked = one(&|span| span.name == "provider tokenize");
    assert_eq!((asked.get("outcome"), &asked.error), ("approved", &None));
    let asked = one(&|span| span.name == "provider authorize");
    assert_eq!(
        (&*asked.service, asked.kind),
        ("payments", SpanKind::Client)
    );
    assert_eq!(asked.get("outcome"), "unavailable");
    assert_eq!(asked.error.as_deref(), Some("unavailable"));
    let was_sent = |span: &Span| span.get("url.full").starts_with(&processor.url);
    let sent = one(&|span| span.trace == asked.trace && was_sent(span));
    assert_eq!(sent.parent, asked.parent, "they stand beside each other");
    assert!((asked.start..asked.end).contains(&sent.start));
}

#[test]
fn the_same_at_once_is_asked_once() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    let (order, purchase) = (order(), payments.purchase(GOOD));
    for (action, end) in [
        ("authorize", "authorized"),
        ("capture", "captured"),
        ("refund", "refunded"),
    ] {
        processor.asked();
        std::thread::scope(|scope| {
            let orders = &payments.orders;
            let ask = || assert_eq!(orders.post(&order, action, &purchase), is(200, end));
            let threads: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        });
        assert_eq!(processor.asked().len(), 1, "{action}");
    }
    assert_eq!(processor.books(), books(0, 4900, 4900));
}

#[test]
fn a_processor_voids() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    let order = order();
    let purchase = payments.purchase(GOOD);
    assert_eq!(
        payments.post(&order, "authorize", &purchase),
        is(200, "authorized")
    );
    assert_eq!(
        payments.post(&order, "void", &Value::Null),
        is(200, "voided")
    );
    assert_eq!(processor.books(), books(0, 0, 0));
}

#[test]
fn a_processor_declines() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    for (card, code) in [
        ("4000000000000002", "card_declined"),
        ("4000000000009995", "insufficient_funds"),
    ] {
        let order = order();
        let purchase = payments.purchase(card);
        assert_eq!(
            payments.post(&order, "authorize", &purchase),
            is(200, "declined")
        );
        assert_eq!(payments.payment(&order)["decline_code"], code);
    }
    let order = order();
    let purchase = payments.purchase("4000000000000341");
    assert_eq!(
        payments.post(&order, "authorize", &purchase),
        is(200, "authorized")
    );
    assert_eq!(
        payments.post(&order, "capture", &Value::Null),
        is(200, "capture_failed")
    );
    assert_eq!(
        payments.post(&order, "void", &Value::Null),
        is(200, "voided")
    );
    assert_eq!(processor.books(), books(0, 0, 0));
    let card =
        json!({"type": "card", "number": GOOD, "exp_month": 12, "exp_year": 2099, "cvc": "999"});
    let refused = payments.ask("POST", "/internal/card-tokens", card);
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["field"]),
        (422, &json!("cvc"))
    );
}

#[test]
fn what_got_no_answer_is_found_out_and_done_once() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    let mishaps = [
        Mishap::DoneAndSilence,
        Mishap::Silence,
        Mishap::DoneAnd(500),
        Mishap::Refused(409),
    ];
    for mishap in mishaps {
        let (order, purchase) = (order(), payments.purchase(GOOD));
        processor.next([mishap]);
        assert_eq!(
            payments.post(&order, "authorize", &purchase),
            is(202, "authorizing"),
            "{mishap:?}"
        );
        assert_eq!(
            payments.post(&order, "authorize", &purchase),
            is(200, "authorized"),
            "{mishap:?}"
        );
        processor.next([mishap]);
        assert_eq!(
            payments.post(&order, "capture", &Value::Null),
            is(202, "capturing"),
            "{mishap:?}"
        );
        assert_eq!(payments.payment(&order)["status"], "captured", "{mishap:?}");
        processor.next([mishap]);
        assert_eq!(
            payments.post(&order, "refund", &Value::Null),
            is(202, "refunding"),
            "{mishap:?}"
        );
        payments.becomes(&order, "refunded");
    }
    let all = 4900 * mishaps.len() as u64;
    assert_eq!(processor.books(), books(0, all, all));
}

#[test]
fn a_tick_finds_out_what_nobody_asks_about() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    let (order, purchase) = (order(), payments.purchase(GOOD));
    processor.next([Mishap::DoneAndSilence, Mishap::Refused(500)]);
    assert_eq!(
        payments.post(&order, "authorize", &purchase),
        is(202, "authorizing")
    );
    assert_eq!(
        payments.post(&order, "void", &Value::Null),
        is(202, "voiding")
    );
    assert_eq!(processor.books(), books(4900, 0, 0));
    let deadline = Instant::now() + Duration::from_secs(20);
    while processor.books().held > 0 {
        assert!(Instant::now() < deadline, "{}", payments.payment(&order));
        assert_eq!(payments.host.post("/internal/tick", "").status, 204);
        std::thread::sleep(Duration::from_millis(100));
    }
    payments.becomes(&order, "voided");
    assert_eq!(payments.post(&order, "authorize", &purchase).0, 409);
}

#[test]
fn a_processor_that_is_busy_or_away_did_nothing() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    let (order, purchase) = (order(), payments.purchase(GOOD));
    processor.next([Mishap::Refused(429)]);
    assert_eq!(payments.post(&order, "authorize", &purchase).0, 503);
    assert_eq!(
        payments.post(&order, "authorize", &purchase),
        is(200, "authorized")
    );

    let nowhere = Payments::with_processor_at("http://127.0.0.1:9", PROCESSOR_KEY);
    let reply = nowhere.tokenize(GOOD);
    assert_eq!(reply.status, 503);
    assert!(!reply.header("retry-after").is_empty());
}

#[test]
fn a_key_that_is_not_accepted_charges_nobody_and_is_not_told() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor_at(&processor.url, "sk_secret_of_another_shop");
    let reply = payments.tokenize(GOOD);
    assert_eq!(reply.status, 503, "{}", reply.text);
    let log = payments.end();
    assert!(log.contains("401") && !log.contains("sk_secret"), "{log}");
}

#[test]
fn a_card_goes_to_the_processor_once_and_nowhere_else() {
    souk_only!();
    let processor = Processor::start();
    let payments = Payments::with_processor(&processor);
    let (order, purchase) = (order(), payments.purchase(GOOD));
    processor.next([Mishap::DoneAndSilence]);
    payments.post(&order, "authorize", &purchase);
    payments.becomes(&order, "authorized");
    payments.post(&order, "capture", &Value::Null);
    payments.post(&order, "refund", &Value::Null);
    assert_eq!(payments.tokenize("4242424242424241").status, 422);
    processor.next([Mishap::Refused(500)]);
    assert_eq!(payments.tokenize(GOOD).status, 503);

    for asked in processor.asked() {
        let has_card = asked.raw.contains(GOOD);
        assert_eq!(has_card, asked.path == "/v1/payment_methods", "{asked:?}");
    }
    for entry in files_below(&payments.host.dir) {
        let bytes = std::fs::read(&entry).unwrap();
        let found = bytes.windows(8).any(|bytes| bytes == b"42424242");
        assert!(!found, "{}", entry.display());
    }
    let log = payments.end();
    assert!(
        log.contains("authorize") && !log.contains("42424242"),
        "{log}"
    );
}

fn files_below(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            path => vec![path],
        })
        .collect()
}

#[test]
fn the_sandbox_does_as_its_cards_say() {
    souk_only!();
    let payments = Payments::with_sandbox("transient_ms=5000");
    for (card, authorized) in [
        (GOOD, is(200, "authorized")),
        ("5555555555554444", is(200, "authorized")),
        ("4000000000000002", is(200, "declined")),
        ("4000000000009995", is(200, "declined")),
        ("4000000000000341", is(200, "authorized")),
    ] {
        let (order, purchase) = (order(), payments.purchase(card));
        assert_eq!(
            payments.post(&order, "authorize", &purchase),
            authorized,
            "{card}"
        );
        let captured = payments.post(&order, "capture", &Value::Null);
        match card {
            "4000000000000341" => assert_eq!(captured, is(200, "capture_failed")),
            _ if authorized.1 == "declined" => assert_eq!(captured.0, 409),
            _ => assert_eq!(captured, is(200, "captured")),
        }
    }
    let (order, purchase) = (order(), payments.purchase("4000000000000119"));
    assert_eq!(payments.post(&order, "authorize", &purchase).0, 503);
    eventually("it is over", || {
        payments.post(&order, "authorize", &purchase) == is(200, "authorized")
    });
}

#[test]
fn an_unreliable_sandbox_is_outlived() {
    souk_only!();
    let payments = Payments::with_sandbox("failure=unknown&failure_percent=60&latency_ms=5");
    for _ in 0..10 {
        let (order, purchase) = (order(), payments.purchase(GOOD));
        for (action, end) in [
            ("authorize", "authorized"),
            ("capture", "captured"),
            ("refund", "refunded"),
        ] {
            let mut tries = 0;
            while payments.post(&order, action, &purchase) != is(200, end) {
                tries += 1;
                assert!(tries < 50, "{}", payments.payment(&order));
            }
        }
        let payment = payments.payment(&order);
        let done = payment["transactions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| t["status"] == "succeeded")
            .count();
        assert_eq!(done, 3, "{payment}");
    }
}

#[test]
fn a_setting_that_makes_no_sense_is_named_in_the_log() {
    souk_only!();
    let payments = Payments::with_sandbox("latency_ms=soon");
    assert_eq!(payments.tokenize(GOOD).status, 503);
    let log = payments.end();
    assert!(log.contains("latency_ms"), "{log}");
}
