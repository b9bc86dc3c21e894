//! The route table: which service a request is for, and who may make it.

use http::Method;
use souk_chassis::{Context, Problem};

use Access::{Admin, Anyone};
use Kind::{Read, Write};

/// Every public route. The longest path that fits wins, so an exception stands beside its rule.
pub const ROUTES: &[Route] = &[
    route(Read, "/api/products", "products", Anyone),
    route(Write, "/api/products", "products", Admin),
    route(Read, "/api/categories", "products", Anyone),
    route(Write, "/api/categories", "products", Admin),
];

/// Requests of one kind at a path or below it, and where they go.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    kind: Kind,
    path: &'static str,
    /// The service that answers.
    pub service: &'static str,
    access: Access,
}

/// Whether a request changes anything.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// Who may make a request. The service itself decides the finer points, such as whose order it is.
#[derive(Debug, PartialEq, Eq)]
enum Access {
    Anyone,
    Admin,
}

const fn route(kind: Kind, path: &'static str, service: &'static str, access: Access) -> Route {
    Route {
        kind,
        path,
        service,
        access,
    }
}

/// The route of a request.
pub fn find(method: &Method, path: &str) -> Option<&'static Route> {
    let fits = |route: &&Route| route.kind.has(method) && is_at_or_below(path, route.path);
    ROUTES
        .iter()
        .filter(fits)
        .max_by_key(|route| route.path.len())
}

/// The services that are routed to, each once.
pub fn services() -> Vec<&'static str> {
    let mut services: Vec<_> = ROUTES.iter().map(|route| route.service).collect();
    services.sort_unstable();
    services.dedup();
    services
}

impl Route {
    /// Refuses a caller who may not make this request.
    pub fn admit(&self, context: &Context) -> Result<(), Problem> {
        match self.access {
            Anyone => Ok(()),
            Admin => context.require_admin(),
        }
    }
}

impl Kind {
    fn has(&self, method: &Method) -> bool {
        method.is_safe() == (*self == Read)
    }
}

fn is_at_or_below(path: &str, route: &str) -> bool {
    path.strip_prefix(route)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_leads_to_its_service() {
        for path in [
            "/api/products",
            "/api/products/",
            "/api/products/1/price-history",
            "/api/categories/hats",
        ] {
            assert_eq!(
                find(&Method::GET, path).unwrap().service,
                "products",
                "{path}"
            );
        }
        for path in [
            "/api",
            "/api/productsx",
            "/api/../products",
            "/api/unknown",
            "/products",
        ] {
            assert_eq!(find(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn reads_are_open_and_writes_are_not() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(
                find(&method, "/api/products").unwrap().access,
                Anyone,
                "{method}"
            );
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(
                find(&method, "/api/products/1").unwrap().access,
                Admin,
                "{method}"
            );
        }
    }

    #[test]
    fn each_service_is_listed_once() {
        assert_eq!(services(), ["products"]);
    }
}
