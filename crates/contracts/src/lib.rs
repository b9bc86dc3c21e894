//! For tests: holds a service to its OpenAPI document and to what its consumers expect.
//!
//! [`Ask`] puts a request to a service inside the test's own process, and checks every answer against the document that the
//! service generates from its code: a status that is not declared, or a body that does not fit its schema, fails the test.
//!
//! ```
//! use souk_chassis::{Json, Page, Routes, Service, get};
//! use souk_contracts::Ask;
//!
//! static SERVICE: Service = Service::private("numbers", || {
//!     Routes::new("Numbers.").route(get("/api/numbers", async || Json(Page::whole(vec![1, 2]))).returns::<Page<i64>>(200))
//! });
//!
//! let answer = Ask::of(&SERVICE).send("GET", "/api/numbers");
//! assert_eq!((answer.status, answer.body["items"][1].as_i64()), (200, Some(2)));
//! ```
//!
//! [`replay`] is the provider's half of consumer-driven contracts (Ian Robinson, *Consumer-Driven Contracts*, 2006). A
//! consumer keeps `components/<consumer>/contracts/<provider>.json`: the requests it makes, and the least it needs in the
//! answers. The provider's test makes those requests:
//!
//! ```json
//! {"consumer": "orders", "provider": "inventory", "interactions": [
//!   {"description": "reserves what an order needs", "given": "a product with 10 in stock",
//!    "request": {"method": "PUT", "path": "/internal/reservations/{order_id}", "as": {"service": "orders"},
//!                "body": {"lines": [{"product_id": "{product_id}", "quantity": 2}]}},
//!    "response": {"status": 201, "body": {"state": "=open"}}}]}
//! ```
//!
//! - `given` names a state, which the provider's test sets up; what that returns fills the `{placeholders}`.
//! - `as` says who calls: a `service`, and the `user` and `role` it acts for.
//! - `response.body` is the least that must be there: fields of the same JSON type, each item of a list like the first one of the
//!   example; a string that begins with `=` must be equal to the rest.
//!
//! [`wrong_with_events`] does the same for events: a producer keeps a JSON Schema for each, a consumer what it needs of those it
//! listens to (`components/<consumer>/contracts/listens.json`).

mod ask;
mod conformance;
mod events;
mod replay;

pub use ask::{Answer, Ask, deliver};
pub use events::{Listens, listeners, schemas, wrong_with, wrong_with_events};
pub use replay::{Interaction, interactions, missing, replay};
