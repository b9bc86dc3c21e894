//! `wasi:http` requests of a component: granted by `allowed_outbound_hosts`, chained in process
//! to other components of the application, or sent over the network.
//!
//! Chaining: `http://<component>.spin.internal/...` never touches a socket; the request goes
//! straight to the other component's instances, private routes included.

use super::allowed_hosts::{
    AllowedHost, AllowedHosts, CHAINING_SUFFIX, SELF_HOST, allow, allow_itself, default_port,
};
use super::faults::Faults;
use crate::body::{EventStream, IdleTimeout, hold};
use crate::dispatch::Dispatcher;
use crate::http_client::{self, Pool};
use crate::telemetry::http as spans;
use crate::telemetry::metrics::{Asking, Requests};
use crate::telemetry::tasks::{SENDER, Tasks};
use crate::telemetry::trace::Scope;
use http::uri::{Authority, Scheme};
use http::{HeaderName, Request, Response, Uri, header};
use http_body_util::BodyExt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

/// What a guest gets that sets no timeout of its own, as in Spin.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Phase two: the way out, shared by all components.
pub struct Outbound {
    client: Pool<WasiBody>,
    dispatcher: Weak<Dispatcher>,
    /// Where the application is served, once it is.
    own_address: OnceLock<Authority>,
    /// What fails on purpose.
    faults: Option<Faults>,
}

impl Outbound {
    /// A client with a connection pool; chained requests go to `dispatcher`.
    pub fn new(dispatcher: Weak<Dispatcher>, faults: Option<Faults>) -> Self {
        Self {
            client: http_client::pool(None),
            dispatcher,
            own_address: OnceLock::new(),
            faults,
        }
    }

    /// Says where `self.alt` is.
    pub fn set_own_address(&self, address: std::net::SocketAddr) {
        if let Ok(authority) = address.to_string().parse() {
            let _ = self.own_address.set(authority);
        }
    }

    /// The same, as part of a trace, and counted.
    async fn send_told(
        &self,
        place: Scope,
        mut counted: Option<Asking>,
        component: &str,
        allowed: &[AllowedHost],
        mut request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        let sending = place.sending(request.headers());
        let host = request.uri().host().unwrap_or_default();
        let host = host.to_ascii_lowercase();
        let peer = host.strip_suffix(CHAINING_SUFFIX);
        let mut span = spans::client(&sending, &mut request, peer);
        let place = span.scope();
        let sent = self.send(component, allowed, request, options, place);
        let sent = sent.await;
        match &sent {
            Ok(response) => spans::answered(&mut span, response),
            Err(error) => {
                span.awaits_answer(false);
                span.fail(|| error.to_string());
            }
        }
        if let Some(counted) = &mut counted {
            counted.ended(&sent);
        }
        let is_told = span.is_traced() || counted.is_some();
        sent.map(|response| match is_told && !EventStream::is(&response) {
            true => response.map(|body| hold(body, (span, counted))),
            false => response,
        })
    }

    /// Sends a request of a component that may call `allowed`, in this place of its trace.
    async fn send(
        &self,
        component: &str,
        allowed: &[AllowedHost],
        mut request: Request<WasiBody>,
        options: RequestOptions,
        place: Scope,
    ) -> Result<Response<WasiBody>, Error> {
        let scheme = request.uri().scheme_str().unwrap_or("https").to_owned();
        let host = request
            .uri()
            .host()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let to_itself = host.is_empty() || host == SELF_HOST;
        let port = request
            .uri()
            .port_u16()
            .or_else(|| default_port(&scheme))
            .unwrap_or(0);
        let granted = match to_itself {
            true => allow_itself(allowed, &scheme),
            false => allow(allowed, &scheme, &host, port),
        };
        if !granted {
            tracing::warn!(%scheme, %host, port, "outbound request denied: not in allowed_outbound_hosts");
            return Err(Error::HttpRequestDenied);
        }
        if to_itself {
            *request.uri_mut() = self.own_uri(request.uri())?;
        }
        let chained = host.strip_suffix(CHAINING_SUFFIX);
        if let Some(faults) = &self.faults {
            let to = match chained {
                Some(component) => component.to_owned(),
                None => host_and_port(request.uri(), port),
            };
            let (before, _) = limits(&options);
            if let Some(failed) = faults.meet(component, &to, before).await? {
                return Ok(failed);
            }
        }
        if let Some(component) = chained {
            let dispatcher = self.dispatcher.upgrade();
            // Gone only while the application is being taken down.
            let dispatcher = dispatcher.ok_or(Error::DestinationUnavailable)?;
            return Ok(dispatcher.chained(component, request, Some(place)).await);
        }
        self.send_over_network(request, options).await
    }

    fn own_uri(&self, uri: &Uri) -> Result<Uri, Error> {
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = self.own_address.get().cloned();
        Uri::from_parts(parts).map_err(|_| Error::HttpRequestUriInvalid)
    }

    async fn send_over_network(
        &self,
        mut request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        // The client writes it from the URI.
        request.headers_mut().remove(header::HOST);
        let (before_answer, between_bytes) = limits(&options);
        let response = tokio::time::timeout(before_answer, self.client.request(request))
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| {
                tracing::warn!(%error, "outbound request failed");
                match error.is_connect() {
                    true => Error::ConnectionRefused,
                    false => Error::HttpProtocolError,
                }
            })?;
        Ok(response
            .map(|body| IdleTimeout::new(body.map_err(Error::from), between_bytes).boxed_unsync()))
    }
}

fn host_and_port(uri: &Uri, default_port: u16) -> String {
    let port = uri.port_u16().unwrap_or(default_port);
    format!("{}:{port}", uri.host().unwrap_or_default())
}

/// How long a guest waits for an answer to begin, and then from one part of it to the next.
fn limits(options: &RequestOptions) -> (Duration, Duration) {
    let connect = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let first_byte = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
    (connect.saturating_add(first_byte), between_bytes)
}

/// Phase three: an instance's way out.
pub struct Hooks {
    /// Whose it is.
    pub component: &'static str,
    /// Shared by all.
    pub outbound: Arc<Outbound>,
    /// What this component may call.
    pub allowed: AllowedHosts,
    /// The instance's requests, where they are traced.
    pub tasks: Option<Arc<Tasks>>,
    /// The component's, where they are counted.
    pub requests: Option<Arc<Requests>>,
}

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: OnceLock<ForbiddenHeaderFilter> = OnceLock::new();
        FILTER
            .get_or_init(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)))
            .clone()
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // How the guest fared with the response: nothing here depends on it.
        _received: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let outbound = self.outbound.clone();
        let component = self.component;
        let allowed = self.allowed.clone();
        let options = options.unwrap_or_default();
        let place = self.tasks.as_ref().map(|tasks| {
            let known = SENDER.try_with(Scope::clone);
            known.unwrap_or_else(|_| tasks.only())
        });
        let host = request.uri().host().unwrap_or_default();
        let counted = self.requests.as_ref().map(|it| it.asking(host));
        Box::new(async move {
            let response = match (&place, &counted) {
                (None, None) => {
                    let place = Scope::default();
                    let sent = outbound.send(component, &allowed, request, options, place);
                    sent.await?
                }
                _ => {
                    let place = place.unwrap_or_default();
                    let sent =
                        outbound.send_told(place, counted, component, &allowed, request, options);
                    sent.await?
                }
            };
            let done = async { Ok(()) };
            Ok((response, Box::new(done) as Box<_>))
        })
    }
}
