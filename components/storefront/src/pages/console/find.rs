//! The search field of the console: whatever number somebody has, they come to what it is of.

use axum::response::{IntoResponse, Redirect, Response};
use http::Uri;

use super::{done, parameter};
use crate::clients::{Missing, console as api, shopping};
use crate::domain::console::{Wanted, link, traces};
use crate::session::{Operator, Visitor};

/// `GET /console/find`
pub async fn find(Operator(visitor): Operator, uri: Uri) -> Response {
    let words = parameter(&uri, "q").unwrap_or_default();
    match page_of(&visitor, &Wanted::of(&words)).await {
        Ok(page) => Redirect::to(&page).into_response(),
        Err(missing) => done(&visitor, Err(missing), "/console").await,
    }
}

async fn page_of(visitor: &Visitor, wanted: &Wanted<'_>) -> Result<String, Missing> {
    let of_request = |id: &str| link("/console/traces", &[("request_id", id)]);
    Ok(match wanted {
        Wanted::Trace(id) => traces::href(&id.to_ascii_lowercase()),
        Wanted::Request(id) => of_request(id),
        Wanted::Id(id) => match shopping::order(visitor, id).await {
            Ok(order) => format!("/console/orders/{}", order.id),
            Err(missing) if missing.is_nothing() => of_request(id),
            Err(missing) => return Err(missing),
        },
        Wanted::Order(number) => match api::order_by_number(visitor, number).await? {
            Some(order) => format!("/console/orders/{}", order.id),
            None => link("/console/orders", &[("number", number)]),
        },
    })
}
