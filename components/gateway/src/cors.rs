//! Cross-origin resource sharing: which other sites' pages may use the API.
//!
//! Access is by token, not by cookie, so credentials of the browser are never allowed: a page of another site cannot use the
//! guest's cart that the cookie stands for.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};

/// Sites, as the browser names them: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All there are.
    Any,
    /// These, which may be none.
    These(Vec<String>),
}

/// What a page may send beside what browsers always let it.
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, \
     traceparent, x-cart-token, x-request-id";

/// What a page may read beside what browsers always let it.
const RESPONSE_HEADERS: &str = "etag, location, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, \
     www-authenticate, x-cart-token, x-request-id";

/// How long a browser may remember the answer to a preflight, in seconds; most keep it for two hours at most.
const MAX_AGE: &str = "7200";

impl Origins {
    /// Reads a setting: origins with commas between them, `*` for all, nothing for none.
    pub fn parse(setting: &str) -> Result<Self, String> {
        if setting.trim() == "*" {
            return Ok(Self::Any);
        }
        let origins = setting
            .split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty());
        origins
            .map(origin)
            .collect::<Result<_, _>>()
            .map(Self::These)
    }

    /// What to say to a page of this origin; none if it may not use the API.
    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Any => origin.map(|_| HeaderValue::from_static("*")),
            Self::These(known) => origin
                .filter(|origin| known.iter().any(|known| *origin == known))
                .cloned(),
        }
    }

    /// Tells the browser whether the page may read this answer.
    pub fn tell(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if matches!(self, Self::These(known) if !known.is_empty()) {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(allowed) = self.allowed(origin) else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(RESPONSE_HEADERS),
        );
    }

    /// Answers a preflight: whether the page may make a request with one of these methods.
    pub fn preflight(&self, origin: Option<&HeaderValue>, methods: &[&str]) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::VARY,
            HeaderValue::from_static(
                "access-control-request-method, access-control-request-headers",
            ),
        );
        if self.allowed(origin).is_some() {
            let methods =
                HeaderValue::try_from(methods.join(", ")).expect("methods are plain words");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(REQUEST_HEADERS),
            );
            headers.insert(
                header::ACCESS_CONTROL_MAX_AGE,
                HeaderValue::from_static(MAX_AGE),
            );
        }
        response
    }
}

/// Whether a browser asks if it may let a page make a request.
pub fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// An origin as browsers write it: in lower case, without a path.
fn origin(text: &str) -> Result<String, String> {
    let uri: Option<Uri> = text.parse().ok();
    let written = uri.and_then(|uri| {
        let scheme = uri
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "http" | "https"))?;
        Some(format!("{scheme}://{}", uri.authority()?))
    });
    let plain = |byte: u8| !byte.is_ascii_uppercase() && !b"*@".contains(&byte);
    match written.as_deref() == Some(text) && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(
            "must be \"*\" or origins such as \"https://shop.example\", with commas between them"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    static SHOP: HeaderValue = HeaderValue::from_static("https://shop.example");
    static OTHER: HeaderValue = HeaderValue::from_static("https://shop.example.evil");

    fn told(setting: &str, origin: &HeaderValue) -> HeaderMap {
        let mut headers = HeaderMap::new();
        Origins::parse(setting)
            .unwrap()
            .tell(Some(origin), &mut headers);
        headers
    }

    #[test]
    fn origins_are_listed_exactly() {
        let origins = Origins::parse("https://shop.example, http://localhost:8080,").unwrap();
        let expected = ["https://shop.example", "http://localhost:8080"];
        assert_eq!(origins, Origins::These(expected.map(String::from).into()));
        assert_eq!(Origins::parse(" * "), Ok(Origins::Any));
        assert_eq!(Origins::parse(""), Ok(Origins::These(Vec::new())));
        for bad in [
            "shop.example",
            "https://shop.example/",
            "https://Shop.example",
            "https://*.example",
            "ftp://shop.example",
            "null",
            "https://a.example https://b.example",
            "*, https://shop.example",
        ] {
            assert!(Origins::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_listed_sites_may_read() {
        let headers = told("https://shop.example", &SHOP);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], SHOP);
        assert_eq!(headers[header::VARY], "origin");
        let headers = told("https://shop.example", &OTHER);
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(headers[header::VARY], "origin", "caches must know");
        assert!(told("", &SHOP).is_empty());
        let headers = told("*", &OTHER);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }

    #[test]
    fn a_browsers_credentials_are_never_allowed() {
        for setting in ["*", "https://shop.example"] {
            let headers = told(setting, &SHOP);
            assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        }
    }

    #[test]
    fn a_preflight_is_told_what_may_be_sent() {
        let preflight = |origin| {
            let origins = Origins::parse("https://shop.example").unwrap();
            origins.preflight(Some(origin), &["GET", "POST"])
        };
        let allowed = preflight(&SHOP);
        assert_eq!(allowed.status(), 204);
        let headers = allowed.headers();
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
        let names = headers[header::ACCESS_CONTROL_ALLOW_HEADERS]
            .to_str()
            .unwrap();
        assert!(names.contains("authorization") && names.contains("idempotency-key"));
        let refused = preflight(&OTHER);
        assert_eq!(refused.status(), 204);
        assert!(
            !refused
                .headers()
                .contains_key(header::ACCESS_CONTROL_ALLOW_METHODS)
        );
    }
}
