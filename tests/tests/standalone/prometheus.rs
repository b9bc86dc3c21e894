//! What Prometheus sees of the shop, and what it warns of.

use crate::telemetry::{span, traces_of};
use crate::{SERVICE_KEY, Service};
use serde_json::json;
use souk_tests::{
    Host, Launch, NO_PROMETHEUS, Prometheus, eventually, promtool, promtool_in, skipped, souk_only,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let gateway = vec![span(1, 1, 0, 2, "/a\"b\\c"), span(1, 2, 1, 3, "/")];
    telemetry.exports("/v1/traces", &traces_of("gateway", gateway));
    let carts = vec![span(1, 3, 2, 2, "/")];
    telemetry.exports("/v1/traces", &traces_of("carts", carts));
    let metrics = telemetry.scrape("").text;
    assert!(metrics.contains("souk_call_duration_seconds_count"));
    let Some((content, said)) = promtool(&["check", "metrics"], &metrics) else {
        return skipped(NO_PROMETHEUS);
    };
    assert!(content && said.is_empty(), "{said}\n{metrics}");
}

/// A host that traces nothing and has its metrics shown at once.
fn counted(telemetry: &Service) -> Host {
    Launch::of("components/products/spin.toml")
        .runtime_config("runtime-config.toml")
        .variable("service_key", SERVICE_KEY)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &telemetry.host.url)
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "100")
        .start()
}

#[test]
fn what_a_host_exports_is_shown_as_prometheus_has_it_and_of_all_requests() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let products = counted(&telemetry);
    for _ in 0..300 {
        assert_eq!(products.get("/api/products?limit=1").status, 200);
    }
    assert_eq!(products.get("/api/products/none").status, 404);
    let all = || {
        let measured = telemetry.shows("/api/ops/metrics?service=products&step=60");
        let items = measured["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["calls"].as_i64().unwrap())
            .sum::<i64>()
    };
    eventually("all are counted", || all() == 301);

    // What others make up beside it.
    let value = |number| {
        json!({"dataPoints": [{"timeUnixNano": "1", "asDouble": number, "attributes": [
        {"key": "a.b", "value": {"stringValue": "q\"\\\n"}}, {"key": "a_b", "value": {"intValue": "1"}}, {"key": "le", "value": {"boolValue": true}}]}]})
    };
    let exponential = json!({"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": "1", "count": "2", "sum": 3.0}]});
    let metrics = json!([
        {"name": "souk.request.errors", "gauge": value(1.0)},
        {"name": "http.server.active_requests", "gauge": value(1.0)},
        {"name": "http.server.request.duration", "unit": "s", "gauge": value(1.0)},
        {"name": "größe", "unit": "1", "description": "a \\ and\na line", "gauge": value(-0.5)},
        {"name": "wait", "unit": "s", "exponentialHistogram": exponential},
    ]);
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "other"}}]});
    telemetry.exports("/v1/metrics", &json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}));

    let metrics = telemetry.scrape("").text;
    let line = |name: &str, labels: &str| {
        let is_it = |line: &&str| line.starts_with(name) && line.contains(labels);
        let found = metrics.lines().find(is_it);
        found.unwrap_or_else(|| panic!("no {name} with {labels}:\n{metrics}"))
    };
    let listed = r#"http_request_method="GET",http_response_status_code="200",http_route="/...""#;
    let service = r#"{service="products",instance="products-"#;
    for end in [r#",le="0.001"} "#, r#",le="10.0"} "#, r#",le="+Inf"} 300"#] {
        let bucket = format!("http_server_request_duration_seconds_bucket{service}");
        line(&bucket, &format!("{listed}{end}"));
    }
    line("http_server_request_duration_seconds_sum{", listed);
    line(
        "http_server_request_duration_seconds_count{",
        &format!("{listed}}} 300"),
    );
    line("http_server_active_requests{", service);
    line(
        "souk_load_limit{service=\"souk\",instance=\"souk-",
        "for=\"browsing\"",
    );
    line("souk_load_active{", "for=\"others\"");
    for name in [
        "process_memory_usage_bytes{",
        "process_cpu_time_seconds_total{",
        "process_uptime_seconds{",
    ] {
        line(name, "service=\"souk\"");
    }
    line("gr_e_ratio{service=\"other\",", "-0.5");
    line("wait_seconds_count{", " 2");
    assert_eq!(
        metrics
            .matches("# TYPE http_server_request_duration_seconds ")
            .count(),
        1
    );
    let Some((content, said)) = promtool(&["check", "metrics"], &metrics) else {
        return skipped(NO_PROMETHEUS);
    };
    assert!(content && said.is_empty(), "{said}\n{metrics}");
}

#[test]
fn prometheus_takes_the_metrics_of_hosts() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let Some(prometheus) = Prometheus::start(telemetry.host.address()) else {
        return skipped(NO_PROMETHEUS);
    };
    let products = counted(&telemetry);
    for _ in 0..200 {
        products.get("/api/products?limit=1");
    }
    let count = "sum(http_server_request_duration_seconds_count{service=\"products\"})";
    let counted = prometheus.await_value(count, |count| count >= 200.0);
    assert!((counted - 200.0).abs() < 0.5, "{counted}");
    let median = "histogram_quantile(0.5, sum by (le) (http_server_request_duration_seconds_bucket{service=\"products\"}))";
    let median = prometheus.await_value(median, |median| median > 0.0);
    assert!(median > 0.0 && median < 1.0, "{median} s");
}

#[test]
fn the_alerts_warn_of_what_they_say() {
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let Some((content, said)) = promtool(&arguments, "") else {
            return skipped(NO_PROMETHEUS);
        };
        assert!(content, "{arguments:?}: {said}");
    }
}

#[test]
fn prometheus_takes_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    Prometheus::configure(dir.path(), "127.0.0.1:3000", "a token");
    let arguments = ["check", "config", "prometheus.yml"];
    let Some((content, said)) = promtool_in(dir.path(), &arguments, "") else {
        return skipped(NO_PROMETHEUS);
    };
    assert!(content, "{said}");
}

/// For how long the shop is asked, while Prometheus looks.
const A_MINUTE: Duration = Duration::from_secs(65);

/// How often each of those who ask does, and how many they are.
const PACE: Duration = Duration::from_millis(30);
const ASKING: usize = 4;

/// What is asked, and how it is answered: a quarter of it with nothing, which is an answer.
const ASKED: [(&str, u16); 4] = [
    ("/api/products/none", 404),
    ("/api/products?limit=1", 200),
    ("/api/products?limit=2", 200),
    ("/api/categories", 200),
];

/// An answer, as whoever asked has seen it: to which of [`ASKED`], and when.
type Answered = (usize, SystemTime);

#[test]
fn prometheus_counts_what_was_asked() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let Some(prometheus) = Prometheus::start(telemetry.host.address()) else {
        return skipped(NO_PROMETHEUS);
    };
    let products = Launch::of("components/products/spin.toml")
        .runtime_config("runtime-config.toml")
        .variable("service_key", SERVICE_KEY)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &telemetry.host.url)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        // What comes in large lumps has no even rate.
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .start();
    let answered = ask_for_a_minute(&products);
    let count = |is_it: fn(usize) -> bool| {
        let those = answered.iter().filter(|(asked, _)| is_it(*asked));
        those.count() as f64
    };
    let of = |more: &str| {
        format!("sum(souk_request_duration_seconds_count{{service=\"products\"{more}}})")
    };
    let by_host = |more: &str| {
        format!("sum(http_server_request_duration_seconds_count{{service=\"products\"{more}}})")
    };
    for (query, asked) in [
        (of(""), count(|_| true)),
        (of(",route=\"GET not found\""), count(|it| it == 0)),
        (
            of(",route=\"GET /api/products\""),
            count(|it| it == 1 || it == 2),
        ),
        (of(",route=\"GET /api/categories\""), count(|it| it == 3)),
        (by_host(""), count(|_| true)),
        (
            by_host(",http_response_status_code=\"404\""),
            count(|it| it == 0),
        ),
    ] {
        let counted = prometheus.await_value(&query, |count| count >= asked);
        assert_within_one_percent(&query, counted, asked);
    }

    // Forty seconds from the middle. What comes at either end of them may be seen a scrape sooner or later, and if the machine did something
    // else just then it is much, so there are some to choose from.
    let (_, last) = answered.iter().max_by_key(|(_, at)| at).unwrap();
    let rates = [10, 13, 16, 19].map(|before| {
        let to = *last - Duration::from_secs(before);
        let from = to - Duration::from_secs(40);
        let within = answered.iter().filter(|(_, at)| (from..to).contains(at));
        let asked = within.count() as f64 / 40.0;
        let to = to.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let rate = format!(
            "sum(rate(souk_request_duration_seconds_count{{service=\"products\"}}[40s] @ {to:.3}))"
        );
        (prometheus.await_value(&rate, |_| true), asked)
    });
    let fits = |(rate, asked): &(f64, f64)| (rate - asked).abs() <= asked * 0.05;
    assert!(
        rates.iter().any(fits),
        "rates and what was asked: {rates:?}"
    );

    let errors = "sum(souk_request_errors_total{service=\"products\"})";
    let errors = prometheus.await_value(errors, |_| true);
    assert!(
        errors.abs() < 0.5,
        "who asks for nothing is answered: {errors}"
    );
    let median = "histogram_quantile(0.5, sum by (le) (souk_request_duration_seconds_bucket{service=\"products\"}))";
    let median = prometheus.await_value(median, |median| median > 0.0);
    assert!(median > 0.0 && median < 1.0, "{median} s");
}

/// Asks at an even pace; what was answered.
fn ask_for_a_minute(products: &Host) -> Vec<Answered> {
    let until = Instant::now() + A_MINUTE;
    std::thread::scope(|scope| {
        let asking = [(); ASKING].map(|()| scope.spawn(|| ask_until(products, until)));
        asking.map(|asking| asking.join().unwrap()).concat()
    })
}

fn ask_until(products: &Host, until: Instant) -> Vec<Answered> {
    let (mut answered, mut next) = (Vec::new(), Instant::now());
    for asked in (0..ASKED.len()).cycle() {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += PACE;
        if next > until {
            break;
        }
        let (path, status) = ASKED[asked];
        match products.get(path).status {
            // The host has enough to do, and the service has not been asked.
            503 => {}
            got => {
                assert_eq!(got, status, "{path}");
                answered.push((asked, SystemTime::now()));
            }
        }
    }
    answered
}

fn assert_within_one_percent(query: &str, counted: f64, asked: f64) {
    let off = (counted - asked).abs() / asked;
    assert!(off <= 0.01, "{query} is {counted}, not {asked}");
}
