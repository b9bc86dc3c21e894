//! Errors as clients see them: RFC 9457 `application/problem+json`.

use std::fmt::Display;

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::wire::HostBody;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One field of a request that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's path, such as `price.amount`.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

/// An error response.
///
/// A handler returns it as the `Err` of its result; [`Service`](crate::Service) writes the body and adds the request id.
///
/// ```
/// use souk_chassis::Problem;
///
/// fn find(sku: &str) -> Result<(), Problem> {
///     Err(Problem::not_found(format!("there is no product with the SKU {sku}")))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

/// Boxed, so that a `Result` with a problem is no larger than it is without.
#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: HeaderMap,
    cause: Option<String>,
}

impl Problem {
    /// A problem of a kind that has no constructor here: its status, the last part of its type URI, its title, its detail.
    pub fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            slug,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request cannot be understood",
            detail,
        )
    }

    /// 400: query parameters are not as they should be.
    pub fn bad_query(errors: Vec<FieldError>) -> Self {
        let detail = named("query parameters", &errors);
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "bad-query",
            "Query parameters are not valid",
            detail,
        );
        problem.0.errors = errors;
        problem
    }

    /// 422: fields of the body are not as they should be.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = named("fields", &errors);
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation",
            "Fields of the body are not valid",
            detail,
        );
        problem.0.errors = errors;
        problem
    }

    /// 401: the caller has not said who they are, or not so that it can be believed.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Authentication is needed",
            detail,
        )
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "This is not allowed",
            detail,
        )
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such thing",
            detail,
        )
    }

    /// 405: the resource does not know this method. The router adds which ones it does know.
    pub fn method_not_allowed(method: &Method) -> Self {
        let detail = format!("{method} is not a method of this resource");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "The method is not allowed here",
            detail,
        )
    }

    /// 409: the request contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "conflict",
            "The request contradicts the present state",
            detail,
        )
    }

    /// 412: the resource has changed since the caller read it.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "The resource has changed meanwhile",
            detail,
        )
    }

    /// 413: the body is longer than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("a body may have {limit} bytes at most");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            detail,
        )
    }

    /// 415: the body is of a type the resource does not take.
    pub fn unsupported_media_type(expected: &str) -> Self {
        let detail = format!("the body must be {expected}, and say so in its content-type");
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body has another type",
            detail,
        )
    }

    /// 500: something that should not happen. The cause is logged and not sent.
    pub fn internal(cause: impl Display) -> Self {
        let detail =
            "the service met an unexpected condition; quote the request id when you report it";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong",
            detail,
        )
        .cause(cause)
    }

    /// 502: another service did not give a usable answer.
    pub fn bad_gateway(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "bad-gateway",
            "Another service did not give a usable answer",
            detail,
        )
    }

    /// 503: not at the moment; asking again after some seconds may help.
    pub fn unavailable(detail: impl Into<String>, retry_after: u32) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The service is not available now",
            detail,
        )
        .header(header::RETRY_AFTER, HeaderValue::from(retry_after))
    }

    /// 504: another service did not answer in time.
    pub fn gateway_timeout(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "gateway-timeout",
            "Another service did not answer in time",
            detail,
        )
    }

    /// The problem that says no more than a status does.
    fn of_status(status: StatusCode) -> Self {
        Self::new(
            status,
            "about:blank",
            status.canonical_reason().unwrap_or("Error"),
            "",
        )
    }

    /// Adds a member of this kind of problem's own, such as the id of what is in the way.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.into(), value.into());
        self
    }

    /// Adds a response header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Says what caused it, for the log only.
    pub fn cause(mut self, cause: impl Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What it says of this occurrence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is to be logged about it.
    pub(crate) fn logged(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The JSON text that is sent.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            #[serde(skip_serializing_if = "str::is_empty")]
            detail: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
            #[serde(flatten)]
            members: &'a Map<String, Value>,
        }
        let parts = &*self.0;
        let r#type = match parts.slug {
            "about:blank" => parts.slug.into(),
            slug => format!("urn:souk:problem:{slug}"),
        };
        let body = Body {
            r#type,
            title: parts.title,
            status: parts.status.as_u16(),
            detail: &parts.detail,
            request_id,
            errors: &parts.errors,
            members: &parts.members,
        };
        serde_json::to_vec(&body).expect("a problem is plain strings and numbers")
    }

    /// The problem that a response stands for: the one a handler returned, or, where a library answered with an error in
    /// plain text or nothing at all, one of the same status. Other responses stand for none.
    pub(crate) fn of(response: &mut Response) -> Option<Self> {
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            return Some(problem);
        }
        let status = response.status();
        let untyped = match response.headers().get(header::CONTENT_TYPE) {
            None => true,
            Some(value) => value.as_bytes().starts_with(b"text/plain"),
        };
        let failed = status.is_client_error() || status.is_server_error();
        let passed_on = response.extensions().get::<HostBody>().is_some();
        (failed && untyped && !passed_on).then(|| Self::of_status(status))
    }
}

/// What every problem has, as JSON Schema; each kind may have members of its own beside.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457 problem details",
        "required": ["type", "title", "status", "request_id"],
        "properties": {
            "type": {"type": "string", "description": "the kind, such as urn:souk:problem:not-found"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "request_id": {"type": "string"},
            "errors": {"type": "array", "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            }},
        },
    })
}

/// "the fields sku and price.amount are not valid".
fn named(what: &str, errors: &[FieldError]) -> String {
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    format!("these {what} are not valid: {}", fields.join(", "))
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = self.0.status.into_response();
        *response.headers_mut() = std::mem::take(&mut self.0.headers);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<souk_store::Error> for Problem {
    fn from(error: souk_store::Error) -> Self {
        match error {
            souk_store::Error::Busy => Self::unavailable("the database is busy", 1).cause(error),
            souk_store::Error::Full => Self::unavailable("the database is full", 60).cause(error),
            error => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn json(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.body("r1")).unwrap()
    }

    #[test]
    fn a_problem_says_what_rfc_9457_asks() {
        let problem = Problem::conflict("the SKU is taken").with("product_id", "p1");
        assert_eq!(
            json(&problem),
            serde_json::json!({
                "type": "urn:souk:problem:conflict",
                "title": "The request contradicts the present state",
                "status": 409,
                "detail": "the SKU is taken",
                "request_id": "r1",
                "product_id": "p1",
            })
        );
    }

    #[test]
    fn every_bad_field_is_named() {
        let errors = ["sku", "price.amount"].map(|field| FieldError {
            field: field.into(),
            detail: "is missing".into(),
        });
        let body = json(&Problem::validation(errors.to_vec()));
        assert_eq!(
            body["detail"],
            "these fields are not valid: sku, price.amount"
        );
        assert_eq!(
            body["errors"][1],
            serde_json::json!({"field": "price.amount", "detail": "is missing"})
        );
    }

    #[test]
    fn causes_are_never_sent() {
        let problem = Problem::internal("secret path");
        assert!(
            !String::from_utf8(problem.body("r"))
                .unwrap()
                .contains("secret")
        );
        assert_eq!(problem.logged(), Some("secret path"));
    }

    #[test]
    fn a_handlers_problem_keeps_its_headers() {
        let mut response = Problem::unavailable("busy", 3).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert_eq!(Problem::of(&mut response).unwrap().status(), 503);
    }

    #[test]
    fn a_librarys_plain_error_becomes_a_problem_and_pages_stay() {
        let mut plain = (StatusCode::BAD_REQUEST, "cannot parse").into_response();
        assert_eq!(
            json(&Problem::of(&mut plain).unwrap())["title"],
            "Bad Request"
        );

        let mut page = (StatusCode::NOT_FOUND, axum::response::Html("<h1>")).into_response();
        assert!(Problem::of(&mut page).is_none());
        assert!(Problem::of(&mut "fine".into_response()).is_none());
    }
}
