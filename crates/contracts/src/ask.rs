//! Asking a service in process.

use axum::body::{Body, to_bytes};
use futures::executor::block_on;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use souk_chassis::{Caller, Service};
use souk_tokens::Role;

use crate::conformance;

/// A request to a service, by nobody unless told.
pub struct Ask {
    service: &'static Service,
    caller: Option<Caller>,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null where it is none.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The fields that a problem says are not as they should be, in order; none where it names none.
    pub fn bad_fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array();
        errors
            .into_iter()
            .flatten()
            .filter_map(|error| error["field"].as_str())
            .collect()
    }
}

/// Delivers an event to a service, as the broker does.
pub fn deliver(service: &'static Service, kind: &str, data: Value) -> Answer {
    let event = json!({
        "specversion": "1.0", "id": "e1", "source": "/services/others", "type": kind, "subject": "s",
        "time": "2026-01-01T00:00:00.000Z", "data": data,
    });
    let ask = Ask::of(service).service("events").json(event);
    ask.send("POST", "/internal/events")
}

impl Ask {
    /// A request to this service.
    pub fn of(service: &'static Service) -> Self {
        Self {
            service,
            caller: None,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Made by the gateway for an administrator without an account.
    pub fn admin(self) -> Self {
        self.by(Some("gateway"), None, Some(Role::Admin))
    }

    /// Made by the gateway for this customer.
    pub fn user(self, user: &str) -> Self {
        self.user_role(user, Role::Customer)
    }

    /// Made by the gateway for a user of this role.
    pub fn user_role(self, user: &str, role: Role) -> Self {
        self.by(Some("gateway"), Some(user), Some(role))
    }

    /// Made by a service for itself.
    pub fn service(self, service: &str) -> Self {
        self.by(Some(service), None, None)
    }

    /// Made by a service for a user.
    pub fn by(mut self, service: Option<&str>, user: Option<&str>, role: Option<Role>) -> Self {
        self.caller = Some(Caller {
            service: service.map(Into::into),
            user: user.map(Into::into),
            role,
        });
        self
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a JSON body.
    pub fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json")
            .text(&body.to_string())
    }

    /// With a body as it is.
    pub fn text(mut self, body: &str) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it.
    ///
    /// # Panics
    /// When the answer is not what the service's OpenAPI document promises.
    pub fn send(self, method: &str, path: &str) -> Answer {
        let service = self.service;
        let answer = block_on(self.answer(method, path));
        if let Err(difference) = conformance::check(&service.openapi(), method, path, &answer) {
            panic!(
                "{method} {path} is not as declared: {difference}\n{}",
                answer.text
            );
        }
        answer
    }

    async fn answer(self, method: &str, path: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = self.body.map_or(Body::empty(), Body::from);
        let request = request.body(body).expect("a well-formed request");
        let response = self.service.answer_to(Ok(self.caller), request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a whole body");
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}
