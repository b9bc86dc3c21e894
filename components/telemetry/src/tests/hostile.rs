//! Whatever is posted, it is taken, cut or refused, and the service goes on.

use super::exporting::{gzip, protobuf};
use super::*;
use crate::otlp::{BODY_LIMIT, MOST_FIELDS};
use proptest::prelude::*;

const PATHS: [&str; 3] = ["/v1/traces", "/v1/logs", "/v1/metrics"];

fn statuses(encoding: &str, body: &[u8]) -> Vec<u16> {
    let post = |path: &&str| post(path, &[("content-type", encoding)], body.to_vec()).0;
    PATHS.iter().map(post).collect()
}

const PROTOBUF: &str = "application/x-protobuf";

const JSON: &str = "application/json";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for encoding in [PROTOBUF, JSON] {
            for status in statuses(encoding, &body) {
                prop_assert!([200, 400].contains(&status), "{status}");
            }
        }
        let zipped = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
        prop_assert!([200, 400].contains(&post("/v1/traces", &zipped, gzip(&body)).0));
    }

    /// A real request with some bytes changed or the end cut off.
    #[test]
    fn a_damaged_request_is_answered(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
    ) {
        let request = traces_of("carts", vec![failed(span(1, 1, None, 2, 20)), span(1, 2, Some(1), 3, 5)]);
        for (encoding, mut body) in [(PROTOBUF, protobuf(request.clone())), (JSON, request.to_string().into_bytes())] {
            for (index, byte) in &changes {
                let index = index.index(body.len());
                body[index] = *byte;
            }
            body.truncate(length.index(body.len() * 4).max(1));
            for status in statuses(encoding, &body) {
                prop_assert!([200, 400].contains(&status), "{status}");
            }
        }
    }

    #[test]
    fn any_times_and_texts_are_kept_or_refused(
        start in any::<u64>(), end in any::<u64>(), text in any::<String>(), number in any::<i64>(), code in any::<i32>(),
    ) {
        let mut span = span(1, 1, None, 2, 20);
        span["startTimeUnixNano"] = json!(start.to_string());
        span["endTimeUnixNano"] = json!(end.to_string());
        span["name"] = json!(text);
        span["kind"] = json!(code);
        span["attributes"] = json!([{"key": text, "value": {"intValue": number}}, {"key": "http.route", "value": {"stringValue": text}}]);
        prop_assert_eq!(export("/v1/traces", &traces_of(&text, vec![span])).status, 200);
        let record = json!({"timeUnixNano": start, "severityNumber": code, "severityText": text, "body": {"stringValue": text}});
        prop_assert_eq!(export("/v1/logs", &logs_of(&text, vec![record])).status, 200);
    }
}

/// A protobuf field with a length.
fn field(number: u8, inner: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(inner.len() as u64, &mut field);
    field.extend(inner);
    field
}

#[test]
fn what_is_too_large_is_refused() {
    let large = vec![b' '; BODY_LIMIT + 1];
    assert_eq!(statuses(JSON, &large), [413; 3]);
    let bomb = gzip(&large);
    assert!(bomb.len() < 100_000);
    let zipped = [("content-type", JSON), ("content-encoding", "gzip")];
    assert_eq!(post("/v1/traces", &zipped, bomb).0, 413);
}

#[test]
fn too_many_messages_are_refused_before_they_are_decoded() {
    let empty_spans = field(2, &[]).repeat(MOST_FIELDS + 1);
    let request = field(1, &field(2, &empty_spans));
    assert!(request.len() < BODY_LIMIT);
    assert_eq!(statuses(PROTOBUF, &request), [413; 3]);
    let json = format!(
        r#"{{"resourceSpans": [{}{{}}]}}"#,
        "{},".repeat(MOST_FIELDS)
    );
    assert_eq!(statuses(JSON, json.as_bytes())[0], 413);
}

#[test]
fn more_than_a_request_may_have_is_left_out() {
    let empty_spans = field(2, &[]).repeat(100_000);
    let (status, _, answer) = post(
        "/v1/traces",
        &[("content-type", PROTOBUF)],
        field(1, &field(2, &empty_spans)),
    );
    assert_eq!(status, 200);
    assert!(!answer.is_empty(), "all of them are refused for their ids");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = (0..3000).fold(Vec::new(), |inner, _| field(5, &field(1, &inner)));
    let body = field(1, &field(2, &field(2, &field(5, &deep))));
    assert_eq!(statuses(PROTOBUF, &body)[1], 400);
    let open = r#"{"arrayValue":{"values":["#.repeat(1000);
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{open}"#);
    assert_eq!(statuses(JSON, json.as_bytes())[1], 400);
}

#[test]
fn a_gigantic_attribute_is_cut() {
    let mut large = span(1, 1, None, 2, 20);
    large["attributes"] =
        json!([{"key": "x".repeat(100_000), "value": {"stringValue": "y".repeat(3_000_000)}}]);
    spans("carts", vec![large]);
    let trace = get(&format!("/api/ops/traces/{}", trace_id(1)));
    assert!(trace.to_string().len() < 10_000);
}
