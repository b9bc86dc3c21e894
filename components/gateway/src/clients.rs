//! What the gateway asks of the services for the answers it puts together, on behalf of whoever asks it.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use souk_chassis::Context;
use souk_client::{Call, CallError};
use uuid::Uuid;

use crate::policies::POLICIES;

/// Something of another service's, passed on as it is.
pub type Object = Map<String, Value>;

/// How many products the start page shows.
const NEWEST: usize = 12;

/// The header by which a guest's cart is known.
const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");

/// The cookie by which a guest's cart is known.
const CART_COOKIE: &str = "souk_cart=";

/// Why a part of an answer is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// There is no such thing.
    Nothing,
    /// It cannot be had at the moment, and why.
    Unavailable(String),
}

impl From<CallError> for Missing {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.detail())
    }
}

/// A list; more of it may follow.
#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// An order of the caller's.
pub async fn order(context: &Context, id: Uuid) -> Result<Object, Missing> {
    let path = format!("/api/orders/{id}");
    answer(Call::get(context, POLICIES.to("orders"), &path), "orders").await
}

/// The payment of an order; none where it has not come to that.
pub async fn payment(context: &Context, order: Uuid) -> Result<Option<Object>, Missing> {
    let path = format!("/api/payments?order_id={order}");
    let payments: List<_> = answer(
        Call::get(context, POLICIES.to("payments"), &path),
        "payments",
    )
    .await?;
    Ok(payments.items.into_iter().next())
}

/// What the customer was told about an order.
pub async fn notifications(context: &Context, order: Uuid) -> Result<Vec<Object>, Missing> {
    let path = format!("/api/notifications?order_id={order}");
    let call = Call::get(context, POLICIES.to("notifications"), &path);
    let notifications: List<_> = answer(call, "notifications").await?;
    Ok(notifications.items)
}

/// All categories.
pub async fn categories(context: &Context) -> Result<Vec<Object>, Missing> {
    let call = Call::get(context, POLICIES.to("products"), "/api/categories");
    let categories: List<_> = answer(call, "products").await?;
    Ok(categories.items)
}

/// The newest products.
pub async fn newest_products(context: &Context) -> Result<Vec<Object>, Missing> {
    let path = format!("/api/products?limit={NEWEST}");
    let products: List<_> = answer(
        Call::get(context, POLICIES.to("products"), &path),
        "products",
    )
    .await?;
    Ok(products.items)
}

/// How many there are to be had of a product.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Level {
    /// The product.
    pub product_id: String,
    /// How many of it can be ordered.
    pub available: i64,
}

/// How many there are to be had of some products; nothing of those that no stock is kept of.
pub async fn levels(context: &Context, products: &[&str]) -> Result<Vec<Level>, Missing> {
    let path = format!("/api/inventory?product_ids={}", products.join(","));
    let levels: List<_> = answer(
        Call::get(context, POLICIES.to("inventory"), &path),
        "inventory",
    )
    .await?;
    Ok(levels.items)
}

/// The instances of all services, as the registry lists them.
pub async fn instances(context: &Context) -> Result<Vec<Object>, Missing> {
    let call = Call::get(context, POLICIES.to("registry"), "/instances");
    let instances: List<_> = answer(call, "registry").await?;
    Ok(instances.items)
}

/// What a guest's cart is known by.
pub struct Guest(HeaderMap);

impl Guest {
    /// Reads it off a request's headers; none where there is nothing.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut known = HeaderMap::new();
        if let Some(token) = headers.get(CART_TOKEN) {
            known.insert(CART_TOKEN, token.clone());
        }
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let cookie = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .find(|cookie| cookie.trim().starts_with(CART_COOKIE))
            .and_then(|cookie| HeaderValue::from_str(cookie.trim()).ok());
        if let Some(cookie) = cookie {
            known.insert(header::COOKIE, cookie);
        }
        (!known.is_empty()).then_some(Self(known))
    }
}

/// The cart of the caller, or of this guest.
pub async fn cart(context: &Context, guest: Option<Guest>) -> Result<Object, Missing> {
    let mut call = Call::get(context, POLICIES.to("carts"), "/api/cart");
    for (name, value) in guest.iter().flat_map(|guest| &guest.0) {
        call = call.header(name.clone(), value.clone());
    }
    answer(call, "carts").await
}

/// The JSON that a service answers a call with.
async fn answer<T: DeserializeOwned>(call: Call<'_>, service: &str) -> Result<T, Missing> {
    let response = call.send().await?;
    match response.status() {
        StatusCode::OK => Ok(response.json().await?),
        StatusCode::NOT_FOUND => Err(Missing::Nothing),
        status => Err(Missing::Unavailable(format!(
            "the service {service} answered {}",
            status.as_u16()
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_guest_is_known_by_header_or_cookie_and_nothing_else_is_passed_on() {
        let guest = |list: &[(&'static str, &'static str)]| {
            let pair = |&(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            };
            let headers: HeaderMap = list.iter().map(pair).collect();
            Guest::of(&headers).map(|guest| guest.0)
        };
        assert_eq!(guest(&[("cookie", "a=b; xsouk_cart=1")]), None);
        assert_eq!(guest(&[("authorization", "x")]), None);
        let headers = guest(&[("cookie", "a=b; souk_cart=t1; c=d")]).unwrap();
        assert_eq!(headers[header::COOKIE], "souk_cart=t1");
        let headers = guest(&[("x-cart-token", "t2"), ("accept", "*/*")]).unwrap();
        assert_eq!(
            (headers.len(), &headers[CART_TOKEN]),
            (1, &"t2".parse().unwrap())
        );
    }
}
