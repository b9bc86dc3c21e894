//! Extractors that reject as problems.

use std::error::Error as _;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap};
use http_body::Body as _;
use http_body_util::LengthLimitError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fields::{self, FromFields};
use crate::problem::Problem;

/// The longest JSON body that is read.
pub const BODY_LIMIT: usize = 64 * 1024;

/// A JSON body: of a request, read and checked, or of a response.
///
/// As an argument it rejects a body that is not JSON (400), says it is something else (415), is too large (413), or has fields that are not as
/// they should be (422, naming each).
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: FromFields, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        fields::from_json(json_body(request, BODY_LIMIT).await?)
            .map(Self)
            .map_err(Problem::validation)
    }
}

/// Reads a body of at most so many bytes as JSON, whatever is in it. Rejects one that is not JSON (400), says it is something else (415),
/// or is too large (413).
pub async fn json_body(request: Request, limit: usize) -> Result<serde_json::Value, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let bytes = read_body(request.into_body(), limit).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

/// The query string, read and checked. Rejects bad parameters with 400, naming each.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: FromFields, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        fields::from_query(parts.uri.query().unwrap_or_default())
            .map(Self)
            .map_err(Problem::bad_query)
    }
}

/// The parameters in the path. One that cannot be read names nothing that exists, so it is rejected with 404.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parameters)) => Ok(Self(parameters)),
            Err(_) => Err(Problem::not_found(format!(
                "there is nothing at {}",
                parts.uri.path()
            ))),
        }
    }
}

/// `application/json` or anything `+json`, whatever parameters follow.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn read_body(body: Body, limit: usize) -> Result<bytes::Bytes, Problem> {
    if body
        .size_hint()
        .upper()
        .is_some_and(|length| length > limit as u64)
    {
        return Err(Problem::too_large(limit));
    }
    to_bytes(body, limit).await.map_err(|error| {
        match error
            .source()
            .is_some_and(|source| source.is::<LengthLimitError>())
        {
            true => Problem::too_large(limit),
            false => Problem::bad_request("the body broke off").cause(error),
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn json_is_known_by_its_media_type() {
        let is_json = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(
                header::CONTENT_TYPE,
                value.parse().unwrap(),
            )]))
        };
        assert!(is_json("application/json"));
        assert!(is_json("Application/JSON; charset=utf-8"));
        assert!(is_json("application/merge-patch+json"));
        assert!(!is_json("text/plain"));
        assert!(!is_json("application/jsonx"));
        assert!(!super::is_json(&HeaderMap::new()));
    }
}
