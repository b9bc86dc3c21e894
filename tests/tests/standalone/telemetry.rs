//! The telemetry service among exporters, operators and Prometheus.

use crate::backends::on_libsql;
use crate::{SERVICE_KEY, Service, now, service_token};
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::{Value, json};
use souk_tests::{Reply, at_once, client, libsql_server, repo, skipped, souk_only};
use souk_tokens::Role;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// How many bytes a body may have.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

impl Service {
    /// The status, media type and body of what an exporter is answered.
    fn export(
        &self,
        path: &str,
        encoding: &str,
        body: Vec<u8>,
        gzipped: bool,
    ) -> (u16, String, Vec<u8>) {
        let request = client()
            .post(format!("{}{path}", self.host.url))
            .header("content-type", encoding);
        let request = match gzipped {
            true => request.header("content-encoding", "gzip").body(gzip(&body)),
            false => request.body(body),
        };
        let response = request.send().unwrap();
        let media_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (
            response.status().as_u16(),
            media_type,
            response.bytes().unwrap().to_vec(),
        )
    }

    /// Exports JSON, all of which is taken.
    pub fn exports(&self, path: &str, body: &Value) {
        let (status, _, answer) = self.export(path, JSON, body.to_string().into_bytes(), false);
        assert_eq!(
            (status, &*answer),
            (200, &b"{}"[..]),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }

    /// What an administrator gets.
    pub fn shows(&self, path: &str) -> Value {
        let token = service_token(SERVICE_KEY, self.name, now(), Some(Role::Admin));
        let reply = self.ask("GET", path, &[("x-souk-token", &token)], &Value::Null);
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    }

    pub fn scrape(&self, accept: &str) -> Reply {
        self.ask("GET", "/metrics", &[("accept", accept)], &Value::Null)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same request in protobuf.
fn protobuf(json: Value) -> Vec<u8> {
    let request: ExportTraceServiceRequest = serde_json::from_value(json).unwrap();
    request.encode_to_vec()
}

fn resource(service: &str) -> Value {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]})
}

pub fn traces_of(service: &str, spans: Vec<Value>) -> Value {
    json!({"resourceSpans": [{"resource": resource(service), "scopeSpans": [{"spans": spans}]}]})
}

fn logs_of(service: &str, records: Vec<Value>) -> Value {
    json!({"resourceLogs": [{"resource": resource(service), "scopeLogs": [{"logRecords": records}]}]})
}

/// A second ago, in nanoseconds since 1970.
fn earlier() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_nanos() - 1_000_000_000
}

/// A server's or client's span that took 20 ms.
pub fn span(trace: u32, id: u8, parent: u8, kind: u8, path: &str) -> Value {
    let start_ns = earlier();
    json!({
        "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"),
        "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") },
        "name": format!("GET {path}"), "kind": kind, "startTimeUnixNano": start_ns.to_string(), "endTimeUnixNano": (start_ns + 20_000_000).to_string(),
        "attributes": [
            {"key": "http.request.method", "value": {"stringValue": "GET"}},
            {"key": "url.path", "value": {"stringValue": path}},
            {"key": "request_id", "value": {"stringValue": "r1"}},
        ],
    })
}

#[test]
fn telemetry_shows_and_counts_what_was_exported_in_any_encoding() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let request = |trace| {
        traces_of(
            "gateway",
            vec![
                span(trace, 1, 0, 2, "/api/cart"),
                span(trace, 2, 1, 3, "/api/cart"),
            ],
        )
    };
    for (trace, encoding, gzipped) in [
        (1, JSON, false),
        (2, JSON, true),
        (3, PROTOBUF, false),
        (4, PROTOBUF, true),
    ] {
        let body = match encoding {
            JSON => request(trace).to_string().into_bytes(),
            _ => protobuf(request(trace)),
        };
        let (status, media_type, _) = telemetry.export("/v1/traces", encoding, body, gzipped);
        assert_eq!((status, media_type.as_str()), (200, encoding));
    }
    let callee = span(1, 3, 2, 2, "/api/cart");
    telemetry.exports("/v1/traces", &traces_of("carts", vec![callee]));
    let line = json!({"level": "error", "message": "it broke", "request_id": "r1"}).to_string();
    let record = json!({"timeUnixNano": earlier().to_string(), "traceId": format!("{:032x}", 1), "body": {"stringValue": line}});
    telemetry.exports("/v1/logs", &logs_of("carts", vec![record]));

    let traces = telemetry.shows("/api/ops/traces?request_id=r1");
    assert_eq!(traces["items"].as_array().unwrap().len(), 4);
    let trace = telemetry.shows(&format!("/api/ops/traces/{:032x}", 1));
    assert_eq!(
        (&trace["service"], &trace["items"][0]["duration_ms"]),
        (&json!("gateway"), &json!(20.0))
    );
    assert_eq!(trace["items"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&trace["logs"][0]["message"], &trace["logs"][0]["level"]),
        (&json!("it broke"), &json!("error"))
    );
    assert_eq!(
        telemetry.shows("/api/ops/logs?level=error&q=broke")["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let edges = telemetry.shows("/api/ops/metrics/edges");
    assert_eq!(
        (&edges["items"][0]["callee"], &edges["items"][0]["calls"]),
        (&json!("carts"), &json!(1))
    );

    let metrics = telemetry.scrape("");
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let count = r#"souk_request_duration_seconds_count{service="gateway",route="GET /api/cart"} 4"#;
    assert!(metrics.text.contains(count), "{}", metrics.text);
    let metrics = telemetry.scrape("application/openmetrics-text; version=1.0.0");
    assert!(
        metrics
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(metrics.text.contains(" # {trace_id=\"") && metrics.text.ends_with("# EOF\n"));
}

#[test]
fn telemetry_tells_exporters_what_it_does_not_take() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let mut bad = span(2, 1, 0, 2, "/");
    bad["traceId"] = json!("ab");
    let request = protobuf(traces_of("carts", vec![span(1, 1, 0, 2, "/"), bad]));
    let (status, _, answer) = telemetry.export("/v1/traces", PROTOBUF, request, false);
    let answer = ExportTraceServiceResponse::decode(&*answer).unwrap();
    assert_eq!(
        (status, answer.partial_success.unwrap().rejected_spans),
        (200, 1)
    );
    assert_eq!(
        telemetry
            .export("/v1/traces", "text/plain", vec![], false)
            .0,
        415
    );
    let (status, media_type, _) = telemetry.export("/v1/traces", PROTOBUF, vec![10, 200], false);
    assert_eq!((status, media_type.as_str()), (400, PROTOBUF));
}

/// A protobuf field with a length.
fn field(number: u8, inner: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(inner.len() as u64, &mut field);
    field.extend(inner);
    field
}

#[test]
fn telemetry_survives_whatever_is_posted() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    telemetry.exports(
        "/v1/traces",
        &traces_of("carts", vec![span(1, 1, 0, 2, "/")]),
    );
    let in_span = |inner: &[u8]| field(1, &field(2, &field(2, inner)));
    let deep = (0..40_000).fold(Vec::new(), |inner, _| field(5, &field(1, &inner)));
    let shallow = (0..20).fold(Vec::new(), |inner, _| field(5, &field(1, &inner)));
    let nested = |levels: usize| {
        let (open, close) = (
            r#"{"arrayValue":{"values":["#.repeat(levels),
            "]}}".repeat(levels),
        );
        let body = format!("{open}{close}");
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{body}}}]}}]}}]}}"#)
            .into_bytes()
    };
    let empty = |count: usize, inner: &str| {
        format!(r#"{{"resourceSpans":[{}{{}}]}}"#, inner.repeat(count)).into_bytes()
    };
    let text = "x".repeat(3_900_000);
    for (what, encoding, body, gzipped, expected) in [
        (
            "cut off",
            PROTOBUF,
            protobuf(traces_of("a", vec![span(2, 1, 0, 2, "/")]))[..60].to_vec(),
            false,
            400,
        ),
        (
            "millions of spans",
            PROTOBUF,
            field(1, &field(2, &field(2, &[]).repeat(2_000_000))),
            false,
            413,
        ),
        (
            "many spans",
            PROTOBUF,
            field(1, &field(2, &field(2, &[]).repeat(190_000))),
            false,
            200,
        ),
        (
            "many attributes",
            PROTOBUF,
            in_span(&field(9, &[]).repeat(190_000)),
            false,
            200,
        ),
        (
            "many attributes of an event",
            PROTOBUF,
            in_span(&field(11, &field(3, &[]).repeat(190_000))),
            false,
            200,
        ),
        (
            "millions of attributes of an event",
            PROTOBUF,
            in_span(&field(11, &field(3, &[]).repeat(2_000_000))),
            false,
            413,
        ),
        (
            "a gigantic name",
            PROTOBUF,
            in_span(&field(5, text.as_bytes())),
            false,
            200,
        ),
        (
            "a gigantic attribute",
            PROTOBUF,
            in_span(&field(9, &[field(1, text.as_bytes())].concat())),
            true,
            200,
        ),
        (
            "too deep",
            PROTOBUF,
            in_span(&field(9, &field(2, &deep))),
            false,
            400,
        ),
        (
            "deep",
            PROTOBUF,
            in_span(&field(9, &field(2, &shallow))),
            false,
            200,
        ),
        ("too deep in JSON", JSON, nested(1000), false, 400),
        ("deep in JSON", JSON, nested(25), false, 200),
        (
            "a million objects",
            JSON,
            empty(1_000_000, "{},"),
            false,
            413,
        ),
        ("many objects", JSON, empty(190_000, "{},"), false, 200),
        (
            "a million spans in JSON",
            JSON,
            empty(
                1,
                &format!(
                    r#"{{"scopeSpans":[{{"spans":[{}{{}}]}}]}},"#,
                    "{},".repeat(190_000)
                ),
            ),
            false,
            200,
        ),
        (
            "many numbers",
            JSON,
            format!(
                r#"{{"resourceSpans":[],"x":[{}1]}}"#,
                "1,".repeat(2_000_000)
            )
            .into_bytes(),
            false,
            200,
        ),
        ("a bomb", JSON, vec![b' '; 300 * 1024 * 1024], true, 413),
        ("too long", JSON, vec![b' '; BODY_LIMIT + 1], false, 413),
        ("no gzip", PROTOBUF, vec![], true, 200),
    ] {
        let path = if what.contains("deep in JSON") {
            "/v1/logs"
        } else {
            "/v1/traces"
        };
        let (status, _, answer) = telemetry.export(path, encoding, body, gzipped);
        assert_eq!(
            status,
            expected,
            "{what}: {}",
            String::from_utf8_lossy(&answer[..answer.len().min(300)])
        );
    }
    let traces = telemetry.shows("/api/ops/traces?service=carts");
    assert_eq!(traces["items"].as_array().unwrap().len(), 1);
    let output = telemetry.host.output();
    assert!(
        !output.contains("trap") && !output.contains("unreachable"),
        "{output}"
    );
}

#[test]
fn telemetry_survives_large_requests_that_come_together() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    let large = field(1, &field(2, &field(2, &[]).repeat(190_000)));
    let post = || {
        let request = client().post(format!("{}/v1/traces", telemetry.host.url));
        let request = request.header("content-type", PROTOBUF).body(large.clone());
        Reply::to(request)
    };
    for reply in at_once(40, post) {
        assert!(
            [200, 503].contains(&reply.status),
            "{} {}",
            reply.status,
            reply.text
        );
    }
    telemetry.exports(
        "/v1/traces",
        &traces_of("carts", vec![span(1, 1, 0, 2, "/")]),
    );
    let output = telemetry.host.output();
    assert!(
        !output.contains("trap") && !output.contains("unreachable"),
        "{output}"
    );
}

#[test]
fn telemetry_keeps_no_more_than_its_bound_and_the_newest() {
    souk_only!();
    const BOUND: u64 = 128 * 1024 * 1024;
    let telemetry = Service::alone("telemetry");
    // Each record is as long as a record may be, and no two are the same, so a request fills nearly four megabytes.
    let request = |round: usize| {
        let record = |number: usize| {
            let text = format!("{round} {number} ").repeat(400);
            json!({"timeUnixNano": earlier().to_string(), "body": {"stringValue": text}, "attributes": [
                {"key": "a", "value": {"stringValue": text}}, {"key": "b", "value": {"stringValue": text}}]})
        };
        logs_of("filler", (0..300).map(record).collect())
    };
    telemetry.exports(
        "/v1/traces",
        &traces_of("carts", vec![span(1, 1, 0, 2, "/")]),
    );
    for round in 0..80 {
        telemetry.exports("/v1/logs", &request(round));
    }
    telemetry.exports(
        "/v1/traces",
        &traces_of("carts", vec![span(2, 1, 0, 2, "/")]),
    );

    // The file does not shrink, and grows by what is written before the oldest goes; the write-ahead log comes beside.
    let on_disk = bytes_of(&telemetry.host.dir, "telemetry.db");
    assert!(
        (BOUND / 2..BOUND + 48 * 1024 * 1024).contains(&on_disk),
        "{on_disk} bytes"
    );
    let traces = telemetry.shows("/api/ops/traces");
    assert_eq!(
        traces["items"].as_array().unwrap().len(),
        1,
        "the first is gone: {traces}"
    );
    let newest = telemetry.shows("/api/ops/logs?limit=1");
    assert!(
        newest["items"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("79 299 ")
    );
}

/// How many bytes the files below a folder have whose name begins so.
fn bytes_of(dir: &Path, name: &str) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let bytes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => bytes_of(&entry.path(), name),
        false if entry.file_name().to_string_lossy().starts_with(name) => {
            entry.metadata().unwrap().len()
        }
        false => 0,
    });
    bytes.sum()
}

#[test]
fn telemetry_keeps_what_is_exported_on_libsql() {
    souk_only!();
    let sqld = libsql_server!();
    let telemetry = on_libsql("telemetry", &sqld.url());
    let calls = vec![span(1, 1, 0, 2, "/api/cart"), span(1, 2, 1, 3, "/api/cart")];
    telemetry.exports("/v1/traces", &traces_of("gateway", calls));
    telemetry.exports(
        "/v1/traces",
        &traces_of("carts", vec![span(1, 3, 2, 2, "/api/cart")]),
    );
    let traces = telemetry.shows("/api/ops/traces?service=carts&request_id=r1");
    assert_eq!(traces["items"][0]["spans"], 3, "{traces}");
    let edges = telemetry.shows("/api/ops/metrics/edges");
    assert_eq!(edges["items"][0]["callee"], "carts", "{edges}");
    let metrics = telemetry.scrape("").text;
    assert!(
        metrics.contains("souk_telemetry_database_bytes"),
        "{metrics}"
    );
}

#[test]
fn telemetry_keeps_nothing_of_itself() {
    souk_only!();
    let telemetry = Service::alone("telemetry");
    // What a host exports of an export, under the service's own name and under one for all components.
    let own = span(1, 1, 0, 2, "/metrics");
    telemetry.exports("/v1/traces", &traces_of("telemetry", vec![own]));
    let statement = span(2, 2, 1, 1, "");
    telemetry.exports(
        "/v1/traces",
        &traces_of("host", vec![span(2, 1, 0, 2, "/v1/traces"), statement]),
    );
    telemetry.exports(
        "/v1/logs",
        &logs_of(
            "telemetry",
            vec![json!({"body": {"stringValue": "of itself"}})],
        ),
    );
    telemetry.exports(
        "/v1/traces",
        &traces_of("host", vec![span(3, 1, 0, 2, "/api/home")]),
    );
    let traces = telemetry.shows("/api/ops/traces");
    assert_eq!(traces["items"].as_array().unwrap().len(), 1, "{traces}");
    assert_eq!(telemetry.shows("/api/ops/logs")["items"], json!([]));
    assert!(!telemetry.scrape("").text.contains("/v1/traces"));
}

#[test]
fn an_exporter_of_others_is_understood() {
    souk_only!();
    let Some(python) = std::env::var_os("SOUK_OTEL_PYTHON") else {
        return skipped("there is no Python with OpenTelemetry's SDK");
    };
    let telemetry = Service::alone("telemetry");
    let exporter = Command::new(python)
        .arg(repo().join("tests/tests/standalone/exporter.py"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &telemetry.host.url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&exporter.stderr);
    assert!(exporter.status.success(), "{said}");
    let trace = String::from_utf8(exporter.stdout).unwrap();
    let trace = telemetry.shows(&format!("/api/ops/traces/{}", trace.trim()));
    assert_eq!(trace["service"], "python", "{trace}");
    assert_eq!(trace["items"][0]["name"], "GET /orders");
    assert_eq!(trace["items"][0]["route"], "/orders");
    assert_eq!(trace["items"][1]["parent_id"], trace["items"][0]["span_id"]);
    assert_eq!(trace["logs"][0]["message"], "it is late", "{trace}");
    let points = telemetry.shows("/api/ops/metrics/points");
    assert_eq!(points["items"][0]["name"], "orders.placed", "{points}");
    assert_eq!(points["items"][0]["attributes"]["currency"], "EUR");
}
