//! The door by which events come in.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::handler::Handler;
use souk_chassis::{Context, Operation, Problem, fields, json_body, post};

use crate::{EVENT_LIMIT, Event};

/// An event that the broker delivers; a handler takes it as an argument. Nobody else gets in.
pub struct Delivered(pub Event);

impl<S: Sync> FromRequest<S> for Delivered {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let context = Context::from_request_parts(&mut parts, state).await?;
        context.require_service(&["events"])?;
        let event = json_body(Request::from_parts(parts, body), EVENT_LIMIT).await?;
        fields::from_json(event)
            .map(Self)
            .map_err(Problem::validation)
    }
}

/// `POST /internal/events`, as every service has it that listens.
pub fn operation<H: Handler<T, ()>, T: 'static>(handler: H) -> Operation {
    post("/internal/events", handler)
        .summary("Take notice of an event; once it is answered with 2xx its effect is durable")
        .for_services()
        .body::<Event>()
        .returns_nothing(204)
}
