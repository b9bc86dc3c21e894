//! What a handler knows about the request beside its path and body.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use souk_resilience::deadline::{self, Deadline};
use souk_tokens::{Arrival, Key, Role};
use uuid::Uuid;

use crate::load::Load;
use crate::problem::Problem;
use crate::traceparent::Traceparent;
use crate::{background, span, variables};

/// The header that carries the request id, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header that carries the W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header that goes with it, for what tracing systems add.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Who made a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The calling service; none for a caller from outside.
    pub service: Option<String>,
    /// The user who acts, themselves or through that service.
    pub user: Option<String>,
    /// That user's role.
    pub role: Option<Role>,
}

/// What is known about a request; a handler takes it as an argument.
#[derive(Debug, Clone)]
pub struct Context {
    /// The service that handles the request.
    pub service: &'static str,
    /// The id that everything done for the request carries.
    pub request_id: HeaderValue,
    /// The W3C trace context the request came with.
    pub traceparent: Option<Traceparent>,
    /// What tracing systems have added to that.
    pub tracestate: Option<HeaderValue>,
    /// Who made it; none if it came without a service token, which is how the public reads.
    pub caller: Option<Caller>,
    /// Until when whoever waits for this waits. It goes on with every call that is made.
    pub deadline: Option<Deadline>,
    /// How much there is to do on the host, where it tells.
    pub load: Option<Load>,
}

impl Context {
    /// The context of a request that nobody has been authenticated for.
    pub(crate) fn anonymous(service: &'static str, headers: &HeaderMap) -> Self {
        let traceparent = headers.get(TRACEPARENT).and_then(Traceparent::parse);
        Self {
            service,
            request_id: request_id(headers.get(REQUEST_ID)),
            tracestate: traceparent.and_then(|_| headers.get(TRACESTATE).cloned()),
            traceparent,
            caller: None,
            deadline: arrived(headers),
            load: Load::arrived(headers),
        }
    }

    /// The same, for work that may take so many milliseconds, or less where there is less time left.
    pub fn within(&self, ms: u32) -> Self {
        let deadline = Deadline::after(background::now(), ms);
        Self {
            deadline: Some(
                self.deadline
                    .map_or(deadline, |before| before.min(deadline)),
            ),
            ..self.clone()
        }
    }

    /// The same, for work that goes on when nobody waits for it any more.
    pub fn unhurried(&self) -> Self {
        Self {
            deadline: None,
            ..self.clone()
        }
    }

    /// The same, for work that nobody waits for, and that another request began: the calls for it go on under that one's id and in its
    /// trace, as far as these are known.
    pub fn on_behalf_of(&self, request_id: Option<&str>, traceparent: Option<&str>) -> Self {
        let request_id = request_id.and_then(|text| HeaderValue::from_str(text).ok());
        let traceparent = traceparent.and_then(Traceparent::parse);
        Self {
            request_id: request_id.unwrap_or_else(|| self.request_id.clone()),
            tracestate: self.tracestate.clone().filter(|_| traceparent.is_none()),
            traceparent: traceparent.or(self.traceparent),
            ..self.unhurried()
        }
    }

    /// The same, for what is asked over and over: in a trace of its own that is not sampled, so it takes no room where traces are kept unless it fails.
    pub fn untraced(&self) -> Self {
        let (_, span) = Uuid::now_v7().as_u64_pair();
        Self {
            traceparent: Traceparent::unsampled(Uuid::now_v7().as_u128(), span),
            tracestate: None,
            ..self.clone()
        }
    }

    /// Refuses to begin with something that takes so many milliseconds when nobody will wait for it so long.
    pub fn require_time(&self, ms: u32) -> Result<(), Problem> {
        let left = self
            .deadline
            .map(|deadline| deadline.left(background::now()));
        match left {
            Some(left) if left < ms => Err(Problem::gateway_timeout(format!(
                "this takes about {ms} ms, and there are only {left} left"
            ))),
            _ => Ok(()),
        }
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// The trace context as text, if it came with one.
    pub fn traceparent(&self) -> Option<&str> {
        Some(self.traceparent.as_ref()?.as_str())
    }

    /// What a call that is made now says of where in its trace it belongs, if the request came with one. Nothing where the host knows that: it
    /// makes spans, and the call is made for the request that it gave us, in no span of our own.
    pub fn place(&self) -> Option<Traceparent> {
        self.traceparent.and_then(span::place)
    }

    /// The id of the trace it belongs to, if it came with one.
    pub fn trace_id(&self) -> Option<&str> {
        Some(self.traceparent.as_ref()?.trace_id())
    }

    /// Refuses everybody who does not have the role admin.
    pub fn require_admin(&self) -> Result<(), Problem> {
        match self.caller.as_ref().and_then(|caller| caller.role) {
            Some(Role::Admin) => Ok(()),
            Some(Role::Customer) => Err(Problem::forbidden("this needs the role admin")),
            None => Err(Problem::unauthorized("this needs the role admin")),
        }
    }

    /// Refuses everybody but these services.
    pub fn require_service(&self, services: &[&str]) -> Result<(), Problem> {
        let caller = self.caller.as_ref();
        match caller.and_then(|caller| caller.service.as_deref()) {
            Some(service) if services.contains(&service) => Ok(()),
            Some(_) => Err(Problem::forbidden("this is for other services")),
            None => Err(Problem::unauthorized("this is for services")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let context = parts.extensions.get::<Context>().cloned();
        context.ok_or_else(|| Problem::internal("the router is not served by a Service"))
    }
}

/// Lets only callers with the role admin through; a handler takes it as an argument.
#[derive(Debug)]
pub struct Admin;

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Context::from_request_parts(parts, state)
            .await?
            .require_admin()?;
        Ok(Self)
    }
}

/// Lets only signed-in users through, and says who it is; a handler takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// The user's id.
    pub user: Uuid,
    /// The user's role.
    pub role: Role,
}

impl SignedIn {
    /// Whether this is an administrator.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Context::from_request_parts(parts, state).await?.caller;
        let signed_in = caller.and_then(|caller| {
            Some(Self {
                user: caller.user?.parse().ok()?,
                role: caller.role?,
            })
        });
        signed_in.ok_or_else(|| Problem::unauthorized("this is for signed-in users"))
    }
}

/// The deadline that came with the request. Anybody may say one: it only makes their own answer come sooner.
fn arrived(headers: &HeaderMap) -> Option<Deadline> {
    let header = headers.get(deadline::HEADER)?.to_str().ok()?;
    Deadline::arrived(header, background::now())
}

/// Takes the request id that came with the request if it is a sane one, else makes one.
fn request_id(given: Option<&HeaderValue>) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        let id = id.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        (1..=128).contains(&id.len()) && id.iter().all(allowed)
    };
    given.filter(sane).cloned().unwrap_or_else(|| {
        let mut buffer = Uuid::encode_buffer();
        let id = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(id).expect("a UUID is a valid header value")
    })
}

/// Reads who made an internal request off its service token. No token: nobody. A token that is not to be believed: a problem.
pub async fn authenticate(
    service: &'static str,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Problem> {
    let Some(token) = headers.get(souk_tokens::HEADER) else {
        return Ok(None);
    };
    let token = token
        .to_str()
        .map_err(|_| Problem::unauthorized("the service token is malformed"))?;
    let addresses = headers
        .get_all("spin-client-addr")
        .iter()
        .map(HeaderValue::as_bytes);
    let arrival = Arrival::from_client_addr(addresses);
    let key = service_key()
        .await?
        .ok_or_else(|| Problem::internal("the variable service_key is not granted"))?;
    let claims = key
        .verify(token, service, now(), arrival)
        .map_err(|invalid| Problem::unauthorized(invalid.to_string()))?;
    Ok(Some(Caller {
        service: Some(claims.iss),
        user: claims.sub,
        role: claims.role,
    }))
}

/// The key that service tokens are signed with, from the variable `service_key`; none where the manifest does not grant it.
pub async fn service_key() -> Result<Option<Key>, Problem> {
    // Absorbing a secret costs two rounds of SHA-256, less than keeping the result would cost in complication.
    Ok(variables::get("service_key")
        .await?
        .map(|secret| Key::new(&secret)))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn context(timeout_ms: Option<&'static str>) -> Context {
        let header = timeout_ms.map(|ms| {
            let name = HeaderName::from_static(deadline::HEADER);
            (name, HeaderValue::from_static(ms))
        });
        Context::anonymous("test", &header.into_iter().collect())
    }

    #[test]
    fn nothing_is_begun_that_nobody_waits_for() {
        let status =
            |context: &Context, ms| context.require_time(ms).map_err(|it| it.status().as_u16());
        assert_eq!(status(&context(None), 5_000), Ok(()));
        assert_eq!(status(&context(Some("9000")), 5_000), Ok(()));
        assert_eq!(status(&context(Some("4000")), 5_000), Err(504));
        assert_eq!(status(&context(Some("4000")).unhurried(), 5_000), Ok(()));
        assert_eq!(status(&context(None).within(1_000), 5_000), Err(504));
        assert_eq!(
            status(&context(Some("100")).within(9_000), 5_000),
            Err(504),
            "it only gets less"
        );
    }

    #[test]
    fn a_place_in_a_trace_is_kept_where_it_is_sound() {
        const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (traceparent, kept) in [(SOUND, Some(SOUND)), ("", None), (&SOUND[1..], None)] {
            let came = [
                (TRACEPARENT, HeaderValue::from_str(traceparent).unwrap()),
                (TRACESTATE, HeaderValue::from_static("vendor=1")),
            ];
            let context = Context::anonymous("test", &came.into_iter().collect());
            assert_eq!(context.traceparent(), kept);
            assert_eq!(context.tracestate.is_some(), kept.is_some());
        }
    }

    #[test]
    fn what_another_request_began_goes_on_in_its_name() {
        const HERE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let came = [
            (REQUEST_ID, HeaderValue::from_static("mine")),
            (TRACEPARENT, HeaderValue::from_static(HERE)),
            (TRACESTATE, HeaderValue::from_static("vendor=1")),
        ];
        let mine = Context::anonymous("test", &came.into_iter().collect());
        let there = HERE.replace("b7ad6b7169203331", "00f067aa0ba902b7");
        let its = mine.on_behalf_of(Some("its"), Some(&there));
        assert_eq!(
            (its.request_id(), its.traceparent()),
            ("its", Some(&*there))
        );
        assert_eq!(its.tracestate, None, "that was of the other trace");
        let unknown = mine.on_behalf_of(None, None);
        assert_eq!(
            (unknown.request_id(), unknown.traceparent()),
            ("mine", Some(HERE))
        );
        assert!(unknown.tracestate.is_some());
    }

    #[test]
    fn what_is_not_to_be_traced_is_in_an_unsampled_trace_of_its_own() {
        const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let traced = Context {
            traceparent: Traceparent::parse(SAMPLED),
            ..context(Some("100"))
        };
        let untraced = traced.untraced();
        assert!(untraced.traceparent().unwrap().ends_with("-00"));
        assert_ne!(untraced.trace_id(), traced.trace_id());
        assert_eq!(untraced.deadline, traced.deadline);
    }

    #[test]
    fn a_sane_request_id_is_kept_and_any_other_replaced() {
        let id =
            |given: &str| request_id(Some(&HeaderValue::from_bytes(given.as_bytes()).unwrap()));
        assert_eq!(id("checkout-1.a_b"), "checkout-1.a_b");
        for odd in ["", "a b", "a,b", "ä", "<script>"] {
            assert_eq!(id(odd).len(), 36, "{odd}");
        }
        let long = HeaderValue::from_str(&"a".repeat(129)).unwrap();
        assert_eq!(request_id(Some(&long)).len(), 36);
        assert_ne!(request_id(None), request_id(None));
    }
}
