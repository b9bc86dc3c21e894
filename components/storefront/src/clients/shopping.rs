//! Carts and orders.

use axum::body::Body;
use http::header::{COOKIE, HeaderName, HeaderValue};
use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use souk_client::Call;

use crate::clients::{Missing, call, get, page_of, path_of, send};
use crate::domain::cart::Cart;
use crate::domain::order::{Order, OrderList};
use crate::session::Visitor;

const CART: &str = "/api/cart";
const ITEMS: &str = "/api/cart/items";
const ORDERS: &str = "/api/orders";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a page waits for the number of things in the cart, in milliseconds: it does without.
const COUNT_MS: u32 = 1_000;

/// A visitor's cart. One they filled as a guest becomes the account's as soon as they are signed in.
pub async fn cart(visitor: &Visitor) -> Result<Cart, Missing> {
    if visitor.unsure {
        return Err(Missing::Unavailable("the session is not known".into()));
    }
    of_cart(visitor, call(visitor, Method::GET, CART)).await
}

/// How many pieces are in a visitor's cart, if they have one and it can be had.
pub async fn count(visitor: &Visitor) -> Option<i64> {
    if !visitor.is_signed_in() && visitor.cart_token.is_none() {
        return None;
    }
    let mut hurried = visitor.clone();
    hurried.context = visitor.context.within(COUNT_MS);
    cart(&hurried).await.ok().map(|cart| cart.item_count)
}

/// Has so many of a product in the cart; nothing of it at 0.
pub async fn put(visitor: &Visitor, product_id: &str, quantity: i64) -> Result<Cart, Missing> {
    let path = path_of(ITEMS, product_id)?;
    let call = match quantity {
        ..=0 => call(visitor, Method::DELETE, &path),
        quantity => call(visitor, Method::PUT, &path).json(&json!({"quantity": quantity})),
    };
    of_cart(visitor, call).await
}

async fn of_cart(visitor: &Visitor, call: Call<'_>) -> Result<Cart, Missing> {
    let cookie = visitor.cart_token.as_ref();
    let cookie = cookie.and_then(|it| HeaderValue::try_from(format!("souk_cart={it}")).ok());
    let call = match cookie {
        Some(cookie) => call.header(COOKIE, cookie),
        None => call,
    };
    let cart: Cart = send(call).await?.json().await?;
    match &cart.cart_token {
        Some(token) => visitor.keep_cart(token),
        // The account's cart has taken it over.
        None if visitor.is_signed_in() && visitor.cart_token.is_some() => visitor.forget_cart(),
        None => {}
    }
    Ok(cart)
}

/// An order that was placed: as far as the answer says.
#[derive(Debug, Deserialize)]
pub struct Placed {
    /// Its id.
    pub id: String,
}

/// Places an order under a key, which makes one order however often it is sent.
pub async fn place(visitor: &Visitor, key: &str, order: &Value) -> Result<Placed, Missing> {
    let Ok(key) = HeaderValue::from_str(key) else {
        return Err(Missing::Nothing);
    };
    let call = call(visitor, Method::POST, ORDERS)
        .header(IDEMPOTENCY_KEY, key)
        .json(order)
        .repeatable();
    Ok(send(call).await?.json().await?)
}

/// The order with this id.
pub async fn order(visitor: &Visitor, id: &str) -> Result<Order, Missing> {
    get(visitor, &path_of(ORDERS, id)?).await
}

/// One page of somebody's orders.
pub async fn orders(visitor: &Visitor, cursor: Option<&str>) -> Result<OrderList, Missing> {
    get(visitor, &page_of(ORDERS, 10, cursor)).await
}

/// Calls an order off.
pub async fn cancel(visitor: &Visitor, id: &str) -> Result<(), Missing> {
    let path = format!("{}/cancel", path_of(ORDERS, id)?);
    send(call(visitor, Method::POST, &path)).await.map(drop)
}

/// What happens to an order, as server-sent events.
pub async fn follow(
    visitor: &Visitor,
    id: &str,
    seen: Option<&HeaderValue>,
) -> Result<Response<Body>, Missing> {
    let path = format!("{}/stream", path_of(ORDERS, id)?);
    let call = call(visitor, Method::GET, &path);
    let call = match seen {
        Some(seen) => call.header(LAST_EVENT_ID, seen.clone()),
        None => call,
    };
    Ok(send(call).await?.into_http())
}
