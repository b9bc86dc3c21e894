//! What products learns of the others.

use http::StatusCode;
use serde::Deserialize;
use souk_chassis::Problem;
use souk_events::Delivered;
use uuid::Uuid;

use crate::store;

/// What lists need of a movement of stock. (Also of what an order takes for good: where it had expired before, it was for sale again.)
#[derive(Deserialize)]
struct Moved {
    product_id: Uuid,
    available: i64,
    version: i64,
}

/// `POST /internal/events`
pub async fn handle(Delivered(event): Delivered) -> Result<StatusCode, Problem> {
    if event.kind.starts_with("stock.") {
        let moved: Moved = event.data()?;
        store::set_available(moved.product_id, moved.available, moved.version).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
