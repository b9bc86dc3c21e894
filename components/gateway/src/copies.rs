//! The last good copies of the catalogue, to show while `products` does not answer: a shop window that is some minutes old is better than none.
//!
//! Only what everybody sees alike is kept, and only what there are not endlessly many of: single products, categories, and lists without
//! words or prices to search for. An answer from a copy says so: `age` has its seconds, and `cache-status` that it is stale (RFC 9211).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use souk_chassis::background::now;

use crate::routes::Route;
use crate::store;

/// How old a copy gets before it is made anew, in milliseconds.
const RENEWED_AFTER: i64 = 60_000;

/// How old a copy may be to be shown, in milliseconds.
const SHOWN_FOR: i64 = 24 * 60 * 60 * 1_000;

/// The longest body that is kept.
const LONGEST: usize = 256 * 1024;

/// The longest path that is kept.
const LONGEST_PATH: usize = 200;

/// How many copies there are at most.
pub const MOST: i64 = 2_000;

/// The parameters of lists that are kept.
const PARAMETERS: [&str; 4] = ["category", "sort", "limit", "cursor"];

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A copy.
#[derive(Debug, PartialEq, Eq)]
pub struct Copy {
    /// What it is.
    pub content_type: String,
    /// All of it.
    pub body: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at: i64,
}

/// Until when this instance knows the copies of these paths to be new.
static NEW_UNTIL: Mutex<BTreeMap<String, i64>> = Mutex::new(BTreeMap::new());

/// The path and query of a request whose answer is kept.
pub fn key(route: &Route, request: &Request) -> Option<String> {
    let kept =
        route.service == "products" && *request.method() == Method::GET && is_kept(request.uri());
    kept.then(|| path(request.uri()).to_owned())
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

fn is_kept(uri: &Uri) -> bool {
    let allowed = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        PARAMETERS.contains(&name)
    };
    // Who may see prices of the past is not everybody.
    let is_public = !uri.path().ends_with("/price-history");
    let query = uri.query().unwrap_or_default();
    is_public
        && path(uri).len() <= LONGEST_PATH
        && query
            .split('&')
            .all(|pair| pair.is_empty() || allowed(pair))
}

/// Keeps a good answer, if there is no new copy of it.
pub async fn keep(key: &str, response: Response) -> Response {
    let now = now();
    if response.status() != StatusCode::OK || !is_due(key, now).await {
        return response;
    }
    let length = response.headers().get(header::CONTENT_LENGTH);
    let length: Option<usize> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_none_or(|length| length > LONGEST) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, LONGEST).await else {
        // The service broke off, and so does the answer.
        return Response::from_parts(parts, Body::from_stream(broken()));
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|it| it.to_str().ok());
    if let (Some(content_type), Ok(body)) = (content_type, std::str::from_utf8(&bytes)) {
        let copy = Copy {
            content_type: content_type.into(),
            body: body.into(),
            made_at: now,
        };
        match store::keep_copy(key, &copy).await {
            Ok(()) => note(key, now),
            Err(error) => log("a copy cannot be kept", &error),
        }
    }
    let mut response = Response::from_parts(parts, Body::from(bytes));
    // The host's own handle of the body has been used up.
    response.extensions_mut().clear();
    response
}

fn broken() -> impl futures::Stream<Item = Result<bytes::Bytes, std::io::Error>> {
    futures::stream::once(async { Err(std::io::Error::other("the service broke off")) })
}

async fn is_due(key: &str, now: i64) -> bool {
    let known = NEW_UNTIL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(key)
        .copied();
    if known.is_some_and(|until| now < until) {
        return false;
    }
    match store::copy_made_at(key).await {
        Ok(Some(made_at)) if now < made_at + RENEWED_AFTER => {
            note(key, made_at);
            false
        }
        Ok(_) => true,
        Err(error) => {
            log("copies cannot be read", &error);
            false
        }
    }
}

fn note(key: &str, made_at: i64) {
    let mut known = NEW_UNTIL.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(key.to_owned(), made_at + RENEWED_AFTER);
}

/// The answer from a copy, if there is one that can still be shown.
pub async fn show(key: &str) -> Option<Response> {
    let now = now();
    let copy = match store::copy(key, now - SHOWN_FOR).await {
        Ok(copy) => copy?,
        Err(error) => {
            log("copies cannot be read", &error);
            return None;
        }
    };
    let age = (now - copy.made_at).max(0) / 1_000;
    let mut response = Response::new(Body::from(copy.body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::try_from(copy.content_type).ok()?,
    );
    headers.insert(header::AGE, HeaderValue::from(age));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CACHE_STATUS,
        HeaderValue::from_static("souk-gateway; hit; ttl=0; detail=stale"),
    );
    Some(response)
}

/// Forgets the oldest of too many.
pub async fn prune() {
    if let Err(error) = store::prune_copies(MOST).await {
        log("old copies cannot be removed", &error);
    }
}

fn log(what: &str, error: &souk_store::Error) {
    tracing::warn!(%error, "{what}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn only_what_everybody_sees_alike_and_is_not_endless_is_kept() {
        let kept = |uri: &str| is_kept(&uri.parse().unwrap());
        for uri in [
            "/api/products",
            "/api/products/1",
            "/api/categories",
            "/api/products?category=tea&sort=price_asc&limit=12&cursor=x",
        ] {
            assert!(kept(uri), "{uri}");
        }
        let long = format!("/api/products?cursor={}", "x".repeat(LONGEST_PATH));
        for uri in [
            "/api/products?q=tea",
            "/api/products?category=tea&min_price=1",
            "/api/products?ids=1",
            "/api/products?x",
            "/api/products/1/price-history",
            &long,
        ] {
            assert!(!kept(uri), "{uri}");
        }
    }

    fn answer(status: u16, body: &'static str) -> Response {
        let response = Response::builder().status(status);
        let response = response.header("content-type", "application/json");
        let response = response.header("content-length", body.len());
        response.body(Body::from(body)).unwrap()
    }

    fn text(response: Response) -> String {
        let bytes = block_on(to_bytes(response.into_body(), 1_000)).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_good_answer_is_kept_and_shown_with_its_age() {
        let key = "/api/products/kept";
        assert!(block_on(show(key)).is_none());
        block_on(keep(key, answer(404, "{}")));
        assert!(block_on(show(key)).is_none());

        let passed_on = block_on(keep(key, answer(200, r#"{"id":"1"}"#)));
        assert_eq!(
            text(passed_on),
            r#"{"id":"1"}"#,
            "and passed on all the same"
        );
        let shown = block_on(show(key)).unwrap();
        assert_eq!(shown.headers()["age"], "0");
        assert!(
            shown.headers()["cache-status"]
                .to_str()
                .unwrap()
                .contains("stale")
        );
        assert_eq!(text(shown), r#"{"id":"1"}"#);

        block_on(keep(key, answer(200, r#"{"id":"2"}"#)));
        assert_eq!(
            text(block_on(show(key)).unwrap()),
            r#"{"id":"1"}"#,
            "it is new enough"
        );
    }

    #[test]
    fn the_oldest_of_too_many_are_forgotten() {
        for (path, made_at) in [("/a", 1), ("/b", 2), ("/c", 3)] {
            let copy = Copy {
                content_type: "a/b".into(),
                body: path.into(),
                made_at,
            };
            block_on(store::keep_copy(path, &copy)).unwrap();
        }
        block_on(store::prune_copies(2)).unwrap();
        let there = |path| block_on(store::copy(path, 0)).unwrap().is_some();
        assert_eq!(["/a", "/b", "/c"].map(there), [false, true, true]);
        assert!(
            block_on(store::copy("/b", 2)).unwrap().is_none(),
            "too old to be shown"
        );
    }
}
