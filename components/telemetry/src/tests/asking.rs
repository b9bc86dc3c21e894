//! What operators find.

use super::*;
use crate::domain::rfc3339;
use crate::store::tests::run;

#[test]
fn traces_are_found_by_what_their_spans_are() {
    spans("carts", vec![span(1, 1, None, 2, 20)]);
    spans(
        "orders",
        vec![failed(span(2, 1, None, 2, 300)), span(2, 2, Some(1), 1, 5)],
    );
    spans("carts", vec![span(2, 3, Some(2), 2, 5)]);

    let mut carts = found("service=carts");
    carts.sort_unstable();
    assert_eq!(carts, [1, 2]);
    assert_eq!(found("service=orders"), [2]);
    assert_eq!(found("status=error"), [2]);
    assert_eq!(found("status=ok"), [1]);
    assert_eq!(
        found("service=carts&status=error"),
        [0; 0],
        "the span of carts is well"
    );
    assert_eq!(found("min_ms=100"), [2]);
    assert_eq!(found("max_ms=100"), [1]);
    assert_eq!(found("service=carts&max_ms=10"), [2]);
    assert_eq!(found("service=orders&kind=internal"), [2]);
    assert_eq!(found("service=carts&kind=internal"), [0; 0]);
    assert_eq!(found("caller=orders"), [2]);
    assert_eq!(found("service=carts&caller=orders&status=ok"), [2]);
    assert_eq!(found("caller=carts"), [0; 0]);
    assert_eq!(found("request_id=r2"), [2]);
    assert_eq!(found("request_id=r3"), [0; 0]);
    assert_eq!(
        found("service=carts&route=GET%20/api/things/%7Bid%7D").len(),
        2
    );
    assert_eq!(found("attribute=tries%3D3").len(), 2);
    assert_eq!(found("attribute=cached%3Dtrue").len(), 2);
    assert_eq!(found("attribute=cached%3D1"), [0; 0]);
    assert_eq!(found("from=2100-01-01T00:00:00Z"), [0; 0]);
    assert_eq!(found("to=2100-01-01T00:00:00Z").len(), 2);
}

#[test]
fn a_span_is_found_by_its_own_time_however_long_ago_its_trace_began() {
    let ago = |mut span: Value, seconds: i64| {
        span["startTimeUnixNano"] = json!(at(-1000 * seconds));
        span["endTimeUnixNano"] = json!(at(-1000 * seconds + 5));
        span
    };
    spans("orders", vec![ago(span(1, 1, None, 2, 5), 600)]);
    spans("events", vec![ago(span(1, 2, Some(1), 3, 5), 30)]);
    spans("carts", vec![ago(span(1, 3, Some(2), 2, 5), 30)]);
    let since = |seconds: i64| rfc3339((now() - 1000 * seconds) * 1_000_000);
    assert_eq!(found(&format!("service=carts&from={}", since(60))), [1]);
    assert_eq!(found(&format!("caller=events&from={}", since(60))), [1]);
    assert_eq!(found(&format!("service=orders&from={}", since(60))), [0; 0]);
    assert_eq!(found(&format!("service=carts&to={}", since(60))), [0; 0]);
    assert_eq!(found(&format!("from={}", since(60))), [0; 0]);
    assert_eq!(found(&format!("from={}", since(700))), [1]);
}

#[test]
fn a_request_whose_spans_do_not_say_its_id_is_found_by_its_logs() {
    let mut unnamed = span(1, 1, None, 2, 20);
    unnamed["attributes"] = json!([]);
    spans("carts", vec![unnamed]);
    let mut record = log("slow", 13);
    record["traceId"] = json!(trace_id(1));
    export("/v1/logs", &logs_of("carts", vec![record]));
    assert_eq!(found("request_id=r1"), [1]);
}

#[test]
fn a_list_of_traces_is_read_page_by_page() {
    for number in 1..=5 {
        let mut earlier = span(number, 1, None, 2, 20);
        earlier["startTimeUnixNano"] = json!(at(-10_000 * i64::from(number)));
        spans("carts", vec![earlier]);
    }
    let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        seen.extend(found(&query));
        match get(&format!("/api/ops/traces?{query}"))["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5], "newest first");
}

#[test]
fn a_trace_has_its_spans_and_logs_and_the_name_of_its_root() {
    // The root comes last, as the one that ends last.
    spans("carts", vec![span(7, 2, Some(1), 2, 5)]);
    spans("gateway", vec![failed(span(7, 1, None, 2, 30))]);
    let record = json!({"timeUnixNano": at(0), "traceId": trace_id(7), "spanId": format!("{:016x}", 2), "severityNumber": 17,
        "body": {"stringValue": "it broke"}});
    export("/v1/logs", &logs_of("carts", vec![record]));

    let trace = get(&format!("/api/ops/traces/{}", trace_id(7)));
    assert_eq!(
        (&trace["service"], &trace["spans"], &trace["errors"]),
        (&json!("gateway"), &json!(2), &json!(1))
    );
    assert_eq!(trace["services"].as_array().unwrap().len(), 2);
    assert_eq!(trace["truncated"], false);
    let items = trace["items"].as_array().unwrap();
    let root = items.iter().find(|it| it["parent_id"].is_null()).unwrap();
    assert_eq!(
        (&root["status"], &root["message"], &root["kind"]),
        (&json!("error"), &json!("no luck"), &json!("server"))
    );
    assert_eq!(root["attributes"]["tries"], 3);
    assert_eq!(
        (&trace["logs"][0]["message"], &trace["logs"][0]["level"]),
        (&json!("it broke"), &json!("error"))
    );

    let missing = Ask::of(&SERVICE)
        .admin()
        .send("GET", "/api/ops/traces/none");
    assert_eq!(missing.status, 404);
}

fn log(message: &str, severity: u8) -> Value {
    json!({"timeUnixNano": at(0), "severityNumber": severity, "body": {"stringValue": message},
        "attributes": [{"key": "request_id", "value": {"stringValue": "r1"}}]})
}

fn messages(query: &str) -> Vec<String> {
    let logs = get(&format!("/api/ops/logs?{query}"));
    let message = |item: &Value| item["message"].as_str().unwrap().to_owned();
    logs["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(message)
        .collect()
}

#[test]
fn logs_are_found_by_who_how_and_what() {
    export(
        "/v1/logs",
        &logs_of("carts", vec![log("one Thing", 9), log("two", 13)]),
    );
    export("/v1/logs", &logs_of("orders", vec![log("three", 17)]));
    assert_eq!(messages(""), ["three", "two", "one Thing"]);
    assert_eq!(messages("service=carts"), ["two", "one Thing"]);
    assert_eq!(messages("level=warn"), ["three", "two"]);
    assert_eq!(messages("q=thing"), ["one Thing"]);
    assert_eq!(messages("request_id=r1").len(), 3);
    assert_eq!(messages("trace_id=none"), [""; 0]);
    assert_eq!(messages("attribute=request_id%3Dr1&level=error"), ["three"]);
    assert_eq!(messages("attribute=request_id%3Dr"), [""; 0]);
    assert_eq!(messages("to=2000-01-01T00:00:00Z"), [""; 0]);
    let page = get("/api/ops/logs?limit=2");
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(messages(&format!("limit=2&cursor={cursor}")), ["one Thing"]);
}

#[test]
fn who_follows_the_log_misses_nothing() {
    export("/v1/logs", &logs_of("carts", vec![log("before", 9)]));
    let newest = |logs: &Value| logs["newest"].as_str().unwrap().to_owned();
    let mut after = newest(&get("/api/ops/logs"));
    assert_eq!(messages(&format!("after={after}")), [""; 0]);
    export(
        "/v1/logs",
        &logs_of(
            "carts",
            (0..5).map(|number| log(&format!("m{number}"), 9)).collect(),
        ),
    );
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(messages(&format!("limit=2&after={after}")));
        after = newest(&get(&format!("/api/ops/logs?limit=2&after={after}")));
    }
    assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4"]);
}

#[test]
fn requests_are_counted_by_service_route_and_minute() {
    spans(
        "carts",
        vec![
            span(1, 1, None, 2, 7),
            failed(span(2, 1, None, 2, 700)),
            span(3, 1, None, 1, 9),
        ],
    );
    // A minute may end between the two.
    let calls = |measures: &Value| {
        let items = measures["items"].as_array().unwrap().iter();
        items.map(|it| it["calls"].as_i64().unwrap()).sum::<i64>()
    };
    let measures = get("/api/ops/metrics?service=carts");
    assert_eq!(calls(&measures), 2, "what is done inside is no request");
    let item = &get("/api/ops/metrics?by=route&step=60")["items"][0];
    assert_eq!(
        (&item["route"], &item["service"]),
        (&json!("GET /api/things/{id}"), &json!("carts"))
    );
    assert_eq!(
        item["buckets"].as_array().unwrap().len(),
        measures["bounds_ms"].as_array().unwrap().len() + 1
    );
    let long_ago = get("/api/ops/metrics?from=2020-01-01T00:00:00Z");
    assert_eq!(calls(&long_ago), 2);
}

#[test]
fn a_call_of_another_service_is_an_edge_whichever_span_comes_first() {
    let caller = |trace| span(trace, 1, None, 3, 30);
    let callee = |trace| failed(span(trace, 2, Some(1), 2, 20));
    spans("gateway", vec![caller(1)]);
    spans("carts", vec![callee(1)]);
    spans("carts", vec![callee(2)]);
    spans("gateway", vec![caller(2)]);
    // What a service does within itself is no call of another.
    spans("gateway", vec![caller(3), callee(3)]);
    let mut together = traces_of("gateway", vec![caller(4)]);
    let called = traces_of("carts", vec![callee(4)])["resourceSpans"][0].clone();
    together["resourceSpans"]
        .as_array_mut()
        .unwrap()
        .push(called);
    assert_eq!(export("/v1/traces", &together).status, 200);
    let edges = get("/api/ops/metrics/edges");
    assert_eq!(edges["items"].as_array().unwrap().len(), 1, "{edges}");
    let edge = &edges["items"][0];
    assert_eq!(
        (&edge["caller"], &edge["callee"]),
        (&json!("gateway"), &json!("carts"))
    );
    assert_eq!(
        (&edge["calls"], &edge["errors"], &edge["mean_ms"]),
        (&json!(3), &json!(3), &json!(20.0))
    );
}

#[test]
fn operators_alone_may_ask() {
    for path in [
        "/api/ops/traces",
        "/api/ops/traces/1",
        "/api/ops/logs",
        "/api/ops/metrics",
        "/api/ops/metrics/edges",
        "/api/ops/metrics/points",
    ] {
        assert_eq!(Ask::of(&SERVICE).send("GET", path).status, 401, "{path}");
        assert_eq!(
            Ask::of(&SERVICE).user("u1").send("GET", path).status,
            403,
            "{path}"
        );
    }
}

#[test]
fn a_trace_that_goes_takes_its_spans_along() {
    spans(
        "carts",
        vec![span(1, 1, None, 2, 20), span(1, 2, Some(1), 1, 5)],
    );
    run("DELETE FROM traces");
    assert_eq!(run("SELECT count(*) FROM spans"), 0);
}
