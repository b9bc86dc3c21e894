//! Somebody who calls a shop that may not be there.

use crate::{Reply, client};
use reqwest::blocking::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

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
    token: Option<String>,
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
        let token = match &self.token {
            Some(token) => token.clone(),
            None => self.log_in()?,
        };
        let method = method.parse().expect("an HTTP method");
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let reply = Reply::if_any(request.bearer_auth(&token)).ok()?;
        if reply.status == 401 {
            self.token = None;
        }
        (reply.status < 500 && !matches!(reply.status, 401 | 429)).then_some(reply)
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

    /// The status of the answer to a login; `None` where there was none.
    pub fn try_to_log_in(&self) -> Option<u16> {
        self.session().map(|reply| reply.status)
    }

    fn log_in(&mut self) -> Option<String> {
        let reply = self.session().filter(|reply| reply.status == 201)?;
        self.token = reply.json()["access_token"].as_str().map(Into::into);
        self.token.clone()
    }

    fn session(&self) -> Option<Reply> {
        let request = self.client.post(format!("{}/api/sessions", self.url));
        Reply::if_any(request.json(&self.account)).ok()
    }
}
