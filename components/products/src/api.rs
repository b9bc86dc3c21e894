//! HTTP in and out.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use souk_chassis::fields::Rule;
use souk_chassis::page::Part;
use souk_chassis::{Admin, Context, FieldError, Json, Page, Path, Problem, Query};
use uuid::Uuid;

use crate::domain::{self, CategoryBody, Filter, NewProduct, PastPrice, Product, ProductChange};
use crate::store::{self, OUTBOX};

/// Anybody may keep an answer, but asks whether it still holds before using it.
const REVALIDATE: (HeaderName, &str) = (header::CACHE_CONTROL, "public, no-cache");

/// `GET /api/products`
pub async fn list(Query(filter): Query<Filter>) -> Result<Response, Problem> {
    let listed = store::list(&filter).await?;
    let page = Page::new(listed, filter.limit, |last| last.cursor(filter.sort));
    let items = page
        .items
        .into_iter()
        .map(|listed| listed.product)
        .collect();
    Ok((
        [REVALIDATE],
        Json(Page {
            items,
            next_cursor: page.next_cursor,
        }),
    )
        .into_response())
}

/// `GET /api/products/{id}`
pub async fn show(Path(id): Path<Uuid>, headers: HeaderMap) -> Result<Response, Problem> {
    let product = store::find(id).await?.ok_or_else(|| no_product(id))?;
    let etag = [
        (header::ETAG, etag(&product)),
        (REVALIDATE.0, REVALIDATE.1.to_owned()),
    ];
    match versions(&headers, header::IF_NONE_MATCH) {
        Some(Versions::Any) => Ok((StatusCode::NOT_MODIFIED, etag).into_response()),
        Some(Versions::These(known)) if known.contains(&product.version) => {
            Ok((StatusCode::NOT_MODIFIED, etag).into_response())
        }
        _ => Ok((etag, Json(product)).into_response()),
    }
}

/// `POST /api/products`
pub async fn create(_: Admin, Json(new): Json<NewProduct>) -> Result<Response, Problem> {
    let product = match store::insert(&new).await {
        Ok(product) => product,
        Err(error) => return Err(refused(error, Some(&new.sku)).await),
    };
    let headers = [
        (header::ETAG, etag(&product)),
        (header::LOCATION, format!("/api/products/{}", product.id)),
    ];
    Ok((StatusCode::CREATED, headers, Json(product)).into_response())
}

/// `PATCH /api/products/{id}`
///
/// `If-Match` is optional, so that a quick edit is one request. With it the change is made only to the version that the caller
/// has seen; the check is part of the one statement that changes.
pub async fn change(
    _: Admin,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(change): Json<ProductChange>,
) -> Result<Response, Problem> {
    match store::update(id, expected(&headers).as_deref(), &change).await {
        Ok(Some(product)) => Ok(([(header::ETAG, etag(&product))], Json(product)).into_response()),
        Ok(None) => Err(not_as_expected(id).await),
        Err(error) => Err(refused(error, change.sku.as_deref()).await),
    }
}

/// `DELETE /api/products/{id}`; takes `If-Match` as [`change`] does.
pub async fn delete(
    _: Admin,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    match store::delete(id, expected(&headers).as_deref()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_as_expected(id).await),
    }
}

/// `GET /api/products/{id}/price-history`
pub async fn price_history(
    _: Admin,
    Path(id): Path<Uuid>,
    Query(part): Query<Part<i64>>,
) -> Result<Json<Page<PastPrice>>, Problem> {
    let prices = store::price_history(id, part.after, part.limit + 1).await?;
    if prices.is_empty() && part.after.is_none() {
        return Err(no_product(id));
    }
    Ok(Json(Page::new(prices, part.limit, |last| last.version)))
}

/// `GET /api/categories`
pub async fn categories() -> Result<Response, Problem> {
    Ok(([REVALIDATE], Json(Page::whole(store::categories().await?))).into_response())
}

/// `PUT /api/categories/{slug}`
pub async fn put_category(
    _: Admin,
    Path(slug): Path<String>,
    Json(body): Json<CategoryBody>,
) -> Result<Response, Problem> {
    let slug = domain::slug()
        .check(slug)
        .map_err(|detail| Problem::validation(vec![bad("slug", detail)]))?;
    let (category, new) = store::put_category(&slug, &body).await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(category)).into_response())
}

/// `POST /internal/tick`
pub async fn tick(context: Context) -> Result<StatusCode, Problem> {
    OUTBOX.publish(&context).await;
    Ok(StatusCode::NO_CONTENT)
}

fn no_product(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no product {id}"))
}

fn bad(field: &str, detail: impl Into<String>) -> FieldError {
    FieldError {
        field: field.into(),
        detail: detail.into(),
    }
}

/// Why a change found no product of the expected version.
async fn not_as_expected(id: Uuid) -> Problem {
    match store::find(id).await {
        Ok(Some(product)) => {
            Problem::precondition_failed(format!("product {id} has version {}", product.version))
        }
        Ok(None) => no_product(id),
        Err(error) => error.into(),
    }
}

/// Why the database refused a product.
async fn refused(error: souk_store::Error, sku: Option<&str>) -> Problem {
    if error.violates_foreign_key() {
        return Problem::validation(vec![bad("category", "is not a category of this shop")]);
    }
    match sku {
        Some(sku) if error.violates("products.sku") => sku_is_taken(sku).await,
        _ => error.into(),
    }
}

/// Says which product has the SKU, so that whoever loads a catalogue twice can go on with it.
async fn sku_is_taken(sku: &str) -> Problem {
    let problem = Problem::conflict(format!("there is a product with the SKU {sku} already"));
    match store::find_by_sku(sku).await {
        Ok(Some(id)) => problem.with("product_id", id),
        _ => problem,
    }
}

/// A product's version is its entity tag.
fn etag(product: &Product) -> String {
    format!("\"{}\"", product.version)
}

/// What a conditional header names.
enum Versions {
    /// `*`
    Any,
    /// Those versions; entity tags that are none of ours name none.
    These(Vec<i64>),
}

/// Reads `if-match` or `if-none-match`. Our tags are all strong, so a weak one is compared by what is in it, as
/// `if-none-match` wants; `if-match` leaves weak ones out.
fn versions(headers: &HeaderMap, name: HeaderName) -> Option<Versions> {
    let strong_only = name == header::IF_MATCH;
    let mut values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .peekable();
    values.peek()?;
    let mut versions = Vec::new();
    for tag in values.flat_map(|value| value.split(',')).map(str::trim) {
        if tag == "*" {
            return Some(Versions::Any);
        }
        let tag = if strong_only {
            tag
        } else {
            tag.strip_prefix("W/").unwrap_or(tag)
        };
        let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        versions.extend(opaque.and_then(|version| version.parse::<i64>().ok()));
    }
    Some(Versions::These(versions))
}

/// The versions a change may be made to; `None` where any will do.
fn expected(headers: &HeaderMap) -> Option<Vec<i64>> {
    match versions(headers, header::IF_MATCH)? {
        Versions::Any => None,
        Versions::These(versions) => Some(versions),
    }
}
