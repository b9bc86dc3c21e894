//! The gateway: the one public entry to every service, at `/api/...`.
//!
//! A request goes through these steps, in this order (see `door.rs`):
//!
//! 1. **Request id**: kept or made, and put on everything that follows (the chassis does this for every service).
//! 2. **Authentication**: who is it? See `authentication.rs`.
//! 3. **Route**: whose request is it, and may this caller make it? See the table in `routes.rs`.
//! 4. **Forward**: to that service, with a service token that says who calls; bodies stream both ways.
//!
//! What the gateway answers itself is `/healthz` and `/api/health`. Every error is a problem: 401, 403, 404 for a path that is no
//! route, 502, 503 and 504 where a service fails, is not there, or takes too long.

mod authentication;
mod door;
mod health;
mod routes;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::{any, get};
use souk_chassis::Service;
use spin_sdk::http::{IntoResponse, Request};

/// The gateway, as a service like the others.
pub static SERVICE: Service = Service::public("gateway", routes);

/// Where Spin hands over a request. (The export has a name that only a Wasm linker takes, hence the condition.)
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    SERVICE.serve(request).await
}

fn routes() -> Router {
    Router::new()
        .route("/api/health", get(health::report))
        .route("/api/{*path}", any(door::pass))
        .layer(map_response(door::secure))
}
