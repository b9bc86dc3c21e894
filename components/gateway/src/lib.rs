//! The gateway: the one public entry to every service, at `/api/...`.
//!
//! Every request goes through the same steps, in this order (`door.rs`):
//!
//! | step | room |
//! |---|---|
//! | preflights and `OPTIONS` are answered at once | `cors`, `routes` |
//! | the head may not be too large | `bounds` |
//! | whose is it? | `routes`, a table one can read |
//! | is there room for it? | `shedding` |
//! | who is it? An access token is verified with the keys of `users`, which are kept | `authentication`, `keys` |
//! | where does it come from? The storefront says so of its visitors, else the connection does, or the proxies in front | `authentication` |
//! | is it within the limits of its client and its account? | `limits` says what they are, `limiter` counts |
//! | may this caller make it? | `routes` |
//! | the body may not be too large | `bounds` |
//! | it is passed on, with a deadline | `forward`, as `policies` say; what is down is answered from `copies` where it can be |
//! | or it is answered here | `aggregation`, `contract` (`merge`), `health`, `metrics` (`exposition`), `ops` |
//! | the answer is compressed where that pays, and gets the headers that every answer has | `compression`, `cors`, `door` |
//!
//! Whoever called goes on to the service in the service token, the session in `x-souk-session`, the client's address in
//! `x-souk-client`. Bodies pass through without being read where they can, and streams as they come.
//!
//! Every error is a problem: 401 (`token-expired` where that is all), 403, 404 for a path that is no route, 405, 408, 413,
//! 414, 429, 431, and 502, 503 and 504 where a service fails, is not there, or takes too long.

mod aggregation;
mod authentication;
mod bounds;
mod clients;
mod compression;
mod contract;
mod copies;
mod cors;
mod door;
mod exposition;
mod forward;
mod health;
mod keys;
mod limiter;
mod limits;
mod merge;
mod metrics;
mod ops;
mod policies;
mod routes;
mod settings;
mod shedding;
mod store;
mod ticker;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::any;
use souk_chassis::{Routes, Service, get, put};
use souk_client::NewFaults;

/// The gateway, as a service like the others.
pub static SERVICE: Service = Service::public("gateway", routes).afterwards(ticker::nudge);

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("The shop as a whole.")
        .route(
            get("/api/health", health::report)
                .summary("How the services are")
                .returns::<health::Report>(200),
        )
        .route(
            get("/api/home", aggregation::home)
                .summary("What the start page shows")
                .returns::<aggregation::Home>(200),
        )
        .route(
            get("/api/openapi.json", contract::show)
                .summary("This contract")
                .returns::<clients::Object>(200),
        )
        .route(
            get("/metrics", metrics::expose)
                .summary("What Prometheus scrapes, for whoever brings the token of metrics: its own text format, or OpenMetrics")
                .returns_stream(200, souk_exposition::TEXT)
                .fails([401, 404]),
        )
        .route(
            get("/api/ops/services", ops::services)
                .summary("The services, and where their instances are")
                .for_admins()
                .returns::<ops::Services>(200),
        )
        .route(
            get("/api/ops/breakers", ops::breakers)
                .summary("What each service knows of those it calls: circuit breakers, retries, ejected instances")
                .for_admins()
                .returns::<ops::Breakers>(200),
        )
        .route(
            get("/api/ops/faults", ops::faults)
                .summary("The faults that are ordered")
                .for_admins()
                .returns::<ops::Faults>(200)
                .fails([409]),
        )
        .route(
            put("/api/ops/faults", ops::order_faults)
                .summary("Have calls fail on purpose for a while, instead of those that did; none to end it")
                .for_admins()
                .body::<NewFaults>()
                .returns::<ops::Faults>(200)
                .fails([409]),
        )
        .route(
            get("/api/orders/{id}/summary", aggregation::summary)
                .summary("An order with its payment and what the customer was told")
                .for_customers()
                .returns::<aggregation::Summary>(200),
        )
        .merge(forwarded())
        .layered(|router| router.layer(from_fn(door::enter)))
}

/// What belongs to other services, as the table in `routes.rs` says.
fn forwarded() -> Router {
    Router::new()
        .route("/api", any(forward::pass))
        .route("/api/{*path}", any(forward::pass))
        .route("/.well-known/{*path}", any(forward::pass))
}

#[cfg(test)]
mod tests;
