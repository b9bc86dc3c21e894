//! Products: listings, descriptions, prices, categories and search.
//!
//! Reading is for all; writing needs the role admin, which the service token says. Every change is one SQL statement, and
//! triggers write what must go with it: the price history and the search index.

mod api;
mod domain;
mod store;

use axum::Router;
use axum::routing::{get, put};
use souk_chassis::Service;
use spin_sdk::http::{IntoResponse, Request};

/// The service.
pub static SERVICE: Service = Service::private("products", routes);

/// Where Spin hands over a request. (The export has a name that only a Wasm linker takes, hence the condition.)
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    SERVICE.serve(request).await
}

fn routes() -> Router {
    Router::new()
        .route("/api/products", get(api::list).post(api::create))
        .route(
            "/api/products/{id}",
            get(api::show).patch(api::change).delete(api::delete),
        )
        .route("/api/products/{id}/price-history", get(api::price_history))
        .route("/api/categories", get(api::categories))
        .route("/api/categories/{slug}", put(api::put_category))
}

#[cfg(test)]
mod tests;
