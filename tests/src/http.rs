//! A small HTTP client for tests: a reply is status, headers and text, whatever the status.

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::HeaderMap;
use std::time::Duration;

/// A client that follows no redirects and waits for 20 seconds at most.
///
/// # Panics
/// Never in practice: the settings are fixed.
pub fn client() -> Client {
    Client::builder()
        .timeout(Duration::from_secs(20))
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
    /// Sends a request.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn to(request: RequestBuilder) -> Self {
        let response = request.send().expect("an answer");
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().expect("a whole body"),
        }
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
