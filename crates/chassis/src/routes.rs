//! A service's routes, and the contract that is generated from them.
//!
//! Each operation stands beside its handler and says what it takes and gives:
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::Serialize;
//! use souk_chassis::{Json, Problem, Routes, get};
//!
//! /// How something is rated.
//! #[derive(Serialize, JsonSchema)]
//! struct Rating { stars: i64 }
//!
//! async fn show() -> Result<Json<Rating>, Problem> {
//!     Ok(Json(Rating { stars: 4 }))
//! }
//!
//! let routes = Routes::new("Ratings of products.")
//!     .route(get("/api/ratings/{product_id}", show).summary("The rating of a product").returns::<Rating>(200));
//! let document = routes.openapi("ratings");
//! assert_eq!(document["paths"]["/api/ratings/{product_id}"]["get"]["summary"], "The rating of a product");
//! ```
//!
//! The document is OpenAPI 3.1. Schemas of answers come from [`schemars`], those of input from the very [rules](crate::fields)
//! that check it. What follows from the frame is declared by itself: 400, 413, 415 and 422 where there is a body, 400 where there is a
//! query, 404 where the path has a parameter, and 503 everywhere. Every error is a problem.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;
use http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::fields::{self, FromFields};
use crate::problem::{self, Problem};

/// The routes of a service.
pub struct Routes {
    description: &'static str,
    router: Router,
    operations: Vec<Operation>,
}

/// A method of a path: its handler, and what is promised about it.
pub struct Operation {
    method: Method,
    path: &'static str,
    route: Option<MethodRouter>,
    summary: &'static str,
    takes_ms: u32,
    access: Access,
    query: Option<fn() -> Value>,
    body: Option<fn() -> Value>,
    headers: Vec<Header>,
    answers: Vec<Answer>,
    problems: Vec<u16>,
}

/// Who an operation is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Anyone,
    Customers,
    Admins,
    Services,
}

struct Header {
    name: &'static str,
    description: &'static str,
    required: bool,
}

struct Answer {
    status: u16,
    media_type: &'static str,
    schema: Option<fn(&mut SchemaGenerator) -> Value>,
}

/// A GET of a path.
pub fn get<H: Handler<T, ()>, T: 'static>(path: &'static str, handler: H) -> Operation {
    Operation::new(Method::GET, path, axum::routing::get(handler))
}

/// A POST to a path.
pub fn post<H: Handler<T, ()>, T: 'static>(path: &'static str, handler: H) -> Operation {
    Operation::new(Method::POST, path, axum::routing::post(handler))
}

/// A PUT to a path.
pub fn put<H: Handler<T, ()>, T: 'static>(path: &'static str, handler: H) -> Operation {
    Operation::new(Method::PUT, path, axum::routing::put(handler))
}

/// A PATCH of a path.
pub fn patch<H: Handler<T, ()>, T: 'static>(path: &'static str, handler: H) -> Operation {
    Operation::new(Method::PATCH, path, axum::routing::patch(handler))
}

/// A DELETE of a path.
pub fn delete<H: Handler<T, ()>, T: 'static>(path: &'static str, handler: H) -> Operation {
    Operation::new(Method::DELETE, path, axum::routing::delete(handler))
}

impl Operation {
    fn new(method: Method, path: &'static str, route: MethodRouter) -> Self {
        Self {
            method,
            path,
            route: Some(route),
            summary: "",
            takes_ms: 0,
            access: Access::Anyone,
            query: None,
            body: None,
            headers: Vec::new(),
            answers: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// What it does, in a few words.
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// How long it takes at least, in milliseconds: it is not begun for those who will not wait that long. They are answered 504.
    pub fn takes(mut self, ms: u32) -> Self {
        self.takes_ms = ms;
        self
    }

    /// Says that it is for whoever is signed in. The handler sees to it.
    pub fn for_customers(mut self) -> Self {
        self.access = Access::Customers;
        self
    }

    /// Says that it is for administrators. The handler sees to it.
    pub fn for_admins(mut self) -> Self {
        self.access = Access::Admins;
        self
    }

    /// Says that it is for other services. The handler sees to it.
    pub fn for_services(mut self) -> Self {
        self.access = Access::Services;
        self
    }

    /// The query string it reads.
    pub fn query<T: FromFields>(mut self) -> Self {
        self.query = Some(fields::schema::<T>);
        self
    }

    /// The JSON body it reads.
    pub fn body<T: FromFields>(mut self) -> Self {
        self.body = Some(fields::schema::<T>);
        self
    }

    /// A header it reads.
    pub fn header(mut self, name: &'static str, description: &'static str, required: bool) -> Self {
        self.headers.push(Header {
            name,
            description,
            required,
        });
        self
    }

    /// A status it answers with, and the JSON that comes with it.
    pub fn returns<T: JsonSchema>(self, status: u16) -> Self {
        self.answers(status, "application/json", Some(schema_of::<T>))
    }

    /// A status it answers with, and no body.
    pub fn returns_nothing(self, status: u16) -> Self {
        self.answers(status, "", None)
    }

    /// A status it answers with, and a body of this type that JSON Schema does not describe.
    pub fn returns_stream(self, status: u16, media_type: &'static str) -> Self {
        self.answers(status, media_type, None)
    }

    /// Problems it answers with, beside those that follow from what it takes.
    pub fn fails<const N: usize>(mut self, statuses: [u16; N]) -> Self {
        self.problems.extend(statuses);
        self
    }

    fn answers(
        mut self,
        status: u16,
        media_type: &'static str,
        schema: Option<fn(&mut SchemaGenerator) -> Value>,
    ) -> Self {
        self.answers.push(Answer {
            status,
            media_type,
            schema,
        });
        self
    }

    /// The operation object of the contract.
    fn openapi(&self, generator: &mut SchemaGenerator) -> Value {
        let mut operation = json!({
            "summary": self.summary,
            "operationId": self.id(),
            "responses": self.responses(generator),
        });
        let parameters = self.parameters();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": body()}}});
        }
        let scheme = match self.access {
            Access::Anyone => return operation,
            Access::Customers | Access::Admins => "accessToken",
            Access::Services => "serviceToken",
        };
        operation["security"] = json!([{scheme: []}]);
        operation
    }

    /// `post_api_orders_id_cancel`
    fn id(&self) -> String {
        let method = self.method.as_str().to_ascii_lowercase();
        let words = self.path.split(|c: char| !c.is_ascii_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .fold(method, |id, word| format!("{id}_{word}"))
    }

    fn parameters(&self) -> Vec<Value> {
        let mut parameters: Vec<_> = path_parameters(self.path).map(path_parameter).collect();
        let query = self.query.map(|schema| schema()).unwrap_or_default();
        let required = query["required"].as_array().cloned().unwrap_or_default();
        for (name, schema) in query["properties"].as_object().into_iter().flatten() {
            // Null is nothing a query string can say.
            let schema = schema["anyOf"].get(0).unwrap_or(schema);
            let required = required.iter().any(|required| required == name);
            // An empty one counts as absent.
            parameters.push(json!({
                "name": name, "in": "query", "required": required, "allowEmptyValue": !required, "schema": schema,
            }));
        }
        for header in &self.headers {
            parameters.push(json!({
                "name": header.name, "in": "header", "required": header.required, "description": header.description,
                "schema": {"type": "string"},
            }));
        }
        parameters
    }

    fn responses(&self, generator: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        for status in self.all_problems() {
            let reference = json!({"$ref": "#/components/schemas/Problem"});
            responses.insert(
                status.to_string(),
                json!({"description": reason(status), "content": {problem::MEDIA_TYPE: {"schema": reference}}}),
            );
        }
        for answer in &self.answers {
            let mut response = json!({"description": reason(answer.status)});
            if !answer.media_type.is_empty() {
                let schema = answer.schema.map_or(json!({}), |schema| schema(generator));
                response["content"] = json!({answer.media_type: {"schema": schema}});
            }
            responses.insert(answer.status.to_string(), response);
        }
        responses.into()
    }

    fn all_problems(&self) -> Vec<u16> {
        let mut problems = self.problems.clone();
        problems.push(503);
        if self.takes_ms > 0 {
            problems.push(504);
        }
        if self.body.is_some() {
            problems.extend([400, 413, 415, 422]);
        }
        if self.query.is_some() {
            problems.push(400);
        }
        if path_parameters(self.path).next().is_some() {
            problems.push(404);
        }
        match self.access {
            Access::Anyone => {}
            Access::Customers => problems.push(401),
            Access::Admins | Access::Services => problems.extend([401, 403]),
        }
        problems.sort_unstable();
        problems.dedup();
        problems
    }
}

/// Lets a request through that somebody will wait for so long.
async fn in_time(
    ms: u32,
    context: Context,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    context.require_time(ms)?;
    Ok(next.run(request).await)
}

impl Routes {
    /// No routes yet, of a service that is for this.
    pub fn new(description: &'static str) -> Self {
        Self {
            description,
            router: Router::new(),
            operations: Vec::new(),
        }
    }

    /// Adds an operation.
    pub fn route(mut self, mut operation: Operation) -> Self {
        if let Some(mut route) = operation.route.take() {
            if let ms @ 1.. = operation.takes_ms {
                route = route.layer(from_fn(move |context, request, next| {
                    in_time(ms, context, request, next)
                }));
            }
            self.router = self.router.route(operation.path, route);
        }
        self.operations.push(operation);
        self
    }

    /// Adds several operations, such as every service has.
    pub fn routes(self, operations: impl IntoIterator<Item = Operation>) -> Self {
        operations.into_iter().fold(self, Self::route)
    }

    /// Adds routes that are no part of the contract, such as pages.
    pub fn merge(mut self, router: Router) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// Changes the router as a whole, such as by a layer.
    pub fn layered(mut self, change: impl FnOnce(Router) -> Router) -> Self {
        self.router = change(self.router);
        self
    }

    /// The contract: an OpenAPI 3.1 document.
    pub fn openapi(&self, service: &str) -> Value {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into());
        let mut generator = settings.for_serialize().into_generator();
        let mut paths = Map::new();
        for operation in &self.operations {
            let method = operation.method.as_str().to_ascii_lowercase();
            let described = operation.openapi(&mut generator);
            paths.entry(operation.path).or_insert_with(|| json!({}))[method] = described;
        }
        let mut schemas = generator.take_definitions(true);
        schemas.insert("Problem".into(), problem::schema());
        json!({
            "openapi": "3.1.0",
            "info": {"title": service, "description": self.description, "version": env!("CARGO_PKG_VERSION")},
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {
                "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "serviceToken": {"type": "apiKey", "in": "header", "name": souk_tokens::HEADER},
            }},
        })
    }

    pub(crate) fn into_router(self) -> Router {
        self.router
    }
}

/// The names between braces.
fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// What is called an id is one of ours; a trace is called as the W3C has it.
fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "trace" => json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        id if id == "id" || id.ends_with("_id") => json!({"type": "string", "format": "uuid"}),
        _ => json!({"type": "string"}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().into()
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;
    use crate::{Json, Query};
    use serde::Serialize;

    struct Filter(Option<i64>);

    impl FromFields for Filter {
        fn from_fields(fields: &mut Fields) -> Self {
            Self(fields.optional("min", fields::whole_number(0..=9)))
        }
    }

    #[derive(Serialize, JsonSchema)]
    struct Thing {
        size: i64,
        inner: Option<Box<Thing>>,
    }

    fn document() -> Value {
        Routes::new("Things.")
            .route(
                get("/things", async |Query(Filter(min))| {
                    min.is_some().to_string()
                })
                .summary("List things")
                .query::<Filter>()
                .returns::<Thing>(200),
            )
            .route(
                put("/things/{id}", async |Json(_): Json<Filter>| "")
                    .body::<Filter>()
                    .for_admins()
                    .header("if-match", "its version", false)
                    .returns_nothing(204)
                    .fails([412]),
            )
            .openapi("things")
    }

    fn statuses(operation: &Value) -> Vec<&str> {
        let responses = operation["responses"].as_object();
        responses
            .into_iter()
            .flatten()
            .map(|(status, _)| status.as_str())
            .collect()
    }

    #[test]
    fn an_operation_declares_what_it_takes_and_gives() {
        let document = document();
        let list = &document["paths"]["/things"]["get"];
        assert_eq!(list["operationId"], "get_things");
        assert_eq!(
            list["parameters"],
            json!([{"name": "min", "in": "query", "required": false, "allowEmptyValue": true,
                "schema": {"type": "integer", "minimum": 0, "maximum": 9}}])
        );
        assert_eq!(
            list["responses"]["200"]["content"]["application/json"]["schema"],
            json!({"$ref": "#/components/schemas/Thing"})
        );
        assert!(document["components"]["schemas"]["Thing"]["properties"]["size"].is_object());
        assert_eq!(statuses(list), ["200", "400", "503"]);
    }

    #[test]
    fn what_follows_from_body_path_and_access_is_declared() {
        let document = document();
        let put = &document["paths"]["/things/{id}"]["put"];
        assert_eq!(
            statuses(put),
            [
                "204", "400", "401", "403", "404", "412", "413", "415", "422", "503"
            ]
        );
        assert_eq!(put["security"], json!([{"accessToken": []}]));
        assert_eq!(put["parameters"][0]["schema"]["format"], "uuid");
        assert_eq!(put["parameters"][1]["name"], "if-match");
        let body = &put["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["additionalProperties"], false);
    }
}
