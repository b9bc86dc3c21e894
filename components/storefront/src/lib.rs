//! The storefront: the shop's pages, rendered on the server.
//!
//! It owns no data. What it shows and does it asks of the public API, through the gateway, in the visitor's name, as any visitor could;
//! so it needs no rights beyond that, and a page can show nothing that the API would not tell. The gateway believes it one thing: which address a visitor has. Pages work without a script; there
//! is one that makes some of them handier.
//!
//! | room | what is in it |
//! |---|---|
//! | `pages` | the pages over HTTP, a room for each area: what to ask for, what to answer when it cannot be had |
//! | `view` | the pages as HTML, with the same rooms |
//! | `forms` | what visitors fill in, and what is wrong with it |
//! | `session` | who a visitor is, by their cookies |
//! | `csrf` | sees to it that a form comes from a page of ours |
//! | `cookies` | reading and writing them |
//! | `domain` | what the pages show and what the visitor asked for: prices, queries, wording |
//! | `clients` | calls to the gateway |
//! | `assets` | the style sheet, the script and the pictures, from the read-only mount of the manifest |

mod assets;
mod clients;
mod cookies;
mod csrf;
mod domain;
mod forms;
mod pages;
mod session;
mod view;

use axum::Router;
use axum::middleware::{from_fn, map_response};
use axum::routing::{get, post};
use souk_chassis::{Routes, Service};

use pages::{
    account, addresses, cart, catalogue, checkout, console, entrance, notifications, orders,
};

/// The service.
pub static SERVICE: Service = Service::public("storefront", routes);

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("The shop's pages.")
        .merge(
            public_pages()
                .merge(own_pages())
                .merge(console_pages())
                .layer(from_fn(session::carry)),
        )
        .merge(files())
        .layered(|router| {
            router
                .layer(from_fn(pages::validate))
                .layer(map_response(pages::restrict))
        })
}

/// Pages for everybody. (Pages are for people: no contract describes them.)
fn public_pages() -> Router {
    Router::new()
        .route("/", get(catalogue::list))
        .route("/products/{id}", get(catalogue::product))
        .route("/suggestions", get(catalogue::suggestions))
        .route("/cart", get(cart::show).post(cart::add))
        .route("/cart/items/{product_id}", post(cart::change))
        .route("/login", get(entrance::login).post(entrance::log_in))
        .route(
            "/register",
            get(entrance::register).post(entrance::open_account),
        )
        .route("/logout", post(entrance::log_out))
        .route("/{*path}", get(pages::not_found))
}

/// Pages for whoever is signed in.
fn own_pages() -> Router {
    Router::new()
        .route("/checkout", get(checkout::show).post(checkout::place))
        .route("/orders", get(orders::list))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/stream", get(orders::follow))
        .route("/orders/{id}/cancel", post(orders::cancel))
        .route("/notifications", get(notifications::list))
        .route("/notifications/{id}/read", post(notifications::read))
        .route("/account", get(account::show).post(account::rename))
        .route(
            "/account/password",
            get(account::password).post(account::change_password),
        )
        .route("/account/export", get(account::export))
        .route(
            "/account/delete",
            get(account::ask_to_delete).post(account::delete),
        )
        .route("/account/addresses", get(addresses::list))
        .route(
            "/account/addresses/new",
            get(addresses::new).post(addresses::add),
        )
        .route(
            "/account/addresses/{id}",
            get(addresses::show).post(addresses::change),
        )
        .route("/account/addresses/{id}/delete", post(addresses::delete))
}

/// Pages for administrators.
fn console_pages() -> Router {
    Router::new()
        .route("/console", get(console::overview::show))
        .route("/console/find", get(console::find::find))
        .route("/console/map", get(console::overview::map))
        .route("/console/traces", get(console::traces::list))
        .route("/console/traces/{id}", get(console::traces::show))
        .route("/console/logs", get(console::logs::list))
        .route("/console/orders", get(console::orders::list))
        .route("/console/orders/sagas", get(console::orders::sagas))
        .route("/console/orders/{id}", get(console::orders::show))
        .route("/console/orders/{id}/retry", post(console::orders::retry))
        .route("/console/events", get(console::events::list))
        .route(
            "/console/events/subscriptions",
            get(console::events::subscriptions),
        )
        .route(
            "/console/events/subscriptions/{consumer}",
            get(console::events::held),
        )
        .route(
            "/console/events/dead-letters",
            get(console::events::dead_letters),
        )
        .route(
            "/console/events/dead-letters/{letter}/redeliver",
            post(console::events::redeliver),
        )
        .route("/console/stock", get(console::stock::list))
        .route(
            "/console/stock/{product}",
            get(console::stock::movements).post(console::stock::count),
        )
        .route(
            "/console/stock/{product}/reservations",
            get(console::stock::holds),
        )
        .route("/console/services", get(console::services::list))
        .route("/console/services/{service}", get(console::services::show))
        .route(
            "/console/faults",
            get(console::faults::show).post(console::faults::order),
        )
        .route("/console/faults/end", post(console::faults::end))
}

fn files() -> Router {
    Router::new()
        .route("/assets/{*path}", get(assets::asset))
        .route("/pictures/{*path}", get(assets::picture))
}
