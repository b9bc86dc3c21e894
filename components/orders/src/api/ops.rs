//! What operators ask for, and the one thing they can do about it.

use http::StatusCode;
use souk_chassis::gauges::Gauge;
use souk_chassis::page::Part;
use souk_chassis::{Admin, Context, Json, Page, Path, Problem, Query};
use uuid::Uuid;

use crate::background::now;
use crate::domain::ops::{SagaHistory, SagaView, Sales, SalesFilter, State, first_id};
use crate::saga;
use crate::store::{OUTBOX, ops as store};

/// `GET /api/ops/sales`
pub async fn sales(
    _: Admin,
    Query(filter): Query<SalesFilter>,
) -> Result<Json<Page<Sales>>, Problem> {
    let since = now() - filter.minutes * 60_000;
    Ok(Json(Page::whole(store::sales(&first_id(since)).await?)))
}

/// `GET /api/ops/sagas`
pub async fn sagas(
    _: Admin,
    Query(part): Query<Part<(i64, String)>>,
) -> Result<Json<Page<SagaView>>, Problem> {
    let sagas = store::unfinished(now(), part.after.as_ref(), part.limit).await?;
    let key = |last: &SagaView| (last.key, last.order_id.clone());
    Ok(Json(Page::new(sagas, part.limit, key)))
}

/// `GET /api/ops/sagas/{order}`
pub async fn saga(_: Admin, Path(order): Path<Uuid>) -> Result<Json<SagaHistory>, Problem> {
    let saga = found(order).await?;
    let log = store::saga_log(&saga.order_id).await?;
    Ok(Json(SagaHistory { saga, log }))
}

/// `POST /api/ops/sagas/{order}/retry`
///
/// A saga goes on by itself when it is due; this has it do so now.
pub async fn retry(
    _: Admin,
    context: Context,
    Path(order): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let saga = found(order).await?;
    match saga.state {
        State::Waiting => saga::wake(&context, &saga.order_id).await?,
        State::Due => saga::nudge(&context).await,
        // Somebody is at it, or there is nothing left to do.
        State::Running | State::Done => {}
    }
    Ok(StatusCode::ACCEPTED)
}

/// What it states about itself in numbers.
pub async fn gauges() -> Result<Vec<Gauge>, souk_store::Error> {
    let mut gauges = OUTBOX.gauges().await?;
    gauges.extend(store::count_unfinished(now()).await?.gauges());
    Ok(gauges)
}

async fn found(order: Uuid) -> Result<SagaView, Problem> {
    let saga = store::saga(&order.to_string(), now()).await?;
    saga.ok_or_else(|| Problem::not_found(format!("there is no order {order}")))
}
