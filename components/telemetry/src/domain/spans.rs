//! Spans, as they are kept.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, span};
use serde::Serialize;
use serde_json::{Map, Value};

use super::latency::bucket_of;
use super::values::{self, Budget};
use super::{Batch, NS_PER_MS, RECEIVER_PATHS, Refusal, SELF, hex_id, rfc3339, within_keeping};

/// How many events and links of a span are kept.
const MOST_EVENTS: usize = 64;

/// A request is counted in the minute it ended in, if that is not longer ago than this; else it would be missed in a minute that has
/// been looked at already.
const LATE_MS: i64 = 5 * 60 * 1000;

/// A span, as the store takes it.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    trace_id: String,
    span_id: String,
    parent_id: Option<String>,
    service: String,
    name: String,
    kind: &'static str,
    route: Option<String>,
    request_id: Option<String>,
    start_ns: i64,
    duration_ns: i64,
    failed: bool,
    message: Option<String>,
    minute: i64,
    bucket: usize,
    attributes: Map<String, Value>,
    events: Vec<Event>,
    links: Vec<Link>,
}

/// Something that happened during a span.
#[derive(Debug, PartialEq, Serialize)]
struct Event {
    at: String,
    name: String,
    attributes: Map<String, Value>,
}

/// Another span that a span has to do with.
#[derive(Debug, PartialEq, Serialize)]
struct Link {
    trace_id: String,
    span_id: String,
}

/// The spans of a request that are kept, as of now (milliseconds since 1970).
pub fn spans(request: ExportTraceServiceRequest, now_ms: i64) -> Batch {
    let ours = about_us(&request);
    let mut batch = Batch::new();
    for ResourceSpans {
        resource,
        scope_spans,
        ..
    } in request.resource_spans
    {
        let service = service_of(resource.as_ref());
        for span in scope_spans.into_iter().flat_map(|scope| scope.spans) {
            if !ours.contains(&span.trace_id) {
                keep(&mut batch, &service, span, now_ms);
            }
        }
    }
    batch
}

fn keep(batch: &mut Batch, service: &str, span: Span, now_ms: i64) {
    let row = row(service, span, now_ms);
    if !row.as_ref().is_ok_and(|row| row.service == SELF) {
        batch.add(row);
    }
}

/// The traces that are of our own doing: somebody exports something to us. All of them is left out, also what other services, such
/// as the host beneath us, did for it.
fn about_us(request: &ExportTraceServiceRequest) -> HashSet<Vec<u8>> {
    let scopes = request.resource_spans.iter().flat_map(|it| &it.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    let ours = spans.filter(|span| span.attributes.iter().any(is_path_of_receiver));
    ours.map(|span| span.trace_id.clone()).collect()
}

fn is_path_of_receiver(attribute: &KeyValue) -> bool {
    let is_path =
        ["url.path", "url.full", "http.target", "http.url"].contains(&attribute.key.as_str());
    let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
    match value {
        Some(StringValue(text)) if is_path => {
            let path = text.split(['?', '#']).next().unwrap_or_default();
            RECEIVER_PATHS.iter().any(|known| path.ends_with(known))
        }
        _ => false,
    }
}

/// What a resource says its service is called. A host that runs many components under one name says which it is; ours does.
pub fn service_of(resource: Option<&Resource>) -> String {
    let service = said(resource, "component_id").or_else(|| said(resource, "service.name"));
    // What the specification says a service without a name is called.
    service.unwrap_or_else(|| "unknown_service".into())
}

/// What a resource says of itself under a name.
pub fn said(resource: Option<&Resource>, name: &str) -> Option<String> {
    let mut attributes = resource.into_iter().flat_map(|it| &it.attributes);
    let named = attributes.find(|attribute| attribute.key == name)?;
    match named.value.as_ref()?.value.as_ref()? {
        StringValue(text) if !text.is_empty() => Some(values::name(text)),
        _ => None,
    }
}

fn row(service: &str, span: Span, now_ms: i64) -> Result<Row, Refusal> {
    let trace_id =
        hex_id(&span.trace_id, 16).ok_or(Refusal("a trace id is 16 bytes, not all zero"))?;
    let span_id = hex_id(&span.span_id, 8).ok_or(Refusal("a span id is 8 bytes, not all zero"))?;
    let start_ns = within_keeping(span.start_time_unix_nano, now_ms)
        .ok_or(Refusal("it began at a time that is not kept"))?;
    let end_ns = within_keeping(span.end_time_unix_nano, now_ms).unwrap_or(start_ns);
    let duration_ns = (end_ns - start_ns).max(0);
    let mut budget = Budget::new();
    let name = values::name(&span.name);
    let attributes = budget.attributes(span.attributes);
    // Spin says it of its spans alone.
    let service =
        values::text(&attributes, &["component_id"]).map_or(service.to_owned(), values::name);
    let kind = kind(span.kind);
    let status = span.status.unwrap_or_default();
    Ok(Row {
        parent_id: hex_id(&span.parent_span_id, 8).filter(|parent| *parent != span_id),
        trace_id,
        span_id,
        route: matches!(kind, "server" | "consumer").then(|| route(&name, &attributes)),
        request_id: request_id(&attributes),
        service,
        name,
        kind,
        start_ns,
        duration_ns,
        failed: status.code == 2,
        message: budget
            .text(&status.message)
            .filter(|message| !message.is_empty()),
        minute: (end_ns / NS_PER_MS).clamp(now_ms - LATE_MS, now_ms) / 60_000,
        bucket: bucket_of(duration_ns),
        events: events(span.events, &mut budget),
        links: links(span.links),
        attributes,
    })
}

/// The id of the request that something was done for, where an attribute says it.
pub fn request_id(attributes: &Map<String, Value>) -> Option<String> {
    let id = values::text(
        attributes,
        &[
            "request_id",
            "request.id",
            "http.request.header.x-request-id",
        ],
    );
    id.map(values::name)
}

/// What kinds of spans there are, in the order of their numbers in OTLP, from 1 on.
pub const KINDS: &[&str] = &["internal", "server", "client", "producer", "consumer"];

fn kind(number: i32) -> &'static str {
    let mut kinds = (1..).zip(KINDS);
    let known = kinds.find(|(it, _)| *it == number);
    known.map_or("internal", |(_, kind)| kind)
}

/// What requests are counted under: method and route. Where no route is said it is the path or the name without ids, so that there are
/// not as many routes as there are things; and what is not found has none, or whoever tries paths would make routes.
fn route(name: &str, attributes: &Map<String, Value>) -> String {
    let is_missing = attributes.get("http.response.status_code") == Some(&404.into());
    let said = values::text(attributes, &["http.route"]).filter(|route| is_whole(route));
    let path = || values::text(attributes, &["url.path", "http.target"]).map(without_ids);
    let path = match said {
        Some(route) => Some(route.to_owned()),
        None if is_missing => Some("not found".into()),
        None => path(),
    };
    let method = values::text(attributes, &["http.request.method", "http.method"]);
    let route = match (method, path) {
        (Some(method), Some(path)) => format!("{method} {path}"),
        (None, Some(path)) => path,
        (_, None) => without_ids(name),
    };
    values::name(&route)
}

/// Whether a route says all of the path. The ones that lead to a component (`/api/...`) say only how it begins.
fn is_whole(route: &str) -> bool {
    route.starts_with('/') && !route.contains("...")
}

fn without_ids(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts = path
        .split('/')
        .map(|part| if is_id(part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// A number, a UUID, or anything else with at least two digits and nothing but hexadecimal ones and dashes.
fn is_id(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let all = part.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-');
    all && (digits >= 2 || digits == part.len()) && digits > 0
}

fn events(events: Vec<span::Event>, budget: &mut Budget) -> Vec<Event> {
    let rows = events.into_iter().take(MOST_EVENTS).map_while(|event| {
        let name = values::name(&event.name);
        budget.spend(name.len())?;
        Some(Event {
            at: rfc3339(event.time_unix_nano.try_into().unwrap_or(0)),
            name,
            attributes: budget.attributes(event.attributes),
        })
    });
    rows.collect()
}

fn links(links: Vec<span::Link>) -> Vec<Link> {
    let link = |link: span::Link| {
        Some(Link {
            trace_id: hex_id(&link.trace_id, 16)?,
            span_id: hex_id(&link.span_id, 8)?,
        })
    };
    links
        .into_iter()
        .filter_map(link)
        .take(MOST_EVENTS)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::values::tests::pair;
    use super::*;
    use opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Status};

    const NOW: i64 = 1_800_000_000_000;

    fn text(key: &str, value: &str) -> KeyValue {
        pair(key, StringValue(value.into()))
    }

    /// A server's span that ended just now, after 20 ms.
    fn span(trace: u8, path: &str) -> Span {
        let end = u64::try_from(NOW).unwrap() * 1_000_000;
        Span {
            trace_id: vec![trace; 16],
            span_id: vec![7; 8],
            name: "GET".into(),
            kind: 2,
            start_time_unix_nano: end - 20_000_000,
            end_time_unix_nano: end,
            attributes: vec![text("http.request.method", "GET"), text("url.path", path)],
            ..Span::default()
        }
    }

    fn export(service: &str, spans: Vec<Span>) -> Vec<Value> {
        let resource = Resource {
            attributes: vec![text("service.name", service)],
            ..Resource::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        serde_json::from_str(&super::spans(request, NOW).into_json()).unwrap()
    }

    #[test]
    fn a_request_is_measured_by_its_route() {
        let rows = export("products", vec![span(1, "/api/products/42?x=y")]);
        let row = &rows[0];
        assert_eq!(row["route"], "GET /api/products/{id}");
        assert_eq!(
            (&row["duration_ns"], &row["bucket"]),
            (&20_000_000.into(), &4.into())
        );
        assert_eq!(
            (&row["service"], &row["failed"]),
            (&"products".into(), &false.into())
        );
        assert_eq!(row["minute"], NOW / 60_000);
    }

    #[test]
    fn a_route_is_what_is_said_and_whole() {
        let route = |path: &str, more: Vec<KeyValue>| {
            let mut span = span(1, path);
            span.attributes.extend(more);
            export("a", vec![span])[0]["route"].clone()
        };
        let missing = || pair("http.response.status_code", IntValue(404));
        assert_eq!(
            route("/a/b", vec![text("http.route", "/a/{x}")]),
            "GET /a/{x}"
        );
        assert_eq!(
            route("/a/b", vec![text("http.route", "/a/...")]),
            "GET /a/b"
        );
        assert_eq!(route("/wp-admin", vec![missing()]), "GET not found");
        assert_eq!(
            route("/a/b", vec![missing(), text("http.route", "/a/{x}")]),
            "GET /a/{x}"
        );
    }

    #[test]
    fn what_is_done_inside_has_no_route() {
        let inside = Span {
            kind: 1,
            ..span(1, "/x")
        };
        assert_eq!(export("a", vec![inside])[0]["route"], Value::Null);
    }

    #[test]
    fn ids_are_no_part_of_a_route() {
        for (path, route) in [
            (
                "/api/cart/items/018f0000-0000-7000-8000-000000000001",
                "/api/cart/items/{id}",
            ),
            ("/v2/things/7", "/v2/things/{id}"),
            ("/feed/cafe", "/feed/cafe"),
            ("/", "/"),
        ] {
            assert_eq!(without_ids(path), route);
        }
    }

    #[test]
    fn a_span_with_times_that_make_no_sense_is_refused_or_has_no_duration() {
        let backwards = Span {
            end_time_unix_nano: 1,
            ..span(1, "/")
        };
        assert_eq!(export("a", vec![backwards])[0]["duration_ns"], 0);
        let ancient = Span {
            start_time_unix_nano: 1,
            ..span(1, "/")
        };
        let future = Span {
            start_time_unix_nano: u64::MAX,
            end_time_unix_nano: u64::MAX,
            ..span(1, "/")
        };
        assert!(export("a", vec![ancient, future]).is_empty());
    }

    #[test]
    fn the_request_id_and_the_failure_are_found() {
        let mut failed = span(1, "/");
        failed.attributes.push(text("request_id", "r-1"));
        failed.status = Some(Status {
            message: "no".into(),
            code: 2,
        });
        let row = &export("a", vec![failed])[0];
        assert_eq!(
            (&row["request_id"], &row["failed"], &row["message"]),
            (&"r-1".into(), &true.into(), &"no".into())
        );
    }

    #[test]
    fn a_component_of_a_host_is_a_service_of_its_own() {
        let mut inner = span(1, "/");
        inner.attributes.push(text("component_id", "carts"));
        assert_eq!(export("spin", vec![inner])[0]["service"], "carts");
    }

    #[test]
    fn nothing_is_kept_of_what_it_takes_to_keep_something() {
        assert!(export(SELF, vec![span(1, "/metrics")]).is_empty());
        let mut own = span(1, "/metrics");
        own.attributes.push(text("component_id", SELF));
        assert!(export("spin", vec![own]).is_empty());

        for path in [
            "/v1/traces",
            "/v1/logs",
            "http://127.0.0.1:3000/v1/metrics?x",
        ] {
            // The exporter's request, and what the host does for it that does not say so.
            let mut statement = span(1, "");
            statement.attributes.clear();
            statement.span_id = vec![8; 8];
            let kept = export("spin", vec![statement, span(1, path), span(2, "/api/home")]);
            assert_eq!(kept.len(), 1, "{path}");
            assert_eq!(kept[0]["route"], "GET /api/home");
        }
    }
}
