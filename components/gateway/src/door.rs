//! The way through the gateway.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};
use souk_chassis::context::REQUEST_ID;
use souk_chassis::{Context, Problem};

use crate::authentication::authenticate;
use crate::routes;

/// How long a service may take to begin its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Passes a request on to the service whose it is.
pub async fn pass(mut context: Context, request: Request) -> Result<Response, Problem> {
    context.caller = authenticate(request.headers()).await?;

    let path = request.uri().path();
    let route = routes::find(request.method(), path)
        .ok_or_else(|| Problem::not_found(format!("there is nothing at {path}")))?;
    route.admit(&context)?;

    let response = souk_client::forward(&context, route.service, request, TIMEOUT).await?;
    match is_a_crash(&response) {
        true => Err(Problem::bad_gateway(format!(
            "the service {} failed",
            route.service
        ))),
        false => Ok(response),
    }
}

/// Every service puts the request id on its answers. A server error without it is the host's, for a service that crashed.
fn is_a_crash(response: &Response) -> bool {
    response.status().is_server_error() && !response.headers().contains_key(REQUEST_ID)
}

/// What browsers are told about every answer: data, to be taken for nothing else, framed by nobody.
pub async fn secure(mut response: Response) -> Response {
    const SECURITY: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in SECURITY {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::body::Body;

    #[test]
    fn a_server_error_that_is_not_a_services_is_a_crash() {
        let response = |status, header: &str| {
            Response::builder()
                .status(status)
                .header(header, "x")
                .body(Body::empty())
                .unwrap()
        };
        assert!(is_a_crash(&response(500, "content-type")));
        assert!(!is_a_crash(&response(500, "x-request-id")));
        assert!(!is_a_crash(&response(404, "content-type")));
    }
}
