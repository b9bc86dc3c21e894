//! The one way a Souk service calls another.
//!
//! ```no_run
//! use std::time::Duration;
//! use souk_chassis::{Context, Problem};
//! use souk_client::Call;
//!
//! # async fn example(context: Context) -> Result<(), Problem> {
//! let response = Call::get(&context, "products", "/api/products?limit=5")
//!     .timeout(Duration::from_millis(500))
//!     .send()
//!     .await?;
//! if response.status().is_success() {
//!     let products: serde_json::Value = response.json().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every call carries the request's id and trace context and a [service token](souk_tokens) that says which service calls and
//! on whose behalf; it ends after a timeout; and it finds the called service through [`base_url`]. The caller's manifest must
//! grant the address in `allowed_outbound_hosts` and the variable `service_key`. A service that calls the public API like any
//! client says so with [`Call::unsigned`].
//!
//! [`forward`] passes a whole request on and its answer back. Bodies stream, and never enter the component at all where
//! nobody reads them on the way.
//!
//! A [`CallError`] becomes a [`Problem`] by `?`: 504 for a timeout, 503 where the service is not to be reached, 502 where its
//! answer is of no use.

mod headers;

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use futures::future::{Either, select};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_chassis::context::{REQUEST_ID, TRACEPARENT, now, service_key};
use souk_chassis::{Context, Problem, wire};
use souk_tokens::Claims;
use spin_sdk::wasip3;
use spin_sdk::wasip3::http::types::ErrorCode;

/// How long a call may take unless told.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read into memory.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// Where a service is found: the one place that knows.
pub fn base_url(service: &str) -> String {
    format!("http://{service}.spin.internal")
}

/// Why a call to a service brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It did not answer in time.
    #[error("the service {service} did not answer within {} ms", timeout.as_millis())]
    Timeout {
        /// The called service.
        service: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// It is not to be reached.
    #[error("the service {service} is not to be reached: {cause}")]
    Unreachable {
        /// The called service.
        service: String,
        /// What the host says.
        cause: String,
    },
    /// It broke off, or answered with something else than was expected.
    #[error("the service {service} gave an answer of no use: {cause}")]
    Answer {
        /// The called service.
        service: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The calling service cannot make the call.
    #[error("the call cannot be made: {0}")]
    Caller(String),
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Timeout { service, .. } => {
                Problem::gateway_timeout(format!("the service {service} did not answer in time"))
            }
            CallError::Unreachable { service, .. } => {
                Problem::unavailable(format!("the service {service} is not to be reached"), 1)
            }
            CallError::Answer { service, .. } => {
                Problem::bad_gateway(format!("the service {service} gave an answer of no use"))
            }
            CallError::Caller(_) => return Problem::internal(error),
        }
        .cause(error)
    }
}

/// A call to another service.
#[derive(Debug)]
pub struct Call<'a> {
    context: &'a Context,
    service: &'a str,
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    body: Vec<u8>,
    timeout: Duration,
    signed: bool,
}

impl<'a> Call<'a> {
    /// A call made while handling the request of `context`, to a path (with its query) of a service.
    pub fn new(context: &'a Context, method: Method, service: &'a str, path: &'a str) -> Self {
        Self {
            context,
            service,
            method,
            path,
            headers: HeaderMap::new(),
            body: Vec::new(),
            timeout: TIMEOUT,
            signed: true,
        }
    }

    /// A GET; see [`Call::new`].
    pub fn get(context: &'a Context, service: &'a str, path: &'a str) -> Self {
        Self::new(context, Method::GET, service, path)
    }

    /// Adds a request header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sends this as the JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(body).expect("a body is made of plain data");
        self.header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )
    }

    /// Waits so long for the answer, and as long again for its body; [`TIMEOUT`] unless told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends no service token: this is a call to the public API, as anybody could make it.
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// Makes the call.
    pub async fn send(self) -> Result<Response, CallError> {
        let (context, service, timeout) = (self.context, self.service, self.timeout);
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        if self.signed {
            sign(context, service, request.headers_mut()).await?;
        }
        let response = send(context, service, self.path, request, timeout).await?;
        Ok(Response {
            response,
            service: service.to_owned(),
            timeout,
        })
    }
}

/// A service's answer, whose body has not been read yet.
#[derive(Debug)]
pub struct Response {
    response: http::Response<Body>,
    service: String,
    timeout: Duration,
}

impl Response {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Reads its body as JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let Self {
            response,
            service,
            timeout,
        } = self;
        let answer = |cause: String| CallError::Answer {
            service: service.clone(),
            cause,
        };
        let reading = axum::body::to_bytes(response.into_body(), ANSWER_LIMIT);
        let body = within(timeout, &service, reading)
            .await?
            .map_err(|error| answer(error.to_string()))?;
        serde_json::from_slice(&body).map_err(|error| answer(error.to_string()))
    }
}

/// Passes a request on to the service whose it is, and its answer back; both bodies stream.
///
/// Headers that concern one connection only, and those by which services trust each other, are taken off; the token that is
/// sent says what `context` knows of the caller.
pub async fn forward(
    context: &Context,
    service: &str,
    mut request: Request<Body>,
    timeout: Duration,
) -> Result<http::Response<Body>, CallError> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    headers::remove_per_hop(request.headers_mut());
    headers::remove_trusted(request.headers_mut());
    sign(context, service, request.headers_mut()).await?;
    let mut response = send(context, service, &path, request, timeout).await?;
    headers::remove_per_hop(response.headers_mut());
    Ok(response)
}

/// Adds the service token.
async fn sign(context: &Context, service: &str, headers: &mut HeaderMap) -> Result<(), CallError> {
    let key = service_key()
        .await
        .map_err(|_| CallError::Caller("the configuration cannot be read".into()))?;
    let key =
        key.ok_or_else(|| CallError::Caller("the variable service_key is not granted".into()))?;
    let (user, role) = context
        .caller
        .as_ref()
        .map_or((None, None), |caller| (caller.user.clone(), caller.role));
    let token = key.sign(&Claims::new(context.service, service, now()).acting_as(user, role));
    let token = HeaderValue::try_from(token).expect("a token is base64 and dots");
    headers.insert(souk_tokens::HEADER, token);
    Ok(())
}

/// Sends a request and waits for the head of the answer.
async fn send(
    context: &Context,
    service: &str,
    path: &str,
    mut request: Request<Body>,
    timeout: Duration,
) -> Result<http::Response<Body>, CallError> {
    let url = format!("{}{path}", base_url(service));
    *request.uri_mut() =
        Uri::try_from(url).map_err(|error| CallError::Caller(error.to_string()))?;
    request
        .headers_mut()
        .insert(REQUEST_ID, context.request_id.clone());
    if let Some(traceparent) = &context.traceparent {
        request
            .headers_mut()
            .insert(TRACEPARENT, traceparent.clone());
    }
    let request = wire::request_to_host(request).await;
    let request = request.map_err(|error| CallError::Caller(error.to_string()))?;
    let response = within(timeout, service, wasip3::http::client::send(request)).await?;
    response
        .and_then(wire::response_from_host)
        .map_err(|error| failed(service, timeout, error))
}

/// What the host's error means.
fn failed(service: &str, timeout: Duration, error: ErrorCode) -> CallError {
    let service = service.to_owned();
    match error {
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => CallError::Timeout { service, timeout },
        ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::HttpRequestDenied => CallError::Unreachable {
            service,
            cause: error.to_string(),
        },
        error => CallError::Answer {
            service,
            cause: error.to_string(),
        },
    }
}

/// Waits for something, but not for longer than the timeout.
async fn within<T>(
    timeout: Duration,
    service: &str,
    work: impl Future<Output = T>,
) -> Result<T, CallError> {
    match select(pin!(work), pin!(spin_sdk::time::sleep(timeout))).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right(((), _)) => Err(CallError::Timeout {
            service: service.to_owned(),
            timeout,
        }),
    }
}
