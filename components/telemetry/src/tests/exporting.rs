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
