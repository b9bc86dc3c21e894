//! Payments: authorizations, captures, voids and refunds, through a pluggable provider.
//!
//! The provider is another component, behind the interface `souk:payment/provider`. It is asked only about operations that are in
//! the database already, so that whatever happens, it can be asked [what became of them](operations). The payment's status, its
//! sums and its history follow from them by triggers.
//!
//! A card is validated, exchanged for a token at once, and never stored, logged or repeated in a message.

mod api;
mod card;
mod domain;
mod operations;
mod provider;
mod store;

use souk_chassis::{Page, Routes, Service, gauges, get, post};

use api::OfOrder;
use card::{Card, CardToken};
use domain::{NewPayment, NewRefund, Payment};
use store::OUTBOX;

/// The service.
pub static SERVICE: Service =
    Service::private("payments", routes).afterwards(operations::afterwards);

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Authorizations, captures, voids and refunds, through a pluggable provider.")
        .route(
            get("/api/payments", api::list)
                .summary("The payment of an order")
                .for_customers()
                .query::<OfOrder>()
                .returns::<Page<Payment>>(200),
        )
        .route(
            get("/api/payments/{id}", api::show)
                .summary("A payment")
                .for_customers()
                .returns::<Payment>(200),
        )
        .route(
            post("/api/payments/{id}/refunds", api::refund)
                .summary("Give money back, all that is left unless told")
                .for_admins()
                .header(
                    "idempotency-key",
                    "what names this refund; the same again is the same refund",
                    true,
                )
                .body::<NewRefund>()
                .returns::<Payment>(201)
                .returns::<Payment>(202)
                .fails([409]),
        )
        .route(
            post("/internal/card-tokens", api::tokenize)
                .summary("Exchange a card for a token")
                .for_services()
                .body::<Card>()
                .returns::<CardToken>(201),
        )
        .route(
            get("/internal/payments/{order_id}", api::of_order)
                .summary(
                    "The payment of an order; finds out what became of it where that is unknown",
                )
                .for_services()
                .returns::<Payment>(200),
        )
        .route(
            post("/internal/payments/{order_id}/authorize", api::authorize)
                .summary("Hold money for an order")
                // No money is asked for that nobody waits for: the order may be given up meanwhile.
                .takes(20)
                .for_services()
                .body::<NewPayment>()
                .returns::<Payment>(200)
                .returns::<Payment>(202)
                .fails([409]),
        )
        .route(
            post("/internal/payments/{order_id}/capture", api::capture)
                .summary("Take the money that is held for an order")
                .for_services()
                .returns::<Payment>(200)
                .returns::<Payment>(202)
                .fails([409]),
        )
        .route(
            post("/internal/payments/{order_id}/void", api::void)
                .summary("Let go of the money that is held for an order, or will be")
                .for_services()
                .returns::<Payment>(200)
                .returns::<Payment>(202)
                .fails([409]),
        )
        .route(
            post("/internal/payments/{order_id}/refund", api::refund_order)
                .summary("Give back all the money of an order that is left")
                .for_services()
                .returns::<Payment>(200)
                .returns::<Payment>(202)
                .fails([409]),
        )
        .routes(souk_client::operations())
        .route(gauges::operation(|| OUTBOX.gauges()))
        .route(
            post("/internal/tick", api::tick)
                .summary("Does what is due")
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
