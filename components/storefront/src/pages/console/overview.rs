//! The overview and the map.

use axum::response::Response;
use futures::future::join;
use http::Uri;

use super::{answer, asked, window};
use crate::clients::console::{self as api, part};
use crate::domain::console::map::edges;
use crate::domain::console::measures::Turnover;
use crate::session::Operator;
use crate::view::console::overview::Overview;

/// `GET /console`
pub async fn show(Operator(visitor): Operator, uri: Uri) -> Response {
    let window = window(&uri);
    let overview = async {
        let unfinished = asked(&uri, &[]);
        let (measures, sales, health, breakers, subscriptions, sagas) = futures::join!(
            api::measures(&visitor, window),
            api::sales(&visitor, window),
            api::services(&visitor),
            api::breakers(&visitor),
            api::subscriptions(&visitor),
            api::sagas(&visitor, &unfinished),
        );
        Ok(Overview {
            window,
            services: part(measures)?.map(|measures| measures.by(|it| &it.service, window)),
            turnover: part(sales)?.map(|sales| Turnover::of(&sales, window)),
            health: part(health)?,
            breakers: part(breakers)?,
            subscriptions: part(subscriptions)?,
            sagas: part(sagas)?,
        })
    };
    answer(&visitor, &uri, overview, |console, overview| {
        console.overview(&overview)
    })
    .await
}

/// `GET /console/map`
pub async fn map(Operator(visitor): Operator, uri: Uri) -> Response {
    let window = window(&uri);
    let map = async {
        let calls = api::edges(&visitor, window);
        let (calls, breakers) = join(calls, api::breakers(&visitor)).await;
        let breakers = part(breakers)?.map_or(Vec::new(), |breakers| breakers.items);
        Ok(edges(calls?, &breakers))
    };
    answer(&visitor, &uri, map, |console, edges| {
        console.map(&edges, window)
    })
    .await
}
