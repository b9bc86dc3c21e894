//! Service discovery: where the instances of services are, and which of them can be called.
//!
//! A host registers each instance that it runs and renews its lease; who does not renew is gone. Beside that the registry itself
//! asks every instance how it is ([probes]), so that one that hangs, or whose port somebody else has now, is called no longer. A
//! client reads the instances of the services it calls and then [watches](watch) them: it is answered as soon as something changes.

mod api;
mod background;
mod clients;
mod domain;
mod probes;
mod store;
mod watch;

use souk_chassis::{Routes, Service, delete, get, post, put};

use domain::{Filter, Instance, Instances, Registration};

/// The service.
pub static SERVICE: Service =
    Service::private("registry", routes).afterwards(|_, _| background::nudge());

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Where the instances of services are, and which of them are well.")
        .route(
            get("/instances", api::list)
                .summary("The instances of these services, or of all; at once, or when something has changed")
                .for_services()
                .query::<Filter>()
                .returns::<Instances>(200),
        )
        .route(
            put("/instances/{service}/{instance}", api::register)
                .summary("Register an instance, or renew its lease")
                .for_services()
                .body::<Registration>()
                .returns::<Instance>(201)
                .returns::<Instance>(200),
        )
        .route(
            delete("/instances/{service}/{instance}", api::deregister)
                .summary("Take an instance out")
                .for_services()
                .returns_nothing(204),
        )
        .route(
            post("/internal/tick", api::tick)
                .summary("Asks instances how they are, and forgets those that are long gone")
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
