//! What is learned from the other services.

use http::StatusCode;
use souk_chassis::Problem;
use souk_events::Delivered;

use crate::channels;
use crate::domain::{
    NewNotification, OrderCancelled, OrderConfirmed, OrderShipped, PaymentCaptured, StockLow,
    UserDeleted,
};
use crate::store;

/// `POST /internal/events`
pub async fn handle(Delivered(event): Delivered) -> Result<StatusCode, Problem> {
    match event.kind.as_str() {
        "order.confirmed" => notify(event.data::<OrderConfirmed>()?).await?,
        "payment.captured" => notify(event.data::<PaymentCaptured>()?).await?,
        "order.shipped" => notify(event.data::<OrderShipped>()?).await?,
        "order.cancelled" => {
            let cancelled: OrderCancelled = event.data()?;
            if cancelled.is_news() {
                notify(cancelled).await?;
            }
        }
        "stock.low" => notify(event.data::<StockLow>()?).await?,
        "user.deleted" => store::erase(event.data::<UserDeleted>()?.user_id).await?,
        _ => {}
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the notification, to go out on every channel that is on. The same again makes none.
async fn notify(event: impl Into<NewNotification>) -> Result<(), Problem> {
    let new = event.into();
    let channels = channels::reaching(new.user_id).await?;
    Ok(store::insert(&new, &channels).await?)
}
