//! What Prometheus sees of the shop, and what it warns of.

use crate::telemetry::{span, traces_of};
use crate::{SERVICE_KEY, Service};
use souk_tests::{Launch, Prometheus, promtool, promtool_in, skipped, souk_only};

const NONE: &str = "there is no Prometheus on the PATH; Debian has it in `prometheus`";

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
        return skipped(NONE);
    };
    assert!(content && said.is_empty(), "{said}\n{metrics}");
}

#[test]
fn the_alerts_warn_of_what_they_say() {
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let Some((content, said)) = promtool(&arguments, "") else {
            return skipped(NONE);
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
        return skipped(NONE);
    };
    assert!(content, "{said}");
}

/// How many requests there are, a quarter of which find nothing, which is an answer.
const REQUESTS: usize = 2_000;

#[test]
fn prometheus_counts_what_was_asked() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let Some(prometheus) = Prometheus::start(telemetry.host.address()) else {
        return skipped(NONE);
    };
    let products = Launch::of("components/products/spin.toml")
        .runtime_config("runtime-config.toml")
        .variable("service_key", SERVICE_KEY)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &telemetry.host.url)
        .start();
    for number in 0..REQUESTS {
        let (path, status) = match number % 4 {
            0 => ("/api/products/none", 404),
            _ => ("/api/products?limit=1", 200),
        };
        assert_eq!(products.get(path).status, status);
    }
    let (asked, one_percent) = (REQUESTS as f64, REQUESTS as f64 / 100.0);
    let count = "sum(souk_request_duration_seconds_count{service=\"products\"})";
    let counted = prometheus.await_value(count, |count| count >= asked);
    assert!(
        (counted - asked).abs() <= one_percent,
        "{counted} of {asked}"
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
