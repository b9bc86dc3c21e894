//! Traces.

use axum::response::Response;
use http::Uri;
use souk_chassis::Path;

use super::{answer, asked};
use crate::clients::console as api;
use crate::session::Operator;

const KNOWN: [&str; 11] = [
    "service",
    "caller",
    "kind",
    "route",
    "request_id",
    "status",
    "min_ms",
    "max_ms",
    "attribute",
    "from",
    "cursor",
];

/// `GET /console/traces`
pub async fn list(Operator(visitor): Operator, uri: Uri) -> Response {
    let asked = asked(&uri, &KNOWN);
    let traces = api::traces(&visitor, &asked);
    answer(&visitor, &uri, traces, |console, list| {
        console.traces(&list, &asked)
    })
    .await
}

/// `GET /console/traces/{id}`
pub async fn show(Operator(visitor): Operator, Path(id): Path<String>, uri: Uri) -> Response {
    let trace = api::trace(&visitor, &id);
    answer(&visitor, &uri, trace, |console, trace| {
        console.trace(&trace)
    })
    .await
}
