//! Sending a request to the processor.

use std::pin::pin;

use futures::future::{Either, select};
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use spin_sdk::wasip3::http::types::ErrorCode;

use crate::interface::exports::souk::payment::provider::Failure;
use crate::requests::Post;
use crate::settings::Settings;

/// The longest answer that is read.
const ANSWER_LIMIT: usize = 256 * 1024;

/// Sends a request, and gives the status and body of the answer. One that does not come in time may come to be carried out.
pub async fn send(settings: &Settings, key: &str, post: Post) -> Result<(u16, Vec<u8>), Failure> {
    let exchange = pin!(exchange(settings, key, post));
    match select(exchange, pin!(spin_sdk::time::sleep(settings.timeout))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(Failure::Unknown(format!(
            "the processor did not answer within {} ms",
            settings.timeout.as_millis()
        ))),
    }
}

async fn exchange(settings: &Settings, key: &str, post: Post) -> Result<(u16, Vec<u8>), Failure> {
    let request = Request::post(format!("{}{}", settings.url, post.path))
        .header(AUTHORIZATION, settings.authorization.clone())
        .header("idempotency-key", key)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(CONTENT_LENGTH, post.form.len())
        .body(post.form)
        .map_err(|error| Failure::Invalid(error.to_string()))?;
    let response = spin_sdk::http::send(request).await.map_err(failed)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT).collect().await;
    let body = body.map_err(|error| {
        Failure::Unknown(format!("the processor's answer cannot be read: {error}"))
    })?;
    Ok((head.status.as_u16(), body.to_bytes().into()))
}

/// What never left cannot have been carried out; of anything else nobody knows.
fn failed(error: ErrorCode) -> Failure {
    match error {
        ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionLimitReached => {
            Failure::Unavailable(format!("the processor is not to be reached: {error}"))
        }
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            Failure::Invalid("the manifest does not grant the processor's address".into())
        }
        error => Failure::Unknown(format!("the connection to the processor broke: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_left_is_certainly_not_done() {
        assert!(matches!(
            failed(ErrorCode::ConnectionRefused),
            Failure::Unavailable(_)
        ));
        assert!(matches!(
            failed(ErrorCode::HttpRequestDenied),
            Failure::Invalid(_)
        ));
        for error in [
            ErrorCode::ConnectionTerminated,
            ErrorCode::ConnectionTimeout,
            ErrorCode::HttpResponseIncomplete,
            ErrorCode::HttpProtocolError,
        ] {
            assert!(matches!(failed(error), Failure::Unknown(_)));
        }
    }
}
