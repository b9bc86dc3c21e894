//! The host's own answers, as RFC 9457 problem documents.

use crate::body::full;
use http::{HeaderValue, Response, StatusCode, header};
use wasmtime_wasi_http::WasiBody;

/// A problem the host answers with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The request cannot be understood.
    BadRequest,
    /// No route matches.
    NoRoute,
    /// The body is larger than the host takes.
    BodyTooLarge,
    /// The component crashed.
    Crashed,
    /// Too much is going on.
    Overloaded,
    /// The component took too long to begin its answer.
    TimedOut,
}

impl Problem {
    fn parts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                "bad-request",
                "Bad request",
                "The request needs a Host header that agrees with its URI.",
            ),
            Self::NoRoute => (
                StatusCode::NOT_FOUND,
                "no-route",
                "Not found",
                "No component of this application serves this path.",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "Body too large",
                "Send a smaller body.",
            ),
            Self::Crashed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "component-failed",
                "Internal error",
                "The component that serves this path failed; the operator's log says how.",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too busy",
                "Too many requests at once; try again shortly.",
            ),
            Self::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "timed-out",
                "Timed out",
                "The component that serves this path took too long to answer.",
            ),
        }
    }

    /// A word for it.
    pub fn kind(self) -> &'static str {
        self.parts().1
    }

    /// The response.
    pub fn response(self) -> Response<WasiBody> {
        let (status, kind, title, detail) = self.parts();
        let document = serde_json::json!({
            "type": format!("urn:souk:problem:{kind}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = Response::new(full(document.to_string().into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self == Self::Overloaded {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
