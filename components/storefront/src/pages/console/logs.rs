//! The log.

use axum::response::Response;
use http::Uri;

use super::{answer, asked};
use crate::clients::console as api;
use crate::session::Operator;

const KNOWN: [&str; 9] = [
    "q",
    "service",
    "level",
    "request_id",
    "trace_id",
    "attribute",
    "from",
    "follow",
    "cursor",
];

/// `GET /console/logs`
pub async fn list(Operator(visitor): Operator, uri: Uri) -> Response {
    let asked = asked(&uri, &KNOWN);
    let wanted = asked.with("follow", "");
    let logs = api::logs(&visitor, &wanted);
    answer(&visitor, &uri, logs, |console, list| {
        console.logs(&list, &asked)
    })
    .await
}
