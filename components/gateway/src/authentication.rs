//! Who is calling from outside: whoever shows an access token that `users` has signed, from the address of their own.
//!
//! No token at all is the public. One that is not to be believed is refused on every route, also on those that need none:
//! whoever shows a token means to be somebody, and would be surprised to be nobody.
//!
//! The storefront asks for its visitors, and says which address each has. Its service token is what proves that it is the storefront, and nothing else:
//! it may do what its visitors may.

use std::net::IpAddr;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use souk_access::{Claims, Invalid};
use souk_chassis::address::{self, TrustedProxies};
use souk_chassis::{Caller, Context, Problem, context};
use uuid::Uuid;

use crate::keys::{self, Refusal};

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub caller: Caller,
    /// The session of the token.
    pub session: Uuid,
}

impl Identity {
    /// The user's id.
    pub fn user(&self) -> Option<&str> {
        self.caller.user.as_deref()
    }
}

impl From<Claims> for Identity {
    fn from(claims: Claims) -> Self {
        Self {
            caller: Caller {
                service: None,
                user: Some(claims.sub.to_string()),
                role: Some(claims.role),
            },
            session: claims.sid,
        }
    }
}

/// Reads who is calling off the request's headers; nobody is the public.
pub async fn authenticate(
    context: &Context,
    headers: &HeaderMap,
) -> Result<Option<Identity>, Problem> {
    let Some(token) = bearer(headers)? else {
        return Ok(None);
    };
    let now = i64::try_from(context::now()).unwrap_or(i64::MAX);
    match keys::verify(context, token, now).await {
        Ok(claims) => Ok(Some(claims.into())),
        Err(refusal) => Err(problem(&refusal)),
    }
}

/// The address that a request is made from: the visitor's, where the storefront asks for one.
pub async fn client_of(headers: &HeaderMap, proxies: TrustedProxies) -> Option<IpAddr> {
    // A service token of anybody else's making is no reason to refuse what anybody may ask.
    let service = context::authenticate("gateway", headers)
        .await
        .ok()
        .flatten();
    let visitor = service
        .is_some_and(|caller| caller.service.as_deref() == Some("storefront"))
        .then(|| address::told(headers));
    visitor.flatten().or_else(|| proxies.client_of(headers))
}

/// The token of an `authorization: Bearer <token>`.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => token_of(value)
            .map(Some)
            .ok_or_else(|| Problem::unauthorized("the scheme of authorization must be Bearer")),
        (Some(_), Some(_)) => Err(Problem::unauthorized("there must be one authorization")),
    }
}

fn token_of(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

fn problem(refusal: &Refusal) -> Problem {
    let problem = match refusal {
        Refusal::NoKeys => {
            return Problem::unavailable("the access token cannot be verified at the moment", 1);
        }
        Refusal::Invalid(Invalid::Expired) => Problem::new(
            StatusCode::UNAUTHORIZED,
            "token-expired",
            "The access token has expired",
            "get a new one with the refresh token",
        ),
        Refusal::Invalid(invalid) => Problem::unauthorized(invalid.to_string()),
    };
    let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
    problem.header(header::WWW_AUTHENTICATE, challenge)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bearer_token_is_read() {
        let bearer = |values: &[&str]| {
            let pair = |value: &&str| (header::AUTHORIZATION, value.parse().unwrap());
            let headers: HeaderMap = values.iter().map(pair).collect();
            bearer(&headers).map(|token| token.map(str::to_owned)).ok()
        };
        assert_eq!(bearer(&[]), Some(None));
        assert_eq!(bearer(&["Bearer abc"]), Some(Some("abc".into())));
        assert_eq!(bearer(&["bearer  abc "]), Some(Some("abc".into())));
        assert_eq!(bearer(&["Bearer "]), Some(Some(String::new())));
        for refused in ["Basic abc", "Bearerabc", "Bearer", "", "Bearer ä"] {
            assert_eq!(bearer(&[refused]), None, "{refused}");
        }
        assert_eq!(bearer(&["Bearer a", "Bearer a"]), None);
    }

    #[test]
    fn whoever_cannot_be_verified_now_may_come_back() {
        assert_eq!(problem(&Refusal::NoKeys).status(), 503);
        for invalid in [Invalid::Expired, Invalid::UnknownKey, Invalid::Malformed] {
            assert_eq!(problem(&Refusal::Invalid(invalid)).status(), 401);
        }
    }
}
