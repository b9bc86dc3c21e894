//! The stock.

use axum::response::Response;
use futures::future::join;
use http::Uri;
use souk_chassis::Path;

use super::{answer, asked, done};
use crate::clients::console as api;
use crate::forms::Sent;
use crate::session::Operator;

const STOCK: &str = "/console/stock";

/// `GET /console/stock`
pub async fn list(Operator(visitor): Operator, uri: Uri) -> Response {
    let asked = asked(&uri, &["below", "cursor"]);
    let stock = async {
        let list = api::stock(&visitor, &asked).await?;
        let ids: Vec<_> = list.items.iter().map(|it| it.product_id.as_str()).collect();
        let products = api::products(&visitor, &ids).await;
        Ok((list, products))
    };
    answer(&visitor, &uri, stock, |console, (list, products)| {
        console.stock(&list, &products, &asked)
    })
    .await
}

/// `GET /console/stock/{product}`: how it came to what is there.
pub async fn movements(
    Operator(visitor): Operator,
    Path(product): Path<String>,
    uri: Uri,
) -> Response {
    let asked = asked(&uri, &["cursor"]);
    let both = async {
        let ids = [product.as_str()];
        let movements = api::movements(&visitor, &product, &asked);
        let (movements, products) = join(movements, api::products(&visitor, &ids)).await;
        Ok((movements?, products))
    };
    answer(&visitor, &uri, both, |console, (movements, products)| {
        console.movements(&product, products.first(), &movements, &asked)
    })
    .await
}

/// `GET /console/stock/{product}/reservations`: who holds what is promised.
pub async fn holds(Operator(visitor): Operator, Path(product): Path<String>, uri: Uri) -> Response {
    let asked = asked(&uri, &["cursor"]);
    let both = async {
        let ids = [product.as_str()];
        let holds = api::holds(&visitor, &product, &asked);
        let (holds, products) = join(holds, api::products(&visitor, &ids)).await;
        Ok((holds?, products))
    };
    answer(&visitor, &uri, both, |console, (holds, products)| {
        console.holds(&product, products.first(), &holds, &asked)
    })
    .await
}

/// `POST /console/stock/{product}`: what somebody has counted.
pub async fn count(
    Operator(visitor): Operator,
    Path(product): Path<String>,
    Sent(form): Sent,
) -> Response {
    // What is no whole number the API refuses, and says so.
    let on_hand = form.get("on_hand").trim().parse().unwrap_or(-1);
    let outcome = api::set_stock(&visitor, &product, on_hand).await;
    done(&visitor, outcome, STOCK).await
}
