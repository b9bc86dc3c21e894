//! Who is calling from outside.
//!
//! Until there are accounts there is one secret, the variable `admin_token`, and whoever shows it as a bearer token is an
//! administrator. Where it is empty nobody is. No token at all is the public; a wrong one is refused rather than ignored.

use http::header::{self, HeaderMap};
use souk_chassis::{Caller, Problem, variables};
use souk_tokens::Role;
use subtle::ConstantTimeEq;

/// Reads who is calling off the request's headers; nobody is the public.
pub async fn authenticate(headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = bearer(authorization.as_bytes())
        .ok_or_else(|| Problem::unauthorized("the scheme must be Bearer"))?;
    let admin_token = variables::get("admin_token").await?.unwrap_or_default();
    match is_admin(token, &admin_token) {
        true => Ok(Some(Caller {
            service: None,
            user: None,
            role: Some(Role::Admin),
        })),
        false => Err(Problem::unauthorized("the access token is not valid")),
    }
}

/// The token of an `authorization: Bearer <token>`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Compares in constant time, so that the time taken says nothing about the secret.
fn is_admin(token: &[u8], admin_token: &str) -> bool {
    !admin_token.is_empty() && bool::from(token.ct_eq(admin_token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearerabc", b"Bearer", b""] {
            assert_eq!(bearer(other), None);
        }
    }

    #[test]
    fn only_the_secret_makes_an_admin() {
        assert!(is_admin(b"s3cret", "s3cret"));
        assert!(!is_admin(b"s3cre", "s3cret"));
        assert!(!is_admin(b"", "s3cret"));
        assert!(!is_admin(b"", ""), "without a secret there is no admin");
    }
}
