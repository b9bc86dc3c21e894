//! The way through the gateway: what is done with every request, in order.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use souk_chassis::address::CLIENT;
use souk_chassis::{Context, Problem};
use souk_resilience::limit::Importance;
use std::net::IpAddr;
use std::time::Duration;

use crate::authentication::{Identity, authenticate, client_of};
use crate::compression::Wish;
use crate::routes::{Access, Route};
use crate::settings::{self, Settings};
use crate::{bounds, cors, limiter, limits, routes, shedding};

/// The session of whoever is signed in, for the service.
const SESSION: HeaderName = HeaderName::from_static("x-souk-session");

/// Takes a request in, and what every answer carries out.
pub async fn enter(context: Context, request: Request, next: Next) -> Response {
    let settings = match settings::get().await {
        Ok(settings) => settings,
        Err(problem) => return secure(problem.into_response()),
    };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match *request.method() {
        Method::OPTIONS => options(&request, settings),
        _ => serve(context, request, next, settings).await,
    };
    settings
        .origins
        .tell(origin.as_ref(), response.headers_mut());
    secure(response)
}

/// Says what may be asked. This costs nothing, so it counts against no limit.
fn options(request: &Request, settings: &Settings) -> Response {
    let path = request.uri().path();
    let methods = routes::allowed_methods(path);
    if methods.is_empty() {
        return Problem::not_found(format!("there is nothing at {path}")).into_response();
    }
    if cors::is_preflight(request) {
        let origin = request.headers().get(header::ORIGIN);
        return settings.origins.preflight(origin, &methods);
    }
    let allow = HeaderValue::try_from(methods.join(", ")).expect("methods are plain words");
    (StatusCode::NO_CONTENT, [(header::ALLOW, allow)]).into_response()
}

/// Counts a request against its limits, whatever comes of it, and answers it where it is within them.
async fn serve(context: Context, request: Request, next: Next, settings: &Settings) -> Response {
    let route = bounds::check_head(&request)
        .and_then(|()| routes::find(request.method(), request.uri().path()));
    let importance = route
        .as_ref()
        .map_or(Importance::Ordinary, |route| route.importance);
    // Before anything that costs something.
    let _running = match shedding::admit(&context, importance).await {
        Ok(running) => running,
        Err(problem) => return problem.into_response(),
    };
    let identity = match &route {
        Ok(route) if route.access == Access::Monitor => {
            settings.metrics.admit(request.headers()).map(|()| None)
        }
        _ => authenticate(&context, request.headers()).await,
    };
    let client = client_of(request.headers(), settings.proxies).await;

    let class = route
        .as_ref()
        .map_or(limits::Class::Ordinary, |route| route.class);
    let user = identity.as_ref().ok().and_then(Option::as_ref);
    let charges = settings.charges(class, client, user.and_then(Identity::user));
    let verdict = limiter::count(&charges).await;

    let answered = match verdict.map_or(Ok(()), limits::Verdict::admit) {
        Ok(()) => admit(context, request, next, route, identity, client).await,
        Err(problem) => Err(problem),
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    if let Some(verdict) = verdict {
        verdict.tell(response.headers_mut());
    }
    response
}

/// Lets a request in that is well-formed, from somebody who may make it.
async fn admit(
    mut context: Context,
    mut request: Request,
    next: Next,
    route: Result<&'static Route, Problem>,
    identity: Result<Option<Identity>, Problem>,
    client: Option<IpAddr>,
) -> Result<Response, Problem> {
    let (route, identity) = (route?, identity?);
    context.caller = identity.as_ref().map(|identity| identity.caller.clone());
    route.admit(&context)?;
    let context = context.within(milliseconds(route.timeout));

    introduce(request.headers_mut(), identity, client);
    let wish = Wish::take(&request.method().clone(), request.headers_mut());
    let mut request = bounds::check_body(request, route.timeout).await?;
    request.extensions_mut().insert(context);
    request.extensions_mut().insert(route);
    wish.fulfil(next.run(request).await).await
}

fn milliseconds(duration: Duration) -> u32 {
    duration.as_millis().try_into().unwrap_or(u32::MAX)
}

/// Tells the service who is there, beside what the service token says. What begins with `x-souk-` is said by nobody else,
/// and the access token has done its work.
fn introduce(headers: &mut HeaderMap, identity: Option<Identity>, client: Option<IpAddr>) {
    let forged: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-souk-"))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    headers.remove(header::AUTHORIZATION);
    let session = identity.map(|identity| identity.session.to_string());
    let client = client.map(|client| client.to_string());
    for (name, value) in [(SESSION, session), (CLIENT, client)] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// What browsers and caches are told about every answer: data, to be taken for nothing else, framed by nobody, and kept by
/// nobody unless the service says otherwise.
fn secure(mut response: Response) -> Response {
    const SECURITY: [(HeaderName, &str); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use souk_chassis::Caller;
    use uuid::Uuid;

    fn introduced(identity: Option<Identity>, client: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in [
            "x-souk-session",
            "x-souk-client",
            "x-souk-anything",
            "authorization",
        ] {
            headers.append(name, "forged".parse().unwrap());
            headers.append(name, "twice".parse().unwrap());
        }
        headers.insert("x-cart-token", "mine".parse().unwrap());
        introduce(
            &mut headers,
            identity,
            client.map(|client| client.parse().unwrap()),
        );
        headers
    }

    #[test]
    fn nobody_is_introduced_by_themselves() {
        let headers = introduced(None, None);
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-cart-token"]);
    }

    #[test]
    fn a_service_learns_the_session_and_the_address() {
        let identity = Identity {
            caller: Caller {
                service: None,
                user: None,
                role: None,
            },
            session: Uuid::nil(),
        };
        let headers = introduced(Some(identity), Some("2001:db8::1"));
        assert_eq!(headers[SESSION], Uuid::nil().to_string());
        assert_eq!(headers[CLIENT], "2001:db8::1");
        assert_eq!(headers.get_all(CLIENT).iter().count(), 1);
    }
}
