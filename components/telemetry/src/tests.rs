//! The service as exporters and operators see it, on a real SQLite.
#![allow(clippy::unwrap_used)]

mod asking;
mod contracts;
mod exporting;
mod hostile;

use axum::body::{Body, Bytes, to_bytes};
use futures::executor::block_on;
use http::Request;
use serde_json::{Value, json};
use souk_chassis::background::now;
use souk_contracts::{Answer, Ask};

use crate::SERVICE;

/// What an exporter is answered: status, media type, body.
fn post(path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String, Bytes) {
    let request = Request::post(path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    block_on(async {
        let response = SERVICE
            .answer_to(Ok(None), request.body(Body::from(body)).unwrap())
            .await;
        let media_type = response.headers().get("content-type");
        let media_type = media_type.map_or("", |it| it.to_str().unwrap()).to_owned();
        let status = response.status().as_u16();
        (
            status,
            media_type,
            to_bytes(response.into_body(), usize::MAX).await.unwrap(),
        )
    })
}

/// Exports as JSON.
fn export(path: &str, body: &Value) -> Answer {
    Ask::of(&SERVICE).json(body.clone()).send("POST", path)
}

/// Exports spans of a service, all of which are taken.
fn spans(service: &str, spans: Vec<Value>) {
    let answer = export("/v1/traces", &traces_of(service, spans));
    assert_eq!(
        (answer.status, &answer.body),
        (200, &json!({})),
        "{}",
        answer.text
    );
}

fn resource(service: &str) -> Value {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]})
}

fn traces_of(service: &str, spans: Vec<Value>) -> Value {
    json!({"resourceSpans": [{"resource": resource(service), "scopeSpans": [{"spans": spans}]}]})
}

fn logs_of(service: &str, records: Vec<Value>) -> Value {
    json!({"resourceLogs": [{"resource": resource(service), "scopeLogs": [{"logRecords": records}]}]})
}

fn trace_id(number: u32) -> String {
    format!("{:032x}", number)
}

/// Nanoseconds since 1970 so many milliseconds from now, as OTLP has them in JSON.
fn at(ms: i64) -> String {
    ((now() + ms) * 1_000_000).to_string()
}

/// A span of some kind (1 internal, 2 server, 3 client) that began a second ago and took so long.
fn span(trace: u32, id: u8, parent: Option<u8>, kind: u8, took_ms: i64) -> Value {
    let start_ns = (now() - 1000) * 1_000_000;
    json!({
        "traceId": trace_id(trace), "spanId": format!("{id:016x}"), "parentSpanId": parent.map_or(String::new(), |it| format!("{it:016x}")),
        "name": "GET", "kind": kind, "startTimeUnixNano": start_ns.to_string(), "endTimeUnixNano": (start_ns + took_ms * 1_000_000).to_string(),
        "attributes": [
            {"key": "http.route", "value": {"stringValue": "/api/things/{id}"}},
            {"key": "http.request.method", "value": {"stringValue": "GET"}},
            {"key": "request_id", "value": {"stringValue": format!("r{trace}")}},
            {"key": "tries", "value": {"intValue": "3"}},
            {"key": "cached", "value": {"boolValue": true}},
        ],
    })
}

/// Exports a trace of one request.
pub fn keep_a_request(trace: u32) {
    spans("carts", vec![span(trace, 1, None, 2, 20)]);
}

fn failed(mut span: Value) -> Value {
    span["status"] = json!({"code": 2, "message": "no luck"});
    span
}

/// What an administrator gets.
fn get(path: &str) -> Value {
    let answer = Ask::of(&SERVICE).admin().send("GET", path);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

/// The ids of the traces that are found, as numbers.
fn found(query: &str) -> Vec<u32> {
    let page = get(&format!("/api/ops/traces?{query}"));
    let id = |item: &Value| u32::from_str_radix(item["trace_id"].as_str().unwrap(), 16).unwrap();
    page["items"].as_array().unwrap().iter().map(id).collect()
}
