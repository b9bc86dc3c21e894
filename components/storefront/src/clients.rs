//! What the pages ask of others: the public API, as any visitor could ask it.

use http::StatusCode;
use serde::de::DeserializeOwned;
use souk_chassis::Context;
use souk_client::{Call, CallError, Policies, Policy};

use crate::domain::{Browse, Categories, PAGE_SIZE, Product, ProductList, RELATED};

/// How long a page waits for its data, and how it treats the gateway.
#[rustfmt::skip]
const POLICIES: Policies = Policies(&[
    //           of          timeout  attempts  slow from  at once
    Policy::row("gateway",   3_000,   2,        3_000,     16),
]);

/// Why something cannot be shown.
#[derive(Debug)]
pub enum Missing {
    /// There is no such thing.
    Nothing,
    /// It cannot be had at the moment, and why.
    Unavailable(String),
}

impl From<CallError> for Missing {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// One page of the products somebody wants to see.
pub async fn products(context: &Context, browse: &Browse) -> Result<ProductList, Missing> {
    get(context, &browse.api_path(PAGE_SIZE)).await
}

/// The product with this id.
pub async fn product(context: &Context, id: &str) -> Result<Product, Missing> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match id.bytes().all(plain) {
        true => get(context, &format!("/api/products/{id}")).await,
        false => Err(Missing::Nothing),
    }
}

/// A few other products of the same category; none if they cannot be had, since a page does without them.
pub async fn related(context: &Context, product: &Product) -> Vec<Product> {
    let same_category = Browse {
        category: product.category.clone(),
        ..Browse::default()
    };
    let found: Result<ProductList, _> = get(context, &same_category.api_path(RELATED + 1)).await;
    let others = found
        .unwrap_or_default()
        .items
        .into_iter()
        .filter(|other| other.id != product.id);
    others.take(RELATED).collect()
}

/// The categories; none if they cannot be had, since a page does without them.
pub async fn categories(context: &Context) -> Categories {
    get(context, "/api/categories").await.unwrap_or_default()
}

async fn get<T: DeserializeOwned>(context: &Context, path: &str) -> Result<T, Missing> {
    let answer = Call::get(context, POLICIES.to("gateway"), path)
        .unsigned()
        .send()
        .await?;
    match answer.status() {
        StatusCode::OK => Ok(answer.json().await?),
        // What the API cannot make sense of, such as a cursor somebody typed, leads nowhere either.
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Err(Missing::Nothing),
        status => Err(Missing::Unavailable(format!(
            "the gateway answered {status}"
        ))),
    }
}
