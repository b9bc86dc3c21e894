//! Answers put together from several services, which are asked at the same time. A part that cannot be had is null, and a
//! warning says why.

use std::collections::BTreeMap;

use futures::future::join3;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;
use souk_chassis::{Context, Json, Path, Problem};
use uuid::Uuid;

use crate::clients::{self, Guest, Level, Missing, Object};

/// How long the parts of an order's summary are waited for, in milliseconds.
const SUMMARY_MS: u32 = 3_000;

/// How long the parts of the start page are waited for, in milliseconds: somebody is looking at an empty screen.
const HOME_MS: u32 = 1_000;

/// A part that could not be had.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// Which part.
    part: &'static str,
    /// Why.
    detail: String,
}

impl Warning {
    /// That a part is missing, and why.
    pub fn new(part: &'static str, detail: String) -> Self {
        Self { part, detail }
    }

    /// The same, of something that was asked for.
    pub fn of(part: &'static str, missing: Missing) -> Self {
        let detail = match missing {
            Missing::Nothing => "there is no such thing".into(),
            Missing::Unavailable(why) => why,
        };
        Self::new(part, detail)
    }
}

/// The warnings of one answer.
#[derive(Default)]
struct Warnings(Vec<Warning>);

impl Warnings {
    /// The part, or nothing and a warning.
    fn part<T>(&mut self, part: &'static str, found: Result<T, Missing>) -> Option<T> {
        found
            .map_err(|missing| self.0.push(Warning::of(part, missing)))
            .ok()
    }
}

/// An order with what belongs to it.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// The order, as `GET /api/orders/{id}` shows it.
    order: Object,
    /// Its payment, as `GET /api/payments` lists it; null where there is none.
    payment: Option<Object>,
    /// What the customer was told about it, as `GET /api/notifications` lists it.
    notifications: Option<Vec<Object>>,
    /// Parts that could not be had.
    warnings: Vec<Warning>,
}

/// `GET /api/orders/{id}/summary`
pub async fn summary(context: Context, Path(id): Path<Uuid>) -> Result<Json<Summary>, Problem> {
    let context = context.within(SUMMARY_MS);
    let order = clients::order(&context, id);
    let payment = clients::payment(&context, id);
    let notifications = clients::notifications(&context, id);
    let (order, payment, notifications) = join3(order, payment, notifications).await;
    summarize(id, order, payment, notifications).map(Json)
}

/// Without the order there is nothing to summarize.
fn summarize(
    id: Uuid,
    order: Result<Object, Missing>,
    payment: Result<Option<Object>, Missing>,
    notifications: Result<Vec<Object>, Missing>,
) -> Result<Summary, Problem> {
    let mut warnings = Warnings::default();
    Ok(Summary {
        order: order.map_err(|missing| match missing {
            Missing::Nothing => Problem::not_found(format!("there is no order {id}")),
            Missing::Unavailable(why) => Problem::unavailable(why, 1),
        })?,
        payment: warnings.part("payment", payment).flatten(),
        notifications: warnings.part("notifications", notifications),
        warnings: warnings.0,
    })
}

/// What the shop's start page shows.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Home {
    /// The categories, as `GET /api/categories` lists them.
    categories: Option<Vec<Object>>,
    /// The newest products, as `GET /api/products` lists them.
    products: Option<Vec<Object>>,
    /// How many of those products can be ordered, by the product's id; nothing is said of those that no stock is kept of.
    availability: Option<BTreeMap<String, i64>>,
    /// The caller's cart, as `GET /api/cart` shows it; null where there is nobody to have one.
    cart: Option<Object>,
    /// Parts that could not be had.
    warnings: Vec<Warning>,
}

/// `GET /api/home`
pub async fn home(context: Context, headers: HeaderMap) -> Json<Home> {
    let context = context.within(HOME_MS);
    let shelf = async {
        let products = clients::newest_products(&context).await;
        let levels = match &products {
            Ok(products) => levels_of(&context, products).await,
            Err(_) => Err(Missing::Unavailable("the products are not known".into())),
        };
        (products, levels)
    };
    let categories = clients::categories(&context);
    let (categories, shelf, cart) = join3(categories, shelf, cart(&context, &headers)).await;
    Json(start_page(categories, shelf, cart))
}

async fn levels_of(context: &Context, products: &[Object]) -> Result<Vec<Level>, Missing> {
    let ids: Vec<_> = products
        .iter()
        .filter_map(|product| product.get("id")?.as_str())
        .collect();
    match ids.is_empty() {
        true => Ok(Vec::new()),
        false => clients::levels(context, &ids).await,
    }
}

/// The cart of whoever is signed in, or of a guest who has one.
async fn cart(context: &Context, headers: &HeaderMap) -> Result<Option<Object>, Missing> {
    let guest = Guest::of(headers);
    if context.caller.is_none() && guest.is_none() {
        return Ok(None);
    }
    match clients::cart(context, guest).await {
        Err(Missing::Nothing) => Ok(None),
        cart => cart.map(Some),
    }
}

type Shelf = (Result<Vec<Object>, Missing>, Result<Vec<Level>, Missing>);

fn start_page(
    categories: Result<Vec<Object>, Missing>,
    (products, levels): Shelf,
    cart: Result<Option<Object>, Missing>,
) -> Home {
    let mut warnings = Warnings::default();
    let by_product = |level: Level| (level.product_id, level.available);
    Home {
        categories: warnings.part("categories", categories),
        products: warnings.part("products", products),
        availability: warnings
            .part("availability", levels)
            .map(|levels| levels.into_iter().map(by_product).collect()),
        cart: warnings.part("cart", cart).flatten(),
        warnings: warnings.0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    fn down<T>() -> Result<T, Missing> {
        Err(Missing::Unavailable("down".into()))
    }

    fn summary(
        order: Result<Object, Missing>,
        payment: Result<Option<Object>, Missing>,
        notifications: Result<Vec<Object>, Missing>,
    ) -> Result<Value, u16> {
        summarize(Uuid::nil(), order, payment, notifications)
            .map(|summary| serde_json::to_value(summary).unwrap())
            .map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn an_order_is_summarized_with_what_belongs_to_it() {
        let order = || Ok(object(json!({"id": "o1"})));
        let payment = Ok(Some(object(json!({"status": "captured"}))));
        let told = Ok(vec![object(json!({"kind": "order_confirmed"}))]);
        assert_eq!(
            summary(order(), payment, told),
            Ok(json!({
                "order": {"id": "o1"}, "payment": {"status": "captured"},
                "notifications": [{"kind": "order_confirmed"}], "warnings": [],
            }))
        );
        assert_eq!(
            summary(order(), Ok(None), Ok(vec![])),
            Ok(
                json!({"order": {"id": "o1"}, "payment": null, "notifications": [], "warnings": []})
            )
        );
        assert_eq!(
            summary(order(), down(), down()),
            Ok(json!({
                "order": {"id": "o1"}, "payment": null, "notifications": null, "warnings": [
                    {"part": "payment", "detail": "down"}, {"part": "notifications", "detail": "down"},
                ],
            }))
        );
    }

    #[test]
    fn without_the_order_there_is_no_summary() {
        assert_eq!(
            summary(Err(Missing::Nothing), Ok(None), Ok(vec![])),
            Err(404)
        );
        assert_eq!(summary(down(), Ok(None), Ok(vec![])), Err(503));
    }

    #[test]
    fn the_start_page_shows_what_there_is() {
        let level = Level {
            product_id: "p1".into(),
            available: 3,
        };
        let shelf = (Ok(vec![object(json!({"id": "p1"}))]), Ok(vec![level]));
        let home = start_page(down(), shelf, Ok(None));
        assert_eq!(
            serde_json::to_value(home).unwrap(),
            json!({
                "categories": null, "products": [{"id": "p1"}], "availability": {"p1": 3}, "cart": null,
                "warnings": [{"part": "categories", "detail": "down"}],
            })
        );
        let home = start_page(down(), (down(), down()), down());
        let parts: Vec<_> = home.warnings.iter().map(|warning| warning.part).collect();
        assert_eq!(parts, ["categories", "products", "availability", "cart"]);
    }
}
