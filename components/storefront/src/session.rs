//! Who a visitor is: the tokens in their cookies, which no script sees and no other site can send with a form.
//!
//! The access token's cookie ends a little before the token does. A browser that then sends the refresh token alone is given a new
//! pair before its request is handled. Where two tabs do so at the same moment both are given the same next refresh token.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::Method;
use http::header::{HeaderMap, REFERER};
use souk_chassis::address::TrustedProxies;
use souk_chassis::{Context, Problem};

use crate::clients::Missing;
use crate::clients::accounts::{self, Tokens};
use crate::cookies::{Jar, brought};
use crate::csrf;
use crate::domain::console::is_operator;
use crate::pages;

/// The cookies.
const ACCESS: &str = "souk_access";
const REFRESH: &str = "souk_refresh";
const CART: &str = "souk_cart";

/// How long the refresh token and a guest's cart are kept, in seconds; the API says how long they are good for.
const THIRTY_DAYS: u64 = 30 * 24 * 60 * 60;

/// How long before its end an access token is not used any more, in seconds.
const BEFORE_ITS_END: u64 = 30;

/// Somebody who looks at a page. All copies are the same visitor.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The request they make.
    pub context: Context,
    /// The address they make it from.
    pub address: Option<IpAddr>,
    /// Proves who they are.
    pub access_token: Option<String>,
    /// What their cart is known by, if they have put something into one as a guest.
    pub cart_token: Option<String>,
    /// Whether nobody can say at the moment whether they are still signed in.
    pub unsure: bool,
    /// Whether their session was refreshed just now.
    fresh: bool,
    /// The token of their forms.
    csrf: Option<String>,
    /// The cookies of the answer.
    pub jar: Jar,
}

/// A visitor who is signed in; as an argument of a handler it sends others to log in first.
#[derive(Debug, Clone)]
pub struct Customer(pub Visitor);

/// An administrator at the console; as an argument of a handler it sends guests to log in, and customers find nothing there.
#[derive(Debug, Clone)]
pub struct Operator(pub Visitor);

impl Visitor {
    /// Reads the cookies, and refreshes the session where that is due.
    async fn arriving(context: Context, address: Option<IpAddr>, headers: &HeaderMap) -> Self {
        let jar = Jar::new(came_by_https(headers));
        let mut visitor = Self {
            context,
            address,
            access_token: brought(headers, ACCESS),
            cart_token: brought(headers, CART),
            unsure: false,
            fresh: false,
            csrf: brought(headers, csrf::COOKIE).filter(|token| csrf::is_token(token)),
            jar,
        };
        if let (None, Some(spent)) = (&visitor.access_token, brought(headers, REFRESH)) {
            visitor.refresh(&spent).await;
        }
        visitor
    }

    async fn refresh(&mut self, spent: &str) {
        match accounts::refresh(self, spent).await {
            Ok(tokens) => {
                self.begin(&tokens);
                self.fresh = true;
                self.access_token = Some(tokens.access_token);
            }
            Err(Missing::Unavailable(_)) => self.unsure = true,
            // Others at the same address have refreshed too often, which says nothing about this session.
            Err(Missing::Refused(refusal)) if refusal.status == 429 => self.unsure = true,
            Err(_) => self.end(),
        }
    }

    /// Keeps the tokens of a session.
    pub fn begin(&self, tokens: &Tokens) {
        let lives = tokens.expires_in.saturating_sub(BEFORE_ITS_END);
        self.jar.set(ACCESS, &tokens.access_token, lives);
        self.jar.set(REFRESH, &tokens.refresh_token, THIRTY_DAYS);
    }

    /// Forgets the session.
    pub fn end(&self) {
        self.jar.forget(ACCESS);
        self.jar.forget(REFRESH);
    }

    /// Has the session refreshed with the next request, since the API does not believe its access token; one that was
    /// refreshed just now has ended.
    pub fn distrust(&self) {
        match self.fresh {
            true => self.end(),
            false => self.jar.forget(ACCESS),
        }
    }

    /// Keeps what a guest's cart is known by.
    pub fn keep_cart(&self, token: &str) {
        self.jar.set(CART, token, THIRTY_DAYS);
    }

    /// Forgets a guest's cart, which is an account's now.
    pub fn forget_cart(&self) {
        self.jar.forget(CART);
    }

    /// Whether they are signed in.
    pub fn is_signed_in(&self) -> bool {
        self.access_token.is_some()
    }

    /// The token of their forms, which they are given with the first form.
    pub fn csrf(&self) -> Result<String, Problem> {
        let token = match &self.csrf {
            Some(token) => token.clone(),
            None => csrf::new_token()?,
        };
        self.jar.set(csrf::COOKIE, &token, THIRTY_DAYS);
        Ok(token)
    }

    /// The token that they brought.
    pub fn brought_csrf(&self) -> Option<&str> {
        self.csrf.as_deref()
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(|| Problem::internal("the router does not know its visitors"))
    }
}

impl<S: Sync> FromRequestParts<S> for Customer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, state).await;
        let visitor = visitor.map_err(IntoResponse::into_response)?;
        // Of somebody who may be signed in, the API says that it is not available.
        match visitor.is_signed_in() || visitor.unsure {
            true => Ok(Self(visitor)),
            false => Err(to_login(&page_of(parts))),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Customer(visitor) = Customer::from_request_parts(parts, state).await?;
        match &visitor.access_token {
            Some(token) if is_operator(token) => Ok(Self(visitor)),
            Some(_) => Err(pages::nothing(&visitor, &parts.uri, Missing::Nothing).await),
            None => {
                let unsure = Missing::Unavailable("the session is not known".into());
                Err(pages::nothing(&visitor, &parts.uri, unsure).await)
            }
        }
    }
}

/// Sends somebody to log in, and then back to a page.
pub fn to_login(page: &str) -> Response {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", page)
        .finish();
    Redirect::to(&format!("/login?{query}")).into_response()
}

/// The page that a request is about: its own address, or that of the form it was sent with.
fn page_of(parts: &Parts) -> String {
    let address = match parts.method {
        Method::GET | Method::HEAD => parts.uri.path_and_query().map(|it| it.as_str().to_owned()),
        _ => referring_page(&parts.headers),
    };
    own_page(address.as_deref()).to_owned()
}

fn referring_page(headers: &HeaderMap) -> Option<String> {
    let referer: http::Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    Some(referer.path_and_query()?.as_str().to_owned())
}

/// Where somebody wants to go on, if that is a page of this shop; else the front page.
pub fn own_page(wanted: Option<&str>) -> &str {
    let is_own = |path: &&str| {
        let sane = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        path.starts_with('/') && !path.starts_with("//") && path.bytes().all(sane)
    };
    wanted.filter(is_own).unwrap_or("/")
}

/// Whether the visitor came by https, as the host or a proxy before it says.
fn came_by_https(headers: &HeaderMap) -> bool {
    let says = |name: &str, begin: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.starts_with(begin))
    };
    says("x-forwarded-proto", "https") || says("spin-full-url", "https:")
}

/// Makes every request one of a visitor, and writes their cookies into the answer.
pub async fn carry(
    context: Context,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let address = TrustedProxies::get().await?.client_of(request.headers());
    let visitor = Visitor::arriving(context, address, request.headers()).await;
    let jar = visitor.jar.clone();
    request.extensions_mut().insert(visitor);
    let mut response = next.run(request).await;
    jar.write(response.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::HeaderValue;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for own in ["/", "/cart", "/orders/1?a=b&c=%2F%2Fx", "/?q=http://x"] {
            assert_eq!(own_page(Some(own)), own);
        }
        for odd in [
            "",
            "cart",
            "http://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\r\nset-cookie: x",
            "/\t/evil.example",
            "/ä",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_page(Some(odd)), "/", "{odd}");
        }
        assert_eq!(own_page(None), "/");
    }

    #[test]
    fn who_has_to_log_in_comes_back_to_the_page_they_were_on() {
        let page = |method: &str, referer: &str| {
            let request = http::Request::builder()
                .method(method)
                .uri("/orders/1/cancel?x=1")
                .header(REFERER, referer);
            page_of(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(page("GET", "http://shop/other"), "/orders/1/cancel?x=1");
        assert_eq!(page("POST", "http://shop/orders/1?a=b"), "/orders/1?a=b");
        assert_eq!(page("POST", "http://shop//evil.example"), "/");
        assert_eq!(page("POST", "nonsense"), "/");
        let response = to_login("/orders/1?a=b");
        assert_eq!(
            response.headers()["location"],
            "/login?next=%2Forders%2F1%3Fa%3Db"
        );
    }

    #[test]
    fn https_is_known_by_the_host_or_a_proxy() {
        let https = |name: &'static str, value: &'static str| {
            came_by_https(&HeaderMap::from_iter([(
                name.parse().unwrap(),
                HeaderValue::from_static(value),
            )]))
        };
        assert!(https("spin-full-url", "https://shop/"));
        assert!(https("x-forwarded-proto", "https"));
        assert!(!https("spin-full-url", "http://shop/https:"));
        assert!(!came_by_https(&HeaderMap::new()));
    }
}
