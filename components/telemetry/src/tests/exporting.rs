//! What exporters are answered, and what is kept.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;

use super::*;
use crate::store::tests::run;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same request in protobuf.
pub fn protobuf(json: Value) -> Vec<u8> {
    let request: ExportTraceServiceRequest = serde_json::from_value(json).unwrap();
    request.encode_to_vec()
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

#[test]
fn both_encodings_are_taken_plain_and_compressed() {
    let request = |number| traces_of("carts", vec![span(number, 1, None, 2, 20)]);
    let json = ("content-type", "application/json");
    let zipped = ("content-encoding", "gzip");
    for (headers, body) in [
        (vec![json], request(1).to_string().into_bytes()),
        (vec![json, zipped], gzip(request(2).to_string().as_bytes())),
        (vec![PROTOBUF], protobuf(request(3))),
        (vec![PROTOBUF, zipped], gzip(&protobuf(request(4)))),
    ] {
        let (status, media_type, answer) = post("/v1/traces", &headers, body);
        assert_eq!((status, media_type.as_str()), (200, headers[0].1));
        assert!(answer.is_empty() || &*answer == b"{}", "{answer:?}");
    }
    let mut all = found("");
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4]);
}

#[test]
fn numbers_may_be_written_as_numbers_or_as_text() {
    let mut written = span(1, 1, None, 2, 20);
    for name in ["startTimeUnixNano", "endTimeUnixNano"] {
        written[name] = json!(written[name].as_str().unwrap().parse::<u64>().unwrap());
    }
    written["attributes"][3]["value"]["intValue"] = json!(3);
    spans("carts", vec![written]);
    assert_eq!(found("attribute=tries%3D3"), [1]);
}

#[test]
fn what_is_not_taken_is_counted_in_the_answer() {
    let mut bad = span(2, 1, None, 2, 20);
    bad["traceId"] = json!("ab");
    let request = traces_of("carts", vec![span(1, 1, None, 2, 20), bad.clone(), bad]);
    let answer = export("/v1/traces", &request);
    assert_eq!(answer.status, 200);
    let partial = &answer.body["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], "2");
    assert!(
        partial["errorMessage"]
            .as_str()
            .unwrap()
            .contains("trace id")
    );

    let (_, _, answer) = post("/v1/traces", &[PROTOBUF], protobuf(request));
    let answer = ExportTraceServiceResponse::decode(answer).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 2);
    assert_eq!(found(""), [1]);
}

#[test]
fn what_cannot_be_read_is_refused_in_the_encoding_of_the_request() {
    let status = |content_type, encoding, body: &[u8]| {
        let headers = [
            ("content-type", content_type),
            ("content-encoding", encoding),
        ];
        let (status, media_type, _) = post("/v1/logs", &headers, body.to_vec());
        (status, media_type)
    };
    let problem = "application/problem+json".to_owned();
    assert_eq!(status("text/plain", "", b""), (415, problem.clone()));
    assert_eq!(
        status("application/json", "br", b""),
        (415, problem.clone())
    );
    assert_eq!(status("application/json", "", b"{"), (400, problem.clone()));
    assert_eq!(
        status("application/json", "", br#"{"resourceLogs": 1}"#),
        (400, problem)
    );
    assert_eq!(status(PROTOBUF.1, "", &[10, 200]), (400, PROTOBUF.1.into()));
    assert_eq!(
        status(PROTOBUF.1, "gzip", b"no gzip"),
        (400, PROTOBUF.1.into())
    );
    assert_eq!(status(PROTOBUF.1, "", b""), (200, PROTOBUF.1.into()));
    // A google.rpc.Status: its code, INVALID_ARGUMENT, and a message.
    let (_, _, answer) = post("/v1/logs", &[PROTOBUF], vec![10, 200]);
    assert_eq!((answer[0], answer[1], answer[2]), (8, 3, 18));
}

#[test]
fn the_same_again_changes_nothing() {
    for _ in 0..3 {
        spans("carts", vec![span(1, 1, None, 2, 20)]);
    }
    let time = at(0);
    let records = || {
        vec![json!({"timeUnixNano": time, "severityNumber": 9, "body": {"stringValue": "once"}})]
    };
    for _ in 0..3 {
        assert_eq!(export("/v1/logs", &logs_of("carts", records())).status, 200);
    }
    assert_eq!(run("SELECT count(*) FROM spans"), 1);
    assert_eq!(run("SELECT sum(calls) FROM totals"), 1);
    assert_eq!(run("SELECT sum(spans) FROM traces"), 1);
    assert_eq!(run("SELECT count(*) FROM logs"), 1);
}

#[test]
fn what_is_old_goes() {
    spans("carts", vec![span(1, 1, None, 2, 20)]);
    let record = json!({"body": {"stringValue": "old"}});
    export("/v1/logs", &logs_of("carts", vec![record]));
    run("UPDATE traces SET received_at = received_at - 73 * 3600000");
    run("UPDATE logs SET received_at = received_at - 73 * 3600000");
    run("UPDATE minutes SET minute = minute - 73 * 60");
    spans("carts", vec![span(2, 1, None, 2, 20)]);
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
    assert_eq!(found(""), [2]);
    assert_eq!(run("SELECT count(*) FROM spans"), 1);
    assert_eq!(run("SELECT count(*) FROM logs"), 0);
    assert_eq!(run("SELECT sum(calls) FROM minutes"), 1);
    assert_eq!(
        run("SELECT sum(calls) FROM totals"),
        2,
        "a counter never goes back"
    );
}

#[test]
fn there_are_only_so_many_series() {
    let many = (0..2_500_u32).map(|number| {
        let mut span = span(number + 1, 1, None, 2, 20);
        span["attributes"][0]["value"]["stringValue"] = json!(format!("/route-{number}"));
        span
    });
    spans("carts", many.collect());
    assert_eq!(run("SELECT count(*) FROM series"), 2_000);
    assert_eq!(run("SELECT sum(calls) FROM totals"), 2_500);
    assert_eq!(run("SELECT sum(calls) FROM totals WHERE series = 1"), 501);
}

#[test]
fn the_newest_point_of_a_series_is_kept() {
    let point = |value: f64, ms: i64| {
        let point = json!({"asDouble": value, "timeUnixNano": at(ms), "attributes": [{"key": "a", "value": {"stringValue": "b"}}]});
        let metric = json!({"name": "queue.length", "unit": "1", "gauge": {"dataPoints": [point]}});
        json!({"resourceMetrics": [{"resource": resource("carts"), "scopeMetrics": [{"metrics": [metric]}]}]})
    };
    for (value, ms) in [(1.0, -2000), (3.0, 0), (2.0, -1000)] {
        let answer = export("/v1/metrics", &point(value, ms));
        assert_eq!((answer.status, answer.body), (200, json!({})));
    }
    let points = get("/api/ops/metrics/points?service=carts");
    assert_eq!(points["items"].as_array().unwrap().len(), 1);
    let point = &points["items"][0];
    assert_eq!(
        (&point["name"], &point["value"], &point["kind"]),
        (&json!("queue.length"), &json!(3.0), &json!("gauge"))
    );
    assert_eq!(point["attributes"], json!({"a": "b"}));
}

#[test]
fn histograms_and_sums_are_points_too() {
    let histogram = json!({"name": "took", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [
        {"timeUnixNano": at(0), "count": "3", "sum": 1.5, "bucketCounts": ["1", "2"], "explicitBounds": [1.0]}]}});
    let sum = json!({"name": "made", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{"timeUnixNano": at(0), "asInt": "7"}]}});
    let metrics = json!({"resourceMetrics": [{"resource": resource("carts"), "scopeMetrics": [{"metrics": [histogram, sum]}]}]});
    assert_eq!(export("/v1/metrics", &metrics).body, json!({}));
    let page = get("/api/ops/metrics/points?limit=1");
    let made = &page["items"][0];
    assert_eq!(
        (&made["name"], &made["kind"], &made["value"]),
        (&json!("made"), &json!("counter"), &json!(7.0))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = get(&format!("/api/ops/metrics/points?limit=1&cursor={cursor}"));
    let took = &page["items"][0];
    assert_eq!(
        (&took["name"], &took["count"], &took["value"]),
        (&json!("took"), &json!(3), &json!(1.5))
    );
    assert_eq!(page["next_cursor"], Value::Null);
}

/// What an instance of `orders` exports.
fn metrics_of(instance: &str, metrics: Vec<Value>) -> Value {
    let attribute = |key, value| json!({"key": key, "value": {"stringValue": value}});
    let resource = json!({"attributes": [attribute("service.name", "orders"), attribute("service.instance.id", instance)]});
    json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]})
}

fn gauge(name: &str, value: f64) -> Value {
    json!({"name": name, "gauge": {"dataPoints": [{"timeUnixNano": at(0), "asDouble": value}]}})
}

fn scraped() -> String {
    Ask::of(&SERVICE).send("GET", "/metrics").text
}

#[test]
fn instances_are_told_apart_and_go_when_they_export_no_more() {
    for (instance, value) in [("orders-1", 1.0), ("orders-2", 2.0)] {
        let answer = export(
            "/v1/metrics",
            &metrics_of(instance, vec![gauge("queue", value)]),
        );
        assert_eq!((answer.status, answer.body), (200, json!({})));
    }
    let line =
        |number| format!("\nqueue{{service=\"orders\",instance=\"orders-{number}\"}} {number}.0\n");
    let text = scraped();
    assert!(text.contains(&line(1)) && text.contains(&line(2)), "{text}");
    let points = get("/api/ops/metrics/points?name=queue");
    assert_eq!(points["items"][1]["instance"], "orders-2", "{points}");

    run("UPDATE exported SET received_at = received_at - 301000 WHERE instance = 'orders-1'");
    let text = scraped();
    assert!(
        !text.contains(&line(1)) && text.contains(&line(2)),
        "{text}"
    );
}

#[test]
fn what_was_added_since_the_last_point_is_refused() {
    let delta = |kind: &str, mut points: Value| {
        points["aggregationTemporality"] = json!(1);
        json!({"name": "made", kind: points})
    };
    let point = json!({"timeUnixNano": at(0), "asInt": "7"});
    let counted = json!({"timeUnixNano": at(0), "count": "7"});
    let metrics = vec![
        delta("sum", json!({"isMonotonic": true, "dataPoints": [point]})),
        delta("histogram", json!({"dataPoints": [counted]})),
        delta("exponentialHistogram", json!({"dataPoints": [counted]})),
        gauge("queue", 1.0),
    ];
    let answer = export("/v1/metrics", &metrics_of("orders-1", metrics));
    let partial = &answer.body["partialSuccess"];
    assert_eq!(
        (answer.status, &partial["rejectedDataPoints"]),
        (200, &json!("3"))
    );
    let why = partial["errorMessage"].as_str().unwrap();
    assert!(why.contains("cumulative"), "{why}");
    assert_eq!(run("SELECT count(*) FROM exported"), 1);
}

#[test]
fn unsound_histograms_are_refused() {
    let histogram = |bounds: Value, buckets: Value| {
        let point = json!({"timeUnixNano": at(0), "count": "1", "explicitBounds": bounds, "bucketCounts": buckets});
        json!({"name": "took", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}})
    };
    let many: Vec<_> = (0..201).collect();
    let metrics = vec![
        histogram(json!([1.0]), json!(["1"])),
        histogram(json!([2.0, 1.0]), json!(["1", "0", "0"])),
        histogram(json!(many), json!(vec!["0"; 202])),
        histogram(json!([]), json!(["1"])),
        histogram(json!([1.0]), json!(["0", "18446744073709551615"])),
    ];
    let answer = export("/v1/metrics", &metrics_of("orders-1", metrics));
    assert_eq!(answer.body["partialSuccess"]["rejectedDataPoints"], "3");
    let labels = r#"{service="orders",instance="orders-1",le="+Inf"}"#;
    let all = format!("took_bucket{labels} {}\n", i64::MAX);
    assert!(scraped().contains(&all), "{}", scraped());
}

#[test]
fn series_that_nobody_exports_make_room_for_others() {
    let many = |prefix: &str| {
        (0..5_000)
            .map(|number| gauge(&format!("{prefix}{number}"), 1.0))
            .collect()
    };
    export("/v1/metrics", &metrics_of("orders-1", many("a")));
    export(
        "/v1/metrics",
        &metrics_of("orders-2", vec![gauge("b", 1.0)]),
    );
    assert_eq!(
        run("SELECT count(*) FROM exported WHERE instance = 'orders-2'"),
        0
    );
    run("UPDATE exported SET received_at = received_at - 301000");
    export(
        "/v1/metrics",
        &metrics_of("orders-2", vec![gauge("b", 1.0)]),
    );
    assert_eq!(run("SELECT count(*) FROM exported"), 1);
}

#[test]
fn the_version_before_can_still_write_what_it_knows() {
    run(
        "INSERT INTO points (service, name, attributes, received_at, time_ns, kind, unit, value) VALUES ('a', 'b', '{}', 1, 1, 'gauge', '', 1.0)",
    );
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
    assert_eq!(
        run("SELECT count(*) FROM points"),
        0,
        "it goes with its age"
    );
}

/// Keeps a span of trace 7 as the version before does.
const SPAN_OF_BEFORE: &str = "INSERT INTO spans (trace_id, span_id, received_at, service, name, kind, route, start_ns, duration_ns, failed, minute, bucket, \
                              attributes, events, links) SELECT '00000000000000000000000000000007', span_id, received_at, service, name, kind, route, start_ns, \
                              duration_ns, failed, minute, bucket, attributes, events, links FROM spans LIMIT 1";

#[test]
fn spans_of_the_version_before_are_counted_once() {
    spans("carts", vec![span(1, 1, None, 2, 20)]);
    run(SPAN_OF_BEFORE);
    assert_eq!(run("SELECT sum(calls) FROM totals"), 2);
    spans("carts", vec![span(2, 1, None, 2, 20)]);
    let mut all = found("");
    all.sort_unstable();
    assert_eq!(all, [1, 2, 7]);
    assert_eq!(run("SELECT sum(calls) FROM totals"), 3);
}

#[test]
fn spans_are_counted_when_the_newest_before_them_are_forgotten() {
    let many = (1..=9).map(|number| span(number, 1, None, 2, 20));
    spans("carts", many.collect());
    run("DELETE FROM traces");
    spans("carts", vec![span(10, 1, None, 2, 20)]);
    assert_eq!(found(""), [10]);
    assert_eq!(run("SELECT sum(calls) FROM totals"), 10);
}

/// What a host exports of the requests to `orders` since it started: how many were answered within 5 and within 10 ms.
fn requests(instance: &str, start: &str, status: u16, [five, ten]: [u32; 2]) {
    let mut buckets = [0; 14];
    (buckets[2], buckets[3]) = (five, ten);
    let bounds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];
    let attribute = json!({"key": "http.response.status_code", "value": {"intValue": status}});
    let point = json!({"startTimeUnixNano": start, "timeUnixNano": at(0), "count": (five + ten).to_string(),
        "sum": f64::from(five) * 0.004 + f64::from(ten) * 0.008, "explicitBounds": bounds,
        "bucketCounts": buckets.map(|count| count.to_string()), "attributes": [attribute]});
    let metric = json!({"name": "http.server.request.duration", "unit": "s",
        "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}});
    let answer = export("/v1/metrics", &metrics_of(instance, vec![metric]));
    assert_eq!((answer.status, answer.body), (200, json!({})));
}

fn counted() -> (i64, i64) {
    let sum = |column| run(&format!("SELECT sum({column}) FROM all_requests"));
    (sum("calls"), sum("errors"))
}

#[test]
fn all_requests_are_counted_whichever_are_traced() {
    let start = at(-10_000);
    spans("orders", vec![span(1, 1, None, 2, 20)]);
    requests("orders-1", &start, 200, [3, 1]);
    requests("orders-1", &start, 200, [60, 20]);
    requests("orders-1", &start, 200, [60, 20]);
    requests("orders-1", &start, 500, [10, 0]);
    requests("orders-2", &start, 200, [10, 0]);
    assert_eq!(counted(), (100, 10));
    let measured = get("/api/ops/metrics?service=orders&step=60");
    let orders = &measured["items"][0];
    assert_eq!(
        (&orders["calls"], &orders["errors"]),
        (&json!(100), &json!(10))
    );
    assert_eq!(
        (&orders["mean_ms"], &orders["p50_ms"]),
        (&json!(4.8), &json!(4.0625))
    );
    assert_eq!(orders["buckets"][3], 20);
    let traced = get("/api/ops/metrics?service=orders&step=60&by=route");
    assert_eq!(traced["items"][0]["calls"], 1, "{traced}");
}

#[test]
fn requests_of_another_time_are_counted_in_no_minute() {
    let start = at(-3_600_000);
    requests("orders-1", &start, 200, [1_000, 0]);
    assert_eq!(counted(), (0, 0), "it is not known when these were");
    requests("orders-1", &start, 200, [1_005, 0]);
    requests("orders-1", &start, 500, [1, 0]);
    assert_eq!(
        counted(),
        (6, 1),
        "a series that is new of a process that is not"
    );
    run("UPDATE exported SET received_at = received_at - 301000");
    requests("orders-1", &start, 200, [1_100, 0]);
    assert_eq!(counted(), (6, 1), "nothing came for too long");
    requests("orders-1", &start, 200, [1_101, 0]);
    assert_eq!(counted(), (7, 1));
    requests("orders-1", &at(-1_000), 200, [1_200, 0]);
    assert_eq!(counted(), (1_207, 1), "started again");
}

#[test]
fn numbers_that_cannot_be_break_nothing() {
    let start = at(-10_000);
    for _ in 0..3 {
        for buckets in [["18446744073709551615", "1"], ["0", "0"]] {
            let mut all = vec!["0"; 14];
            all[..2].copy_from_slice(&buckets);
            for sum in [1e300, -1.0, 5.0] {
                let point = json!({"startTimeUnixNano": start, "timeUnixNano": at(0), "count": "5", "sum": sum, "bucketCounts": all,
                    "explicitBounds": [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]});
                let metric = json!({"name": "http.server.request.duration", "unit": "s",
                    "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}});
                let instance = format!("orders-{sum}-{}", buckets[1]);
                let answer = export("/v1/metrics", &metrics_of(&instance, vec![metric]));
                assert_eq!((answer.status, answer.body), (200, json!({})));
            }
        }
    }
    assert_eq!(
        get("/api/ops/metrics?service=orders")["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
