//! A small HTTP client for tests: a reply is status, headers and text, whatever the status.

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::HeaderMap;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// For how long a connection is kept that nobody uses: for less than hosts do (30 seconds), or a request may be written into one that is just
/// being closed, and whoever sends no request twice never learns what became of it.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// A client that follows no redirects and waits for 20 seconds at most.
///
/// # Panics
/// Never in practice: the settings are fixed.
pub fn client() -> Client {
    Client::builder()
        .timeout(Duration::from_secs(20))
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("the settings are fixed")
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Reply {
    /// Sends a request. A shop that runs already has limits of its own, so there it is sent again when the shop says when.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn to(request: RequestBuilder) -> Self {
        let again = request.try_clone();
        let reply = Self::once(request);
        match again {
            Some(again) if reply.status == 429 && std::env::var_os("SOUK_BASE_URL").is_some() => {
                let wait = reply
                    .header("retry-after")
                    .parse()
                    .expect("the time to wait");
                std::thread::sleep(Duration::from_secs(wait));
                Self::to(again)
            }
            _ => reply,
        }
    }

    /// Sends a request, once.
    fn once(request: RequestBuilder) -> Self {
        Self::if_any(request).expect("a whole answer")
    }

    /// Sends a request to a shop that may not be there.
    ///
    /// # Errors
    /// Why no whole answer came.
    pub fn if_any(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send()?;
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text()?,
        })
    }

    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text))
    }

    /// The slug of the problem, when the answer is one.
    pub fn problem(&self) -> String {
        if self.header("content-type") != "application/problem+json" {
            return format!("no problem but {} {}", self.status, self.text);
        }
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.rsplit(':').next().unwrap_or_default().to_owned()
    }
}

/// The answers to so many requests that are made at the same time.
///
/// # Panics
/// When one of them panics.
pub fn at_once(count: usize, ask: impl Fn() -> Reply + Sync) -> Vec<Reply> {
    let start = Barrier::new(count);
    std::thread::scope(|scope| {
        let one = || {
            start.wait();
            ask()
        };
        let all: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        all.into_iter()
            .map(|one| one.join().expect("an answer"))
            .collect()
    })
}

/// Asks again until something is so.
///
/// # Panics
/// When it is not for 30 seconds.
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
