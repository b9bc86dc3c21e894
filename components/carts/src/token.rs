//! The token by which a guest's cart is known: its id, and a signature that nobody else can make.
//!
//! The cart's id and an HMAC-SHA-256 of it, in base64: 64 characters. It says nothing about when it ends; it is worth what the
//! cart is, and that expires. The key is a random one, made when the first token is signed and kept beside the carts: whoever
//! loses the one has lost the other, and nothing has to be configured. Deleting it ends all tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use http::header::{self, HeaderMap, HeaderValue};
use sha2::Sha256;
use souk_chassis::Problem;
use uuid::Uuid;

use crate::domain::GUEST_LIFETIME;
use crate::store;

/// The header that carries the token, in both directions.
pub const HEADER: &str = "x-cart-token";

/// The cookie that carries the token.
const COOKIE: &str = "souk_cart";

/// What a key is for; no other use of a key can make this signature.
const PURPOSE: &[u8] = b"souk guest cart\0";

const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 16;

/// Signs a guest's id.
pub async fn sign(guest: Uuid) -> Result<String, Problem> {
    let key = match store::signing_key()? {
        Some(key) => key,
        None => store::signing_key_or(&new_key()?).await?,
    };
    let signature = mac(&key, guest).finalize().into_bytes();
    Ok(BASE64.encode([guest.as_bytes().as_slice(), &signature].concat()))
}

/// The guest whose token this is; none if it is none of ours.
fn verify(token: &str) -> Result<Option<Uuid>, store::Error> {
    let bytes = BASE64.decode(token).unwrap_or_default();
    let Some((id, signature)) = bytes.split_first_chunk::<ID_BYTES>() else {
        return Ok(None);
    };
    let Some(key) = store::signing_key()? else {
        return Ok(None);
    };
    let guest = Uuid::from_bytes(*id);
    let genuine = mac(&key, guest).verify_slice(signature).is_ok();
    Ok(genuine.then_some(guest))
}

fn mac(key: &[u8], guest: Uuid) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.chain_update(PURPOSE).chain_update(guest.as_bytes())
}

fn new_key() -> Result<[u8; KEY_BYTES], Problem> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(Problem::internal)?;
    Ok(key)
}

/// The guest a request comes from: by the header, else by the cookie.
///
/// A header is sent by a program, which is told when its token is none. A cookie is sent by a browser for as long as it has it,
/// so one that is none is passed over.
pub fn guest(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    if let Some(token) = headers.get(HEADER) {
        let guest = verify(token.to_str().unwrap_or_default())?;
        let refused = || Problem::bad_request("the x-cart-token is not a token of this shop");
        return guest.ok_or_else(refused).map(Some);
    }
    match cookie(headers) {
        Some(token) => Ok(verify(token)?),
        None => Ok(None),
    }
}

/// The token in the cookie.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// The cookie that makes a browser keep the token for as long as the cart is kept. No other site can make a browser send it
/// with anything that changes something (`SameSite=Lax`), and no script can read it.
pub fn set_cookie(token: &str) -> HeaderValue {
    cookie_header(token, GUEST_LIFETIME)
}

/// The cookie that makes a browser forget the token.
pub fn forget_cookie() -> HeaderValue {
    cookie_header("", 0)
}

fn cookie_header(token: &str, max_age: u64) -> HeaderValue {
    let cookie = format!("{COOKIE}={token}; Max-Age={max_age}; Path=/; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(cookie).expect("a token is base64")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;
    use http::HeaderName;
    use souk_keyvalue::memory as bucket;

    fn of(headers: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    #[test]
    fn a_token_names_its_guest() {
        let id = Uuid::now_v7();
        let token = block_on(sign(id)).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(guest(&of(&[("x-cart-token", &token)])).unwrap(), Some(id));
        let cookie = format!("a=b; souk_cart={token}; c=d");
        assert_eq!(guest(&of(&[("cookie", &cookie)])).unwrap(), Some(id));
        assert_eq!(guest(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn a_token_that_nobody_signed_is_refused_in_the_header_and_passed_over_in_the_cookie() {
        let token = block_on(sign(Uuid::now_v7())).unwrap();
        let mut bytes = BASE64.decode(&token).unwrap();
        let forged: Vec<_> = (0..bytes.len())
            .map(|position| {
                bytes[position] ^= 1;
                let forged = BASE64.encode(&bytes);
                bytes[position] ^= 1;
                forged
            })
            .chain([
                String::new(),
                "x".into(),
                token[..63].into(),
                format!("{token}AAAA"),
            ])
            .collect();
        for forged in &forged {
            assert!(guest(&of(&[("x-cart-token", forged)])).is_err(), "{forged}");
            let cookie = format!("souk_cart={forged}");
            assert_eq!(guest(&of(&[("cookie", &cookie)])).unwrap(), None);
        }
    }

    #[test]
    fn another_key_makes_other_tokens() {
        let id = Uuid::now_v7();
        let token = block_on(sign(id)).unwrap();
        bucket::write("key", &[7; 32]);
        assert_ne!(block_on(sign(id)).unwrap(), token);
        assert!(guest(&of(&[("x-cart-token", &token)])).is_err());
    }

    #[test]
    fn of_those_who_make_a_key_at_once_one_wins() {
        bucket::before_swap(|| {
            // Somebody who comes between sees that the key is being made, and waits until it is.
            assert_eq!(
                bucket::Bucket
                    .increment(&bucket::keys("claim:")[0])
                    .unwrap(),
                2
            );
        });
        let ours = block_on(store::signing_key_or(&[1; 32])).unwrap();
        let theirs = block_on(store::signing_key_or(&[2; 32])).unwrap();
        assert_eq!((ours, theirs), (vec![1; 32], vec![1; 32]));
    }
}
