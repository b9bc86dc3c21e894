//! Carts: what somebody means to buy, before it is an order.
//!
//! A cart belongs to an account or to a guest. What is in it is one entry of the key-value store, changed by
//! compare-and-swap, so that changes made at once are all there. What its lines cost and whether there is enough of each is
//! asked of products and inventory when the cart is looked at; where they do not answer, the cart shows what it knows and
//! says so.

mod api;
mod clients;
mod domain;
mod events;
mod owner;
mod store;
mod sweep;
mod token;

use souk_chassis::{Operation, Problem, Routes, Service, delete, gauges, get, post, put};

use api::NewQuantity;
use domain::view::CartView;

/// The service.
pub static SERVICE: Service = Service::private("carts", routes);

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Shopping carts, of accounts and of guests.")
        .route(
            known_by_token(get("/api/cart", api::show).summary("The caller's cart"))
                .returns::<CartView>(200),
        )
        .route(
            known_by_token(
                delete("/api/cart", api::clear).summary("Take everything out of the cart"),
            )
            .header(
                "if-match",
                "the ETag of the cart that is to be cleared",
                false,
            )
            .returns_nothing(204)
            .fails([412]),
        )
        .route(
            known_by_token(
                put("/api/cart/items/{product_id}", api::put_item)
                    .summary("Have so many of a product in the cart"),
            )
            .body::<NewQuantity>()
            .returns::<CartView>(200)
            .fails([409]),
        )
        .route(
            known_by_token(
                delete("/api/cart/items/{product_id}", api::remove_item)
                    .summary("Take a product out of the cart"),
            )
            .returns::<CartView>(200),
        )
        .route(souk_events::operation(events::handle))
        // Nothing waits in it. That it answers is what is asked for.
        .route(gauges::operation(|| async { Ok::<_, Problem>(Vec::new()) }))
        .routes(souk_client::operations())
        .route(
            post("/internal/tick", api::tick)
                .summary("Deletes guests' carts that have expired, when that is due")
                .returns_nothing(204),
        )
}

/// What every operation on the caller's cart reads to know whose it is. A token in the header that is none of ours is an error.
fn known_by_token(operation: Operation) -> Operation {
    operation
        .header(
            token::HEADER,
            "the token of a guest's cart, where no cookie carries it",
            false,
        )
        .fails([400])
}

#[cfg(test)]
mod tests;
