//! What the shop has told a customer.

use axum::response::Response;
use futures::future::join;
use http::Uri;
use souk_chassis::Path;

use super::{answer, done, frame, parameter};
use crate::clients::accounts;
use crate::forms::Sent;
use crate::session::Customer;

const NOTIFICATIONS: &str = "/notifications";

/// `GET /notifications`
pub async fn list(Customer(visitor): Customer, uri: Uri) -> Response {
    let cursor = parameter(&uri, "cursor");
    let list = accounts::notifications(&visitor, cursor.as_deref());
    let (list, frame) = join(list, frame(&visitor)).await;
    let page = async {
        let list = list?;
        Ok(frame.notifications(&list, cursor.is_none(), &visitor.csrf()?))
    };
    answer(&visitor, &frame, page.await, &uri)
}

/// `POST /notifications/{id}/read`
pub async fn read(Customer(visitor): Customer, Path(id): Path<String>, Sent(_): Sent) -> Response {
    let outcome = accounts::read(&visitor, &id).await;
    done(&visitor, outcome, NOTIFICATIONS).await
}
