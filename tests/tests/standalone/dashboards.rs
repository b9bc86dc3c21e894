//! Grafana's dashboards, as far as they can be tried without Grafana: every query is asked of a real Prometheus.

use crate::Service;
use crate::telemetry::{span, traces_of};
use serde_json::{Value, json};
use souk_tests::{
    NO_PROMETHEUS, Prometheus, eventually, known_metrics, promtool, skipped, souk_only,
};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::time::Instant;

/// The service whose dashboard is looked at: it is called, and calls others.
const SERVICE: &str = "orders";

fn read(file: &str) -> String {
    std::fs::read_to_string(Prometheus::configuration().join(file)).unwrap()
}

/// The queries to Prometheus, each with where it is, and with values for Grafana's variables.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for file in ["shop.json", "service.json"] {
        let dashboard: Value =
            serde_json::from_str(&read(&format!("grafana/dashboards/{file}"))).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let targets = panel["targets"].as_array().into_iter().flatten();
            let asked = targets.filter(|target| target["datasource"]["type"] == "prometheus");
            for target in asked {
                let query = target["expr"].as_str().unwrap();
                let query = query.replace("$__rate_interval", "1m");
                let query = query.replace("$__range", "1m").replace("$service", SERVICE);
                queries.push((format!("{file}: {}", panel["title"]), query));
            }
        }
    }
    queries
}

/// Requests to the gateway that go on to orders and from there to payments, each in a trace of its own. All of them fail, so that there is
/// something in the charts of failures.
fn orders_are_placed(telemetry: &Service, first: u32) {
    let id = "018f0000-0000-7000-8000-000000000001";
    let paths = [
        "/api/orders".to_owned(),
        format!("/api/orders/{id}/cancel"),
        format!("/api/orders/{id}/ship"),
    ];
    for (path, trace) in paths.iter().zip(first..) {
        let of = |id, parent, kind| {
            let mut span = span(trace, id, parent, kind, path);
            span["attributes"][0]["value"] = json!({"stringValue": "POST"});
            span["status"] = json!({"code": 2});
            span
        };
        let (server, client) = (2, 3);
        let spans = [
            ("gateway", vec![of(1, 0, server), of(2, 1, client)]),
            ("orders", vec![of(3, 2, server), of(4, 3, client)]),
            ("payments", vec![of(5, 4, server)]),
        ];
        for (service, spans) in spans {
            telemetry.exports("/v1/traces", &traces_of(service, spans));
        }
    }
}

#[test]
fn every_query_is_understood_and_those_of_what_telemetry_counts_have_data() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let Some(prometheus) = Prometheus::start(telemetry.host.address()) else {
        return skipped(NO_PROMETHEUS);
    };
    // Rates are of what is seen twice.
    for (first, requests) in [(1, 3.0), (4, 6.0)] {
        orders_are_placed(&telemetry, first);
        let seen = "sum(souk_request_duration_seconds_count{service=\"orders\"})";
        let seen = prometheus.await_value(seen, |seen| seen >= requests);
        assert!(seen >= requests, "{seen}");
    }
    for (place, query) in queries() {
        let answer = prometheus.query(&query).unwrap();
        assert_eq!(answer["status"], "success", "{place}: {query}: {answer}");
    }
    let asked = all_have_data(&prometheus, |from| from == "telemetry");
    assert!(asked > 15, "{asked}");
}

#[test]
fn queries_of_what_hosts_and_services_tell_have_data() {
    let Some(prometheus) = Prometheus::start(&shop_that_tells_everything()) else {
        return skipped(NO_PROMETHEUS);
    };
    let seen = prometheus.await_value("souk_sagas_stuck", |seen| seen > 0.0);
    assert!(seen > 0.0, "{seen}");
    let asked = all_have_data(&prometheus, |from| from != "telemetry");
    assert!(asked > 25, "{asked}");
}

/// Waits until there are data for every query that asks only for what these have; says how many there are.
fn all_have_data(prometheus: &Prometheus, is_asked: impl Fn(&str) -> bool) -> usize {
    let mut others = known_metrics();
    others.retain(|_, metric| !is_asked(&metric.from));
    let mut queries = queries();
    queries.retain(|(_, query)| !others.keys().any(|name| query.contains(name.as_str())));
    for (place, query) in &queries {
        let has_data = || has_data(&prometheus.query(query).unwrap());
        eventually(&format!("{place}: {query} has data"), has_data);
    }
    queries.len()
}

/// Whether there is a number among what was found.
fn has_data(answer: &Value) -> bool {
    let found = answer["data"]["result"].as_array().into_iter().flatten();
    let mut values = found.filter_map(|series| series["value"][1].as_str()?.parse::<f64>().ok());
    values.any(f64::is_finite)
}

#[test]
fn telemetry_has_the_metrics_that_are_said_to_be_its() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    orders_are_placed(&telemetry, 1);
    let exposed = telemetry.scrape("").text;
    for (name, metric) in known_metrics() {
        if metric.from == "telemetry" {
            let head = format!("# TYPE {name} {}\n", metric.kind);
            assert!(exposed.contains(&head), "{head}: {exposed}");
        }
    }
}

#[test]
fn prometheus_takes_its_configuration_beside_a_collector() {
    let arguments = [
        "check",
        "config",
        "--syntax-only",
        "prometheus-collector.yml",
    ];
    let Some((content, said)) = promtool(&arguments, "") else {
        return skipped(NO_PROMETHEUS);
    };
    assert!(content, "{said}");
}

/// Says where a stand-in listens that exposes all that hosts and services would tell.
fn shop_that_tells_everything() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let start = Instant::now();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let text = exposition(start.elapsed().as_millis());
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                text.len()
            );
        }
    });
    address
}

/// All metrics but those that `telemetry` counts of traces, with series of each label's values; counters have come to so much.
fn exposition(counted: u128) -> String {
    let mut text = String::new();
    for (name, metric) in known_metrics() {
        if ["telemetry", "prometheus"].contains(&&*metric.from) {
            continue;
        }
        _ = writeln!(text, "# TYPE {name} {}", metric.kind);
        for series in series(&metric.labels) {
            _ = match &*metric.kind {
                "histogram" => writeln!(
                    text,
                    "{name}_bucket{{{series}le=\"0.1\"}} {counted}\n{name}_bucket{{{series}le=\"+Inf\"}} {counted}\n{name}_sum{{{series}}} 1\n{name}_count{{{series}}} {counted}"
                ),
                "counter" => writeln!(text, "{name}{{{series}}} {counted}"),
                _ => writeln!(text, "{name}{{{series}}} 1"),
            };
        }
    }
    text
}

/// The labels of all series there can be, each with a comma behind it.
fn series(labels: &[String]) -> Vec<String> {
    let mut series = vec![String::new()];
    for label in labels {
        let values: &[&str] = match &**label {
            "service" | "caller" => &["gateway", SERVICE],
            "callee" => &[SERVICE, "payments"],
            "consumer" => &[SERVICE],
            "http_response_status_code" => &["200", "500"],
            _ => &["some"],
        };
        let mut longer = Vec::new();
        for (series, value) in series
            .iter()
            .flat_map(|it| values.iter().map(move |of| (it, of)))
        {
            longer.push(format!("{series}{label}=\"{value}\","));
        }
        series = longer;
    }
    series
}
