//! Access tokens: how a signed-in user proves to the shop who they are.
//!
//! An access token is a JSON Web Token of the type `at+jwt` (RFC 9068), signed with Ed25519 (`EdDSA`, RFC 8037). The service
//! `users` signs it with a [`SigningKey`] and publishes the public half in a [`Jwks`]; the gateway keeps that set and verifies
//! tokens without asking anybody. Between services it is not used: there the gateway says who acts in a service token.
//!
//! ```
//! use souk_access::{AUDIENCE, Claims, ISSUER, Invalid, Jwks, LIFETIME, Role, SigningKey};
//! use uuid::Uuid;
//!
//! let now = 1_700_000_000;
//! let key = SigningKey::new(&[7; 32]); // In earnest these are random.
//! let claims = Claims::new(Uuid::now_v7(), Role::Customer, Uuid::now_v7(), Uuid::now_v7(), now);
//! let token = key.sign(&claims);
//!
//! let jwks = Jwks { keys: vec![key.jwk()] };
//! let seen = jwks.verify(&token, ISSUER, AUDIENCE, now + 60).expect("a fresh token is valid");
//! assert_eq!(seen.sub, claims.sub);
//!
//! let later = now + LIFETIME + 60;
//! assert_eq!(jwks.verify(&token, ISSUER, AUDIENCE, later), Err(Invalid::Expired));
//! assert_eq!(Jwks::default().verify(&token, ISSUER, AUDIENCE, now), Err(Invalid::UnknownKey));
//! ```
//!
//! # Rotation
//!
//! A key is named by its RFC 7638 thumbprint (`kid`), so a name never means two keys. Whoever verifies and meets
//! [`Invalid::UnknownKey`] fetches the set again, not more often than it can afford: anybody can make up a `kid`.
//!
//! # What is not believed
//!
//! The header must be exactly `alg`, `typ` and `kid` with `EdDSA` and `at+jwt`. So a token cannot choose another algorithm
//! (`none`, or HMAC with the public key as its secret), bring a key of its own (`jwk`, `jku`, `x5c`), pass off a token of
//! another kind, or ask for an extension (`crit`). Signatures are checked strictly, that is without malleable encodings and
//! weak keys. A token that wants to live longer than [`LIFETIME`] is refused whoever signed it.
//!
//! The crate is pure: no clock, no random numbers, no I/O. It needs no JWT library, for one fixed algorithm is all it takes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use souk_tokens::Role;

/// Who makes the shop's access tokens.
pub const ISSUER: &str = "souk";

/// What the shop's access tokens are for.
pub const AUDIENCE: &str = "souk-api";

/// How long a token lives, in seconds.
pub const LIFETIME: u64 = 15 * 60;

/// How far the clocks of signer and verifier may be apart, in seconds.
pub const CLOCK_SKEW: u64 = 5;

/// Nothing longer than this is looked at: a token is some 550 bytes.
const MAX_LENGTH: usize = 2048;

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";
const KEY_TYPE: &str = "OKP";
const CURVE: &str = "Ed25519";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it.
    pub iss: String,
    /// What it is for.
    pub aud: String,
    /// The user's id.
    pub sub: Uuid,
    /// The user's role.
    pub role: Role,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
    /// The token's own id.
    pub jti: Uuid,
    /// The session it belongs to, which a logout ends.
    pub sid: Uuid,
}

impl Claims {
    /// What a token of this shop says that begins `now` (seconds since 1970).
    pub fn new(user: Uuid, role: Role, session: Uuid, id: Uuid, now: u64) -> Self {
        Self {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user,
            role,
            iat: now,
            exp: now + LIFETIME,
            jti: id,
            sid: session,
        }
    }
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no access token: too long, another type or algorithm, or without the expected claims.
    #[error("the access token is malformed")]
    Malformed,
    /// It names a key that is not in the set. There may be a newer set.
    #[error("the access token is signed with an unknown key")]
    UnknownKey,
    /// It was signed with another key than it says, or changed after signing.
    #[error("the access token's signature is wrong")]
    Signature,
    /// Somebody else made it.
    #[error("the access token is from another issuer")]
    Issuer,
    /// It is for something else.
    #[error("the access token is meant for another audience")]
    Audience,
    /// It is over, not yet begun, or meant to live longer than [`LIFETIME`].
    #[error("the access token has expired")]
    Expired,
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: Jwk,
}

impl SigningKey {
    /// The key that is made of these secret bytes, which are to be random.
    pub fn new(secret: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(secret);
        let public = Jwk::of(&key.verifying_key());
        Self { key, public }
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// Its public half.
    pub fn jwk(&self) -> Jwk {
        self.public.clone()
    }

    /// Makes the token that says `claims`.
    pub fn sign(&self, claims: &Claims) -> String {
        let header = Header {
            alg: ALGORITHM.into(),
            typ: TYPE.into(),
            kid: self.kid().to_owned(),
        };
        self.sign_parts(&json(&header), &json(claims))
    }

    /// The JSON Web Signature of these, in its compact form.
    fn sign_parts(&self, header: &[u8], payload: &[u8]) -> String {
        let mut token = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        BASE64.encode_string(signature.to_bytes(), &mut token);
        token
    }
}

impl fmt::Debug for SigningKey {
    /// Says which key it is, and not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

/// A public key, as RFC 7517 and RFC 8037 write it.
///
/// Each member may be absent, so that a set with a key of a kind that is not known here can be read; that key is never used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Jwk {
    /// The kind of key: `OKP`.
    pub kty: String,
    /// The curve: `Ed25519`.
    pub crv: String,
    /// The key itself, in base64url.
    pub x: String,
    /// Its name: the RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs by: `EdDSA`.
    pub alg: String,
    /// What it is for: `sig`.
    pub r#use: String,
}

impl Jwk {
    fn of(key: &VerifyingKey) -> Self {
        let x = BASE64.encode(key.as_bytes());
        Self {
            kid: thumbprint(&x),
            kty: KEY_TYPE.into(),
            crv: CURVE.into(),
            x,
            alg: ALGORITHM.into(),
            r#use: "sig".into(),
        }
    }

    /// The key, if it is one that tokens may be signed with.
    fn verifying_key(&self) -> Option<VerifyingKey> {
        let usable = self.kty == KEY_TYPE && self.crv == CURVE && self.alg == ALGORITHM;
        let x = usable.then(|| BASE64.decode(&self.x).ok()).flatten()?;
        VerifyingKey::from_bytes(&x.try_into().ok()?).ok()
    }
}

/// The public keys of an issuer, as RFC 7517 writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jwks {
    /// Those that may have signed a token that still lives, and those that are about to.
    pub keys: Vec<Jwk>,
}

impl Jwks {
    /// Says what a token claims, if it is to be believed at `now` (seconds since 1970).
    pub fn verify(
        &self,
        token: &str,
        issuer: &str,
        audience: &str,
        now: u64,
    ) -> Result<Claims, Invalid> {
        if token.len() > MAX_LENGTH {
            return Err(Invalid::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        let header: Header = read(header)?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return Err(Invalid::Malformed);
        }
        self.check_signature(&header.kid, signed, signature)?;

        let claims: Claims = read(payload)?;
        if claims.iss != issuer {
            return Err(Invalid::Issuer);
        }
        if claims.aud != audience {
            return Err(Invalid::Audience);
        }
        let begun = claims.iat <= now.saturating_add(CLOCK_SKEW);
        let over = claims.exp.saturating_add(CLOCK_SKEW) <= now;
        let lifetime = claims.exp.saturating_sub(claims.iat);
        if !begun || over || lifetime > LIFETIME {
            return Err(Invalid::Expired);
        }
        Ok(claims)
    }

    fn check_signature(&self, kid: &str, signed: &str, signature: &str) -> Result<(), Invalid> {
        let key = self.keys.iter().find(|key| key.kid == kid);
        let key = key
            .and_then(Jwk::verifying_key)
            .ok_or(Invalid::UnknownKey)?;
        let signature = BASE64.decode(signature).map_err(|_| Invalid::Malformed)?;
        let signature = Signature::from_slice(&signature).map_err(|_| Invalid::Malformed)?;
        key.verify_strict(signed.as_bytes(), &signature)
            .map_err(|_| Invalid::Signature)
    }
}

/// The protected header. A token with any other member is refused, `crit` among them, as RFC 7515 demands.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// The RFC 7638 thumbprint of the Ed25519 key `x`: the hash of its required members, in alphabetical order, without spaces.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"{CURVE}","kty":"{KEY_TYPE}","x":"{x}"}}"#);
    BASE64.encode(Sha256::digest(members))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain strings and numbers are JSON")
}

fn read<T: DeserializeOwned>(part: &str) -> Result<T, Invalid> {
    let json = BASE64.decode(part).map_err(|_| Invalid::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Invalid::Malformed)
}

#[cfg(test)]
mod tests;
