//! The files the shop sends as they are, its style sheet and pictures, from the read-only mount of the manifest.

use std::fmt::Write;
use std::io::ErrorKind;
use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use http::{StatusCode, Uri};
use sha2::{Digest, Sha256};
use souk_chassis::{Path, Problem};

/// Where the manifest mounts the files.
const ROOT: &str = "/";

/// The names of the style sheets and of the scripts among them: of every page, and what the console's pages have besides.
const STYLE_SHEET: &str = "shop.css";
const SCRIPT: &str = "shop.js";
const CONSOLE_STYLE_SHEET: &str = "console.css";
const CONSOLE_SCRIPT: &str = "console.js";

/// For an address that says which content it wants, which is then never another.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// For an address whose content a new release of the shop may change.
const AN_HOUR: &str = "public, max-age=3600";

/// `GET /assets/{path}`.
pub async fn asset(
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    file(ROOT, &path, uri.query(), &headers)
}

/// `GET /pictures/{path}`.
pub async fn picture(
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    file(ROOT, &format!("pictures/{path}"), uri.query(), &headers)
}

/// The style sheet's address, which changes with its content.
pub fn style_sheet() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| versioned(STYLE_SHEET))
}

/// The script's address, which changes with its content.
pub fn script() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| versioned(SCRIPT))
}

/// The address of the console's own style sheet, which changes with its content.
pub fn console_style_sheet() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| versioned(CONSOLE_STYLE_SHEET))
}

/// The address of the console's own script, which changes with its content.
pub fn console_script() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| versioned(CONSOLE_SCRIPT))
}

fn versioned(name: &str) -> String {
    let content = read(ROOT, name).unwrap_or_default();
    format!("/assets/{name}?v={}", version(&content))
}

/// Answers with a file, or with 304 if the visitor has it already.
fn file(
    root: &str,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let absent = || Problem::not_found(format!("there is no file {path}"));
    let content_type = content_type(path).ok_or_else(absent)?;
    if !is_plain(path) {
        return Err(absent());
    }
    let content = match read(root, path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(absent()),
        Err(error) => return Err(Problem::internal(error)),
    };
    let version = version(&content);
    let etag = format!("\"{version}\"");
    let wanted = query.and_then(|query| query.strip_prefix("v="));
    let lifetime = if wanted == Some(&version) {
        FOREVER
    } else {
        AN_HOUR
    };
    let validators = [(ETAG, etag.clone()), (CACHE_CONTROL, lifetime.into())];
    Ok(match has(headers, &etag) {
        true => (StatusCode::NOT_MODIFIED, validators).into_response(),
        false => (validators, [(CONTENT_TYPE, content_type)], content).into_response(),
    })
}

fn read(root: &str, path: &str) -> std::io::Result<Vec<u8>> {
    std::fs::read(std::path::Path::new(root).join(path))
}

/// Whether a path stays below the root: names of letters, digits, `-`, `_` and `.` that do not begin with a dot.
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    path.split('/')
        .all(|name| !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain))
}

fn content_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

/// What tells one content from another, in hexadecimal.
pub fn version(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest[..8].iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Whether the visitor has the content with this entity tag.
pub fn has(headers: &HeaderMap, etag: &str) -> bool {
    let tags = headers
        .get_all(IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    tags.flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");

    fn get(path: &str, query: Option<&str>, have: &str) -> Response {
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, have.parse().unwrap())]);
        file(ROOT, path, query, &headers).unwrap_or_else(IntoResponse::into_response)
    }

    #[test]
    fn a_file_has_its_type_and_a_strong_tag() {
        let response = get("pictures/kit-pan.svg", None, "");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "image/svg+xml");
        assert_eq!(response.headers()[CACHE_CONTROL], AN_HOUR);
        let tag = response.headers()[ETAG].to_str().unwrap();
        assert!(tag.starts_with('"') && tag.len() == 18);
    }

    #[test]
    fn what_the_visitor_has_is_not_sent_again() {
        let first = get("shop.css", None, "\"other\"");
        let tag = first.headers()[ETAG].to_str().unwrap();
        let again = get("shop.css", None, &format!("\"other\", W/{tag}"));
        assert_eq!(again.status(), 304);
        assert_eq!(again.headers()[ETAG], tag);
        assert!(!again.headers().contains_key(CONTENT_TYPE));
    }

    #[test]
    fn only_an_address_that_names_the_content_lasts_forever() {
        let version = version(&read(ROOT, "shop.css").unwrap());
        let lifetime =
            |query: &str| get("shop.css", Some(query), "").headers()[CACHE_CONTROL].clone();
        assert_eq!(lifetime(&format!("v={version}")), FOREVER);
        assert_eq!(lifetime("v=0123456789abcdef"), AN_HOUR);
    }

    #[test]
    fn nothing_outside_is_sent() {
        for path in [
            "../Cargo.toml",
            "../assets/shop.css",
            "pictures/../shop.css",
            "./shop.css",
            "/etc/passwd",
            "pictures//kit-pan.svg",
            "..\\shop.css",
            "shop.css\0.svg",
            "pictures",
            "absent.svg",
            ".hidden.css",
            "",
        ] {
            assert_eq!(get(path, None, "").status(), 404, "{path}");
        }
    }
}
