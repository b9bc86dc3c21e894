//! One attempt: a request goes out, the head of the answer comes in.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use souk_chassis::context::{REQUEST_ID, TRACEPARENT, TRACESTATE, service_key};
use souk_chassis::{Context, wire};
use souk_resilience::{Policy, deadline};
use souk_tokens::Claims;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::ErrorCode;

use crate::discovery::Place;
use crate::faults::{self, Effect};
use crate::{CallError, time};

/// The response header that says which instance of a service has answered, where there are several.
pub const INSTANCE: HeaderName = HeaderName::from_static("x-souk-instance");

/// What all attempts of a call have in common.
pub struct Attempt<'a> {
    /// While handling which request.
    pub context: &'a Context,
    /// Of whom, and how.
    pub policy: &'static Policy,
    /// Path and query.
    pub path: &'a str,
    /// Whether faults that were ordered happen to it.
    pub exposed: bool,
    /// How long each may take, in milliseconds; less where whoever waits for it waits less.
    pub timeout_ms: u32,
}

impl Attempt<'_> {
    /// Makes it.
    pub async fn make(
        &self,
        place: &Place,
        request: Request<Body>,
    ) -> Result<Response<Body>, CallError> {
        let timeout = self.timeout()?;
        let sent = time::within(timeout, self.send(place, request, timeout)).await;
        let mut response = sent.ok_or_else(|| self.timed_out(timeout))??;
        if let Some(id) = place.id().and_then(|id| HeaderValue::from_str(id).ok()) {
            response.headers_mut().insert(INSTANCE, id);
        }
        Ok(response)
    }

    fn timeout(&self) -> Result<u32, CallError> {
        let timeout = self.timeout_ms;
        let Some(deadline) = self.context.deadline else {
            return Ok(timeout);
        };
        let allowed = deadline.allows(timeout, time::now());
        allowed.ok_or_else(|| CallError::TooLate {
            service: self.policy.service.into(),
        })
    }

    async fn send(
        &self,
        place: &Place,
        mut request: Request<Body>,
        timeout: u32,
    ) -> Result<Response<Body>, CallError> {
        match self.fault().await {
            Effect::None => {}
            Effect::Delay(ms) => time::sleep(ms).await,
            Effect::Fail => return Ok(faults::failure()),
            Effect::Swallow => std::future::pending().await,
        }
        let url = format!("{}{}", place.url(), self.path);
        *request.uri_mut() =
            Uri::try_from(url).map_err(|error| CallError::Caller(error.to_string()))?;
        self.sign(&mut request).await?;
        let headers = request.headers_mut();
        headers.insert(REQUEST_ID, self.context.request_id.clone());
        headers.insert(deadline::HEADER, HeaderValue::from(timeout));
        let place = self.context.place().and_then(|it| it.header());
        let state = self.context.tracestate.clone();
        set(headers, TRACESTATE, state.filter(|_| place.is_some()));
        set(headers, TRACEPARENT, place);
        let request = wire::request_to_host(request).await;
        let request = request.map_err(|error| CallError::Caller(error.to_string()))?;
        let response = client::send(request).await;
        response
            .and_then(wire::response_from_host)
            .map_err(|error| self.failed(timeout, error))
    }

    async fn fault(&self) -> Effect {
        match self.exposed {
            true => faults::befall(self.context.service, self.policy.service).await,
            false => Effect::None,
        }
    }

    /// Adds the service token.
    async fn sign(&self, request: &mut Request<Body>) -> Result<(), CallError> {
        let token = token(self.context, self.policy.service).await?;
        request.headers_mut().insert(souk_tokens::HEADER, token);
        Ok(())
    }

    fn timed_out(&self, timeout_ms: u32) -> CallError {
        CallError::Timeout {
            service: self.policy.service.into(),
            timeout_ms,
        }
    }

    /// What the host's error means.
    fn failed(&self, timeout: u32, error: ErrorCode) -> CallError {
        let (service, cause) = (self.policy.service.to_owned(), error.to_string());
        match error {
            ErrorCode::DnsTimeout
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::HttpResponseTimeout => self.timed_out(timeout),
            ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationUnavailable
            | ErrorCode::DestinationIpProhibited
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionLimitReached
            | ErrorCode::HttpRequestDenied => CallError::Unreachable { service, cause },
            _ => CallError::Answer { service, cause },
        }
    }
}

/// Has a header say this, or nothing: a request that is passed on has what it came with.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}

/// The token for a call to a service.
pub async fn token(context: &Context, service: &str) -> Result<HeaderValue, CallError> {
    let key = service_key()
        .await
        .map_err(|_| CallError::Caller("the configuration cannot be read".into()))?;
    let key =
        key.ok_or_else(|| CallError::Caller("the variable service_key is not granted".into()))?;
    let (user, role) = context
        .caller
        .as_ref()
        .map_or((None, None), |caller| (caller.user.clone(), caller.role));
    let now = souk_chassis::context::now();
    let token = key.sign(&Claims::new(context.service, service, now).acting_as(user, role));
    Ok(HeaderValue::try_from(token).expect("a token is base64 and dots"))
}
