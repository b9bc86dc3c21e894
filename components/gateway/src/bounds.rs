//! How large a request may be.

use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use futures::future::{Either, select};
use http::StatusCode;
use http::header::{self, HeaderValue};
use http_body_util::LengthLimitError;
use souk_chassis::wire::HostBody;
use souk_chassis::{BODY_LIMIT, Problem};

/// The longest path and query, in bytes.
const TARGET_LIMIT: usize = 8 * 1024;

/// What all headers together may have, in bytes.
const HEADERS_LIMIT: usize = 16 * 1024;

/// How many headers there may be.
const HEADERS_COUNT: usize = 100;

/// Refuses a request whose head is too large.
pub fn check_head(request: &Request) -> Result<(), Problem> {
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > TARGET_LIMIT) {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "uri-too-long",
            "The address is too long",
            format!("path and query may have {TARGET_LIMIT} bytes at most"),
        ));
    }
    let headers = request.headers();
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if size > HEADERS_LIMIT || headers.len() > HEADERS_COUNT {
        return Err(Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "The headers are too large",
            format!("there may be {HEADERS_COUNT} headers of {HEADERS_LIMIT} bytes in all"),
        ));
    }
    Ok(())
}

/// Refuses a body that is too large. One that says how long it is streams on unread; any other is read here first, which
/// never takes more memory than the limit, and so the answer does not depend on how far the service has got when the limit
/// is met.
pub async fn check_body(request: Request, timeout: Duration) -> Result<Request, Problem> {
    if let Some(length) = request.headers().get(header::CONTENT_LENGTH) {
        let length = length.to_str().ok().and_then(|length| length.parse().ok());
        return match length {
            Some(0..=BODY_LIMIT) => Ok(request),
            _ => Err(Problem::too_large(BODY_LIMIT)),
        };
    }
    if request.extensions().get::<HostBody>().is_none() {
        return Ok(request); // There is none.
    }
    let (mut parts, body) = request.into_parts();
    let reading = pin!(to_bytes(body, BODY_LIMIT));
    let read = match select(reading, pin!(spin_sdk::time::sleep(timeout))).await {
        Either::Left((read, _)) => read.map_err(unreadable)?,
        Either::Right(((), _)) => return Err(too_slow()),
    };
    parts.extensions.remove::<HostBody>();
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(read.len()));
    Ok(Request::from_parts(parts, Body::from(read)))
}

fn unreadable(error: axum::Error) -> Problem {
    let too_large = error
        .source()
        .is_some_and(|source| source.is::<LengthLimitError>());
    match too_large {
        true => Problem::too_large(BODY_LIMIT),
        false => Problem::bad_request("the body broke off").cause(error),
    }
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "request-timeout",
        "The request took too long to arrive",
        "the body did not arrive in time",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;

    fn head(path: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let checked = check_head(&request.body(Body::empty()).unwrap());
        checked.err().map(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_head_may_not_be_too_large() {
        let path = |length| format!("/{}", "a".repeat(length - 1));
        assert_eq!(head(&path(TARGET_LIMIT), &[]), None);
        assert_eq!(head(&path(TARGET_LIMIT + 1), &[]), Some(414));
        let value = |length: usize| "a".repeat(length - "x-a".len());
        assert_eq!(head("/", &[("x-a", &value(HEADERS_LIMIT))]), None);
        assert_eq!(head("/", &[("x-a", &value(HEADERS_LIMIT + 1))]), Some(431));
        assert_eq!(head("/", &[("x-a", ""); HEADERS_COUNT]), None);
        assert_eq!(head("/", &[("x-a", ""); HEADERS_COUNT + 1]), Some(431));
    }

    #[test]
    fn a_body_that_says_it_is_too_long_is_not_waited_for() {
        let status = |length: &str| {
            let request = Request::builder().header(header::CONTENT_LENGTH, length);
            let request = request.body(Body::empty()).unwrap();
            let checked = block_on(check_body(request, Duration::ZERO));
            checked.err().map(|problem| problem.status().as_u16())
        };
        assert_eq!(status("0"), None);
        assert_eq!(status(&BODY_LIMIT.to_string()), None);
        assert_eq!(status(&(BODY_LIMIT + 1).to_string()), Some(413));
        assert_eq!(status("99999999999999999999999"), Some(413));
        assert_eq!(status("-1"), Some(413));
    }
}
