//! What Prometheus scrapes: what `telemetry` has counted, what the services state about themselves, and what is known of their calls.
//!
//! Whoever scrapes brings the token that the operator has set. Who is down is told by that, and holds up nobody: all are asked at once, and
//! none is waited for longer than [`TIMEOUT_MS`] for the head of its answer and as long again for the rest.

use axum::response::{IntoResponse, Response};
use futures::future::{join, join_all};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use souk_chassis::gauges::Gauge;
use souk_chassis::{Context, Problem};
use souk_client::{Call, CallReport};
use souk_exposition::Format;
use subtle::ConstantTimeEq;

use crate::authentication::bearer;
use crate::exposition::Families;
use crate::policies::POLICIES;
use crate::{ops, routes};

/// How long a service may take to answer, in milliseconds.
const TIMEOUT_MS: u32 = 2_000;

/// How much `telemetry` may have to tell: twice of what it writes of others, which is the most of it.
const COUNTED_LIMIT: usize = 16 * 1024 * 1024;

/// How short a token may be: one that can be guessed is none.
const LEAST_CHARACTERS: usize = 16;

/// What whoever scrapes has to bring; nobody may where there is none.
pub struct Token(Option<String>);

impl Token {
    /// Reads the setting; "" is none.
    pub fn parse(setting: &str) -> Result<Self, String> {
        match setting {
            "" => Ok(Self(None)),
            token
                if token.len() >= LEAST_CHARACTERS
                    && token.bytes().all(|it| it.is_ascii_graphic()) =>
            {
                Ok(Self(Some(token.to_owned())))
            }
            _ => Err(format!(
                "must be \"\" or {LEAST_CHARACTERS} characters or more, without spaces: letters, digits and signs of ASCII"
            )),
        }
    }

    /// Lets a request in that brings it. Without one there is nothing here.
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.0 else {
            return Err(Problem::not_found("there is nothing at /metrics"));
        };
        let brought = bearer(headers)?.unwrap_or_default();
        match bool::from(brought.as_bytes().ct_eq(token.as_bytes())) {
            true => Ok(()),
            false => Err(Problem::unauthorized(
                "this is for whoever brings the token of metrics",
            )),
        }
    }
}

/// `GET /metrics`
pub async fn expose(context: Context, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    // Some hundred spans every few seconds would leave no room for the traces of customers.
    let untraced = context.untraced();
    let asked = routes::services().into_iter();
    let states = join_all(asked.map(|service| State::of(&untraced, service)));
    let (counted, mut states) = join(counted(&untraced, format), states).await;
    // What it tells about itself it tells with the rest.
    if let Some(telemetry) = states.iter_mut().find(|it| it.service == "telemetry") {
        telemetry.gauges = counted.as_ref().map(|_| Vec::new());
    }

    let mut families = Families::default();
    if let Ok(own) = souk_client::report(context.service) {
        tell_of_calls(&mut families, &own.items);
    }
    for state in &states {
        state.tell(&mut families);
    }
    let text = families.written_after(&counted.unwrap_or_default(), format);
    let headers = [
        (header::CONTENT_TYPE, format.media_type()),
        (header::VARY, "accept"),
    ];
    (headers, text).into_response()
}

/// What `telemetry` has counted, as it writes it; none where it does not answer.
async fn counted(context: &Context, format: Format) -> Option<String> {
    let accept = HeaderValue::from_static(format.media_type());
    let call =
        Call::get(context, POLICIES.to("telemetry"), "/metrics").header(header::ACCEPT, accept);
    let response = call.unguarded(TIMEOUT_MS).send().await.ok()?;
    let media_type = response.headers().get(header::CONTENT_TYPE)?;
    let as_asked = response.status() == StatusCode::OK && media_type == format.media_type();
    if !as_asked {
        return None;
    }
    let text = response.text(COUNTED_LIMIT).await;
    text.inspect_err(|error| tracing::warn!(%error, "what telemetry has counted cannot be read"))
        .ok()
}

/// What a service has said of itself.
struct State {
    service: &'static str,
    /// None where it does not answer.
    gauges: Option<Vec<Gauge>>,
    calls: Vec<CallReport>,
}

impl State {
    async fn of(context: &Context, service: &'static str) -> Self {
        let asked = join(gauges(context, service), ops::calls_of(context, service));
        let (gauges, (_, calls)) = asked.await;
        Self {
            service,
            gauges,
            calls: calls.map_or(Vec::new(), |calls| calls.items),
        }
    }

    fn tell(&self, families: &mut Families) {
        families.gauge(
            "souk_service_up",
            "Whether a service answers what it is asked: 1, or 0.",
            &[("service", self.service)],
            f64::from(u8::from(self.gauges.is_some())),
        );
        for Gauge {
            name,
            help,
            labels,
            value,
        } in self.gauges.iter().flatten()
        {
            let labels = labels.iter().map(|(name, value)| (&**name, &**value));
            families.gauge(name, help, &labels.collect::<Vec<_>>(), *value);
        }
        tell_of_calls(families, &self.calls);
    }
}

/// What a service states about itself; none where it does not answer.
async fn gauges(context: &Context, service: &'static str) -> Option<Vec<Gauge>> {
    let call = Call::get(context, POLICIES.to(service), "/internal/gauges").unguarded(TIMEOUT_MS);
    let response = call.send().await.ok()?;
    match response.status() {
        StatusCode::OK => response.json().await.ok(),
        // Whoever does not know this is another one.
        _ => None,
    }
}

fn tell_of_calls(families: &mut Families, calls: &[CallReport]) {
    for call in calls {
        let labels = [("caller", &*call.from), ("callee", &*call.to)];
        families.gauge(
            "souk_breaker_open",
            "Whether calls of one service by another are refused: 1, or 0; 0.5 where a few are let through to see.",
            &labels,
            openness(&call.state),
        );
        families.counter(
            "souk_breaker_opened",
            "How often the breaker between two services has opened.",
            &labels,
            call.opened.into(),
        );
    }
}

fn openness(state: &str) -> f64 {
    match state {
        "open" => 1.0,
        "half_open" => 0.5,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn admitted(setting: &str, authorization: Option<&str>) -> Option<u16> {
        let value = |value: &str| (header::AUTHORIZATION, value.parse().unwrap());
        let headers: HeaderMap = authorization.map(value).into_iter().collect();
        let admitted = Token::parse(setting).unwrap().admit(&headers);
        admitted.err().map(|problem| problem.status().as_u16())
    }

    #[test]
    fn without_a_token_there_is_nothing() {
        assert_eq!(admitted("", None), Some(404));
        assert_eq!(admitted("", Some("Bearer ")), Some(404));
        let token = "0123456789abcdef";
        assert_eq!(admitted(token, None), Some(401));
        assert_eq!(admitted(token, Some("Bearer 0123456789abcdef0")), Some(401));
        assert_eq!(admitted(token, Some("Bearer 0123456789abcdef")), None);
        assert_eq!(admitted(token, Some("bearer 0123456789abcdef")), None);
    }

    #[test]
    fn a_token_that_can_be_guessed_is_none() {
        for setting in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdefé"] {
            assert!(Token::parse(setting).is_err(), "{setting}");
        }
    }

    #[test]
    fn a_service_tells_of_itself_and_of_those_it_calls() {
        let call = |to: &str, state: &str| CallReport {
            from: "orders".into(),
            to: to.into(),
            state: state.into(),
            changed_at: 0,
            opened: 3,
            counted_since: 0,
            calls: 0,
            failed: 0,
            slow: 0,
            retries_left: 50,
            ejected: Vec::new(),
        };
        let mut families = Families::default();
        let calls = vec![
            call("payments", "open"),
            call("carts", "half_open"),
            call("products", "closed"),
        ];
        let gauges = Some(vec![
            Gauge::number("souk_sagas", "Sagas.", 2).of("state", "due"),
        ]);
        State {
            service: "orders",
            gauges,
            calls,
        }
        .tell(&mut families);
        State {
            service: "carts",
            gauges: None,
            calls: Vec::new(),
        }
        .tell(&mut families);
        let text = families.written_after("", Format::Text);
        for line in [
            r#"souk_service_up{service="orders"} 1"#,
            r#"souk_service_up{service="carts"} 0"#,
            r#"souk_sagas{state="due"} 2"#,
            r#"souk_breaker_open{caller="orders",callee="payments"} 1"#,
            r#"souk_breaker_open{caller="orders",callee="carts"} 0.5"#,
            r#"souk_breaker_open{caller="orders",callee="products"} 0"#,
            r#"souk_breaker_opened_total{caller="orders",callee="payments"} 3"#,
        ] {
            assert!(text.lines().any(|is| is == line), "{line}\n{text}");
        }
    }
}
