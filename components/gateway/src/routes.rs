//! The route table: which service a request is for, who may make it, what it counts against, how long it may take and how much
//! it matters.

use std::time::Duration;

use http::Method;
use http::header::{self, HeaderValue};
use souk_chassis::{Context, Problem};
use souk_resilience::limit::Importance;

use crate::limits::Class::{self, Login, Ordinary};
use Access::{Admin, Anyone, Customer, Monitor};
use Importance::{High, Ordinary as Usual, Vital};

/// The service that stands for the gateway's own answers.
pub const OWN: &str = "gateway";

/// Every public path. The first row with the method and the path decides, so an exception stands above its rule.
///
/// `{x}` is any one part of a path and `...` any number of them, also none; a GET is also a HEAD. The time is what the
/// service has to begin its answer; a stream then goes on for as long as both sides want.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    //  methods              path                                service      who       limit     seconds  matters
    row("GET",               "/api/health",                      OWN,         Anyone,   Ordinary, 10, Vital),
    row("GET",               "/api/home",                        OWN,         Anyone,   Ordinary, 10, Usual),
    row("GET",               "/api/openapi.json",                OWN,         Anyone,   Ordinary, 10, Usual),
    row("GET",               "/api/orders/{id}/summary",         OWN,         Customer, Ordinary, 10, Usual),

    row("GET",               "/metrics",                         OWN,         Monitor,  Ordinary, 10, Vital),

    row("GET",               "/.well-known/jwks.json",           "users",     Anyone,   Ordinary, 10, Usual),
    row("POST",              "/api/users",                       "users",     Anyone,   Login,    10, Usual),
    row("GET",               "/api/users",                       "users",     Admin,    Ordinary, 10, Usual),
    row("POST",              "/api/users/me/password",           "users",     Customer, Login,    10, Usual),
    row(ALL,                 "/api/users/me/...",                "users",     Customer, Ordinary, 10, Usual),
    row(ALL,                 "/api/users/{id}/...",              "users",     Admin,    Ordinary, 10, Usual),
    row("POST",              "/api/sessions",                    "users",     Anyone,   Login,    10, High),
    row("POST",              "/api/sessions/refresh",            "users",     Anyone,   Login,    10, High),
    row("GET DELETE",        "/api/sessions/...",                "users",     Customer, Ordinary, 10, Usual),

    row("GET",               "/api/products/{id}/price-history", "products",  Admin,    Ordinary, 10, Usual),
    row("GET",               "/api/products/...",                "products",  Anyone,   Ordinary, 10, Usual),
    row("POST PATCH DELETE", "/api/products/...",                "products",  Admin,    Ordinary, 10, Usual),
    row("GET",               "/api/categories/...",              "products",  Anyone,   Ordinary, 10, Usual),
    row("PUT",               "/api/categories/{slug}",           "products",  Admin,    Ordinary, 10, Usual),

    row("GET",               "/api/inventory",                   "inventory", Anyone,   Ordinary, 10, Usual),
    row("GET",               "/api/inventory/audit",             "inventory", Admin,    Ordinary, 10, Usual),
    row("GET",               "/api/inventory/{id}",              "inventory", Anyone,   Ordinary, 10, Usual),
    row(ALL,                 "/api/inventory/...",               "inventory", Admin,    Ordinary, 10, Usual),

    row(ALL,                 "/api/cart/...",                    "carts",     Anyone,   Ordinary, 10, Usual),

    row("POST",              "/api/orders",                      "orders",    Customer, Ordinary, 15, High),
    row("GET",               "/api/orders",                      "orders",    Customer, Ordinary, 10, Usual),
    row("GET",               "/api/orders/{id}",                 "orders",    Customer, Ordinary, 10, Usual),
    row("GET",               "/api/orders/{id}/stream",          "orders",    Customer, Ordinary, 30, Usual),
    row("POST",              "/api/orders/{id}/cancel",          "orders",    Customer, Ordinary, 15, High),
    row("POST",              "/api/orders/{id}/ship",            "orders",    Admin,    Ordinary, 15, Usual),
    row("POST",              "/api/orders/{id}/deliver",         "orders",    Admin,    Ordinary, 15, Usual),

    row("GET",               "/api/payments/...",                "payments",  Customer, Ordinary, 10, Usual),
    row("POST",              "/api/payments/{id}/refunds",       "payments",  Admin,    Ordinary, 15, High),

    row("GET",               "/api/notifications",               "notifications", Customer, Ordinary, 10, Usual),
    row("GET POST",          "/api/notifications/deliveries/...", "notifications", Admin, Ordinary, 10, Usual),
    row("POST",              "/api/notifications/{id}/read",     "notifications", Customer, Ordinary, 10, Usual),

    row("GET",               "/api/ops/services",                OWN,         Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/breakers",                OWN,         Admin,    Ordinary, 10, Vital),
    row("GET PUT",           "/api/ops/faults",                  OWN,         Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/sales",                   "orders",    Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/sagas",                   "orders",    Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/sagas/{order}",           "orders",    Admin,    Ordinary, 10, Vital),
    row("POST",              "/api/ops/sagas/{order}/retry",     "orders",    Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/events",                  "events",    Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/subscriptions",           "events",    Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/subscriptions/{consumer}/held", "events", Admin, Ordinary, 10, Vital),
    row("POST",              "/api/ops/subscriptions/{consumer}/replay", "events", Admin, Ordinary, 10, Vital),
    row("GET",               "/api/ops/dead-letters",            "events",    Admin,    Ordinary, 10, Vital),
    row("POST",              "/api/ops/dead-letters/{letter}/redeliver", "events", Admin, Ordinary, 10, Vital),
    row("GET",               "/api/ops/traces",                  "telemetry", Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/traces/{trace}",          "telemetry", Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/logs",                    "telemetry", Admin,    Ordinary, 10, Vital),
    row("GET",               "/api/ops/metrics/...",             "telemetry", Admin,    Ordinary, 10, Vital),
];

const ALL: &str = "GET POST PUT PATCH DELETE";

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    methods: &'static str,
    path: &'static str,
    /// The service that answers.
    pub service: &'static str,
    /// Who may make the request.
    pub access: Access,
    /// What it counts against.
    pub class: Class,
    /// How long the service may take to begin its answer.
    pub timeout: Duration,
    /// How much it matters when not everything can be answered.
    pub importance: Importance,
}

/// Who may make a request. The service itself decides the finer points, such as whose order it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever asks, signed in or not.
    Anyone,
    /// Whoever is signed in.
    Customer,
    /// Whoever is signed in as an administrator.
    Admin,
    /// Whoever brings the token of metrics, which is nobody's access token.
    Monitor,
}

const fn row(
    methods: &'static str,
    path: &'static str,
    service: &'static str,
    access: Access,
    class: Class,
    seconds: u64,
    importance: Importance,
) -> Route {
    Route {
        methods,
        path,
        service,
        access,
        class,
        timeout: Duration::from_secs(seconds),
        importance,
    }
}

/// The route of a request: 404 where no row has the path, 405 where none of those has the method.
pub fn find(method: &Method, path: &str) -> Result<&'static Route, Problem> {
    if let Some(route) = at(path).find(|route| route.has(method)) {
        return Ok(route);
    }
    let allowed = allowed_methods(path);
    if allowed.is_empty() {
        return Err(Problem::not_found(format!("there is nothing at {path}")));
    }
    let allowed = HeaderValue::try_from(allowed.join(", ")).expect("methods are plain words");
    Err(Problem::method_not_allowed(method).header(header::ALLOW, allowed))
}

/// The methods a path has, OPTIONS included; none where there is nothing at the path.
pub fn allowed_methods(path: &str) -> Vec<&'static str> {
    let mut methods: Vec<_> = at(path)
        .flat_map(|route| route.methods.split(' '))
        .collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    if !methods.is_empty() {
        methods.push("OPTIONS");
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}

/// The services that are routed to, each once.
pub fn services() -> Vec<&'static str> {
    let mut services: Vec<_> = ROUTES
        .iter()
        .map(|route| route.service)
        .filter(|service| *service != OWN)
        .collect();
    services.sort_unstable();
    services.dedup();
    services
}

/// The rows that have a path.
fn at(path: &str) -> impl Iterator<Item = &'static Route> {
    let path = is_plain(path).then_some(path);
    ROUTES
        .iter()
        .filter(move |route| path.is_some_and(|path| fits(path, route.path)))
}

impl Route {
    /// Refuses a caller who may not make this request.
    pub fn admit(&self, context: &Context) -> Result<(), Problem> {
        match self.access {
            // Who brought the token was let in before anybody was asked who they are.
            Anyone | Monitor => Ok(()),
            Customer if context.caller.is_some() => Ok(()),
            Customer => Err(Problem::unauthorized("this is for signed-in users")),
            Admin => context.require_admin(),
        }
    }

    fn has(&self, method: &Method) -> bool {
        let method = match method.as_str() {
            "HEAD" => "GET",
            method => method,
        };
        self.methods.split(' ').any(|known| known == method)
    }
}

/// Whether a path fits a pattern, part by part, as it is written: nothing is decoded, here or by the services' routers, so
/// both see the same parts.
fn fits(path: &str, pattern: &str) -> bool {
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        match (wanted, parts.next()) {
            ("...", _) => return true,
            (_, None) => return false,
            (wanted, Some(part)) if wanted != part && !wanted.starts_with('{') => return false,
            _ => {}
        }
    }
    parts.next().is_none()
}

/// Whether a path means the same to everybody who reads it. One that does not is no path of ours: it has empty parts, `.`
/// or `..`, or hides a slash, a backslash, a dot, a percent sign or a control character behind a percent sign.
pub fn is_plain(path: &str) -> bool {
    let Some(parts) = path.strip_prefix('/') else {
        return false;
    };
    let plain = |part: &str| !matches!(part, "" | "." | "..") && is_plain_part(part.as_bytes());
    parts.split('/').all(plain)
}

fn is_plain_part(part: &[u8]) -> bool {
    let mut rest = part;
    loop {
        match rest {
            [] => return true,
            [b'%', high, low, after @ ..] => {
                let Some(byte) = decode(*high, *low) else {
                    return false;
                };
                if byte.is_ascii_control() || br"/\.%".contains(&byte) {
                    return false;
                }
                rest = after;
            }
            [b'%' | b'\\', ..] => return false,
            [_, after @ ..] => rest = after,
        }
    }
}

fn decode(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The route of an operation in a contract, whose path has names in braces where a request has values.
pub fn find_template(method: &Method, template: &str) -> Option<&'static Route> {
    let parts = template
        .split('/')
        .map(|part| if part.starts_with('{') { "x" } else { part });
    find(method, &parts.collect::<Vec<_>>().join("/")).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::response::IntoResponse;

    fn service(method: &Method, path: &str) -> Option<&'static str> {
        find(method, path).ok().map(|route| route.service)
    }

    fn refusal(method: &Method, path: &str) -> (u16, String) {
        let response = find(method, path).unwrap_err().into_response();
        let allow = response.headers().get(header::ALLOW);
        let allow = allow.map_or("", |allow| allow.to_str().unwrap()).to_owned();
        (response.status().as_u16(), allow)
    }

    #[test]
    fn a_path_leads_to_its_service() {
        for (path, expected) in [
            ("/api/products", "products"),
            ("/api/products/1/price-history", "products"),
            ("/api/categories", "products"),
            ("/api/users/me", "users"),
            ("/api/users/me/addresses/1", "users"),
            ("/api/sessions/current", "users"),
            ("/.well-known/jwks.json", "users"),
            ("/api/inventory/1", "inventory"),
            ("/api/cart", "carts"),
            ("/api/cart/items/1", "carts"),
            ("/api/orders/1", "orders"),
            ("/api/orders/1/summary", OWN),
            ("/api/payments", "payments"),
            ("/api/notifications", "notifications"),
            ("/api/ops/events", "events"),
            ("/api/ops/traces/1", "telemetry"),
            ("/api/ops/metrics/edges", "telemetry"),
        ] {
            assert_eq!(service(&Method::GET, path), Some(expected), "{path}");
            assert_eq!(service(&Method::HEAD, path), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_not_there() {
        for path in [
            "/",
            "/api",
            "/api/productsx",
            "/api/unknown",
            "/products",
            "/internal/tick",
            "/internal/reservations/1",
            "/api/internal/tick",
            "/openapi.json",
            "/.well-known/other",
            "/api/orders/1/2/summary",
        ] {
            assert_eq!(refusal(&Method::GET, path), (404, String::new()), "{path}");
        }
    }

    #[test]
    fn no_spelling_of_a_path_leads_elsewhere() {
        for path in [
            "/api/products/../../internal/tick",
            "/api/products/..",
            "/api/./products",
            "/api//products",
            "//api/products",
            "/api/products/",
            "/api/products//",
            "/api/products/%2e%2e/users",
            "/api/products/%2E./users",
            "/api/products/..%2f..%2finternal%2ftick",
            "/api/products%2f1",
            "/api/products/%2F",
            "/api/products/%5c..%5cinternal",
            r"/api/products/\internal",
            "/api/products/%252e%252e",
            "/api/products/%00",
            "/api/products/%0d%0ax",
            "/api/products/%7f",
            "/api/products/%",
            "/api/products/%2",
            "/api/products/%zz",
            "/api/products/%+1",
            "/%61pi/products",
            "api/products",
            "",
        ] {
            assert_eq!(refusal(&Method::GET, path).0, 404, "{path}");
            assert!(allowed_methods(path).is_empty(), "{path}");
        }
        assert_eq!(
            find(&Method::GET, "/api/users/m%65").unwrap().access,
            Admin,
            "what is written is what counts"
        );
        assert_eq!(
            service(&Method::GET, "/api/categories/caf%C3%A9"),
            Some("products")
        );
    }

    #[test]
    fn the_first_row_that_fits_decides() {
        let access = |method: &Method, path| find(method, path).unwrap().access;
        assert_eq!(access(&Method::GET, "/api/users/me"), Customer);
        assert_eq!(access(&Method::DELETE, "/api/users/me"), Customer);
        assert_eq!(access(&Method::GET, "/api/users/1"), Admin);
        assert_eq!(access(&Method::GET, "/api/users/mex"), Admin);
        assert_eq!(access(&Method::POST, "/api/users"), Anyone);
        assert_eq!(access(&Method::GET, "/api/users"), Admin);
        assert_eq!(access(&Method::GET, "/api/inventory/1"), Anyone);
        assert_eq!(access(&Method::GET, "/api/inventory/1/ledger"), Admin);
        assert_eq!(access(&Method::GET, "/api/inventory/audit"), Admin);
        assert_eq!(access(&Method::GET, "/api/products/1"), Anyone);
        assert_eq!(access(&Method::GET, "/api/products/1/price-history"), Admin);
        assert_eq!(access(&Method::PUT, "/api/inventory/1"), Admin);
        assert_eq!(access(&Method::POST, "/api/orders/1/cancel"), Customer);
        assert_eq!(access(&Method::POST, "/api/orders/1/ship"), Admin);
        assert_eq!(access(&Method::POST, "/api/payments/1/refunds"), Admin);
        assert_eq!(access(&Method::PATCH, "/api/products/1"), Admin);
    }

    /// Whoever adds a row that lets anybody write has to say so here.
    #[test]
    fn what_anybody_may_write_is_known() {
        let open: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.access == Anyone && route.methods != "GET")
            .map(|route| (route.methods, route.path))
            .collect();
        assert_eq!(
            open,
            [
                ("POST", "/api/users"),
                ("POST", "/api/sessions"),
                ("POST", "/api/sessions/refresh"),
                (ALL, "/api/cart/..."),
            ]
        );
    }

    #[test]
    fn guessing_passwords_is_limited_more_than_the_rest() {
        for path in [
            "/api/users",
            "/api/users/me/password",
            "/api/sessions",
            "/api/sessions/refresh",
        ] {
            assert_eq!(find(&Method::POST, path).unwrap().class, Login, "{path}");
        }
        assert_eq!(find(&Method::GET, "/api/products").unwrap().class, Ordinary);
    }

    #[test]
    fn a_method_the_path_does_not_have_is_told_the_others() {
        let refusal = |method| refusal(&method, "/api/orders");
        assert_eq!(
            refusal(Method::PUT),
            (405, "GET, HEAD, OPTIONS, POST".into())
        );
        assert_eq!(refusal(Method::TRACE).0, 405);
        assert_eq!(
            allowed_methods("/api/products/1"),
            ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST"]
        );
    }

    #[test]
    fn an_order_may_take_longer() {
        let seconds = |method, path| find(&method, path).unwrap().timeout.as_secs();
        assert_eq!(seconds(Method::POST, "/api/orders"), 15);
        assert_eq!(seconds(Method::GET, "/api/orders"), 10);
        assert_eq!(seconds(Method::GET, "/api/orders/1/stream"), 30);
    }

    #[test]
    fn each_service_is_listed_once() {
        assert_eq!(
            services(),
            [
                "carts",
                "events",
                "inventory",
                "notifications",
                "orders",
                "payments",
                "products",
                "telemetry",
                "users"
            ]
        );
    }

    #[test]
    fn the_operations_of_a_contract_are_found() {
        let service = |path| find_template(&Method::GET, path).map(|route| route.service);
        assert_eq!(service("/api/orders/{order_id}/stream"), Some("orders"));
        assert_eq!(service("/api/products/{id}"), Some("products"));
        assert_eq!(service("/internal/reservations/{order_id}"), None);
    }
}
