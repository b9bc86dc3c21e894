//! The front page, categories, search, products.

use axum::response::{IntoResponse, Response};
use futures::future::{join, join3};
use http::Uri;
use http::header::CACHE_CONTROL;
use serde_json::json;
use souk_chassis::{Json, Path};

use super::{answer, frame, parameter};
use crate::clients::{Missing, catalogue};
use crate::domain::Browse;
use crate::session::Visitor;

/// How many products are suggested.
const SUGGESTIONS: usize = 6;

/// The shortest beginning of a word that anything is suggested for, in characters.
const SHORTEST: usize = 2;

/// `GET /`: the list of products.
pub async fn list(visitor: Visitor, uri: Uri) -> Response {
    let browse = Browse::from_query(uri.query().unwrap_or_default());
    let (list, frame) = join(catalogue::products(&visitor, &browse), frame(&visitor)).await;
    let unknown = !browse.category.is_empty()
        && !frame.categories.is_empty()
        && frame.categories.find(&browse.category).is_none();
    let page = match unknown {
        true => Err(Missing::Nothing),
        false => list.map(|list| frame.list(&browse, &list)),
    };
    answer(&visitor, &frame, page, &uri)
}

/// `GET /products/{id}`: one product.
pub async fn product(visitor: Visitor, Path(id): Path<String>, uri: Uri) -> Response {
    let product = async {
        let product = catalogue::product(&visitor, &id).await?;
        let related = catalogue::related(&visitor, &product).await;
        Ok((product, related, visitor.csrf()?))
    };
    let available = catalogue::available(&visitor, &id);
    let (product, available, frame) = join3(product, available, frame(&visitor)).await;
    let page = product
        .map(|(product, related, token)| frame.product(&product, available, &related, &token));
    answer(&visitor, &frame, page, &uri)
}

/// `GET /suggestions`: products for the beginning of a search, for the script.
pub async fn suggestions(visitor: Visitor, uri: Uri) -> Response {
    let words = parameter(&uri, "q").unwrap_or_default();
    let browse = Browse::from_query(uri.query().unwrap_or_default());
    let found = match words.trim().chars().count() {
        ..SHORTEST => Vec::new(),
        _ => catalogue::suggestions(&visitor, &browse.q, SUGGESTIONS).await,
    };
    let items: Vec<_> = found
        .iter()
        .map(|product| {
            json!({
                "name": product.name,
                "href": product.href(),
                "picture": product.picture(),
                "price": product.price.to_string(),
            })
        })
        .collect();
    let lifetime = [(CACHE_CONTROL, "private, max-age=60")];
    (lifetime, Json(json!({"items": items}))).into_response()
}
