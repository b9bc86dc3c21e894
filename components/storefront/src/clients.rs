//! What the pages ask of others: the public API, as any visitor could ask it, in the visitor's own name and from the visitor's own address. That
//! address is all that the storefront is believed for being a service.

pub mod accounts;
pub mod catalogue;
pub mod console;
pub mod shopping;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use souk_chassis::Problem;
use souk_chassis::address::CLIENT;
use souk_client::{Call, CallError, Policies, Policy, Response};

use crate::session::Visitor;

/// How long a page waits for its data, and how it treats the gateway.
#[rustfmt::skip]
const POLICIES: Policies = Policies(&[
    //           of          timeout  attempts  slow from  at once
    Policy::row("gateway",   3_000,   2,        3_000,     16),
]);

/// The same for what changes something: passwords are slow on purpose, and an order waits for several services.
#[rustfmt::skip]
const CHANGES: Policies = Policies(&[
    Policy::row("gateway",   14_000,  2,        14_000,    16),
]);

/// Why there is no answer that could be shown.
#[derive(Debug)]
pub enum Missing {
    /// There is no such thing.
    Nothing,
    /// The visitor is not signed in (any more).
    SignedOut,
    /// The shop will not do it, and says why.
    Refused(Box<Refusal>),
    /// It cannot be had at the moment, and why.
    Unavailable(String),
}

impl Missing {
    /// Whether it leads nowhere: there is no such thing, or what is asked for makes no sense, such as a cursor somebody typed.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Refused(refusal) => refusal.status == 400,
            _ => false,
        }
    }
}

/// Why the shop will not do something: a problem document, as far as the pages show it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Which kind of problem.
    pub r#type: String,
    /// What it is, for those who know the API.
    pub detail: String,
    /// Fields that are not as they should be.
    pub errors: Vec<FieldError>,
    /// Why a card was declined.
    pub decline_code: Option<String>,
    /// Why an order was not made.
    pub reason: Option<String>,
}

/// A field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// Its path, such as `price.amount`.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Refusal {
    /// The last part of the kind of problem.
    pub fn kind(&self) -> &str {
        self.r#type.rsplit(':').next().unwrap_or_default()
    }

    /// What the API says, also of each field: operators know its words.
    pub fn words(&self) -> String {
        let fields = self.errors.iter();
        let fields = fields.map(|it| format!("; {}: {}", it.field, it.detail));
        std::iter::once(self.detail.clone()).chain(fields).collect()
    }

    /// What there is to say where no page has better words.
    pub fn message(&self) -> String {
        match self.status {
            429 => "That was too often in a short time. Please wait a minute and try again.".into(),
            _ => "The shop could not do that. Please look at the page again and retry.".into(),
        }
    }
}

impl From<CallError> for Missing {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Problem> for Missing {
    fn from(problem: Problem) -> Self {
        Self::Unavailable(format!("{problem:?}"))
    }
}

/// A call in a visitor's name.
fn call<'a>(visitor: &'a Visitor, method: Method, path: &'a str) -> Call<'a> {
    match method.is_safe() {
        true => call_by(visitor, method, path, POLICIES.to("gateway")),
        false => call_by(visitor, method, path, CHANGES.to("gateway")),
    }
}

/// The same with a policy of its own.
fn call_by<'a>(
    visitor: &'a Visitor,
    method: Method,
    path: &'a str,
    policy: &'static Policy,
) -> Call<'a> {
    let call = Call::new(&visitor.context, method, policy, path);
    introduce(visitor)
        .into_iter()
        .fold(call, |call, (name, value)| call.header(name, value))
}

/// The headers that say who a visitor is.
fn introduce(visitor: &Visitor) -> Vec<(HeaderName, HeaderValue)> {
    let token = visitor.access_token.as_ref();
    let bearer = token.map(|token| (AUTHORIZATION, format!("Bearer {token}")));
    let address = visitor.address.map(|address| (CLIENT, address.to_string()));
    let headers = bearer.into_iter().chain(address);
    headers
        .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
        .collect()
}

/// Makes a call; its answer, where that is a good one.
async fn send(call: Call<'_>) -> Result<Response, Missing> {
    let answer = call.send().await?;
    match answer.status() {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(Missing::Nothing),
        StatusCode::UNAUTHORIZED => Err(Missing::SignedOut),
        status if status.is_client_error() => {
            let refusal: Refusal = answer.json().await?;
            let status = status.as_u16();
            Err(Missing::Refused(Box::new(Refusal { status, ..refusal })))
        }
        status => Err(Missing::Unavailable(format!(
            "the gateway answered {status}"
        ))),
    }
}

async fn get<T: DeserializeOwned>(visitor: &Visitor, path: &str) -> Result<T, Missing> {
    // Whether they may see it nobody can say now.
    if visitor.unsure {
        return Err(Missing::Unavailable("the session is not known".into()));
    }
    Ok(send(call(visitor, Method::GET, path)).await?.json().await?)
}

/// Whether this can be an id: others would lead elsewhere.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !id.is_empty() && id.bytes().all(plain)
}

/// The path of a thing of an API.
fn path_of(collection: &str, id: &str) -> Result<String, Missing> {
    match is_id(id) {
        true => Ok(format!("{collection}/{id}")),
        false => Err(Missing::Nothing),
    }
}

/// The path of one page of a collection.
fn page_of(collection: &str, limit: usize, cursor: Option<&str>) -> String {
    let path = format!("{collection}?");
    let length = path.len();
    let mut query = form_urlencoded::Serializer::for_suffix(path, length);
    query.append_pair("limit", &limit.to_string());
    if let Some(cursor) = cursor {
        query.append_pair("cursor", cursor);
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_leads_elsewhere() {
        assert!(
            matches!(path_of("/api/orders", "0190-a"), Ok(path) if path == "/api/orders/0190-a")
        );
        for odd in ["", "..", "a/b", "a?b", "a%2fb", "a b", "ä"] {
            assert!(
                matches!(path_of("/api/orders", odd), Err(Missing::Nothing)),
                "{odd}"
            );
        }
    }

    #[test]
    fn a_page_is_asked_for_by_its_cursor() {
        assert_eq!(page_of("/api/orders", 10, None), "/api/orders?limit=10");
        assert_eq!(
            page_of("/api/orders", 10, Some("a&b")),
            "/api/orders?limit=10&cursor=a%26b"
        );
    }

    #[test]
    fn a_refusal_is_read_from_its_problem() {
        let problem =
            r#"{"type":"urn:souk:problem:out-of-stock","status":409,"title":"x","lines":[]}"#;
        let refusal: Refusal = serde_json::from_str(problem).unwrap_or_default();
        assert_eq!(refusal.kind(), "out-of-stock");
        assert_eq!(refusal.status, 409);
    }
}
