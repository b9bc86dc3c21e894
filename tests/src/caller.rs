//! Somebody who calls a shop that may not be there.

use crate::{Reply, client};
use reqwest::blocking::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long an access token is used; it lives for 15 minutes.
const TOKEN_USE: Duration = Duration::from_secs(10 * 60);

/// Time between an answer that says nothing and the next attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// What somebody logs in with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: String,
}

/// Somebody who logs in when that is needed, and takes it calmly when there is no answer.
pub struct Caller {
    url: String,
    client: Client,
    /// Who it is.
    pub account: Account,
    /// An access token, and when it was given.
    token: Option<(Instant, String)>,
}

impl Caller {
    /// Of the shop at this URL.
    pub fn new(url: &str, account: Account) -> Self {
        Self {
            url: url.to_owned(),
            client: client(),
            account,
            token: None,
        }
    }

    /// The answer to a request; `null` is no body. `None` where there was none, or one that says nothing about the request: the
    /// shop is not there, it has no time, or the login was not good any more.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Option<Reply> {
        let reply = self.send(method, path, key, body)?;
        if reply.status == 401 {
            self.token = None;
        }
        (reply.status < 500 && !matches!(reply.status, 401 | 429)).then_some(reply)
    }

    /// The answer to a request, whatever it says.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Option<Reply> {
        let token = match &self.token {
            Some((given, token)) if given.elapsed() < TOKEN_USE => token.clone(),
            _ => self.log_in()?,
        };
        let method = method.parse().expect("an HTTP method");
        let url = format!("{}{path}", self.url);
        let mut request = self.client.request(method, url).bearer_auth(&token);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        Reply::if_any(request).ok()
    }

    /// Makes a request that can be repeated, until there is an answer to it or the time is over.
    pub fn insist(
        &mut self,
        limit: Duration,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Option<Reply> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            match self.ask(method, path, key, body) {
                Some(reply) => return Some(reply),
                None => std::thread::sleep(PAUSE),
            }
        }
        None
    }

    /// The answer to a GET, for which a shop that is at rest gets half a minute.
    ///
    /// # Errors
    /// That there was none, in words.
    pub fn get(&mut self, path: &str) -> Result<Reply, String> {
        let reply = self.insist(Duration::from_secs(30), "GET", path, None, &Value::Null);
        reply.ok_or_else(|| format!("{} gets no answer to GET {path}", self.account.email))
    }

    /// All items of a list, page by page.
    ///
    /// # Errors
    /// What kept it from being read, in words.
    pub fn list(&mut self, path: &str) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{joint}limit=100{cursor}"))?;
            let page: Value = serde_json::from_str(&page.text).map_err(|e| e.to_string())?;
            let of_page = page["items"].as_array();
            items.extend(of_page.ok_or_else(|| format!("{path}: {page}"))?.clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Opens the account, if it is not there yet, and logs in; `None` where one of it was not answered.
    pub fn register(&mut self) -> Option<()> {
        let body = json!({"email": self.account.email, "password": self.account.password, "name": "A Customer"});
        let request = self.client.post(format!("{}/api/users", self.url));
        let reply = Reply::if_any(request.json(&body)).ok()?;
        // It may be there already: made by an attempt of which the answer was lost.
        matches!(reply.status, 201 | 409)
            .then(|| self.log_in())
            .flatten()?;
        Some(())
    }

    fn log_in(&mut self) -> Option<String> {
        let request = self.client.post(format!("{}/api/sessions", self.url));
        let reply = Reply::if_any(request.json(&self.account)).ok()?;
        let session = (reply.status == 201).then(|| reply.json())?;
        let token = session["access_token"].as_str()?.to_owned();
        self.token = Some((Instant::now(), token.clone()));
        Some(token)
    }
}
