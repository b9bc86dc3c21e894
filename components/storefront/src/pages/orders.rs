//! Orders: all of them, one, and what happens to it.

use axum::response::Response;
use futures::future::join;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use souk_chassis::Path;

use super::{answer, done, frame, html, parameter};
use crate::clients::{Missing, shopping};
use crate::forms::Sent;
use crate::session::Customer;

/// `GET /orders`
pub async fn list(Customer(visitor): Customer, uri: Uri) -> Response {
    let cursor = parameter(&uri, "cursor");
    let orders = shopping::orders(&visitor, cursor.as_deref());
    let (orders, frame) = join(orders, frame(&visitor)).await;
    let page = orders.map(|orders| frame.orders(&orders, cursor.is_none()));
    answer(&visitor, &frame, page, &uri)
}

/// `GET /orders/{id}`
pub async fn show(Customer(visitor): Customer, Path(id): Path<String>, uri: Uri) -> Response {
    let (order, frame) = join(shopping::order(&visitor, &id), frame(&visitor)).await;
    let page = async {
        let order = order?;
        Ok(frame.order(&order, &visitor.csrf()?))
    };
    answer(&visitor, &frame, page.await, &uri)
}

/// `GET /orders/{id}/stream`: what happens to an order, as server-sent events, for the script.
pub async fn follow(
    Customer(visitor): Customer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match shopping::follow(&visitor, &id, headers.get("last-event-id")).await {
        Ok(mut events) => {
            let headers = events.headers_mut();
            let content_type = headers.remove(CONTENT_TYPE);
            headers.clear();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            if let Some(content_type) = content_type {
                headers.insert(CONTENT_TYPE, content_type);
            }
            events
        }
        Err(missing) => {
            let ends_here = missing.is_nothing() || matches!(missing, Missing::SignedOut);
            let status = match ends_here {
                true => StatusCode::NOT_FOUND,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            let mut response = Response::default();
            *response.status_mut() = status;
            response
        }
    }
}

/// `POST /orders/{id}/cancel`
pub async fn cancel(
    Customer(visitor): Customer,
    Path(id): Path<String>,
    Sent(_): Sent,
) -> Response {
    let page = format!("/orders/{id}");
    match shopping::cancel(&visitor, &id).await {
        Err(Missing::Refused(refusal)) if refusal.status == 409 => {
            let frame = frame(&visitor).await;
            html(StatusCode::CONFLICT, frame.too_late_to_cancel(&page))
        }
        outcome => done(&visitor, outcome, &page).await,
    }
}
