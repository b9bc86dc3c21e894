//! `wasi:http` requests of a component: granted by `allowed_outbound_hosts`, chained in process
//! to other components of the application, or sent over the network.
//!
//! Chaining: `http://<component>.spin.internal/...` never touches a socket; the request goes
//! straight to the other component's instances, private routes included.

use crate::body::IdleTimeout;
use crate::dispatch::Dispatcher;
use crate::problems::Problems;
use http::uri::{Authority, Scheme};
use http::{HeaderName, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

/// The domain whose first label is a component of this application.
const CHAINING_SUFFIX: &str = ".spin.internal";
/// The host by which a component reaches the address the application is served on.
const SELF_HOST: &str = "self.alt";
/// What a guest gets that sets no timeout of its own, as in Spin.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// Idle connections are closed before common servers close theirs.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// One entry of `allowed_outbound_hosts`.
#[derive(Debug, PartialEq)]
pub struct AllowedHost {
    /// `None` allows any.
    scheme: Option<String>,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Debug, PartialEq)]
enum HostPattern {
    Any,
    /// Ends with this (`.example.com`).
    Subdomain(String),
    Exact(String),
    /// Where the application itself is served.
    Itself,
}

#[derive(Debug, PartialEq)]
enum PortPattern {
    Any,
    /// From the first up to, not including, the last.
    Range(u16, u16),
    One(u16),
}

/// Phase one: what a component may call. Shared by its instances.
pub type AllowedHosts = Arc<[AllowedHost]>;

/// Parses the entries, their templates already expanded, and checks chaining grants against the
/// components that run.
///
/// # Errors
/// Every entry that is malformed, or grants a component that does not run.
pub fn grant(entries: &[String], running: &BTreeSet<&str>) -> Result<AllowedHosts, Problems> {
    let mut problems = Problems::default();
    let mut allowed = Vec::new();
    for entry in entries {
        match AllowedHost::parse(entry) {
            Ok(host) => {
                if let Some(target) = host.chained_component()
                    && !running.contains(target)
                {
                    problems.push(format!(
                        "allowed_outbound_hosts: {entry:?} grants a call to the component {target:?}, which is not running; select it with -c {target}, or take the grant out"
                    ));
                }
                allowed.push(host);
            }
            Err(why) => problems.push(format!("allowed_outbound_hosts: {entry:?}: {why}")),
        }
    }
    problems.into_result(allowed.into())
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<Self, String> {
        let (scheme, rest) = entry
            .trim()
            .split_once("://")
            .ok_or("needs a scheme; write <scheme>://<host>[:<port>], each of which may be `*`")?;
        if scheme != "*" && !scheme.chars().all(char::is_alphabetic) {
            return Err(format!("{scheme:?} is not a scheme"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return Err("must not have a path (nor be an address range)".into());
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        Ok(Self {
            scheme: (scheme != "*").then(|| scheme.to_owned()),
            host: HostPattern::parse(host)?,
            port: PortPattern::parse(port, scheme)?,
        })
    }

    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme.as_deref().is_none_or(|s| s == scheme)
            && self.host.allows(host)
            && self.port.allows(port)
    }

    fn allows_itself(&self, scheme: &str) -> bool {
        self.scheme.as_deref().is_none_or(|s| s == scheme)
            && matches!(self.host, HostPattern::Any | HostPattern::Itself)
    }

    /// The component this entry names, where it names exactly one.
    fn chained_component(&self) -> Option<&str> {
        match &self.host {
            HostPattern::Exact(host) => host.strip_suffix(CHAINING_SUFFIX),
            _ => None,
        }
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self, String> {
        let pattern = match host {
            "*" => Self::Any,
            "self" | SELF_HOST => Self::Itself,
            "" => return Err("needs a host".into()),
            _ => match host.strip_prefix("*.") {
                Some(domain) if domain.contains('*') => {
                    return Err("`*` may only stand for the first part of a name".into());
                }
                Some(domain) => Self::Subdomain(format!(".{}", domain.to_ascii_lowercase())),
                None if host.contains(['*', '{', '}']) => {
                    return Err(format!("{host:?} is not a host"));
                }
                None => Self::Exact(host.to_ascii_lowercase()),
            },
        };
        Ok(pattern)
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Subdomain(suffix) => host.ends_with(suffix),
            Self::Exact(name) => host == name,
            Self::Itself => false,
        }
    }
}

impl PortPattern {
    fn parse(port: Option<&str>, scheme: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| format!("{text:?} is not a port number"))
        };
        match port {
            None => default_port(scheme)
                .map(Self::One)
                .ok_or_else(|| format!("needs a port, since {scheme:?} has no usual one")),
            Some("*") => Ok(Self::Any),
            Some(range) => match range.split_once("..") {
                Some((first, last)) => Ok(Self::Range(number(first)?, number(last)?)),
                None => Ok(Self::One(number(range)?)),
            },
        }
    }

    fn allows(&self, port: u16) -> bool {
        match *self {
            Self::Any => true,
            Self::Range(first, last) => (first..last).contains(&port),
            Self::One(only) => only == port,
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Phase two: the way out, shared by all components.
pub struct Outbound {
    client: Client<HttpsConnector<HttpConnector>, WasiBody>,
    dispatcher: Weak<Dispatcher>,
    /// Where the application is served, once it is.
    own_address: OnceLock<Authority>,
}

impl Outbound {
    /// A client with a connection pool; chained requests go to `dispatcher`.
    pub fn new(dispatcher: Weak<Dispatcher>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            client,
            dispatcher,
            own_address: OnceLock::new(),
        }
    }

    /// Says where `self.alt` is.
    pub fn set_own_address(&self, address: std::net::SocketAddr) {
        if let Ok(authority) = address.to_string().parse() {
            let _ = self.own_address.set(authority);
        }
    }

    /// Sends a request of a component that may call `allowed`.
    async fn send(
        &self,
        allowed: &[AllowedHost],
        mut request: Request<WasiBody>,
        options: RequestOptions,
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
        let granted = allowed.iter().any(|entry| match to_itself {
            true => entry.allows_itself(&scheme),
            false => entry.allows(&scheme, &host, port),
        });
        if !granted {
            tracing::warn!(%scheme, %host, port, "outbound request denied: not in allowed_outbound_hosts");
            return Err(Error::HttpRequestDenied);
        }
        if let Some(component) = host.strip_suffix(CHAINING_SUFFIX) {
            let dispatcher = self.dispatcher.upgrade();
            // Gone only while the application is being taken down.
            let dispatcher = dispatcher.ok_or(Error::DestinationUnavailable)?;
            return Ok(dispatcher.chained(component, request).await);
        }
        if to_itself {
            *request.uri_mut() = self.own_uri(request.uri())?;
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
        let connect = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let first_byte = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let response = tokio::time::timeout(
            connect.saturating_add(first_byte),
            self.client.request(request),
        )
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

/// Phase three: an instance's way out.
pub struct Hooks {
    /// Shared by all.
    pub outbound: Arc<Outbound>,
    /// What this component may call.
    pub allowed: AllowedHosts,
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
        let allowed = self.allowed.clone();
        Box::new(async move {
            let response = outbound
                .send(&allowed, request, options.unwrap_or_default())
                .await?;
            let done = async { Ok(()) };
            Ok((response, Box::new(done) as Box<_>))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allows(entry: &str, scheme: &str, host: &str, port: u16) -> bool {
        AllowedHost::parse(entry)
            .unwrap()
            .allows(scheme, host, port)
    }

    #[test]
    fn a_grant_is_scheme_host_and_port() {
        assert!(allows(
            "https://api.example.com",
            "https",
            "api.example.com",
            443
        ));
        assert!(!allows(
            "https://api.example.com",
            "http",
            "api.example.com",
            80
        ));
        assert!(!allows(
            "https://api.example.com",
            "https",
            "example.com",
            443
        ));
        assert!(!allows(
            "https://api.example.com",
            "https",
            "api.example.com",
            8443
        ));
        assert!(allows("http://127.0.0.1:8080", "http", "127.0.0.1", 8080));
        assert!(allows("http://[::1]:8080", "http", "[::1]", 8080));
    }

    #[test]
    fn wildcards_stand_for_subdomains_ports_and_schemes() {
        assert!(allows(
            "http://*.spin.internal",
            "http",
            "users.spin.internal",
            80
        ));
        assert!(!allows(
            "http://*.spin.internal",
            "http",
            "spin.internal",
            80
        ));
        assert!(!allows(
            "https://*.example.com",
            "https",
            "badexample.com",
            443
        ));
        assert!(allows("http://localhost:*", "http", "localhost", 9999));
        assert!(allows("http://localhost:80..90", "http", "localhost", 89));
        assert!(!allows("http://localhost:80..90", "http", "localhost", 90));
        assert!(allows("*://*:*", "https", "anything", 1));
    }

    #[test]
    fn self_is_granted_by_name_only() {
        let entry = AllowedHost::parse("http://self").unwrap();
        assert!(entry.allows_itself("http"));
        assert!(!entry.allows_itself("https"));
        assert!(!entry.allows("http", "self", 80));
    }

    #[test]
    fn malformed_entries_say_why() {
        for entry in [
            "example.com",
            "*",
            "http://",
            "http://a/b",
            "http://a.*.b",
            "*://a",
            "http://a:x",
        ] {
            assert!(AllowedHost::parse(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn a_grant_to_a_component_that_does_not_run_is_refused() {
        let entries = ["http://orders.spin.internal".to_owned()];
        assert!(grant(&entries, &BTreeSet::from(["orders"])).is_ok());
        let problem = grant(&entries, &BTreeSet::from(["carts"])).unwrap_err();
        assert!(problem.to_string().contains("-c orders"), "{problem}");
    }
}
