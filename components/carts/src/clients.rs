//! What products and inventory are asked.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use souk_chassis::{Context, Money};
use uuid::Uuid;

use crate::domain::Snapshot;
use crate::domain::view::{Facts, Warning};

#[cfg(not(test))]
use network::fetch;

#[cfg(test)]
use crate::tests::neighbours::fetch;

#[cfg(not(test))]
mod network {
    use http::StatusCode;
    use serde_json::Value;
    use souk_chassis::Context;
    use souk_client::{Call, Policies, Policy};

    /// How long a cart waits for what it is compared with, in milliseconds, and how it treats whom it asks.
    #[rustfmt::skip]
    const POLICIES: Policies = Policies(&[
        //           of           timeout  attempts  slow from  at once
        Policy::row("inventory",  1_500,   2,        1_000,     12),
        Policy::row("products",   1_500,   2,        1_000,     12),
    ]);

    /// The JSON at a path of a service, or why it cannot be had.
    pub async fn fetch(context: &Context, service: &str, path: &str) -> Result<Value, String> {
        let call = Call::get(context, POLICIES.to(service), path);
        let answer = call.send().await.map_err(|error| error.to_string())?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(|error| error.to_string()),
            status => Err(format!("the service {service} answered {status}")),
        }
    }
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Product {
    id: Uuid,
    name: String,
    image_url: Option<String>,
    price: Money,
}

#[derive(Deserialize)]
struct Level {
    product_id: Uuid,
    available: i64,
}

/// What is known of these products; asks both services at once. Where one does not answer there is a warning.
pub async fn facts(
    context: &Context,
    ids: impl IntoIterator<Item = Uuid>,
) -> (Facts, Vec<Warning>) {
    let asked: BTreeSet<_> = ids.into_iter().collect();
    let (products, available) = match asked.is_empty() {
        true => (Ok(BTreeMap::new()), Ok(BTreeMap::new())),
        false => {
            let ids: Vec<_> = asked.iter().map(Uuid::to_string).collect();
            let ids = ids.join(",");
            futures::join!(products(context, &ids), levels(context, &ids))
        }
    };
    let mut warnings = Vec::new();
    let mut noted = |part, detail: &str, why: String| {
        tracing::warn!(part, error = why, "part of an answer is missing");
        let detail = detail.to_owned();
        warnings.push(Warning { part, detail });
    };
    let products = products
        .map_err(|why| {
            let detail = "prices cannot be had now; these are from when the lines were added";
            noted("products", detail, why);
        })
        .ok();
    let available = available
        .map_err(|why| noted("inventory", "nobody can say now what is in stock", why))
        .ok();
    let facts = Facts {
        asked,
        products,
        available,
    };
    (facts, warnings)
}

async fn products(context: &Context, ids: &str) -> Result<BTreeMap<Uuid, Snapshot>, String> {
    let path = format!("/api/products?ids={ids}");
    let products: Vec<Product> = items(context, "products", &path).await?;
    let snapshot = |product: Product| {
        let snapshot = Snapshot {
            name: product.name,
            image_url: product.image_url,
            price: product.price,
        };
        (product.id, snapshot)
    };
    Ok(products.into_iter().map(snapshot).collect())
}

async fn levels(context: &Context, ids: &str) -> Result<BTreeMap<Uuid, i64>, String> {
    let path = format!("/api/inventory?product_ids={ids}");
    let levels: Vec<Level> = items(context, "inventory", &path).await?;
    Ok(levels
        .into_iter()
        .map(|level| (level.product_id, level.available))
        .collect())
}

async fn items<T: DeserializeOwned>(
    context: &Context,
    service: &str,
    path: &str,
) -> Result<Vec<T>, String> {
    let answer = fetch(context, service, path).await?;
    let list: Items<T> = serde_json::from_value(answer)
        .map_err(|error| format!("the answer of {service} makes no sense: {error}"))?;
    Ok(list.items)
}
