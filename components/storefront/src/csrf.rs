//! Sees to it that a form which changes something was sent from a page of ours.
//!
//! Two things are asked of each: a browser that says where the form came from says that it came from here, and the form has the token
//! that only the visitor's cookie and our own pages have. The cookies are `SameSite=Lax` beside that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::Uri;
use http::header::{HeaderMap, ORIGIN};
use souk_chassis::Problem;
use subtle::ConstantTimeEq;

/// The cookie with the token.
pub const COOKIE: &str = "souk_form";

/// The field with the token.
pub const FIELD: &str = "form_token";

/// How long a token is, in characters.
const LENGTH: usize = 22;

/// A token that nobody can guess.
pub fn new_token() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Problem::internal)?;
    Ok(BASE64.encode(bytes))
}

/// Whether this has the shape of a token.
pub fn is_token(text: &str) -> bool {
    text.len() == LENGTH
}

/// Whether a form was sent from a page of ours, by somebody who was given it.
pub fn is_ours(headers: &HeaderMap, cookie: Option<&str>, field: &str) -> bool {
    let same = |cookie: &str| bool::from(cookie.as_bytes().ct_eq(field.as_bytes()));
    came_from_here(headers) && cookie.is_some_and(same)
}

/// What the browser says about where a form came from. One that says nothing is believed to have come from here; the token
/// decides then.
fn came_from_here(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = header("sec-fetch-site") {
        return site == "same-origin";
    }
    match header(ORIGIN.as_str()) {
        None => true,
        Some(origin) => {
            let ours = header("spin-full-url").and_then(authority);
            ours.is_some() && authority(origin) == ours
        }
    }
}

fn authority(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    url.authority().map(|it| it.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_visitors_own_token_is_good() {
        let (mine, other) = (new_token().unwrap(), new_token().unwrap());
        assert!(is_token(&mine) && mine != other);
        let ours = |cookie, field| is_ours(&HeaderMap::new(), cookie, field);
        assert!(ours(Some(&*mine), &mine));
        assert!(!ours(Some(&*mine), &other));
        assert!(!ours(Some(&*mine), ""));
        assert!(!ours(None, &mine));
        assert!(!ours(None, ""));
    }

    #[test]
    fn a_form_of_another_site_is_none_of_ours() {
        let from = |list: &[_]| came_from_here(&headers(list));
        let url = ("spin-full-url", "http://shop.example:3000/cart/items");
        assert!(from(&[url]));
        assert!(from(&[url, ("sec-fetch-site", "same-origin")]));
        for site in ["cross-site", "same-site", "none", ""] {
            let origin = ("origin", "http://shop.example:3000");
            assert!(!from(&[url, origin, ("sec-fetch-site", site)]), "{site}");
        }
        assert!(from(&[url, ("origin", "http://Shop.example:3000")]));
        for origin in ["http://evil.example", "http://shop.example", "null", ""] {
            assert!(!from(&[url, ("origin", origin)]), "{origin}");
        }
    }
}
