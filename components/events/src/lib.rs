//! The message broker: services publish what happened, and whoever needs it listens, at its own pace.
//!
//! Events are CloudEvents. They come into a durable log, each once, and stay there for some days. Who gets which is said in
//! `subscriptions.json`. Each consumer has a place of its own in the log, from which it is brought forward in [rounds](domain): events
//! of one subject come in their order, those of others beside them, each at least once. What a consumer does not take is held back
//! with what comes after it of the same subject, tried again with pauses that grow, and is a dead letter in the end. A consumer that is
//! not there is left alone for a while, and gets everything when it returns; nobody else notices.

mod api;
mod clients;
mod delivery;
mod domain;
mod settings;
mod store;

use souk_chassis::page::Part;
use souk_chassis::{Page, Routes, Service, gauges, get, post};
use souk_events::Event;

use api::{EventFilter, LetterFilter, Replay};
use domain::{DeadLetter, HeldBack, Logged, Standing};
use store::Appended;

/// The service.
pub static SERVICE: Service = Service::private("events", routes).afterwards(delivery::nudge);

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("The message broker: a durable log, subscriptions, retries, dead letters.")
        .route(
            post("/events", api::publish)
                .summary("Publish an event, or a list of them; what is known already is taken no second time")
                .for_services()
                .body::<Event>()
                .returns::<Appended>(200),
        )
        .route(
            get("/api/ops/events", api::list)
                .summary("The events of the last days, newest first")
                .for_admins()
                .query::<EventFilter>()
                .returns::<Page<Logged>>(200),
        )
        .route(
            get("/api/ops/subscriptions", api::subscriptions)
                .summary("How far the consumers have come")
                .for_admins()
                .returns::<Page<Standing>>(200),
        )
        .route(
            get("/api/ops/subscriptions/{consumer}/held", api::held)
                .summary("Events that are held back for a consumer, and tried again, in the order of the log")
                .for_admins()
                .query::<Part<i64>>()
                .returns::<Page<HeldBack>>(200),
        )
        .route(
            post("/api/ops/subscriptions/{consumer}/replay", api::replay)
                .summary("Have a consumer get everything again that came after a position")
                .for_admins()
                .body::<Replay>()
                .returns::<Standing>(200),
        )
        .route(
            get("/api/ops/dead-letters", api::dead_letters)
                .summary("Events that a consumer did not take, and that are not tried any more")
                .for_admins()
                .query::<LetterFilter>()
                .returns::<Page<DeadLetter>>(200),
        )
        .route(
            post("/api/ops/dead-letters/{letter}/redeliver", api::redeliver)
                .summary("Have a dead letter delivered again")
                .for_admins()
                .returns_nothing(202),
        )
        .routes(souk_client::operations())
        .route(gauges::operation(api::gauges))
        .route(
            post("/internal/tick", api::tick)
                .summary("Deliver what is due, and forget what is old")
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
