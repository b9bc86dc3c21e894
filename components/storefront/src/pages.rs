//! The pages over HTTP: what to ask for, and what to answer when it cannot be had. One room for each area of the shop.

pub mod account;
pub mod addresses;
pub mod cart;
pub mod catalogue;
pub mod checkout;
pub mod console;
pub mod entrance;
pub mod notifications;
pub mod orders;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use futures::future::join;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode, Uri};
use maud::Markup;

use crate::assets;
use crate::clients::{Missing, catalogue as api, shopping};
use crate::session::Visitor;
use crate::view::Frame;

/// Our own style sheet and script, pictures (a product's may be elsewhere), nothing inline, and no other site around the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' https:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// After how many seconds a page that could not be made is worth asking for again.
const RETRY: HeaderValue = HeaderValue::from_static("5");

/// Any other address.
pub async fn not_found(visitor: Visitor, uri: Uri) -> Response {
    nothing(&visitor, &uri, Missing::Nothing).await
}

/// The page for an address that has nothing for this visitor, and why.
pub async fn nothing(visitor: &Visitor, uri: &Uri, missing: Missing) -> Response {
    excuse(visitor, &frame(visitor).await, missing, uri)
}

/// The page for a form that was not sent from a page of ours, or from a very old one.
pub async fn stale_form(visitor: &Visitor) -> Response {
    html(StatusCode::FORBIDDEN, frame(visitor).await.stale_form())
}

/// What stands around a visitor's pages.
pub async fn frame(visitor: &Visitor) -> Frame {
    let (categories, in_cart) = join(api::categories(visitor), shopping::count(visitor)).await;
    Frame {
        style_sheet: assets::style_sheet().into(),
        script: assets::script().into(),
        categories,
        in_cart: in_cart.unwrap_or_default(),
        signed_in: visitor.is_signed_in() || visitor.unsure,
    }
}

/// Answers with a page, or with the page that says why there is none. `address` is the one that was asked for.
pub fn answer(
    visitor: &Visitor,
    frame: &Frame,
    page: Result<Markup, Missing>,
    address: &Uri,
) -> Response {
    match page {
        Ok(page) => html(StatusCode::OK, page),
        Err(missing) => excuse(visitor, frame, missing, address),
    }
}

/// The answer where something is missing. `address` is a page to try again at.
pub fn excuse(visitor: &Visitor, frame: &Frame, missing: Missing, address: &Uri) -> Response {
    let address = address.path_and_query().map_or("/", |it| it.as_str());
    let missing = match missing.is_nothing() {
        true => Missing::Nothing,
        false => missing,
    };
    match missing {
        Missing::Nothing => html(StatusCode::NOT_FOUND, frame.not_found()),
        Missing::SignedOut => {
            visitor.distrust();
            Redirect::to(address).into_response()
        }
        Missing::Refused(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
            html(status, frame.refused(&refusal.message(), address))
        }
        Missing::Unavailable(cause) => {
            tracing::error!(error = cause, "a page cannot be shown");
            let page = html(StatusCode::SERVICE_UNAVAILABLE, frame.unavailable(address));
            ([(RETRY_AFTER, RETRY)], page).into_response()
        }
    }
}

/// The answer to a form that changed something: on to a page that shows it, so that nothing is sent twice. `page` is also where to
/// try again.
pub async fn done(visitor: &Visitor, outcome: Result<(), Missing>, page: &str) -> Response {
    match outcome {
        Ok(()) => Redirect::to(page).into_response(),
        Err(missing) => {
            let frame = frame(visitor).await;
            let page = page.parse().unwrap_or_else(|_| Uri::from_static("/"));
            excuse(visitor, &frame, missing, &page)
        }
    }
}

/// Prices, stock and carts change, so a browser asks again before it shows a page it has kept.
pub fn html(status: StatusCode, page: Markup) -> Response {
    (
        status,
        [(CACHE_CONTROL, "private, no-cache")],
        Html(page.into_string()),
    )
        .into_response()
}

/// The value of a parameter of the query.
pub fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// Adds the headers that keep a browser from doing what no page of ours needs.
pub async fn restrict(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Gives a page its entity tag, and sends a browser nothing that it has already.
pub async fn validate(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let wanted = request.headers().clone();
    let response = next.run(request).await;
    match reads && is_page(&response) {
        true => tagged(response, &wanted).await,
        false => response,
    }
}

fn is_page(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_html = content_type.is_some_and(|it| it.as_bytes().starts_with(b"text/html"));
    response.status() == StatusCode::OK && is_html
}

async fn tagged(response: Response, wanted: &HeaderMap) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(page) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let etag = format!("\"{}\"", assets::version(&page));
    let has = assets::has(wanted, &etag);
    if let Ok(etag) = HeaderValue::try_from(etag) {
        parts.headers.insert(ETAG, etag);
    }
    if has {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(page))
}
