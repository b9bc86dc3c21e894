//! Orders, their history and status, and the checkout saga.
//!
//! An order is placed by one statement, and from then on it goes its way whether or not anybody waits: stock is reserved, the
//! payment authorized, the order confirmed, the payment captured and the stock taken; and when one of these fails for good,
//! what was done is undone. Each step is in the database before it is taken, so an instance may end at any point.

mod api;
mod background;
mod clients;
mod domain;
mod events;
mod saga;
mod store;
mod stream;

use souk_chassis::page::Part;
use souk_chassis::{Page, Routes, Service, gauges, get, post};

use domain::ops::{SagaHistory, SagaView, Sales, SalesFilter};
use domain::placing::NewOrder;
use domain::{Filter, OrderView, Shipment};
use store::OUTBOX;

/// The service.
pub static SERVICE: Service =
    Service::private("orders", routes).afterwards(|context, method| OUTBOX.nudge(context, method));

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Orders, their history and status, and the checkout.")
        .route(
            post("/api/orders", api::place)
                .summary("Order, and pay")
                // No order is made that whoever places it will not hear of.
                .takes(100)
                .for_customers()
                .header(
                    "idempotency-key",
                    "a value of the client's own for this order: the same key again is the same order",
                    true,
                )
                .body::<NewOrder>()
                .returns::<OrderView>(201)
                .returns::<OrderView>(202)
                .fails([402, 409]),
        )
        .route(
            get("/api/orders", api::list)
                .summary("List orders: one's own; an administrator's list has everybody's")
                .for_customers()
                .query::<Filter>()
                .returns::<Page<OrderView>>(200),
        )
        .route(
            get("/api/orders/{id}", api::show)
                .summary("An order with its history")
                .for_customers()
                .returns::<OrderView>(200),
        )
        .route(
            get("/api/orders/{id}/stream", stream::follow)
                .summary("Follow an order's status as server-sent events")
                .for_customers()
                .header("last-event-id", "the last event that was seen", false)
                .returns_stream(200, "text/event-stream")
                .returns_nothing(204),
        )
        .route(
            post("/api/orders/{id}/cancel", api::cancel)
                .summary("Cancel an order that has not been shipped")
                .for_customers()
                .returns::<OrderView>(200)
                .returns::<OrderView>(202)
                .fails([409]),
        )
        .route(
            post("/api/orders/{id}/ship", api::ship)
                .summary("Note that an order was sent")
                .for_admins()
                .body::<Shipment>()
                .returns::<OrderView>(200)
                .fails([409]),
        )
        .route(
            post("/api/orders/{id}/deliver", api::deliver)
                .summary("Note that an order has arrived")
                .for_admins()
                .returns::<OrderView>(200)
                .fails([409]),
        )
        .route(
            get("/api/ops/sales", api::ops::sales)
                .summary("How many orders there were, and what was taken, minute by minute")
                .for_admins()
                .query::<SalesFilter>()
                .returns::<Page<Sales>>(200),
        )
        .route(
            get("/api/ops/sagas", api::ops::sagas)
                .summary("The checkouts that are not done, the longest due first")
                .for_admins()
                .query::<Part<(i64, String)>>()
                .returns::<Page<SagaView>>(200),
        )
        .route(
            get("/api/ops/sagas/{order}", api::ops::saga)
                .summary("How far the checkout of an order is, and what has happened in it")
                .for_admins()
                .returns::<SagaHistory>(200),
        )
        .route(
            post("/api/ops/sagas/{order}/retry", api::ops::retry)
                .summary("Have a checkout that waits go on now")
                .for_admins()
                .returns_nothing(202),
        )
        .route(souk_events::operation(events::handle))
        .routes(souk_client::operations())
        .route(gauges::operation(api::ops::gauges))
        .route(
            post("/internal/tick", api::tick)
                .summary("Go on with what is due, and publish what is not published")
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
