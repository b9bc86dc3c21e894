//! Spans of HTTP requests, by OpenTelemetry's semantic conventions.

use super::context;
use super::trace::{Scope, Sending, Span, Tracing};
use crate::router::Match;
use http::{HeaderMap, HeaderName, Method, Request, Response, header};
use opentelemetry::trace::SpanKind;
use std::sync::Arc;

/// What is said of a request that asks to be traced, for who samples traces afterwards.
const ASKED: &str = "souk.trace.asked";
/// What a service calls a request, in its answer too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What exporters say they are begins so, by the standard.
const EXPORTERS: &str = "OTel-OTLP-Exporter-";

/// The span of a request that a component answers, which is told of it.
pub fn server<B>(
    tracing: &Arc<Tracing>,
    component: &'static str,
    route: &Match,
    caller: Option<&Scope>,
    request: &mut Request<B>,
) -> Span {
    let method = known(request.method());
    let name = [method, " ", &*route.target.route];
    let mut span = match caller {
        Some(caller) => caller.of(component).span(SpanKind::Server, &name),
        None if brings_telemetry(request) => Scope::default().span(SpanKind::Server, &name),
        None => {
            let asked = context::asks(request.headers());
            let place = tracing.arrive(component, request.headers(), asked);
            let mut span = place.root(SpanKind::Server, &name);
            if asked {
                span.set(ASKED, true);
            }
            span
        }
    };
    if span.is_traced() {
        span.awaits_answer(true);
        span.set("http.request.method", method);
        span.set("http.route", &*route.target.route);
        span.set("url.path", request.uri().path());
        span.set("url.scheme", "http");
        address(&mut span, request);
        if let Some(agent) = text(request.headers(), &header::USER_AGENT) {
            span.set("user_agent.original", agent);
        }
    }
    if let Some(context) = span.context() {
        context.write(request.headers_mut());
    }
    span
}

/// Notes how such a request was answered.
pub fn answered<B>(span: &mut Span, response: &Response<B>) {
    if !span.is_traced() {
        return;
    }
    span.awaits_answer(false);
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if let Some(id) = text(response.headers(), &REQUEST_ID) {
        span.set("request_id", id);
    }
    if status.is_server_error() {
        span.set("error.type", status.as_str());
        span.fail(|| status.to_string());
    }
}

/// The span of a request that a component sends, which then says so to whom it is sent.
pub fn client<B>(sending: &Sending, request: &mut Request<B>, chained: Option<&str>) -> Span {
    let method = known(request.method());
    let mut span = sending.span(&[method]);
    if span.is_traced() {
        span.awaits_answer(true);
        span.set("http.request.method", method);
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // Without what may be a secret: the user and the query.
        let server = authority.rsplit('@').next().unwrap_or_default();
        span.set_joined("url.full", &[scheme, "://", server, uri.path()]);
        address(&mut span, request);
        if let Some(component) = chained {
            span.set("peer.service", component);
        }
    }
    // Within the process whoever takes it writes it.
    if chained.is_none()
        && let Some(context) = span.context()
    {
        context.write(request.headers_mut());
    }
    span
}

/// A method that anybody may make up is none to count by.
pub fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("_OTHER")
}

fn address<B>(span: &mut Span, request: &Request<B>) {
    let uri = request.uri();
    span.set("server.address", uri.host().unwrap_or_default());
    if let Some(port) = uri.port_u16() {
        span.set("server.port", i64::from(port));
    }
}

fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a request is an exporter's: to trace it would make telemetry of telemetry, without end.
fn brings_telemetry<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let takes_telemetry = ["/v1/traces", "/v1/logs", "/v1/metrics"]
        .iter()
        .any(|end| path.ends_with(end));
    let is_exporter = || {
        let agent = text(request.headers(), &header::USER_AGENT);
        agent.is_some_and(|agent| agent.starts_with(EXPORTERS))
    };
    takes_telemetry && is_exporter() && !context::asks(request.headers())
}
