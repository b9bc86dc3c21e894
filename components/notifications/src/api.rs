//! HTTP in and out.

use http::StatusCode;
use souk_chassis::gauges::Gauge;
use souk_chassis::{Admin, Context, Json, Page, Path, Problem, Query, SignedIn};
use uuid::Uuid;

use crate::background;
use crate::domain::{DeliveryFilter, DeliveryStatus, DeliveryView, Filter, Notification};
use crate::store::{self, OUTBOX};

/// `GET /api/notifications`
pub async fn list(
    reader: SignedIn,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Notification>>, Problem> {
    let notifications = store::list(&filter, reader).await?;
    Ok(Json(Page::new(notifications, filter.part.limit, |last| {
        last.id.clone()
    })))
}

/// `POST /api/notifications/{id}/read`
pub async fn read(reader: SignedIn, Path(id): Path<Uuid>) -> Result<Json<Notification>, Problem> {
    store::mark_read(id, reader).await?;
    let notification = store::find(id, reader).await?;
    notification
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no notification {id}")))
}

/// `GET /api/notifications/deliveries`
pub async fn deliveries(
    _: Admin,
    Query(filter): Query<DeliveryFilter>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let deliveries = store::deliveries(&filter).await?;
    Ok(Json(Page::new(deliveries, filter.part.limit, |last| {
        last.id.clone()
    })))
}

/// `POST /api/notifications/deliveries/{id}/retry`
pub async fn retry(_: Admin, Path(id): Path<Uuid>) -> Result<Json<DeliveryView>, Problem> {
    store::retry(id).await?;
    let delivery = store::delivery(id).await?;
    let delivery =
        delivery.ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))?;
    match delivery.status {
        DeliveryStatus::Sent => Err(Problem::conflict("it was sent already")),
        _ => Ok(Json(delivery)),
    }
}

/// What it states about itself in numbers.
pub async fn gauges() -> Result<Vec<Gauge>, Problem> {
    let mut gauges = OUTBOX.gauges().await?;
    gauges.push(Gauge::number(
        "souk_deliveries_parked",
        "Mails and webhooks that were given up.",
        store::parked().await?,
    ));
    Ok(gauges)
}

/// `POST /internal/tick`
pub async fn tick(context: Context) -> Result<StatusCode, Problem> {
    background::work(&context).await?;
    Ok(StatusCode::NO_CONTENT)
}
