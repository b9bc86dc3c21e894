//! Compression of answers, where it pays: text of a known length from a kilobyte up, for clients that take gzip.
//!
//! There is gzip alone. Brotli would save another tenth of the bytes, for several times the work and half a megabyte of
//! dictionary and code in every instance. An answer without a known length is passed on as it comes, event streams among
//! them: nothing in it may wait for what follows.
//!
//! A strong entity tag stands for the very bytes, so the compressed answer has one of its own: `"7"` becomes `"7-gzip"`.
//! Requests that come back with it are understood as `"7"`, in `If-None-Match` and, which weak tags would not allow, in
//! `If-Match`.

use std::io::Write;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body::Body as _;
use souk_chassis::Problem;
use souk_chassis::wire::HostBody;

/// Less than this fits into one packet anyway.
const MIN_LENGTH: usize = 1024;

/// More than this is not read into memory.
const MAX_LENGTH: usize = 1024 * 1024;

/// What the entity tag of a compressed answer ends with.
const MARK: &str = "-gzip\"";

/// What a request says about how its answer may be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    gzip: bool,
    /// The client has a compressed answer already.
    has_compressed: bool,
    /// It wants to know the headers only.
    head: bool,
}

impl Wish {
    /// Reads it off a request, and makes of it what services understand.
    pub fn take(method: &Method, headers: &mut HeaderMap) -> Self {
        let gzip = accepts_gzip(headers);
        headers.remove(header::ACCEPT_ENCODING);
        unmark(headers, header::IF_MATCH);
        Self {
            gzip,
            has_compressed: unmark(headers, header::IF_NONE_MATCH),
            head: method == Method::HEAD,
        }
    }

    /// Compresses the answer, if that pays and the client takes it.
    pub async fn fulfil(self, mut response: Response) -> Result<Response, Problem> {
        if response.status() == StatusCode::NOT_MODIFIED {
            if self.has_compressed && self.gzip {
                mark(response.headers_mut());
            }
            return Ok(response);
        }
        if !pays(&response) {
            return Ok(response);
        }
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        if !self.gzip {
            return Ok(response);
        }
        mark(headers);
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.remove(header::CONTENT_LENGTH);
        if self.head && response.extensions().get::<HostBody>().is_some() {
            return Ok(response); // The service has left the body out, so there is nothing to compress.
        }
        response.extensions_mut().remove::<HostBody>();
        let body = std::mem::take(response.body_mut());
        let body = to_bytes(body, MAX_LENGTH)
            .await
            .map_err(|error| Problem::bad_gateway("the answer broke off").cause(error))?;
        *response.body_mut() = Body::from(gzip(&body));
        Ok(response)
    }
}

/// Whether an answer is worth compressing.
fn pays(response: &Response) -> bool {
    let headers = response.headers();
    let told = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let exact = || response.body().size_hint().exact();
    let length = told
        .or_else(exact)
        .and_then(|length| usize::try_from(length).ok());
    length.is_some_and(|length| (MIN_LENGTH..=MAX_LENGTH).contains(&length))
        && response.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !says(headers, header::CACHE_CONTROL, "no-transform")
        && is_text(headers)
}

fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let text = essence.starts_with("text/") && essence != "text/event-stream";
    text || essence == "application/json" || essence.ends_with("+json")
}

fn says(headers: &HeaderMap, name: HeaderName, directive: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|said| said.trim().eq_ignore_ascii_case(directive))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::fast());
    encoder.write_all(body).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// Whether the client takes gzip, and does not like the plain text better.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    let codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for coding in codings {
        let (name, quality) = weighted(coding);
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(quality),
            "identity" => identity = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// `gzip;q=0.5`
fn weighted(coding: &str) -> (&str, f32) {
    let mut parts = coding.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
    (name, quality)
}

/// Makes a strong entity tag that of the compressed answer. A weak one stands for both.
fn mark(headers: &mut HeaderMap) {
    let marked = headers
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"'))
        .and_then(|tag| HeaderValue::try_from(format!("\"{tag}{MARK}")).ok());
    if let Some(marked) = marked {
        headers.insert(header::ETAG, marked);
    }
}

/// Makes entity tags of compressed answers those that services know. Says whether there were any.
fn unmark(headers: &mut HeaderMap, name: HeaderName) -> bool {
    let mut marked = false;
    if let header::Entry::Occupied(mut values) = headers.entry(name) {
        for value in values.iter_mut() {
            let text = value.to_str().unwrap_or_default();
            if text.contains(MARK) {
                marked = true;
                let plain = HeaderValue::try_from(text.replace(MARK, "\""));
                *value = plain.expect("a part of a header's value is one too");
            }
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::read::GzDecoder;
    use futures::executor::block_on;
    use std::io::Read;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        list.iter().map(pair).collect()
    }

    #[test]
    fn clients_choose_how_they_are_answered() {
        let accepts = |value: &str| accepts_gzip(&headers(&[("accept-encoding", value)]));
        for yes in [
            "gzip",
            "GZip",
            "deflate, gzip",
            "gzip;q=0.1",
            "br;q=1, *;q=0.1",
            "*",
            "identity;q=0.5, gzip",
        ] {
            assert!(accepts(yes), "{yes}");
        }
        for no in [
            "",
            "br",
            "gzip;q=0",
            "gzip; q=0.0",
            "*, gzip;q=0",
            "identity, gzip;q=0.5",
            "gzipx",
            "gzip;q=x",
            "*;q=0",
        ] {
            assert!(!accepts(no), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    fn answer(list: &[(&str, &str)], length: usize) -> Response {
        let mut response = Response::builder();
        for (name, value) in list {
            response = response.header(*name, *value);
        }
        response.body(Body::from("a".repeat(length))).unwrap()
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn fulfil(accept: &str, response: Response) -> (HeaderMap, Vec<u8>) {
        let mut request = headers(&[("accept-encoding", accept)]);
        let wish = Wish::take(&Method::GET, &mut request);
        assert!(request.is_empty(), "the service is not to compress");
        block_on(async {
            let (parts, body) = wish.fulfil(response).await.unwrap().into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            (parts.headers, body.to_vec())
        })
    }

    #[test]
    fn a_long_text_is_compressed() {
        for content_type in [
            "application/json",
            "application/problem+json",
            "text/html; charset=utf-8",
        ] {
            let response = answer(
                &[("content-type", content_type), ("content-length", "1024")],
                1024,
            );
            let (headers, body) = fulfil("gzip", response);
            assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
            assert_eq!(headers[header::VARY], "accept-encoding");
            assert!(!headers.contains_key(header::CONTENT_LENGTH));
            let mut text = String::new();
            GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
            assert_eq!(text, "a".repeat(1024));
        }
    }

    #[test]
    fn what_does_not_pay_stays_as_it_is() {
        for (headers, length) in [
            (&[JSON][..], 1023),
            (&[JSON], MAX_LENGTH + 1),
            (&[("content-type", "text/event-stream")], 2000),
            (&[("content-type", "image/png")], 2000),
            (&[], 2000),
            (&[JSON, ("content-encoding", "br")], 2000),
            (&[JSON, ("cache-control", "public, no-transform")], 2000),
        ] {
            let (answered, body) = fulfil("gzip", answer(headers, length));
            assert_eq!(body.len(), length, "{headers:?}");
            assert!(!answered.contains_key(header::VARY), "{headers:?}");
        }
        let stream = futures::stream::iter([Ok::<_, std::io::Error>("a".repeat(2000))]);
        let mut response = answer(&[JSON], 0);
        *response.body_mut() = Body::from_stream(stream);
        assert!(
            !fulfil("gzip", response)
                .0
                .contains_key(header::CONTENT_ENCODING)
        );
    }

    #[test]
    fn caches_learn_that_it_depends() {
        let (headers, body) = fulfil("br", answer(&[JSON, ("etag", "\"7\"")], 2000));
        assert_eq!(body.len(), 2000);
        assert_eq!(headers[header::VARY], "accept-encoding");
        assert_eq!(headers[header::ETAG], "\"7\"");
    }

    #[test]
    fn a_compressed_answer_has_its_own_tag() {
        let tag =
            |etag| fulfil("gzip", answer(&[JSON, ("etag", etag)], 2000)).0[header::ETAG].clone();
        assert_eq!(tag("\"7\""), "\"7-gzip\"");
        assert_eq!(tag("W/\"7\""), "W/\"7\"");
    }

    #[test]
    fn that_tag_is_understood_when_it_comes_back() {
        let mut request = headers(&[
            ("accept-encoding", "gzip"),
            ("if-match", "\"7-gzip\""),
            ("if-none-match", "\"6\", \"7-gzip\", W/\"8-gzip\""),
        ]);
        let wish = Wish::take(&Method::GET, &mut request);
        assert_eq!(request[header::IF_MATCH], "\"7\"");
        assert_eq!(request[header::IF_NONE_MATCH], "\"6\", \"7\", W/\"8\"");
        let mut response = answer(&[("etag", "\"7\"")], 0);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        let response = block_on(wish.fulfil(response)).unwrap();
        assert_eq!(response.headers()[header::ETAG], "\"7-gzip\"");
    }

    #[test]
    fn the_headers_alone_are_those_of_the_whole() {
        let wish = Wish {
            gzip: true,
            has_compressed: false,
            head: true,
        };
        let response = answer(&[JSON, ("content-length", "2000"), ("etag", "\"7\"")], 2000);
        let response = block_on(wish.fulfil(response)).unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[header::ETAG], "\"7-gzip\"");
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
    }
}
