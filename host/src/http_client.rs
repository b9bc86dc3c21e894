//! HTTP over the network: connections for whoever sends requests, and the host's own requests, to servers that its command line and
//! runtime configuration name.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Idle connections are closed before common servers close theirs.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// Connections to servers, kept for the next request.
pub type Pool<B> = Client<HttpsConnector<HttpConnector>, B>;

/// A pool without connections yet. How long one may take to be made is limited where it is said.
pub fn pool<B>(connect_timeout: Option<Duration>) -> Pool<B>
where
    B: Body + Send,
    B::Data: Send,
{
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(connect_timeout);
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// A client for the host itself. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient(Pool<Full<Bytes>>);

impl HttpClient {
    /// A client without connections yet.
    pub fn new() -> Self {
        Self(pool(Some(CONNECT_TIMEOUT)))
    }

    /// The answer to a request, read to its end.
    ///
    /// # Errors
    /// In one line: no answer within `limit`, no connection, an answer of more than `max_bytes`.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        max_bytes: usize,
    ) -> anyhow::Result<Response<Bytes>> {
        tokio::time::timeout(limit, self.exchange(request, max_bytes))
            .await
            .with_context(|| format!("no answer within {limit:?}"))?
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        max_bytes: usize,
    ) -> anyhow::Result<Response<Bytes>> {
        let response = self.0.request(request).await.map_err(innermost)?;
        let (head, body) = response.into_parts();
        let too_large = || anyhow!("the answer has more than {max_bytes} bytes");
        if body.size_hint().lower() > max_bytes as u64 {
            return Err(too_large());
        }
        match Limited::new(body, max_bytes).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err(anyhow!("the answer broke off: {error}")),
        }
    }
}

/// What a client's error comes from: "client error (Connect)" says nothing of use.
fn innermost(error: hyper_util::client::legacy::Error) -> anyhow::Error {
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    anyhow!("{cause}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn why(url: &str) -> String {
        let request = Request::get(url).body(Full::default()).unwrap();
        let limit = Duration::from_millis(100);
        let answer = HttpClient::new().send(request, limit, 1024).await;
        format!("{:#}", answer.unwrap_err())
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_or_is_not_there_is_given_up() {
        // It takes connections, as the kernel does for it, and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        assert!(why(&url).await.contains("no answer within 100ms"));
        assert!(why("http://127.0.0.1:1").await.contains("refused"));
    }
}
