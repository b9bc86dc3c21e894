//! The pages over HTTP.

use axum::response::{Html, IntoResponse, Response};
use futures::future::join;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode, Uri};
use maud::Markup;
use souk_chassis::{Context, Path};

use crate::assets;
use crate::clients::{self, Missing};
use crate::domain::{Browse, Categories};
use crate::view::Frame;

/// Our own style sheet, pictures (a product's may be elsewhere), no script at all, and no other site around the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' https:; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// After how many seconds a page that could not be made is worth asking for again.
const RETRY: HeaderValue = HeaderValue::from_static("5");

/// `GET /`: the list of products.
pub async fn list(context: Context, uri: Uri) -> Response {
    let browse = Browse::from_query(uri.query().unwrap_or_default());
    let (list, categories) = join(
        clients::products(&context, &browse),
        clients::categories(&context),
    )
    .await;
    let unknown = !browse.category.is_empty()
        && !categories.is_empty()
        && categories.find(&browse.category).is_none();
    let frame = frame(categories);
    let page = match unknown {
        true => Err(Missing::Nothing),
        false => list.map(|list| frame.list(&browse, &list)),
    };
    answer(&frame, page, &browse.href())
}

/// `GET /products/{id}`: one product.
pub async fn product(context: Context, Path(id): Path<String>, uri: Uri) -> Response {
    let product = async {
        let product = clients::product(&context, &id).await?;
        let related = clients::related(&context, &product).await;
        Ok((product, related))
    };
    let (product, categories) = join(product, clients::categories(&context)).await;
    let frame = frame(categories);
    let page = product.map(|(product, related)| frame.product(&product, &related));
    answer(&frame, page, uri.path())
}

/// Any other address.
pub async fn not_found(context: Context, uri: Uri) -> Response {
    let frame = frame(clients::categories(&context).await);
    answer(&frame, Err(Missing::Nothing), uri.path())
}

/// Adds the headers that keep a browser from doing what no page of ours needs.
pub async fn restrict(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn frame(categories: Categories) -> Frame {
    Frame {
        style_sheet: assets::style_sheet().into(),
        categories,
    }
}

/// Answers with a page, or with the page that says why there is none. `address` is the one that was asked for.
fn answer(frame: &Frame, page: Result<Markup, Missing>, address: &str) -> Response {
    match page {
        Ok(page) => html(StatusCode::OK, page),
        Err(Missing::Nothing) => html(StatusCode::NOT_FOUND, frame.not_found()),
        Err(Missing::Unavailable(cause)) => {
            tracing::error!(error = ?cause, "a page cannot be shown");
            let page = html(StatusCode::SERVICE_UNAVAILABLE, frame.unavailable(address));
            ([(RETRY_AFTER, RETRY)], page).into_response()
        }
    }
}

/// Prices and stock change, so a browser asks again before it shows a page it has kept.
fn html(status: StatusCode, page: Markup) -> Response {
    (
        status,
        [(CACHE_CONTROL, "no-cache")],
        Html(page.into_string()),
    )
        .into_response()
}
