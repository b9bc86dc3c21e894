//! The listening side: connections, limits, and the way down.

use crate::body::{IdleTimeout, full, hold, settle};
use crate::dispatch::Dispatcher;
use crate::problem_response::Problem;
use crate::router::Router;
use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::{SockRef, TcpKeepalive};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, WasiBody};

/// Requests from outside that are worked on at once; one more is answered 503.
const MAX_REQUESTS: usize = 512;
/// Connections open at once; one more waits to be accepted. Fewer where the process may have too
/// few files open for that.
const MAX_CONNECTIONS: usize = 8192;
/// Bytes of a request's head.
const MAX_HEAD: usize = 64 << 10;
/// Bytes of a request's body.
const MAX_BODY: usize = 16 << 20;
/// Time a client has to send a request's head, or to begin the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two parts of a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that has gone without a word is noticed after about this long.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Time for running requests when the host is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What serves requests.
pub struct Server {
    /// Public routes.
    pub router: Router,
    /// The components.
    pub dispatcher: Arc<Dispatcher>,
    requests: Arc<Semaphore>,
}

impl Server {
    /// A server that has not begun.
    pub fn new(router: Router, dispatcher: Arc<Dispatcher>) -> Self {
        Self {
            router,
            dispatcher,
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    /// Serves until `stop` is done, then ends streams of events and finishes what else runs, for 10 seconds at most.
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let connections = Arc::new(Semaphore::new(max_connections()));
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &connections) => accepted,
                () = &mut stop => break,
            };
            let Some((stream, client, place)) = accepted else {
                continue;
            };
            let server = server.clone();
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                if tokio::time::timeout(HEAD_TIMEOUT, speaks(&stream)).await == Ok(true) {
                    server.connection(stream, client, watcher).await;
                }
                drop(place);
            });
        }
        drop(listener);
        server.dispatcher.end_streams();
        let deadline = Instant::now() + DRAIN;
        let drained = async {
            graceful.shutdown().await;
            server.dispatcher.drain().await;
        };
        if tokio::time::timeout_at(deadline, drained).await.is_err() {
            tracing::warn!(
                "still busy after {} s; stopping all the same",
                DRAIN.as_secs()
            );
        }
    }

    /// Serves one connection to its end.
    async fn connection(self: Arc<Self>, stream: TcpStream, client: SocketAddr, watcher: Watcher) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(KEEPALIVE);
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request, client).await) }
        });
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%client, %error, "connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Response<WasiBody> {
        if request.uri().path() == "/.well-known/spin/health" {
            return Response::new(full(Bytes::from_static(b"OK")));
        }
        let Ok(place) = self.requests.clone().try_acquire_owned() else {
            return self.dispatcher.refuse(Problem::Overloaded);
        };
        let place = Arc::new(place);
        let Some(route) = self.router.find(request.uri().path()) else {
            return self.dispatcher.refuse(Problem::NoRoute);
        };
        let too_large = Arc::new(AtomicBool::new(false));
        let response = match accept_request(request, &too_large) {
            Ok(request) => {
                let serve = self
                    .dispatcher
                    .serve(&route, request, client, place.clone());
                settle(serve.await).await
            }
            Err(problem) => self.dispatcher.refuse(problem),
        };
        let response = match too_large.load(Ordering::Relaxed) {
            true => Problem::BodyTooLarge.response(),
            false => response,
        };
        response.map(|body| hold(body, place))
    }
}

/// Half the files the process may open, after asking for as many as it can get.
fn max_connections() -> usize {
    let files = rlimit::increase_nofile_limit(2 * MAX_CONNECTIONS as u64).unwrap_or(1024);
    MAX_CONNECTIONS.min(files as usize / 2)
}

/// Waits until a client has said enough to tell which HTTP it speaks; nothing else times that.
async fn speaks(stream: &TcpStream) -> bool {
    const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut heard = [0; HTTP2.len()];
    loop {
        match stream.peek(&mut heard).await {
            Err(_) | Ok(0) => return false,
            Ok(n) if n < HTTP2.len() && HTTP2.starts_with(&heard[..n]) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(_) => return true,
        }
    }
}

/// The next connection, once there is a place for one.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, client)) => {
            // Small answers must not wait for the peer's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
            let socket = SockRef::from(&stream);
            let _ = socket.set_tcp_keepalive(&keepalive);
            #[cfg(target_os = "linux")]
            let _ = socket.set_tcp_user_timeout(Some(KEEPALIVE));
            Some((stream, client, place))
        }
        Err(error) => {
            // Out of file descriptors, most likely: it passes when connections end.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Checks a request and puts bounds on its body; `too_large` is set when more comes than is taken.
fn accept_request(
    request: Request<Incoming>,
    too_large: &Arc<AtomicBool>,
) -> Result<Request<WasiBody>, Problem> {
    if request.body().size_hint().lower() > MAX_BODY as u64 {
        return Err(Problem::BodyTooLarge);
    }
    let (mut head, body) = request.into_parts();
    head.uri = absolute(head.uri, head.headers.get(header::HOST)).ok_or(Problem::BadRequest)?;
    let body = if body.is_end_stream() {
        full(Bytes::new())
    } else {
        let too_large = too_large.clone();
        let body = Limited::new(body.map_err(Error::from), MAX_BODY).map_err(move |error| {
            match error.downcast::<Error>() {
                Ok(error) => *error,
                Err(_) => {
                    too_large.store(true, Ordering::Relaxed);
                    Error::HttpRequestBodySize(Some(MAX_BODY as u64))
                }
            }
        });
        IdleTimeout::new(body, BODY_TIMEOUT).boxed_unsync()
    };
    Ok(Request::from_parts(head, body))
}

/// The URI with scheme and authority, the latter from the Host header where the URI has none.
fn absolute(uri: Uri, host: Option<&http::HeaderValue>) -> Option<Uri> {
    let mut parts = uri.into_parts();
    let host = match host {
        Some(host) => Some(host.to_str().ok()?.parse().ok()?),
        None => None,
    };
    parts.authority = match (parts.authority, host) {
        (Some(in_uri), Some(in_header)) if in_uri != in_header => return None,
        (in_uri, in_header) => Some(in_uri.or(in_header)?),
    };
    parts.scheme = Some(http::uri::Scheme::HTTP);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn authority_comes_from_uri_or_host_and_they_must_agree() {
        let host = HeaderValue::from_static("shop:3000");
        let uri = absolute("/a?b".parse().unwrap(), Some(&host)).unwrap();
        assert_eq!(uri, "http://shop:3000/a?b");
        assert!(absolute("/a".parse().unwrap(), None).is_none());
        assert!(absolute("http://other/a".parse().unwrap(), Some(&host)).is_none());
        assert!(absolute("http://shop:3000/a".parse().unwrap(), Some(&host)).is_some());
    }
}
