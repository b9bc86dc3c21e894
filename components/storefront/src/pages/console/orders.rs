//! Everybody's orders, and their checkouts.

use axum::response::Response;
use http::Uri;
use souk_chassis::Path;

use super::{answer, asked, done};
use crate::clients::console::{self as api, part};
use crate::clients::{Missing, shopping};
use crate::domain::console::traces::Summary;
use crate::domain::order::Order;
use crate::forms::Sent;
use crate::session::{Operator, Visitor};
use crate::view::console::orders::OrderPage;

/// `GET /console/orders`
pub async fn list(Operator(visitor): Operator, uri: Uri) -> Response {
    let asked = asked(&uri, &["number", "status", "user_id", "from", "cursor"]);
    let orders = api::orders(&visitor, &asked);
    answer(&visitor, &uri, orders, |console, list| {
        console.orders(&list, &asked)
    })
    .await
}

/// `GET /console/orders/{id}`
pub async fn show(Operator(visitor): Operator, Path(id): Path<String>, uri: Uri) -> Response {
    let order = async {
        let (order, saga, payment) = futures::join!(
            shopping::order(&visitor, &id),
            api::saga(&visitor, &id),
            api::payment(&visitor, &id),
        );
        let order = order?;
        Ok(OrderPage {
            traces: traces(&visitor, &order).await?,
            saga: part(saga)?,
            payment: part(payment)?.flatten(),
            order,
        })
    };
    answer(&visitor, &uri, order, |console, order| {
        console.order(&order)
    })
    .await
}

/// The traces of the request that placed an order.
async fn traces(visitor: &Visitor, order: &Order) -> Result<Option<Vec<Summary>>, Missing> {
    match &order.request_id {
        Some(id) => Ok(part(api::traces_of(visitor, id).await)?.map(|traces| traces.items)),
        None => Ok(Some(Vec::new())),
    }
}

/// `GET /console/orders/sagas`
pub async fn sagas(Operator(visitor): Operator, uri: Uri) -> Response {
    let asked = asked(&uri, &["cursor"]);
    let sagas = api::sagas(&visitor, &asked);
    answer(&visitor, &uri, sagas, |console, list| {
        console.sagas(&list, &asked)
    })
    .await
}

/// `POST /console/orders/{id}/retry`
pub async fn retry(Operator(visitor): Operator, Path(id): Path<String>, Sent(_): Sent) -> Response {
    let outcome = api::retry(&visitor, &id).await;
    done(&visitor, outcome, &format!("/console/orders/{id}")).await
}
