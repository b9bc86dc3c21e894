//! A shop that runs somewhere, as its clients see it: its public API and nothing else.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{self, Request, Response};

/// How long one request is tried while the shop says that there were too many.
const PATIENCE: Duration = Duration::from_secs(180);

/// A shop.
pub struct Shop {
    /// Where it is, without a slash at the end.
    pub url: String,
    http: Agent,
}

/// Who logs in.
pub struct Credentials {
    pub email: String,
    pub password: String,
}

/// An answer: its status, and its body if that is JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// Somebody who is logged in.
pub struct Session<'a> {
    shop: &'a Shop,
    access_token: String,
}

impl Shop {
    /// The shop at a URL such as `http://127.0.0.1:3000`.
    pub fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            // The shop is on this machine or named by whoever runs us: never behind the proxy of the environment.
            .proxy(None);
        Self {
            url: url.trim_end_matches('/').to_owned(),
            http: config.build().into(),
        }
    }

    /// Whether it answers.
    pub fn is_healthy(&self) -> bool {
        let answer = self.http.get(format!("{}/healthz", self.url)).call();
        answer.is_ok_and(|answer| answer.status() == http::StatusCode::OK)
    }

    /// The answer to a GET of anybody.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, None, None)
    }

    /// Opens an account; false if the e-mail address has one already.
    pub fn register(&self, who: &Credentials, name: &str) -> anyhow::Result<bool> {
        let body = json!({"email": who.email, "password": who.password, "name": name});
        let answer = self.send("POST", "/api/users", None, Some(&body))?;
        match answer.status {
            201 => Ok(true),
            409 => Ok(false),
            _ => bail!("the shop refused the account {}: {answer}", who.email),
        }
    }

    /// Logs in.
    pub fn log_in(&self, who: &Credentials) -> anyhow::Result<Session<'_>> {
        let body = json!({"email": who.email, "password": who.password});
        let answer = self.send("POST", "/api/sessions", None, Some(&body))?;
        match (answer.status, answer.body["access_token"].as_str()) {
            (201, Some(token)) => Ok(Session {
                shop: self,
                access_token: token.to_owned(),
            }),
            (401, _) => bail!("the shop does not know {} with this password", who.email),
            _ => bail!("the shop does not log {} in: {answer}", who.email),
        }
    }

    /// Sends a request, and again when the shop says that there were too many and when there may be another one.
    fn send(
        &self,
        method: &str,
        path: &str,
        access_token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut request = Request::builder()
                .method(method)
                .uri(format!("{}{path}", self.url));
            if let Some(token) = access_token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let answer = match body {
                Some(body) => {
                    let request = request.header("content-type", "application/json");
                    self.http.run(request.body(body.to_string())?)
                }
                None => self.http.run(request.body(())?),
            };
            let mut answer = answer.with_context(|| format!("no answer from {}", self.url))?;
            match wait_for(&answer) {
                Some(wait) if Instant::now() + wait < deadline => thread::sleep(wait),
                _ => {
                    let text = answer.body_mut().read_to_string().unwrap_or_default();
                    return Ok(Answer {
                        status: answer.status().as_u16(),
                        body: serde_json::from_str(&text).unwrap_or_default(),
                    });
                }
            }
        }
    }
}

/// How long to wait before the request is sent again, if it is one too many.
fn wait_for<B>(answer: &Response<B>) -> Option<Duration> {
    let too_many = answer.status() == http::StatusCode::TOO_MANY_REQUESTS;
    let seconds = answer.headers().get("retry-after").filter(|_| too_many)?;
    let seconds = seconds.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl Session<'_> {
    /// The answer to a GET.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.shop.send("GET", path, Some(&self.access_token), None)
    }

    /// The answer to a request with a body.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let answer = self
            .shop
            .send(method, path, Some(&self.access_token), Some(body))?;
        if answer.status == 403 {
            bail!("only an administrator may do this, and this account is none: {answer}");
        }
        Ok(answer)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

#[cfg(test)]
pub mod tests;
