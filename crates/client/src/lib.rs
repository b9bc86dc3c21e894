//! The one way a Souk service calls another.
//!
//! ```no_run
//! use souk_chassis::{Context, Problem};
//! use souk_client::{Call, Policies, Policy};
//!
//! /// How this service calls its neighbours.
//! const POLICIES: Policies = Policies(&[
//!     //           of          timeout  attempts  slow from  at once
//!     Policy::row("products",  2_000,   2,        1_000,     10),
//! ]);
//!
//! # async fn example(context: Context) -> Result<(), Problem> {
//! let response = Call::get(&context, POLICIES.to("products"), "/api/products?limit=5").send().await?;
//! if response.status().is_success() {
//!     let products: serde_json::Value = response.json().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a call goes through
//!
//! | step | module |
//! |---|---|
//! | it is not made when whoever waits for it will have left; the callee is told how long that is | [`souk_resilience::deadline`] |
//! | it waits for a place among the few calls that an instance makes of a service at once | [`bulkhead`] |
//! | it is refused while the service is known to be in trouble | [`guard`], [`shared`] |
//! | it finds the service: in the same application, by the registry, or by name | [`discovery`] |
//! | of several instances it takes the one that has less to do | [`souk_resilience::balance`] |
//! | it carries the request's id, the trace context where the host does not see to that, and a [service token](souk_tokens) that says who calls and on whose behalf | [`attempt`] |
//! | faults that an administrator has ordered happen to it | [`faults`] |
//! | what failed is tried again, elsewhere where it can be, if it does no harm and the budget allows | [`guard`] |
//!
//! The caller's manifest grants the addresses in `allowed_outbound_hosts`, the variables `service_key`, `discovery`, `registry_url` and
//! `fault_injection`, and the key-value store `<service>-calls`, in which its instances share what they know of others. Without the store each knows only
//! what it has seen itself.
//!
//! [`forward`] passes a whole request on and its answer back. Bodies stream, and never enter the component at all where nobody reads them on the way.
//!
//! A [`CallError`] becomes a [`Problem`] by `?`: 504 for a timeout, 503 where the service is not to be reached or not to be troubled, 502 where its
//! answer is of no use.
//!
//! # For operators
//!
//! [`operations`] are routes that every calling service has: what it knows of those it calls, and the faults that are to happen to its calls.

mod attempt;
mod bulkhead;
mod discovery;
mod error;
pub mod faults;
mod guard;
mod headers;
mod operations;
mod shared;
mod time;

use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_chassis::Context;

pub use attempt::INSTANCE;
pub use error::CallError;
pub use faults::{Fault, NewFaults};
pub use guard::broke_down;
pub use operations::{CallReport, Calls, operations, report};
pub use souk_resilience::{Policies, Policy};

use attempt::Attempt;
use guard::Guard;

/// The longest answer that is read into memory.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// The longest body of a request that is kept so that it can be sent again.
const REPEATABLE_LIMIT: usize = 64 * 1024;

/// What makes a POST one that can be repeated.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A call to another service.
#[derive(Debug)]
pub struct Call<'a> {
    context: &'a Context,
    policy: &'static Policy,
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    body: Bytes,
    timeout_ms: u32,
    guard: Guard,
    repeatable: bool,
}

impl<'a> Call<'a> {
    /// A call made while handling the request of `context`, to a path (with its query) of the policy's service.
    pub fn new(
        context: &'a Context,
        method: Method,
        policy: &'static Policy,
        path: &'a str,
    ) -> Self {
        Self {
            context,
            policy,
            repeatable: method.is_idempotent(),
            method,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout_ms: policy.timeout_ms,
            guard: Guard::Full,
        }
    }

    /// A GET; see [`Call::new`].
    pub fn get(context: &'a Context, policy: &'static Policy, path: &'a str) -> Self {
        Self::new(context, Method::GET, policy, path)
    }

    /// Adds a request header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sends this as the JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a body is made of plain data");
        self.body = body.into();
        self.header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )
    }

    /// Says that it does no harm to make this call twice, although its method does not say so.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Makes the call once, whatever is known of the service and whatever faults were ordered, and learns nothing from it: to see how it
    /// is, or to have it do work that takes its time; it may take so many milliseconds.
    pub fn unguarded(mut self, timeout_ms: u32) -> Self {
        self.guard = Guard::None;
        self.timeout_ms = timeout_ms;
        self
    }

    /// Makes the call.
    pub async fn send(self) -> Result<Response, CallError> {
        let attempt = Attempt {
            context: self.context,
            policy: self.policy,
            path: self.path,
            exposed: self.guard == Guard::Full,
            timeout_ms: self.timeout_ms,
        };
        let make = || request(&self.method, &self.headers, &self.body);
        let response = self.guard.call(&attempt, self.repeatable, make).await?;
        Ok(Response {
            response,
            service: self.policy.service,
            timeout_ms: self.timeout_ms,
        })
    }
}

/// A service's answer, whose body has not been read yet.
#[derive(Debug)]
pub struct Response {
    response: http::Response<Body>,
    service: &'static str,
    timeout_ms: u32,
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

    /// The answer itself, to be passed on: its body streams, and may go on for as long as both sides want.
    pub fn into_http(self) -> http::Response<Body> {
        self.response
    }

    /// Reads its body as JSON; that may take as long again as its head.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let service = self.service;
        let body = self.read(ANSWER_LIMIT).await?;
        serde_json::from_slice(&body).map_err(|error| unusable(service, &error))
    }

    /// Reads its body as text of at most so many bytes; that may take as long again as its head.
    pub async fn text(self, limit: usize) -> Result<String, CallError> {
        let service = self.service;
        let body = self.read(limit).await?;
        String::from_utf8(body.into()).map_err(|error| unusable(service, &error))
    }

    async fn read(self, limit: usize) -> Result<Bytes, CallError> {
        let (service, timeout_ms) = (self.service, self.timeout_ms);
        let reading = axum::body::to_bytes(self.response.into_body(), limit);
        time::within(timeout_ms, reading)
            .await
            .ok_or_else(|| CallError::Timeout {
                service: service.into(),
                timeout_ms,
            })?
            .map_err(|error| unusable(service, &error))
    }
}

fn unusable(service: &str, cause: &dyn std::fmt::Display) -> CallError {
    CallError::Answer {
        service: service.into(),
        cause: cause.to_string(),
    }
}

/// Passes a request on to the service whose it is, and its answer back; both bodies stream.
///
/// Headers that concern one connection only, and those by which services trust each other, are taken off; the token that is
/// sent says what `context` knows of the caller. A request that can be repeated and is small is kept meanwhile, so that it can be.
pub async fn forward(
    context: &Context,
    policy: &'static Policy,
    mut request: Request<Body>,
) -> Result<http::Response<Body>, CallError> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    headers::remove_per_hop(request.headers_mut());
    headers::remove_trusted(request.headers_mut());
    let attempt = Attempt {
        context,
        policy,
        path: &path,
        exposed: true,
        timeout_ms: policy.timeout_ms,
    };
    let (parts, body) = request.into_parts();
    let repeatable = parts.method.is_idempotent() || parts.headers.contains_key(IDEMPOTENCY_KEY);
    let kept = match repeatable {
        true => keep(&parts, &body),
        false => Kept::No,
    };
    let mut response = match kept {
        Kept::No => {
            let mut once = Some(Request::from_parts(parts, body));
            let make = || once.take().unwrap_or_default();
            Guard::Full.call(&attempt, false, make).await?
        }
        Kept::Nothing => repeat(&attempt, &parts, Bytes::new()).await?,
        Kept::Body => {
            let body = axum::body::to_bytes(body, REPEATABLE_LIMIT).await;
            let body = body.map_err(|error| CallError::Caller(error.to_string()))?;
            repeat(&attempt, &parts, body).await?
        }
    };
    headers::remove_per_hop(response.headers_mut());
    Ok(response)
}

/// What of a request's body is kept.
enum Kept {
    /// It streams, and so is gone after it was sent.
    No,
    /// There is none.
    Nothing,
    /// All of it.
    Body,
}

fn keep(parts: &http::request::Parts, body: &Body) -> Kept {
    if body.size_hint().exact() == Some(0) {
        return Kept::Nothing;
    }
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length: Option<usize> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length <= REPEATABLE_LIMIT => Kept::Body,
        _ => Kept::No,
    }
}

async fn repeat(
    attempt: &Attempt<'_>,
    parts: &http::request::Parts,
    body: Bytes,
) -> Result<http::Response<Body>, CallError> {
    let make = || request(&parts.method, &parts.headers, &body);
    Guard::Full.call(attempt, true, make).await
}

/// A request that can be made again.
fn request(method: &Method, headers: &HeaderMap, body: &Bytes) -> Request<Body> {
    let mut request = Request::new(Body::from(body.clone()));
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
    request
}
