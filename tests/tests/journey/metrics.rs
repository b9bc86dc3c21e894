//! The state of the shop as metrics, at one address for Prometheus.

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use rusqlite::Connection;
use serde_json::json;
use souk_tests::audit::PUBLISHERS;
use souk_tests::{
    METRICS_TOKEN, NO_PROMETHEUS, Prometheus, Reply, Shop, cards, eventually, known_metrics,
    promtool, skipped, souk_only,
};
use std::cell::Cell;
use std::time::Duration;

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

/// What whoever brings this is answered.
fn brings(shop: &Shop, authorization: &str) -> Reply {
    Reply::to(
        shop.request("GET", "/metrics")
            .header(AUTHORIZATION, authorization),
    )
}

fn scraped(shop: &Shop, accept: &str) -> Reply {
    let request = shop.request("GET", "/metrics").bearer_auth(METRICS_TOKEN);
    let reply = Reply::to(request.header(ACCEPT, accept));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply
}

/// The value of a series, such as `souk_sagas{state="due"}`.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value?.parse().ok()
}

/// What a series is now, once it is there: a service that was never asked before makes its database first.
fn now(shop: &Shop, series: &str) -> f64 {
    let known = || value(&scraped(shop, "").text, series);
    eventually(series, || known().is_some());
    known().unwrap()
}

/// Does to a service's database what no request would.
fn tamper(shop: &Shop, service: &str, sql: &str) {
    let file = shop.host().unwrap().dir.join(format!(".spin/{service}.db"));
    let database = Connection::open(file).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(database.execute(sql, []), Ok(1), "{sql}");
}

/// A shop in which an event is a dead letter at its first failure, and which orders sends an event that makes no sense.
fn shop_with_a_dead_letter() -> Shop {
    let shop = Shop::launch(Shop::launcher().variable("event_attempts", "1"));
    // Its database is made when it is first asked for something.
    now(&shop, "souk_sagas_stuck");
    tamper(
        &shop,
        "orders",
        "INSERT INTO outbox (type, subject, data) VALUES ('order.shipped', 'no order', '{}')",
    );
    shop
}

#[test]
fn metrics_are_for_whoever_brings_the_token() {
    souk_only!();
    let shop = Shop::start();
    let refused = shop.get("/metrics");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, "Bearer")
    );
    for wrong in [
        format!("Bearer {METRICS_TOKEN}s"),
        format!("Basic {METRICS_TOKEN}"),
        String::new(),
    ] {
        assert_eq!(brings(&shop, &wrong).status, 401, "{wrong}");
    }
    let admin = format!("Bearer {}", shop.admin_token());
    assert_eq!(
        brings(&shop, &admin).status,
        401,
        "it is nobody's access token"
    );
    assert_eq!(
        brings(&shop, &format!("Bearer {METRICS_TOKEN}")).status,
        200
    );

    let without = Shop::launch(Shop::launcher().variable("metrics_token", ""));
    assert_eq!(without.get("/metrics").status, 404);
    assert_eq!(
        brings(&without, &format!("Bearer {METRICS_TOKEN}")).status,
        404
    );
    assert_eq!(brings(&without, "Bearer ").status, 404);
}

#[test]
fn a_token_that_can_be_guessed_stops_the_gateway() {
    souk_only!();
    let shop = Shop::launch(Shop::launcher().variable("metrics_token", "short"));
    let refused = shop.get("/api/home");
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(
        refused.text.contains("metrics_token") && !refused.text.contains("short"),
        "{}",
        refused.text
    );
}

#[test]
fn all_that_is_measured_is_in_one_place() {
    souk_only!();
    // All traces are kept, not just some of each second's.
    let launch = Shop::launcher().env("OTEL_TRACES_SAMPLER", "parentbased_always_on");
    let shop = Shop::launch(launch);
    let product = shop.product_with_stock(5, 1_000);
    shop.customer().buy(&[(&product, 1)]);
    // What telemetry counts comes there some seconds later.
    let counts = "souk_request_duration_seconds_count{service=\"orders\"";
    let scrapes = Cell::new(0_u8);
    eventually("telemetry has counted", || {
        scrapes.set(scrapes.get().saturating_add(1));
        let has_counted = scraped(&shop, "").text.contains(counts);
        has_counted && scrapes.get() > 20
    });
    std::thread::sleep(Duration::from_secs(3));
    let text = scraped(&shop, "").text;
    let asked = format!("{counts},route=\"GET /internal/gauges\"}}");
    let traced = value(&text, &asked).unwrap_or_default();
    let few = f64::from(scrapes.get()) / 2.0;
    assert!(
        traced < few,
        "what is slow is traced, and no more: {traced}"
    );
    for service in ["carts", "events", "orders", "telemetry", "users"] {
        let up = format!("souk_service_up{{service=\"{service}\"}}");
        assert_eq!(value(&text, &up), Some(1.0), "{up}");
    }
    for service in PUBLISHERS {
        for name in ["souk_outbox_waiting", "souk_outbox_oldest_seconds"] {
            let series = format!("{name}{{service=\"{service}\"}}");
            assert!(value(&text, &series).is_some(), "{series}\n{text}");
        }
    }
    for series in [
        "souk_dead_letters{consumer=\"notifications\"}",
        "souk_subscription_lag{consumer=\"carts\"}",
        "souk_subscription_lag_seconds{consumer=\"products\"}",
        "souk_sagas{state=\"running\"}",
        "souk_sagas_stuck",
        "souk_saga_oldest_seconds",
        "souk_deliveries_parked",
    ] {
        assert!(value(&text, series).is_some(), "{series}\n{text}");
    }

    eventually("the host has told", || {
        scraped(&shop, "")
            .text
            .contains("\nprocess_uptime_seconds{")
    });
    has_what_is_known(&scraped(&shop, "").text);

    let open = scraped(&shop, OPEN_METRICS);
    assert_eq!(
        open.header(CONTENT_TYPE.as_str()),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.text.ends_with("\n# EOF\n"));
    assert_eq!(open.text.matches("# EOF").count(), 1);
    assert!(open.text.contains(counts) && open.text.contains("souk_sagas_stuck"));
    let mut families: Vec<_> = open
        .text
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    families.sort_unstable();
    let count = families.len();
    families.dedup();
    assert_eq!(families.len(), count, "each is described once");

    let Some((content, said)) = promtool(&["check", "metrics"], &text) else {
        return skipped(NO_PROMETHEUS);
    };
    assert!(content && said.is_empty(), "{said}\n{text}");
}

/// What is there only when there was reason to: a refusal, a failure.
const CAUSED: [&str; 4] = [
    "souk_requests_refused_total",
    "souk_breaker_open",
    "souk_breaker_opened_total",
    "error_type",
];

/// Fails unless every metric that dashboards and alerts may ask for is there, with its type and its labels.
fn has_what_is_known(text: &str) {
    let known = known_metrics().into_iter();
    for (name, metric) in
        known.filter(|(name, it)| it.from != "prometheus" && !CAUSED.contains(&&**name))
    {
        let described = format!("# TYPE {name} {}\n", metric.kind);
        assert!(text.contains(&described), "{described}{text}");
        for label in metric.labels.iter().filter(|it| !CAUSED.contains(&&***it)) {
            let label = format!("{label}=\"");
            let mut series = text.lines().filter(|line| line.starts_with(&name));
            assert!(
                series.any(|line| line.contains(&label)),
                "{name}: {label}\n{text}"
            );
        }
    }
}

#[test]
fn sagas_that_are_stuck_and_breakers_that_are_open_are_told() {
    souk_only!();
    let shop = Shop::launch(Shop::launcher().variable("fault_injection", "on"));
    let product = shop.product_with_stock(50, 1_000);
    let customer = shop.customer();
    let order_faults = |faults| {
        let body = json!({"faults": faults});
        let told = Reply::to(shop.admin("PUT", "/api/ops/faults").json(&body));
        assert_eq!(told.status, 200, "{}", told.text);
    };
    assert_eq!(now(&shop, "souk_sagas_stuck"), 0.0);
    order_faults(json!([
        {"from": "orders", "to": "inventory", "error_percent": 100, "seconds": 600},
        {"from": "gateway", "to": "payments", "error_percent": 100, "seconds": 600},
    ]));
    std::thread::sleep(Duration::from_millis(400));
    let placed = customer.order(&[(&product, 1)], cards::GOOD);
    assert_eq!(placed.status, 202, "{}", placed.text);
    let waiting = "souk_sagas{state=\"waiting\"}";
    eventually("it waits", || now(&shop, waiting) == 1.0);
    assert!(now(&shop, "souk_saga_oldest_seconds") > 0.0);
    assert_eq!(now(&shop, "souk_sagas_stuck"), 0.0, "it has just begun");
    eventually("it is stuck", || {
        // As if it had been tried for a while. Whoever tries it at this moment writes another number.
        tamper(
            &shop,
            "orders",
            "UPDATE orders SET attempt = 40 WHERE step <> 'done'",
        );
        now(&shop, "souk_sagas_stuck") == 1.0
    });

    let labels = "{caller=\"gateway\",callee=\"payments\"}";
    eventually("the breaker opens", || {
        customer.get("/api/payments?order_id=018f0000-0000-7000-8000-000000000000");
        let text = scraped(&shop, "").text;
        value(&text, &format!("souk_breaker_open{labels}")).is_some_and(|open| open > 0.0)
    });
    assert!(now(&shop, &format!("souk_breaker_opened_total{labels}")) >= 1.0);
    order_faults(json!([]));
    eventually("all is well again", || {
        customer.get("/api/payments?order_id=018f0000-0000-7000-8000-000000000000");
        let text = scraped(&shop, "").text;
        value(&text, &format!("souk_breaker_open{labels}")) == Some(0.0)
    });
}

#[test]
fn prometheus_scrapes_the_whole_shop_and_warns_of_a_dead_letter() {
    souk_only!();
    let shop = shop_with_a_dead_letter();
    let address = shop.host().unwrap().address().to_owned();
    let Some(prometheus) = Prometheus::scraping(&address, METRICS_TOKEN) else {
        return skipped(NO_PROMETHEUS);
    };
    let dead = prometheus.await_value("souk_dead_letters{consumer=\"notifications\"}", |it| {
        it > 0.0
    });
    assert!((dead - 1.0).abs() < f64::EPSILON, "{dead}");
    let warns = "ALERTS{alertname=\"SoukDeadLetters\",alertstate=\"firing\",consumer=\"notifications\",severity=\"ticket\"}";
    assert!(prometheus.await_value(warns, |it| it > 0.0) > 0.0);
    let others = prometheus.await_value(
        "sum(ALERTS{alertstate=\"firing\",alertname!=\"SoukDeadLetters\"})",
        |_| true,
    );
    assert!(others.abs() < f64::EPSILON, "it warns of nothing else");
}
