//! What inventory learns of the others.

use http::StatusCode;
use serde::Deserialize;
use souk_chassis::Problem;
use souk_events::Delivered;
use uuid::Uuid;

use crate::store;

#[derive(Deserialize)]
struct ProductCreated {
    product_id: Uuid,
}

/// `POST /internal/events`
pub async fn handle(Delivered(event): Delivered) -> Result<StatusCode, Problem> {
    if event.kind == "product.created" {
        let ProductCreated { product_id } = event.data()?;
        store::begin(product_id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
