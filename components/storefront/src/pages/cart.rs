//! The cart.

use axum::response::{IntoResponse, Redirect, Response};
use futures::future::join;
use http::{StatusCode, Uri};
use souk_chassis::Path;

use super::{answer, done, frame, html, parameter};
use crate::clients::{Missing, shopping};
use crate::domain::cart::MOST_OF_A_PRODUCT;
use crate::forms::Sent;
use crate::session::Visitor;

const CART: &str = "/cart";

/// `GET /cart`
pub async fn show(visitor: Visitor, uri: Uri) -> Response {
    let (cart, frame) = join(shopping::cart(&visitor), frame(&visitor)).await;
    let added = parameter(&uri, "added");
    let page = async {
        let cart = cart?;
        Ok(frame.cart(&cart, added.as_deref(), &visitor.csrf()?))
    };
    answer(&visitor, &frame, page.await, &uri)
}

/// `POST /cart`: puts more of a product in.
pub async fn add(visitor: Visitor, Sent(form): Sent) -> Response {
    let product = form.get("product_id").to_owned();
    let more: i64 = form.get("quantity").trim().parse().unwrap_or(1);
    let put = async {
        let had = shopping::cart(&visitor).await?.quantity_of(&product);
        let quantity = had.saturating_add(more.max(1)).min(MOST_OF_A_PRODUCT);
        shopping::put(&visitor, &product, quantity).await
    };
    match put.await {
        Ok(_) => Redirect::to(&format!("{CART}?added={product}")).into_response(),
        Err(Missing::Refused(refusal)) if refusal.kind() == "cart-full" => {
            let page = frame(&visitor).await.cart_full();
            html(StatusCode::CONFLICT, page)
        }
        Err(missing) => done(&visitor, Err(missing), CART).await,
    }
}

/// `POST /cart/items/{product_id}`: has another quantity of a product, or none.
pub async fn change(visitor: Visitor, Path(product): Path<String>, Sent(form): Sent) -> Response {
    let quantity = match form.is_ticked("remove") {
        true => Some(0),
        false => form.get("quantity").trim().parse::<i64>().ok(),
    };
    let outcome = match quantity {
        Some(quantity) => {
            let quantity = quantity.clamp(0, MOST_OF_A_PRODUCT);
            shopping::put(&visitor, &product, quantity).await.map(drop)
        }
        // Whoever typed no number sees the cart as it is.
        None => Ok(()),
    };
    done(&visitor, outcome, CART).await
}
