//! The storefront: the shop's pages, rendered on the server.
//!
//! It owns no data. What it shows it asks of the public API, through the gateway, as any visitor could; so it needs no rights
//! beyond that, and a page can show nothing that the API would not tell. Pages work without a script, and there is none.
//!
//! | room | what is in it |
//! |---|---|
//! | `pages` | the pages over HTTP: what to ask for, what to answer when it cannot be had |
//! | `view` | the pages as HTML |
//! | `domain` | what the pages show and what the visitor asked for: prices, queries, wording |
//! | `clients` | calls to the gateway |
//! | `assets` | the style sheet and the pictures, from the read-only mount of the manifest |

mod assets;
mod clients;
mod domain;
mod pages;
mod view;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;
use souk_chassis::{Routes, Service};
use spin_sdk::http::{IntoResponse, Request};

/// The service.
pub static SERVICE: Service = Service::public("storefront", routes);

/// Where Spin hands over a request. (The export has a name that only a Wasm linker takes, hence the condition.)
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    SERVICE.serve(request).await
}

fn routes() -> Routes {
    Routes::new("The shop's pages.").merge(pages())
}

/// Pages are for people: no contract describes them.
fn pages() -> Router {
    Router::new()
        .route("/", get(pages::list))
        .route("/products/{id}", get(pages::product))
        .route("/assets/{*path}", get(assets::asset))
        .route("/pictures/{*path}", get(assets::picture))
        .route("/{*path}", get(pages::not_found))
        .layer(map_response(pages::restrict))
}
