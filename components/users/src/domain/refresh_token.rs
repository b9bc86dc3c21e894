//! Refresh tokens, and how one follows from another.
//!
//! A token is 256 bits that nobody can guess, of which only the hash is kept; so a plain hash will do. The first of a session is random. Each
//! further one is made of the one that was spent for it with a secret of the session's row, a new one each time: whoever brings the same token
//! again for a moment can be given the same successor, although no token is kept. The secret alone leads nowhere, nor does a spent token alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// A refresh token.
pub struct RefreshToken(String);

/// What a successor is made with.
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// A new one.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl RefreshToken {
    /// The first one of a session.
    pub fn first() -> Result<Self, getrandom::Error> {
        Secret::new().map(|Secret(bytes)| Self(BASE64.encode(bytes)))
    }

    /// One that somebody brings.
    pub fn brought(text: String) -> Self {
        Self(text)
    }

    /// The token that takes the place of this one.
    pub fn successor(&self, secret: &Secret) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
        let code = mac.chain_update(&self.0).finalize().into_bytes();
        Self(BASE64.encode(code))
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        BASE64.encode(Sha256::digest(&self.0))
    }

    /// The token itself, for whoever it belongs to.
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_successor_follows_from_the_token_and_the_secret_and_from_nothing_else() {
        let [token, other] = [(); 2].map(|()| RefreshToken::first().unwrap());
        let [secret, another] = [(); 2].map(|()| Secret::new().unwrap());
        let text = |token: &RefreshToken, secret| token.successor(secret).into_text();
        let successor = text(&token, &secret);
        assert_eq!(successor.len(), 43, "256 bits");
        assert_eq!(successor, text(&token, &secret));
        assert_ne!(successor, text(&token, &another));
        assert_ne!(successor, text(&other, &secret));
        assert_ne!(successor, text(&token.successor(&secret), &secret));
    }

    #[test]
    fn what_is_kept_of_a_token_makes_no_successor() {
        let (token, secret) = (RefreshToken::first().unwrap(), Secret::new().unwrap());
        let kept = RefreshToken::brought(token.hash());
        assert_ne!(
            kept.successor(&secret).into_text(),
            token.successor(&secret).into_text()
        );
    }
}
