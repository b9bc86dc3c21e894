//! Stock levels, reservations and the stock ledger.
//!
//! Reading a level is for all, keeping stock needs the role admin, and reservations are for the service `orders`. Every change is
//! one SQL statement. Triggers move the stock of all lines of a reservation and write the ledger; a CHECK refuses to oversell.

mod api;
mod domain;
mod events;
mod store;

use souk_chassis::page::Part;
use souk_chassis::{Page, Routes, Service, gauges, get, post, put};

use domain::{
    Adjustment, Audit, Entry, Hold, Level, LevelFilter, NewLevel, NewReservation, Reservation,
};
use store::OUTBOX;

/// The service.
pub static SERVICE: Service = Service::private("inventory", routes)
    .afterwards(|context, method| OUTBOX.nudge(context, method));

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Stock levels, reservations and the stock ledger.")
        .route(
            get("/api/inventory", api::list)
                .summary(
                    "The stock of these products; without product_ids, for administrators, of all",
                )
                .query::<LevelFilter>()
                .returns::<Page<Level>>(200)
                .fails([401, 403]),
        )
        .route(
            get("/api/inventory/audit", api::audit)
                .summary("Whether the levels are what the ledger and the open reservations say")
                .for_admins()
                .returns::<Audit>(200),
        )
        .route(
            get("/api/inventory/{product_id}", api::show)
                .summary("The stock of a product")
                .returns::<Level>(200),
        )
        .route(
            put("/api/inventory/{product_id}", api::set)
                .summary("Set what is on hand of a product")
                .for_admins()
                .body::<NewLevel>()
                .returns::<Level>(200)
                .fails([409]),
        )
        .route(
            post("/api/inventory/{product_id}/adjustments", api::adjust)
                .summary("Change what is on hand of a product, and say why")
                .for_admins()
                .header(
                    "idempotency-key",
                    "makes a repeated adjustment count once",
                    false,
                )
                .body::<Adjustment>()
                .returns::<Level>(200)
                .fails([409]),
        )
        .route(
            get("/api/inventory/{product_id}/ledger", api::ledger)
                .summary("Every movement of a product's stock, newest first")
                .for_admins()
                .query::<Part<i64>>()
                .returns::<Page<Entry>>(200),
        )
        .route(
            get("/api/inventory/{product_id}/reservations", api::holds)
                .summary("Which orders hold how many of a product, those first that end first")
                .for_admins()
                .query::<Part<(String, String)>>()
                .returns::<Page<Hold>>(200),
        )
        .route(
            get("/internal/reservations/{order_id}", api::reservation)
                .summary("What an order holds")
                .for_services()
                .returns::<Reservation>(200),
        )
        .route(
            put("/internal/reservations/{order_id}", api::reserve)
                .summary("Reserve all lines of an order, or none")
                .for_services()
                .body::<NewReservation>()
                .returns::<Reservation>(201)
                .returns::<Reservation>(200)
                .fails([409]),
        )
        .route(
            post("/internal/reservations/{order_id}/commit", api::commit)
                .summary("Take what an order holds off the stock for good")
                .for_services()
                .returns::<Reservation>(200)
                .fails([409]),
        )
        .route(
            post("/internal/reservations/{order_id}/release", api::release)
                .summary("Give back what an order holds or has taken")
                .for_services()
                .returns::<Reservation>(200),
        )
        .route(souk_events::operation(events::handle))
        .routes(souk_client::operations())
        .route(gauges::operation(|| OUTBOX.gauges()))
        .route(
            post("/internal/tick", api::tick)
                .summary(
                    "Frees what expired reservations hold, and publishes what is not published",
                )
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
