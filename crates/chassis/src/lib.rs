//! What every Souk service stands on.
//!
//! A service is a table of [`Routes`] and a [`Service`] around it:
//!
//! ```no_run
//! use souk_chassis::{Context, Problem, Routes, Service, get};
//!
//! pub static SERVICE: Service = Service::private("greetings", routes);
//!
//! souk_chassis::export!(SERVICE);
//!
//! fn routes() -> Routes {
//!     Routes::new("Greetings.").route(get("/api/greetings", greet).summary("A greeting").for_services())
//! }
//!
//! async fn greet(context: Context) -> Result<String, Problem> {
//!     match context.caller.and_then(|caller| caller.service) {
//!         Some(service) => Ok(format!("hello {service}")),
//!         None => Err(Problem::unauthorized("greetings are for services")),
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # What the frame does
//!
//! - **The request [`Context`]**: every request has an id (the caller's `x-request-id` if it is a sane one, else a new UUIDv7),
//!   which is on the response, in every problem and in the log. A *private* service reads who is calling off the
//!   [service token](souk_tokens); one that is not to be believed is answered 401 before any route is looked at.
//! - **Errors** are RFC 9457 problems. A handler returns a [`Problem`]; unknown paths (404), wrong methods (405 with `allow`)
//!   and whatever else `axum` answers in plain text become problems as well. What caused one is logged and not sent.
//! - **The deadline** of whoever waits arrives with a request, in the context, and goes on with every call. What is over is answered 504
//!   before anything is begun, and so is what [takes](Operation::takes) longer than there is time.
//! - **Input** is read by [`Json`], [`Query`] and [`Path`], which reject as problems; the first two name every bad
//!   field at once (see [`fields`]). [`Admin`] and [`SignedIn`] as arguments let only those through.
//! - **The contract** at `GET /openapi.json` is generated from the [`Routes`] and from the rules that check the input.
//! - **Lists** are [`Page`]s.
//! - **Who a request comes from**, with proxies in front or without, is in [`address`].
//! - **The log** is JSON lines, written by the macros of `tracing`; each says which request it is written for (see [`log`]).
//! - **[Spans](span)** are what takes its time where the host does not see it, by the macros of `tracing` too.
//! - **`GET /healthz`** says that the service answers.
//! - **[Gauges](gauges)**: what a service states about itself in numbers is one function, and the gateway makes metrics of it.
//! - **Work after an answer**, such as publishing what a request has changed, is named once, by [`Service::afterwards`].
//!
//! An instance serves up to 16 requests at once on one thread, and many after each other. The router is built once per
//! instance, [`variables`] are read once, and nothing is borrowed or locked across an `await`.
//!
//! A component is built with `panic = "abort"`: a panic ends the instance, and the host (or the gateway, when it is the called
//! service that ends) answers for it. So services do not panic on input; lints forbid `unwrap`.

pub mod address;
pub mod background;
pub mod backoff;
pub mod context;
mod extract;
pub mod fields;
pub mod gauges;
mod load;
pub mod log;
mod money;
pub mod page;
mod postal_address;
pub mod problem;
mod routes;
mod service;
pub mod span;
mod traceparent;
pub mod variables;
pub mod wire;

pub use context::{Admin, Caller, Context, SignedIn};
pub use extract::{BODY_LIMIT, Json, Path, Query, json_body};
pub use load::Load;
pub use money::{MAX_AMOUNT, Money};
pub use page::Page;
pub use postal_address::PostalAddress;
pub use problem::{FieldError, Problem};
pub use routes::{Operation, Routes, delete, get, patch, post, put};
pub use service::Service;
pub use traceparent::Traceparent;
