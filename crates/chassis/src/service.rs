//! The frame around a service's routes.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use spin_sdk::wasip3::http::types::{self, ErrorCode};
use tower_service::Service as _;

use crate::background;
use crate::context::{self, Caller, Context, REQUEST_ID};
use crate::extract::Json;
use crate::log;
use crate::problem::{self, Problem};
use crate::routes::Routes;
use crate::span;
use crate::wire;

/// Makes a [`Service`] what the component exports: where Spin hands over requests.
///
/// It does what `#[spin_sdk::http_service]` does, but hands over a request as it is, for [`wire`](crate::wire) to read.
#[macro_export]
macro_rules! export {
    ($service:ident) => {
        // The export has a name that only a Wasm linker takes, hence the condition: so `cargo test` works natively.
        #[cfg(target_family = "wasm")]
        mod exported {
            use ::spin_sdk::wasip3::exports::http::handler::Guest;
            use ::spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

            struct Component;
            ::spin_sdk::wasip3::http::service::export!(Component);

            impl Guest for Component {
                async fn handle(request: Request) -> Result<Response, ErrorCode> {
                    super::$service.serve(request).await
                }
            }
        }
    };
}

/// A service: its name, its routes, and whom it believes. Meant to be a `static`.
pub struct Service {
    name: &'static str,
    routes: fn() -> Routes,
    believes_tokens: bool,
    afterwards: Option<fn(Context, &Method)>,
    router: OnceLock<Router>,
}

impl Service {
    /// A service that other services call: it believes their service tokens.
    pub const fn private(name: &'static str, routes: fn() -> Routes) -> Self {
        Self {
            name,
            routes,
            believes_tokens: true,
            afterwards: None,
            router: OnceLock::new(),
        }
    }

    /// A service that the outside calls: it looks at no service token.
    pub const fn public(name: &'static str, routes: fn() -> Routes) -> Self {
        Self {
            name,
            routes,
            believes_tokens: false,
            afterwards: None,
            router: OnceLock::new(),
        }
    }

    /// Lets this see to what is to be done after each answer. It is given the request's context, without its caller, and its
    /// method; what takes time it spawns.
    pub const fn afterwards(mut self, work: fn(Context, &Method)) -> Self {
        self.afterwards = Some(work);
        self
    }

    /// Answers a request as it comes from Spin.
    pub async fn serve(&self, request: types::Request) -> Result<types::Response, ErrorCode> {
        log::start();
        let request = wire::request_from_host(request)?;
        let response = self.answer(request).await;
        wire::response_to_host(response)
    }

    /// Answers a request: authenticates the caller, routes, and makes every error a problem.
    pub async fn answer(&self, request: Request<Body>) -> Response {
        let caller = match self.believes_tokens {
            true => context::authenticate(self.name, request.headers()).await,
            false => Ok(None),
        };
        let context = Context::anonymous(self.name, request.headers());
        let method = request.method().clone();
        let answering = async {
            let response = self.respond(context.clone(), caller, request).await;
            if let Some(work) = self.afterwards {
                work(context.unhurried(), &method);
            }
            response
        };
        log::answering(&context, span::are_taken(), answering).await
    }

    /// Answers a request of this caller, or of one who could not be authenticated.
    pub async fn answer_to(
        &self,
        caller: Result<Option<Caller>, Problem>,
        request: Request<Body>,
    ) -> Response {
        let context = Context::anonymous(self.name, request.headers());
        self.respond(context, caller, request).await
    }

    async fn respond(
        &self,
        mut context: Context,
        caller: Result<Option<Caller>, Problem>,
        mut request: Request<Body>,
    ) -> Response {
        let request_id = context.request_id.clone();
        let mut response = match caller {
            Ok(_)
                if context
                    .deadline
                    .is_some_and(|deadline| deadline.is_over(background::now())) =>
            {
                Problem::gateway_timeout("nobody waits for this any more").into_response()
            }
            Ok(caller) => {
                context.caller = caller;
                request.extensions_mut().insert(context);
                self.route(request).await
            }
            Err(problem) => problem.into_response(),
        };
        if let Some(problem) = Problem::of(&mut response) {
            self.write(&problem, &mut response, &request_id);
        }
        if matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            // `axum` says 0, which is not how long the answer would be that these stand for.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response.headers_mut().insert(REQUEST_ID, request_id);
        response
    }

    /// Its contract: an OpenAPI 3.1 document, which it serves at `/openapi.json`.
    pub fn openapi(&self) -> serde_json::Value {
        (self.routes)().openapi(self.name)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    async fn route(&self, request: Request<Body>) -> Response {
        let router = self.router.get_or_init(|| self.router());
        match router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn router(&self) -> Router {
        let health = format!(r#"{{"status":"ok","service":"{}"}}"#, self.name);
        let health = get(async move || ([(header::CONTENT_TYPE, "application/json")], health));
        let (name, routes) = (self.name, self.routes);
        let contract = async move || Json(routes().openapi(name));
        (self.routes)()
            .into_router()
            .route("/healthz", health)
            .route("/openapi.json", get(contract))
            .fallback(async |uri: Uri| {
                Problem::not_found(format!("there is nothing at {}", uri.path()))
            })
            .method_not_allowed_fallback(async |method: Method| {
                Problem::method_not_allowed(&method)
            })
            .with_state(())
    }

    /// Writes a problem into its response, and its cause to the log. Headers that are there already stay.
    fn write(&self, problem: &Problem, response: &mut Response, request_id: &HeaderValue) {
        let request_id = request_id.to_str().unwrap_or_default();
        if let Some(cause) = problem.logged() {
            tracing::error!(error = cause, "request failed");
        }
        let body = problem.body(request_id);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(problem::MEDIA_TYPE),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        *response.body_mut() = Body::from(body);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::body::to_bytes;
    use futures::executor::block_on;
    use serde_json::{Value, json};
    use souk_tokens::Role;
    use uuid::Uuid;

    use crate::fields::{self, Fields, FromFields};
    use crate::{Admin, Json, Path, Query, SignedIn, get, post};

    struct Thing(String);

    impl FromFields for Thing {
        fn from_fields(fields: &mut Fields) -> Self {
            fields.required::<i64, _>("size", fields::whole_number(1..=9));
            Self(fields.required("name", fields::line(1..=5)))
        }
    }

    fn routes() -> Routes {
        Routes::new("Things.")
            .route(post("/things", async |Json(thing): Json<Thing>| thing.0))
            .route(get("/things", async |_: Query<Thing>| ""))
            .route(get("/things/{id}", async |Path(id): Path<u8>| {
                id.to_string()
            }))
            .route(get("/admin", async |_: Admin| "welcome"))
            .route(get("/mine", async |me: SignedIn| me.user.to_string()))
            .route(get("/long", async || "done").takes(5_000))
            .route(get("/orders-only", async |context: Context| {
                context.require_service(&["orders"])
            }))
    }

    static SERVICE: Service = Service::public("test", routes);

    fn ask(
        caller: Option<Role>,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> (Response, Value) {
        let caller = caller.map(|role| Caller {
            service: None,
            user: None,
            role: Some(role),
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-request-id", "r1")
            .header("content-type", content_type)
            .body(Body::from(body.to_owned()))
            .unwrap();
        block_on(async {
            let mut response = SERVICE.answer_to(Ok(caller), request).await;
            assert_eq!(response.headers()[REQUEST_ID], "r1");
            let body = to_bytes(std::mem::take(response.body_mut()), usize::MAX)
                .await
                .unwrap();
            (
                response,
                serde_json::from_slice(&body).unwrap_or(Value::Null),
            )
        })
    }

    fn status(method: &str, path: &str, content_type: &str, body: &str) -> StatusCode {
        let (response, json) = ask(None, method, path, content_type, body);
        if response.status().is_client_error() {
            assert_eq!(
                response.headers()[header::CONTENT_TYPE],
                problem::MEDIA_TYPE
            );
            assert_eq!(json["status"], response.status().as_u16());
            assert_eq!(json["request_id"], "r1");
        }
        response.status()
    }

    #[test]
    fn a_service_says_that_it_is_well() {
        let (response, body) = ask(None, "GET", "/healthz", "", "");
        assert_eq!(response.status(), 200);
        assert_eq!(body, json!({"status": "ok", "service": "test"}));
    }

    #[test]
    fn every_error_is_a_problem() {
        assert_eq!(status("GET", "/nowhere", "", ""), 404);
        assert_eq!(status("GET", "/things/x", "", ""), 404);
        assert_eq!(status("GET", "/things/1", "", ""), 200);
        assert_eq!(status("DELETE", "/things", "", ""), 405);
        assert_eq!(status("POST", "/things", "text/plain", "{}"), 415);
        assert_eq!(status("POST", "/things", "application/json", "{"), 400);
        assert_eq!(
            status("POST", "/things", "application/json", &" ".repeat(70_000)),
            413
        );
        assert_eq!(status("POST", "/things", "application/json", "{}"), 422);
        assert_eq!(
            status(
                "POST",
                "/things",
                "application/json",
                r#"{"name":"a","size":1}"#
            ),
            200
        );
        assert_eq!(status("GET", "/things?name=toolong", "", ""), 400);
    }

    #[test]
    fn all_bad_fields_are_named_at_once() {
        let (_, problem) = ask(None, "POST", "/things", "application/json", "{}");
        assert_eq!(
            problem["errors"],
            json!([{"field": "size", "detail": "is missing"}, {"field": "name", "detail": "is missing"}])
        );
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let (response, _) = ask(None, "PUT", "/things", "", "");
        assert_eq!(response.headers()[header::ALLOW], "POST,GET,HEAD");
    }

    #[test]
    fn the_contract_is_served() {
        let (response, body) = ask(None, "GET", "/openapi.json", "", "");
        assert_eq!(response.status(), 200);
        assert_eq!(body["info"]["title"], "test");
        assert!(body["paths"]["/things"]["post"].is_object());
    }

    fn status_of(service: Option<&str>, user: Option<&str>, path: &str) -> StatusCode {
        let caller = Caller {
            service: service.map(Into::into),
            user: user.map(Into::into),
            role: user.map(|_| Role::Customer),
        };
        let request = Request::get(path).body(Body::empty()).unwrap();
        block_on(SERVICE.answer_to(Ok(Some(caller)), request)).status()
    }

    #[test]
    fn signed_in_users_only() {
        assert_eq!(ask(None, "GET", "/mine", "", "").0.status(), 401);
        assert_eq!(status_of(Some("gateway"), None, "/mine"), 401);
        assert_eq!(status_of(Some("gateway"), Some("no id"), "/mine"), 401);
        let user = Uuid::now_v7().to_string();
        assert_eq!(status_of(Some("gateway"), Some(&user), "/mine"), 200);
    }

    #[test]
    fn what_comes_too_late_is_not_begun() {
        let status = |path: &str, left: &str| {
            let request = Request::get(path).header("x-souk-timeout-ms", left);
            let request = request.body(Body::empty()).unwrap();
            block_on(SERVICE.answer_to(Ok(None), request)).status()
        };
        assert_eq!(status("/things/1", "100"), 200);
        assert_eq!(status("/things/1", "0"), 504);
        assert_eq!(status("/long", "6000"), 200);
        assert_eq!(status("/long", "4000"), 504);
    }

    #[test]
    fn named_services_only() {
        assert_eq!(ask(None, "GET", "/orders-only", "", "").0.status(), 401);
        assert_eq!(status_of(Some("gateway"), None, "/orders-only"), 403);
        assert_eq!(status_of(Some("orders"), None, "/orders-only"), 200);
    }

    #[test]
    fn administrators_only() {
        let status = |caller| ask(caller, "GET", "/admin", "", "").0.status();
        assert_eq!(status(None), 401);
        assert_eq!(status(Some(Role::Customer)), 403);
        assert_eq!(status(Some(Role::Admin)), 200);
    }
}
