//! Services, their instances and breakers.

use axum::response::Response;
use futures::future::join;
use http::Uri;
use souk_chassis::Path;

use super::{answer, window};
use crate::clients::console::{self as api, part};
use crate::pages::parameter;
use crate::session::Operator;

/// `GET /console/services`
pub async fn list(Operator(visitor): Operator, uri: Uri) -> Response {
    let both = async {
        let (services, breakers) = join(api::services(&visitor), api::breakers(&visitor)).await;
        Ok((part(services)?, part(breakers)?))
    };
    answer(&visitor, &uri, both, |console, (services, breakers)| {
        let status = parameter(&uri, "status").unwrap_or_default();
        console.services(services.as_ref(), breakers.as_ref(), &status)
    })
    .await
}

/// `GET /console/services/{service}`
pub async fn show(Operator(visitor): Operator, Path(service): Path<String>, uri: Uri) -> Response {
    let window = window(&uri);
    let measures = api::routes(&visitor, &service, window);
    answer(&visitor, &uri, measures, |console, measures| {
        let routes = measures.by(|it| &it.route, window);
        // There is one service, or none.
        let all = measures.by(|it| &it.service, window);
        let all = all.into_values().next().unwrap_or_default();
        console.service(&service, &routes, &all, window)
    })
    .await
}
