//! Service tokens: how one Souk service proves to another who is calling, and on whose behalf.
//!
//! A service token is a JSON Web Token signed with HMAC-SHA256 (`HS256`) that lives for [`LIFETIME`] seconds and travels in
//! the [`HEADER`] request header (`authorization` stays the end user's own). It names the calling service (`iss`), the one
//! service it is meant for (`aud`), and, where the call acts for somebody, the user (`sub`) and role (`role`).
//!
//! ```
//! use souk_tokens::{Arrival, Claims, Key, Role};
//!
//! let key = Key::new("shared by all services");
//! let claims = Claims::new("gateway", "products", 1_700_000_000).acting_as(None, Some(Role::Admin));
//! let token = key.sign(&claims);
//!
//! let seen = key.verify(&token, "products", 1_700_000_010, Arrival::Network).expect("a fresh token is valid");
//! assert_eq!(seen.role, Some(Role::Admin));
//! assert!(key.verify(&token, "orders", 1_700_000_010, Arrival::Network).is_err(), "meant for another service");
//! ```
//!
//! # The empty key
//!
//! A shop in one process needs no secret: its internal calls never leave it, and nobody outside can reach a private route.
//! So with an empty key a token is believed only if the request [arrived](Arrival) by in-process service chaining. A
//! deployment over a network refuses every token until it is given a key, rather than believing anybody.
//!
//! The crate is pure: no clock, no I/O. It signs with `hmac` and `sha2` instead of a JWT library because one fixed algorithm
//! is all it accepts, which also leaves no room for algorithm confusion.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The request header a service token travels in.
pub const HEADER: &str = "x-souk-token";

/// How long a token lives, in seconds.
pub const LIFETIME: u64 = 60;

/// How far two services' clocks may be apart, in seconds.
pub const CLOCK_SKEW: u64 = 5;

/// Nothing longer than this is looked at: a token is a few hundred bytes.
const MAX_LENGTH: usize = 2048;

/// `{"alg":"HS256","typ":"JWT"}`, the only header that is written or accepted.
const JWT_HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Somebody who buys.
    Customer,
    /// Somebody who runs the shop.
    Admin,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The calling service.
    pub iss: String,
    /// The called service.
    pub aud: String,
    /// The user on whose behalf the call is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// That user's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
}

impl Claims {
    /// Claims for a call from one service to another, starting `now` (seconds since 1970).
    pub fn new(caller: impl Into<String>, called: impl Into<String>, now: u64) -> Self {
        Self {
            iss: caller.into(),
            aud: called.into(),
            sub: None,
            role: None,
            iat: now,
            exp: now + LIFETIME,
        }
    }

    /// Says on whose behalf the call is made.
    pub fn acting_as(mut self, user: Option<String>, role: Option<Role>) -> Self {
        self.sub = user;
        self.role = role;
        self
    }
}

/// How a request reached the service; see [the empty key](crate#the-empty-key).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// From another component of the same process.
    Chained,
    /// Over a network.
    Network,
}

impl Arrival {
    /// Reads the arrival off the values of the `spin-client-addr` request headers, in order.
    ///
    /// Spin appends its own value to whatever a client sent, so only the last one counts. It is `0.0.0.0:0` for a chained call.
    pub fn from_client_addr<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        match values.into_iter().last() {
            Some(b"0.0.0.0:0") => Self::Chained,
            _ => Self::Network,
        }
    }
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no HS256 JSON Web Token with the expected claims.
    #[error("the service token is malformed")]
    Malformed,
    /// It was signed with another key, or changed after signing.
    #[error("the service token's signature is wrong")]
    Signature,
    /// It was meant for another service.
    #[error("the service token is meant for another service")]
    Audience,
    /// It is over, not yet begun, or meant to live longer than [`LIFETIME`].
    #[error("the service token has expired")]
    Expired,
    /// There is no key, and the request came over a network.
    #[error("service tokens are not accepted over a network until a service key is set")]
    NoKey,
}

/// The key all services share.
#[derive(Clone)]
pub struct Key {
    /// HMAC state after the key has been absorbed; cloned for each token.
    mac: Hmac<Sha256>,
    empty: bool,
}

impl Key {
    /// A key from its secret; an empty secret has [its own rule](crate#the-empty-key).
    pub fn new(secret: &str) -> Self {
        let mac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        Self {
            mac,
            empty: secret.is_empty(),
        }
    }

    /// Makes the token that says `claims`.
    pub fn sign(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are plain strings and numbers");
        let mut token = format!("{JWT_HEADER}.{}", BASE64.encode(claims));
        let signature = self
            .mac
            .clone()
            .chain_update(&token)
            .finalize()
            .into_bytes();
        token.push('.');
        BASE64.encode_string(signature, &mut token);
        token
    }

    /// Says what a token claims, if it is to be believed by the service `audience` at `now` (seconds since 1970).
    pub fn verify(
        &self,
        token: &str,
        audience: &str,
        now: u64,
        arrival: Arrival,
    ) -> Result<Claims, Invalid> {
        if self.empty && arrival != Arrival::Chained {
            return Err(Invalid::NoKey);
        }
        if token.len() > MAX_LENGTH {
            return Err(Invalid::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        if header != JWT_HEADER {
            return Err(Invalid::Malformed);
        }
        let signature = BASE64.decode(signature).map_err(|_| Invalid::Malformed)?;
        self.mac
            .clone()
            .chain_update(signed)
            .verify_slice(&signature)
            .map_err(|_| Invalid::Signature)?;

        let payload = BASE64.decode(payload).map_err(|_| Invalid::Malformed)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| Invalid::Malformed)?;
        if claims.aud != audience {
            return Err(Invalid::Audience);
        }
        let begun = claims.iat <= now + CLOCK_SKEW;
        let over = claims.exp.saturating_add(CLOCK_SKEW) <= now;
        let lifetime = claims.exp.saturating_sub(claims.iat);
        if !begun || over || lifetime > LIFETIME {
            return Err(Invalid::Expired);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn claims() -> Claims {
        Claims::new("gateway", "products", NOW).acting_as(Some("u1".into()), Some(Role::Admin))
    }

    fn verify(token: &str, now: u64) -> Result<Claims, Invalid> {
        Key::new("secret").verify(token, "products", now, Arrival::Network)
    }

    /// A token with any header and payload, signed properly.
    fn signed(header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let signature = Key::new("secret")
            .mac
            .chain_update(&signed)
            .finalize()
            .into_bytes();
        format!("{signed}.{}", BASE64.encode(signature))
    }

    #[test]
    fn a_fresh_token_says_what_was_signed() {
        let token = Key::new("secret").sign(&claims());
        assert_eq!(verify(&token, NOW), Ok(claims()));
    }

    #[test]
    fn the_header_constant_is_what_it_says() {
        assert_eq!(
            BASE64.decode(JWT_HEADER).unwrap(),
            br#"{"alg":"HS256","typ":"JWT"}"#
        );
    }

    #[test]
    fn a_token_lives_a_minute_give_or_take_the_skew() {
        let token = Key::new("secret").sign(&claims());
        assert!(verify(&token, NOW + LIFETIME + CLOCK_SKEW - 1).is_ok());
        assert_eq!(
            verify(&token, NOW + LIFETIME + CLOCK_SKEW),
            Err(Invalid::Expired)
        );
        assert!(verify(&token, NOW - CLOCK_SKEW).is_ok());
        assert_eq!(verify(&token, NOW - CLOCK_SKEW - 1), Err(Invalid::Expired));
    }

    #[test]
    fn a_token_that_wants_to_live_long_is_refused() {
        let eternal = Claims {
            exp: u64::MAX,
            ..claims()
        };
        assert_eq!(
            verify(&Key::new("secret").sign(&eternal), NOW),
            Err(Invalid::Expired)
        );
    }

    #[test]
    fn a_token_for_another_service_is_refused() {
        let token = Key::new("secret").sign(&claims());
        assert_eq!(
            Key::new("secret").verify(&token, "orders", NOW, Arrival::Chained),
            Err(Invalid::Audience)
        );
    }

    #[test]
    fn forged_and_changed_tokens_are_refused() {
        let forged = Key::new("guess").sign(&claims());
        assert_eq!(verify(&forged, NOW), Err(Invalid::Signature));

        let token = Key::new("secret").sign(&Claims {
            role: None,
            ..claims()
        });
        let signature = token.rsplit('.').next().unwrap();
        let payload = BASE64.encode(serde_json::to_vec(&claims()).unwrap());
        assert_eq!(
            verify(&format!("{JWT_HEADER}.{payload}.{signature}"), NOW),
            Err(Invalid::Signature)
        );
        assert_eq!(
            verify(&token[..token.len() - 3], NOW),
            Err(Invalid::Signature)
        );
    }

    #[test]
    fn no_other_algorithm_is_taken_even_when_signed() {
        let payload = serde_json::to_string(&claims()).unwrap();
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
            "{}",
            "",
        ] {
            assert_eq!(
                verify(&signed(header, &payload), NOW),
                Err(Invalid::Malformed),
                "{header}"
            );
        }
        let unsigned = format!(
            "{}.{}.",
            BASE64.encode(r#"{"alg":"none"}"#),
            BASE64.encode(payload)
        );
        assert_eq!(verify(&unsigned, NOW), Err(Invalid::Malformed));
    }

    #[test]
    fn rubbish_is_refused() {
        for token in ["", ".", "..", "a.b.c", "x", &"a".repeat(5000)] {
            assert_eq!(verify(token, NOW), Err(Invalid::Malformed), "{token}");
        }
        assert_eq!(
            verify(&signed(r#"{"alg":"HS256","typ":"JWT"}"#, "{}"), NOW),
            Err(Invalid::Malformed)
        );
    }

    #[test]
    fn an_empty_key_believes_chained_calls_only() {
        let key = Key::new("");
        let token = key.sign(&claims());
        assert_eq!(
            key.verify(&token, "products", NOW, Arrival::Chained),
            Ok(claims())
        );
        assert_eq!(
            key.verify(&token, "products", NOW, Arrival::Network),
            Err(Invalid::NoKey)
        );
        assert_eq!(
            key.verify(&token, "products", NOW + 600, Arrival::Chained),
            Err(Invalid::Expired)
        );
    }

    #[test]
    fn only_the_last_client_address_counts() {
        let arrival = |values: &[&'static str]| {
            Arrival::from_client_addr(values.iter().map(|v| v.as_bytes()))
        };
        assert_eq!(arrival(&["0.0.0.0:0"]), Arrival::Chained);
        assert_eq!(arrival(&["1.2.3.4:5", "0.0.0.0:0"]), Arrival::Chained);
        assert_eq!(arrival(&["0.0.0.0:0", "1.2.3.4:5"]), Arrival::Network);
        assert_eq!(arrival(&["0.0.0.0:0, 0.0.0.0:0"]), Arrival::Network);
        assert_eq!(arrival(&[]), Arrival::Network);
    }
}
