//! HTTP in and out.

pub mod accounts;
pub mod addresses;
pub mod sessions;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::middleware::map_response;
use axum::response::Response;
use http::header::{self, HeaderValue};
use souk_chassis::address::CLIENT;
use souk_chassis::{Context, Problem};
use uuid::Uuid;

use crate::domain::Client;

/// Where a request comes from, and the session it is made in: what the gateway says, and nobody else is believed.
pub struct Origin {
    pub client: Option<Client>,
    pub session: Option<Uuid>,
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Context::from_request_parts(parts, state).await?;
        let from_gateway = context.require_service(&["gateway"]).is_ok();
        let header = |name| {
            let value = parts.headers.get(name).filter(|_| from_gateway);
            value.and_then(|value| value.to_str().ok())
        };
        Ok(Self {
            client: header(CLIENT.as_str()).map(Client::parse),
            session: header("x-souk-session").and_then(|session| session.parse().ok()),
        })
    }
}

/// What this service answers is somebody's own, and nobody is to keep it. An answer that says otherwise is left as it is.
pub fn keep_private(router: Router) -> Router {
    router.layer(map_response(async |mut response: Response| {
        let headers = response.headers_mut();
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        response
    }))
}
