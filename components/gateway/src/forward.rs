//! Passing a request on to the service whose it is.

use axum::Extension;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use souk_chassis::{Context, Problem};

use crate::copies;
use crate::policies::POLICIES;
use crate::routes::Route;

/// Passes a request on, and its answer back; both bodies stream. What is down is answered from a copy, where there is one.
pub async fn pass(
    context: Context,
    Extension(route): Extension<&'static Route>,
    request: Request,
) -> Result<Response, Problem> {
    let copied = copies::key(route, &request);
    let answer = ask(&context, route, request).await;
    match (answer, copied) {
        (Ok(response), Some(key)) => Ok(copies::keep(&key, response).await),
        (Err(problem), Some(key)) => copies::show(&key).await.ok_or(problem),
        (answer, None) => answer,
    }
}

async fn ask(context: &Context, route: &Route, request: Request) -> Result<Response, Problem> {
    let response = souk_client::forward(context, POLICIES.to(route.service), request).await?;
    match failure(&response, route.service) {
        Some(problem) => Err(problem),
        None => Ok(response),
    }
}

/// What the host's answer for a service that broke down means to whoever asked.
fn failure(response: &Response, service: &str) -> Option<Problem> {
    if !souk_client::broke_down(response) {
        return None;
    }
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => {
            let detail = format!("the service {service} is too busy");
            Some(Problem::unavailable(detail, 1))
        }
        StatusCode::GATEWAY_TIMEOUT => {
            let detail = format!("the service {service} did not answer in time");
            Some(Problem::gateway_timeout(detail))
        }
        _ => Some(Problem::bad_gateway(format!(
            "the service {service} failed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::body::Body;
    use axum::response::IntoResponse;

    #[test]
    fn a_server_error_that_is_not_a_services_is_the_hosts() {
        let status = |status: u16, header: &str| {
            let response = Response::builder().status(status).header(header, "x");
            let response = response.body(Body::empty()).unwrap();
            let problem = failure(&response, "carts").map(IntoResponse::into_response);
            problem.map(|response| response.status().as_u16())
        };
        assert_eq!(status(500, "content-type"), Some(502));
        assert_eq!(status(503, "content-type"), Some(503));
        assert_eq!(status(504, "content-type"), Some(504));
        assert_eq!(status(500, "x-request-id"), None);
        assert_eq!(status(404, "content-type"), None);
    }
}
