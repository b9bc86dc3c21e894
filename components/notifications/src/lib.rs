//! Notifications: order confirmations, receipts and shipping updates, and for administrators what runs low.
//!
//! What there is to tell comes as [events]; each makes one notification, however often it comes. That is in the inbox at once,
//! and goes out on the other [channels] that are on: each is a delivery of its own, which the [delivery] room sends, tries again
//! and at last parks, so that one that fails holds up none of the others. Nothing is known of people here but their ids and what
//! they were told; where a mail goes, `users` is asked for at the moment of sending.

mod api;
mod background;
mod channels;
mod clients;
mod delivery;
mod domain;
mod events;
mod settings;
mod store;
mod templates;

use souk_chassis::{Page, Routes, Service, gauges, get, post};

use domain::{DeliveryFilter, DeliveryView, Filter, Notification};

/// The service.
pub static SERVICE: Service =
    Service::private("notifications", routes).afterwards(background::afterwards);

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Confirmations, receipts and shipping updates: inbox, e-mail, webhook.")
        .route(
            get("/api/notifications", api::list)
                .summary("The own inbox, newest first; an administrator's has what is for all of them too")
                .for_customers()
                .query::<Filter>()
                .returns::<Page<Notification>>(200),
        )
        .route(
            post("/api/notifications/{id}/read", api::read)
                .summary("Note that a notification was read")
                .for_customers()
                .returns::<Notification>(200),
        )
        .route(
            get("/api/notifications/deliveries", api::deliveries)
                .summary("What went out on which channel, or did not, newest first")
                .for_admins()
                .query::<DeliveryFilter>()
                .returns::<Page<DeliveryView>>(200),
        )
        .route(
            post("/api/notifications/deliveries/{id}/retry", api::retry)
                .summary("Try a parked delivery again")
                .for_admins()
                .returns::<DeliveryView>(200)
                .fails([409]),
        )
        .route(souk_events::operation(events::handle))
        .routes(souk_client::operations())
        .route(gauges::operation(api::gauges))
        .route(
            post("/internal/tick", api::tick)
                .summary("Sends what is due")
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
