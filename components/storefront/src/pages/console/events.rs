//! Events: the log, subscriptions, dead letters.

use axum::response::Response;
use http::Uri;
use souk_chassis::Path;

use super::{answer, asked, done, parameter};
use crate::clients::console as api;
use crate::forms::Sent;
use crate::session::Operator;

const KNOWN: [&str; 6] = ["type", "subject", "source", "after", "position", "cursor"];

/// `GET /console/events`
pub async fn list(Operator(visitor): Operator, uri: Uri) -> Response {
    let asked = asked(&uri, &KNOWN);
    let events = api::events(&visitor, &asked);
    answer(&visitor, &uri, events, |console, list| {
        console.events(&list, &asked)
    })
    .await
}

/// `GET /console/events/subscriptions`
pub async fn subscriptions(Operator(visitor): Operator, uri: Uri) -> Response {
    let standings = api::subscriptions(&visitor);
    answer(&visitor, &uri, standings, |console, standings| {
        console.subscriptions(&standings)
    })
    .await
}

/// `GET /console/events/subscriptions/{consumer}`: what is held back for it.
pub async fn held(Operator(visitor): Operator, Path(consumer): Path<String>, uri: Uri) -> Response {
    let asked = asked(&uri, &["cursor"]);
    let held = api::held(&visitor, &consumer, &asked);
    answer(&visitor, &uri, held, |console, list| {
        console.held(&consumer, &list, &asked)
    })
    .await
}

/// `GET /console/events/dead-letters`
pub async fn dead_letters(Operator(visitor): Operator, uri: Uri) -> Response {
    let asked = asked(&uri, &["consumer", "cursor"]);
    let redelivered = parameter(&uri, "redelivered").is_some();
    let letters = api::dead_letters(&visitor, &asked);
    answer(&visitor, &uri, letters, |console, list| {
        console.dead_letters(&list, &asked, redelivered)
    })
    .await
}

/// `POST /console/events/dead-letters/{letter}/redeliver`
pub async fn redeliver(
    Operator(visitor): Operator,
    Path(letter): Path<String>,
    Sent(_): Sent,
) -> Response {
    let outcome = api::redeliver(&visitor, &letter).await;
    done(
        &visitor,
        outcome,
        "/console/events/dead-letters?redelivered=1",
    )
    .await
}
