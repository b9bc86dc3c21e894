//! HTTP in and out.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::header::HeaderMap;
use http::request::Parts;
use serde_json::{Value, json};
use souk_chassis::page::Part;
use souk_chassis::{Admin, Context, Json, Page, Path, Problem, Query};
use souk_store::Error;
use uuid::Uuid;

use crate::domain::{
    self, Adjustment, Audit, Entry, Hold, Level, LevelFilter, Line, NewLevel, NewReservation,
    Reservation, State,
};
use crate::store::{self, OUTBOX, Reserved};

/// How often stock is tried to be taken that is short at one moment and there at the next.
const ATTEMPTS: u32 = 3;

/// Lets only the service `orders` through, which is who reservations are for.
pub struct Orders;

impl<S: Sync> FromRequestParts<S> for Orders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Context::from_request_parts(parts, state).await?;
        context.require_service(&["orders"])?;
        Ok(Self)
    }
}

/// `GET /api/inventory`
pub async fn list(
    context: Context,
    Query(filter): Query<LevelFilter>,
) -> Result<Json<Page<Level>>, Problem> {
    match filter {
        LevelFilter::Of(products) => Ok(Json(Page::whole(store::levels_of(&products).await?))),
        LevelFilter::All {
            below,
            after,
            limit,
        } => {
            context.require_admin()?;
            let levels = store::levels(after, below, limit + 1).await?;
            Ok(Json(Page::new(levels, limit, |last| last.product_id)))
        }
    }
}

/// `GET /api/inventory/{product_id}`
pub async fn show(Path(product_id): Path<Uuid>) -> Result<Json<Level>, Problem> {
    level(product_id).await.map(Json)
}

/// `PUT /api/inventory/{product_id}`
pub async fn set(
    _: Admin,
    Path(product_id): Path<Uuid>,
    Json(new): Json<NewLevel>,
) -> Result<Json<Level>, Problem> {
    match with_due_freed(|| store::set(product_id, new.on_hand)).await {
        Ok(Some(level)) => Ok(Json(level)),
        Ok(None) => level(product_id).await.map(Json),
        Err(error) => Err(not_below_reserved(product_id, error).await),
    }
}

/// `POST /api/inventory/{product_id}/adjustments`
///
/// With an `idempotency-key` the same adjustment made again changes nothing, so it can be retried.
pub async fn adjust(
    _: Admin,
    Path(product_id): Path<Uuid>,
    headers: HeaderMap,
    Json(adjustment): Json<Adjustment>,
) -> Result<Json<Level>, Problem> {
    let key = idempotency_key(&headers)?;
    match with_due_freed(|| store::adjust(product_id, &adjustment, key)).await {
        Ok(Some(level)) => return Ok(Json(level)),
        Ok(None) => {}
        Err(error) => return Err(not_below_reserved(product_id, error).await),
    }
    let made = match key {
        Some(key) => store::adjustment(product_id, key).await?,
        None => None,
    };
    match made {
        Some(made) if made != adjustment => Err(key_is_used()),
        _ => level(product_id).await.map(Json),
    }
}

/// `GET /api/inventory/{product_id}/ledger`
pub async fn ledger(
    _: Admin,
    Path(product_id): Path<Uuid>,
    Query(part): Query<Part<i64>>,
) -> Result<Json<Page<Entry>>, Problem> {
    let entries = store::ledger(product_id, &part).await?;
    if entries.is_empty() && part.after.is_none() {
        return Err(no_stock(product_id));
    }
    Ok(Json(Page::new(entries, part.limit, |last| last.version)))
}

/// `GET /api/inventory/{product_id}/reservations`
pub async fn holds(
    _: Admin,
    Path(product_id): Path<Uuid>,
    Query(part): Query<Part<(String, String)>>,
) -> Result<Json<Page<Hold>>, Problem> {
    let holds = store::holds(product_id, &part).await?;
    if holds.is_empty() {
        level(product_id).await?;
    }
    let key = |last: &Hold| (last.expires_at.clone(), last.order_id.clone());
    Ok(Json(Page::new(holds, part.limit, key)))
}

/// `GET /api/inventory/audit`
pub async fn audit(_: Admin) -> Result<Json<Audit>, Problem> {
    Ok(Json(store::audit().await?))
}

/// `GET /internal/reservations/{order_id}`
pub async fn reservation(
    _: Orders,
    Path(order_id): Path<Uuid>,
) -> Result<Json<Reservation>, Problem> {
    find(order_id).await.map(Json)
}

/// `PUT /internal/reservations/{order_id}`
pub async fn reserve(
    _: Orders,
    Path(order_id): Path<Uuid>,
    Json(new): Json<NewReservation>,
) -> Result<(StatusCode, Json<Reservation>), Problem> {
    if let Some(Reserved { reservation, new }) =
        take(&new.lines, || store::reserve(order_id, &new)).await?
    {
        let status = if new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        return Ok((status, Json(reservation)));
    }
    let reservation = find(order_id).await?;
    match reservation.state {
        State::Released => Err(is_released(order_id)),
        _ if reservation.lines != new.lines => Err(Problem::conflict(format!(
            "the order {order_id} has reserved other lines"
        ))),
        _ => Ok((StatusCode::OK, Json(reservation))),
    }
}

/// `POST /internal/reservations/{order_id}/commit`
pub async fn commit(_: Orders, Path(order_id): Path<Uuid>) -> Result<Json<Reservation>, Problem> {
    let commit = || store::commit(order_id);
    let committed = match commit().await {
        // It has expired, and others have it now.
        Err(error) if store::is_short(&error) => take(&find(order_id).await?.lines, commit).await?,
        committed => committed?,
    };
    if let Some(reservation) = committed {
        return Ok(Json(reservation));
    }
    let reservation = find(order_id).await?;
    match reservation.state {
        State::Committed => Ok(Json(reservation)),
        _ => Err(is_released(order_id)),
    }
}

/// `POST /internal/reservations/{order_id}/release`
pub async fn release(_: Orders, Path(order_id): Path<Uuid>) -> Result<Json<Reservation>, Problem> {
    Ok(Json(store::release(order_id).await?))
}

/// `POST /internal/tick`
pub async fn tick(context: Context) -> Result<StatusCode, Problem> {
    while store::free_due().await? {}
    OUTBOX.publish(&context).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a change that may find too little stock. Before it is refused, what expired reservations hold is freed.
async fn with_due_freed<T, F: Future<Output = Result<T, Error>>>(
    change: impl Fn() -> F,
) -> Result<T, Error> {
    loop {
        match change().await {
            Err(error) if store::is_short(&error) => match store::free_due().await? {
                true => continue,
                false => return Err(error),
            },
            outcome => return outcome,
        }
    }
}

/// Makes a change that takes the stock of these lines; a refusal names each line that is short.
async fn take<T, F: Future<Output = Result<T, Error>>>(
    lines: &[Line],
    change: impl Fn() -> F,
) -> Result<T, Problem> {
    let products: Vec<_> = lines.iter().map(|line| line.product_id).collect();
    for _ in 0..ATTEMPTS {
        match with_due_freed(&change).await {
            Err(error) if store::is_short(&error) => {}
            outcome => return Ok(outcome?),
        }
        let short = domain::shortages(lines, &store::levels_of(&products).await?);
        if !short.is_empty() {
            return Err(out_of_stock(json!(short)));
        }
        // Somebody gave some back in between.
    }
    Err(Problem::unavailable(
        "the stock of these products is changing too fast",
        1,
    ))
}

async fn level(product_id: Uuid) -> Result<Level, Problem> {
    let level = store::level(product_id).await?;
    level.ok_or_else(|| no_stock(product_id))
}

async fn find(order_id: Uuid) -> Result<Reservation, Problem> {
    let reservation = store::reservation(order_id).await?;
    reservation
        .ok_or_else(|| Problem::not_found(format!("the order {order_id} has reserved nothing")))
}

/// The caller's key for what it may send again, if it gave one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let sane = |key: &&str| (1..=200).contains(&key.len());
    let key = key.to_str().ok().filter(sane);
    let wrong =
        || Problem::bad_request("idempotency-key must have 1 to 200 printable ASCII characters");
    key.map(Some).ok_or_else(wrong)
}

fn no_stock(product_id: Uuid) -> Problem {
    Problem::not_found(format!("no stock is kept of the product {product_id}"))
}

fn is_released(order_id: Uuid) -> Problem {
    Problem::conflict(format!("the order {order_id} has been released"))
}

fn key_is_used() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The idempotency key belongs to another request",
        "another adjustment of this product was made with this idempotency-key",
    )
}

fn out_of_stock(lines: Value) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "out-of-stock",
        "There is not enough in stock",
        "there is not enough in stock of the products in lines",
    )
    .with("lines", lines)
}

/// Why what is on hand was not changed.
async fn not_below_reserved(product_id: Uuid, error: Error) -> Problem {
    if !store::is_short(&error) {
        return error.into();
    }
    match level(product_id).await {
        Ok(level) => Problem::conflict(format!(
            "{} of {} on hand are reserved",
            level.reserved, level.on_hand
        ))
        .with("on_hand", level.on_hand)
        .with("reserved", level.reserved),
        Err(problem) => problem,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;
    use futures::executor::block_on;

    /// Takes one of a product with one on hand, with this many refusals as if others had had it for a moment.
    fn take_after(refusals: u32) -> Result<u32, Problem> {
        let product_id = Uuid::from_u128(1);
        block_on(store::set(product_id, 1)).unwrap();
        let lines = [Line {
            product_id,
            quantity: 1,
        }];
        let tried = Cell::new(0);
        block_on(take(&lines, async || {
            tried.set(tried.get() + 1);
            match tried.get() > refusals {
                true => Ok(tried.get()),
                false => Err(Error::Constraint(
                    "CHECK constraint failed: never_oversold".into(),
                )),
            }
        }))
    }

    #[test]
    fn stock_that_others_give_back_meanwhile_is_taken() {
        assert_eq!(take_after(0).unwrap(), 1);
        assert_eq!(take_after(1).unwrap(), 2);
        assert_eq!(take_after(ATTEMPTS).unwrap_err().status(), 503);
    }
}
