//! `--register URL --advertise URL`: keeps the components of this host listed with a registry of services.
//!
//! Every component with a public route is an instance of the service of its name. Its entry is written with a lease, written
//! again before that is over, and deleted when the host stops. A registry that is away keeps nobody from starting, serving or
//! stopping: it is tried again, and said once that it is lost and once that it is back.

use crate::http_client::HttpClient;
use crate::router::Router;
use anyhow::{Context, bail};
use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde_json::json;
use sha2::{Digest, Sha256};
use souk_tokens::{Claims, Key};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long an entry lasts without being written again.
const LEASE: Duration = Duration::from_secs(9);
/// How often it is written again.
const RENEW_EVERY: Duration = LEASE.checked_div(3).expect("three is not zero");
/// The pause after a first failure; each one after it is twice as long, up to [`RENEW_EVERY`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How long a registry may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the host goes on serving after it has left the registry: clients still have the list it was in.
const LINGER: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;
/// Who signs the requests, and whom they are for.
const CALLER: &str = "host";
const REGISTRY: &str = "registry";

/// An absolute URL of the command line, without a slash at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseUrl(String);

impl std::str::FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_end_matches('/');
        let is_base = |uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
        };
        match text.parse::<Uri>() {
            Ok(uri) if is_base(&uri) => Ok(Self(text.to_owned())),
            _ => Err(format!("{text:?} is no address; write http://HOST:PORT")),
        }
    }
}

/// Where to register, and as what.
pub struct Registration {
    /// The registry.
    registry: BaseUrl,
    /// Where this host is, for others.
    address: BaseUrl,
    services: BTreeSet<String>,
    key: Key,
    /// Tells this run of the host from the one before it at the same address.
    incarnation: String,
    client: HttpClient,
    /// Whether the registry has ever listed an instance of this host.
    listed: AtomicBool,
}

/// A registration that is kept up.
pub struct Registered {
    registration: Arc<Registration>,
    leaving: CancellationToken,
    renewal: JoinHandle<()>,
}

impl Registration {
    /// The registration of the components that `router` leads to, at `advertised` or else where the host listens.
    ///
    /// # Errors
    /// When nobody could reach the latter.
    pub fn new(
        registry: BaseUrl,
        advertised: Option<BaseUrl>,
        listening: SocketAddr,
        router: &Router,
        secret: &str,
    ) -> Result<Self, String> {
        let address = match advertised {
            Some(address) => address,
            None if listening.ip().is_unspecified() => {
                return Err(format!(
                    "--register: nobody can be sent to {listening}; say with --advertise URL where this host is"
                ));
            }
            None => BaseUrl(format!("http://{listening}")),
        };
        let services = router.targets().map(|target| target.component.clone());
        Ok(Self {
            registry,
            address,
            services: services.collect(),
            key: Key::new(secret),
            incarnation: format!("{:032x}", rand::random::<u128>()),
            client: HttpClient::new(),
            listed: AtomicBool::new(false),
        })
    }

    /// What tells the instances of this host from those of others.
    pub fn identity(&self) -> String {
        identity(&self.address.0)
    }

    /// Registers, and goes on doing so until told to leave.
    pub fn start(self) -> Registered {
        let registration = Arc::new(self);
        let leaving = CancellationToken::new();
        let renewal = tokio::spawn(registration.clone().renew(leaving.clone()));
        Registered {
            registration,
            leaving,
            renewal,
        }
    }

    async fn renew(self: Arc<Self>, leaving: CancellationToken) {
        let mut known = None;
        let mut pause = FIRST_PAUSE;
        while !leaving.is_cancelled() {
            let written = self.for_each(Method::PUT).await;
            self.report(&mut known, &written);
            let wait = match written {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    RENEW_EVERY
                }
                Err(_) => {
                    let this_time = pause;
                    pause = (2 * pause).min(RENEW_EVERY);
                    this_time
                }
            };
            _ = tokio::time::timeout(wait, leaving.cancelled()).await;
        }
    }

    /// Says what has changed since the last time, if anything has.
    fn report(&self, known: &mut Option<bool>, written: &anyhow::Result<()>) {
        let is_there = written.is_ok();
        if known.replace(is_there) == Some(is_there) {
            return;
        }
        let BaseUrl(registry) = &self.registry;
        match written {
            Ok(()) => tracing::info!(%registry, address = %self.address.0, "registered"),
            Err(error) => {
                tracing::warn!(%registry, "cannot register, and goes on trying: {error:#}");
            }
        }
    }

    /// Does the same to the entry of every service at once.
    async fn for_each(&self, method: Method) -> anyhow::Result<()> {
        let all = self
            .services
            .iter()
            .map(|service| self.ask(&method, service));
        join_all(all).await.into_iter().collect()
    }

    async fn ask(&self, method: &Method, service: &str) -> anyhow::Result<()> {
        let request = self.request(method, service)?;
        let answer = self.client.send(request, TIMEOUT, MAX_ANSWER).await?;
        match answer.status() {
            status if status.is_success() => {
                self.listed.store(true, Ordering::Relaxed);
                Ok(())
            }
            // What is to be deleted is gone already.
            StatusCode::NOT_FOUND if method == Method::DELETE => Ok(()),
            status => bail!("{method} of {service} was answered {status}"),
        }
    }

    fn request(&self, method: &Method, service: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let (BaseUrl(registry), BaseUrl(address)) = (&self.registry, &self.address);
        let id = instance_id(service, address);
        let body = match *method {
            Method::PUT => Full::from(
                json!({
                    "address": address,
                    "lease_seconds": LEASE.as_secs(),
                    "incarnation": self.incarnation,
                })
                .to_string(),
            ),
            _ => Full::default(),
        };
        let now = UNIX_EPOCH.elapsed().context("the clock is before 1970")?;
        let claims = Claims::new(CALLER, REGISTRY, now.as_secs());
        Ok(Request::builder()
            .method(method)
            .uri(format!("{registry}/instances/{service}/{id}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(souk_tokens::HEADER, self.key.sign(&claims))
            .body(body)?)
    }
}

impl Registered {
    /// Leaves the registry, and waits until clients have seen that.
    pub async fn leave(self) {
        // What is under way is let finish: it must not come after the deletion.
        self.leaving.cancel();
        let _ = self.renewal.await;
        let registration = self.registration;
        if !registration.listed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = registration.for_each(Method::DELETE).await {
            tracing::warn!("cannot leave the registry, whose lease will end: {error:#}");
        }
        tokio::time::sleep(LINGER).await;
    }
}

fn instance_id(service: &str, address: &str) -> String {
    format!("{service}-{}", identity(address))
}

/// The same for a host that is started again at the same address, so that its entry takes the place of the old one.
fn identity(address: &str) -> String {
    let hash = Sha256::digest(address);
    format!("{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_known_by_service_and_address() {
        let id = instance_id("orders", "http://127.0.0.1:4001");
        assert_eq!(id, instance_id("orders", "http://127.0.0.1:4001"));
        assert_ne!(id, instance_id("orders", "http://127.0.0.1:4002"));
        let (service, hash) = id.rsplit_once('-').unwrap();
        assert_eq!((service, hash.len()), ("orders", 6));
    }

    #[test]
    fn only_absolute_addresses_are_taken() {
        let url = |text: &str| text.parse::<BaseUrl>();
        assert_eq!(url("http://a:1/").unwrap(), BaseUrl("http://a:1".into()));
        assert!(url("https://a/base").is_ok());
        for text in ["", "a:1", "/a", "ftp://a", "http://a/?b"] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_that_means_any_is_not_advertised() {
        let router = Router::new([].iter()).unwrap();
        let new = |advertised: Option<&str>| {
            let advertised = advertised.map(|url| url.parse().unwrap());
            let registry = "http://registry".parse().unwrap();
            let listening = "0.0.0.0:3000".parse().unwrap();
            Registration::new(registry, advertised, listening, &router, "")
        };
        assert!(new(None).err().unwrap().contains("--advertise"));
        assert!(new(Some("http://host:3000")).is_ok());
    }
}
