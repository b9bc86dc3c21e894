//! Between `wasi:http` and the `http` crate's types, with as few calls to the host and copies as it takes.
//!
//! The SDK's own conversions always open a stream for the body and copy what passes through it, and make room for headers one by one. Here
//! an empty body opens none, and a body that came from the host and is sent on unread ([`HostBody`]) never enters the component at all.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{Extensions, Request, Response};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use http_body::{Body as _, Frame};
use spin_sdk::wasip3;
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields, Scheme};
use spin_sdk::wasip3::http_compat::{BodyResult, BodyWriter, IncomingBody};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, StreamReader};
use spin_sdk::wasip3::wit_future;

use crate::background;

/// A body that the host holds and nobody has read yet.
///
/// It is both the message's body and, as an extension beside it, the handle by which whoever sends the message on takes the
/// whole body at once. Only one of the two can have it.
#[derive(Clone)]
pub struct HostBody(Arc<Mutex<State>>);

enum State {
    Request(types::Request),
    Response(types::Response),
    ReadingRequest(IncomingBody<types::Request>),
    ReadingResponse(IncomingBody<types::Response>),
    Taken,
}

type Contents = (StreamReader<u8>, FutureReader<BodyResult>);

impl HostBody {
    fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Takes the whole body as the host's own streams, unless reading has begun.
    fn take(&self) -> Option<Contents> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Request(request) => Some(types::Request::consume_body(request, processed())),
            State::Response(response) => Some(types::Response::consume_body(response, processed())),
            reading => {
                *state = reading;
                None
            }
        }
    }
}

impl http_body::Body for HostBody {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match std::mem::replace(&mut *state, State::Taken) {
            State::Request(request) => State::ReadingRequest(IncomingBody::new(request)?),
            State::Response(response) => State::ReadingResponse(IncomingBody::new(response)?),
            state => state,
        };
        match &mut *state {
            State::ReadingRequest(body) => Pin::new(body).poll_frame(context),
            State::ReadingResponse(body) => Pin::new(body).poll_frame(context),
            _ => Poll::Ready(None),
        }
    }
}

/// Reads a request that has arrived. Its URI is what was asked for, without where: services know that otherwise.
pub fn request_from_host(request: types::Request) -> Result<Request<Body>, ErrorCode> {
    let method =
        Method::try_from(request.get_method()).map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let uri = target(request.get_path_with_query())?;
    let headers = headers_from_host(request.get_headers())?;

    let body = may_have_body(&method, &headers).then(|| HostBody::new(State::Request(request)));
    let (body, extensions) = body_and_handle(body);
    let mut arrived = Request::new(body);
    *arrived.method_mut() = method;
    *arrived.uri_mut() = uri;
    *arrived.headers_mut() = headers;
    *arrived.extensions_mut() = extensions;
    Ok(arrived)
}

/// What was asked for. There may be a query alone: of `http://shop?q=tea` the path is empty.
fn target(path_and_query: Option<String>) -> Result<Uri, ErrorCode> {
    let Some(path_and_query) = path_and_query else {
        return Ok(Uri::from_static("/"));
    };
    PathAndQuery::try_from(path_and_query)
        .map(Uri::from)
        .map_err(|_| ErrorCode::HttpRequestUriInvalid)
}

/// Reads a response that has arrived.
pub fn response_from_host(response: types::Response) -> Result<Response<Body>, ErrorCode> {
    let status = StatusCode::from_u16(response.get_status_code())
        .map_err(|_| ErrorCode::HttpProtocolError)?;
    let headers = headers_from_host(response.get_headers())?;

    let (body, extensions) = body_and_handle(Some(HostBody::new(State::Response(response))));
    let mut arrived = Response::new(body);
    *arrived.status_mut() = status;
    *arrived.headers_mut() = headers;
    *arrived.extensions_mut() = extensions;
    Ok(arrived)
}

/// Makes a request to be sent; its URI is an absolute one. Its body is being written when this resolves.
pub async fn request_to_host(request: Request<Body>) -> Result<types::Request, ErrorCode> {
    let (parts, body) = request.into_parts();
    let headers = headers_to_host(&parts.headers)?;
    let (contents, trailers, writing) = contents_to_host(body, &parts.extensions);
    let (request, _sent) = types::Request::new(headers, contents, trailers, None);

    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let (uri, scheme) = (&parts.uri, parts.uri.scheme().map(Scheme::from));
    request
        .set_method(&parts.method.into())
        .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    request.set_scheme(scheme.as_ref()).map_err(invalid)?;
    request
        .set_authority(uri.authority().map(|authority| authority.as_str()))
        .map_err(invalid)?;
    request
        .set_path_with_query(uri.path_and_query().map(|path| path.as_str()))
        .map_err(invalid)?;
    if let Some(writing) = writing {
        background::spawn(writing).await;
    }
    Ok(request)
}

/// Makes a response to be returned.
pub fn response_to_host(response: Response<Body>) -> Result<types::Response, ErrorCode> {
    let (parts, body) = response.into_parts();
    let headers = headers_to_host(&parts.headers)?;
    let (contents, trailers, writing) = contents_to_host(body, &parts.extensions);
    if let Some(writing) = writing {
        // It begins when the handler has returned the response.
        wasip3::spawn(writing);
    }
    let (response, _sent) = types::Response::new(headers, contents, trailers);
    response
        .set_status_code(parts.status.as_u16())
        .map_err(|()| ErrorCode::HttpProtocolError)?;
    Ok(response)
}

/// Without a length only methods that usually have a body are taken to have one: reading costs a stream.
fn may_have_body(method: &Method, headers: &HeaderMap) -> bool {
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length != "0",
        None => matches!(*method, Method::POST | Method::PUT | Method::PATCH),
    }
}

fn body_and_handle(body: Option<HostBody>) -> (Body, Extensions) {
    let mut extensions = Extensions::new();
    let Some(body) = body else {
        return (Body::empty(), extensions);
    };
    extensions.insert(body.clone());
    (Body::new(body), extensions)
}

fn headers_from_host(headers: Fields) -> Result<HeaderMap, ErrorCode> {
    let list = headers.copy_all();
    let mut headers = HeaderMap::with_capacity(list.len() + 4);
    for (name, value) in list {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| ErrorCode::HttpProtocolError)?;
        let value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| ErrorCode::HttpProtocolError)?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn headers_to_host(headers: &HeaderMap) -> Result<Fields, ErrorCode> {
    let list: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    Fields::from_list(&list).map_err(|error| ErrorCode::InternalError(Some(error.to_string())))
}

/// The streams a message's body is sent by: the host's own where it is passed on unread, none where it is empty. Where they are
/// new ones, also the work that writes them.
fn contents_to_host(
    mut body: Body,
    extensions: &Extensions,
) -> (
    Option<StreamReader<u8>>,
    FutureReader<BodyResult>,
    Option<impl Future<Output = ()> + use<>>,
) {
    if let Some((contents, trailers)) = extensions.get().and_then(HostBody::take) {
        return (Some(contents), trailers, None);
    }
    if body.size_hint().exact() == Some(0) {
        // The writer is dropped at once, and that is when the default is written.
        return (None, wit_future::new(|| Ok(None)).1, None);
    }
    let (writer, contents, trailers) = BodyWriter::new();
    let writing = async move {
        // Where this fails the reader has gone, or is told so by the stream itself.
        _ = writer.send_http_body(&mut body).await;
    };
    (Some(contents), trailers, Some(writing))
}

/// Tells the host that its body was processed well, which is all there is to say when it is passed on or read.
fn processed() -> FutureReader<Result<(), ErrorCode>> {
    wit_future::new(|| Ok(())).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_may_be_a_query_alone_or_nothing() {
        let read = |text: &str| target(Some(text.into())).ok();
        let both = |uri: Uri| (uri.path().to_owned(), uri.query().map(str::to_owned));
        let expected =
            |path: &str, query: Option<&str>| Some((path.to_owned(), query.map(str::to_owned)));
        assert_eq!(read("/a?b=c").map(both), expected("/a", Some("b=c")));
        assert_eq!(read("?q=tea").map(both), expected("/", Some("q=tea")));
        assert_eq!(target(None).ok().map(both), expected("/", None));
        assert_eq!(read("/a b"), None);
    }

    #[test]
    fn a_stream_is_opened_only_where_a_body_may_be() {
        let length = |value| {
            HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static(value))])
        };
        assert!(!may_have_body(&Method::GET, &HeaderMap::new()));
        assert!(may_have_body(&Method::GET, &length("3")));
        assert!(may_have_body(&Method::POST, &HeaderMap::new()));
        assert!(!may_have_body(&Method::POST, &length("0")));
    }
}
