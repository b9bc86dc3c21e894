//! What orders learns of the others.
//!
//! The saga asks for what it needs, and usually has the answer. Where one was lost or late, the event that tells of the outcome wakes
//! the saga, so that it asks again at once and not when its pause is over.

use http::StatusCode;
use serde::Deserialize;
use souk_chassis::{Context, Money, Problem};
use souk_events::Delivered;
use uuid::Uuid;

use crate::{saga, store};

/// Something happened that was for an order.
#[derive(Deserialize)]
struct ForOrder {
    order_id: Option<Uuid>,
}

#[derive(Deserialize)]
struct Refunded {
    order_id: Uuid,
    refunded_in_all: Money,
}

#[derive(Deserialize)]
struct UserDeleted {
    user_id: Uuid,
}

/// `POST /internal/events`
pub async fn handle(context: Context, Delivered(event): Delivered) -> Result<StatusCode, Problem> {
    match &*event.kind {
        "user.deleted" => {
            let UserDeleted { user_id } = event.data()?;
            store::erase_user(&user_id.to_string()).await?;
        }
        "payment.refunded" => {
            let Refunded {
                order_id,
                refunded_in_all,
            } = event.data()?;
            store::note_refund(&order_id.to_string(), refunded_in_all.amount).await?;
            saga::wake(&context, &order_id.to_string()).await?;
        }
        kind if kind.starts_with("payment.") || kind.starts_with("stock.") => {
            if let ForOrder {
                order_id: Some(order_id),
            } = event.data()?
            {
                saga::wake(&context, &order_id.to_string()).await?;
            }
        }
        _ => {}
    }
    Ok(StatusCode::NO_CONTENT)
}
