//! What services tell each other: [CloudEvents](Event), the [outbox](Outbox) they leave a service by, and the [door](Delivered) they
//! come in by.
//!
//! # To publish
//!
//! A trigger of the service's own database writes the event in the very statement that makes the change, so neither is ever there
//! without the other:
//!
//! ```sql
//! CREATE TRIGGER IF NOT EXISTS tell_of_new_products AFTER INSERT ON products BEGIN
//!     INSERT INTO outbox (type, subject, data)
//!     VALUES ('product.created', new.id, json_object('product_id', new.id, 'name', new.name));
//! END;
//! ```
//!
//! The service adds [`MIGRATION`] to its own, before those with such triggers, and names the outbox once:
//!
//! ```
//! use souk_chassis::{Routes, Service};
//! use souk_events::{MIGRATION, Outbox};
//!
//! static OUTBOX: Outbox = Outbox::new("products", &[MIGRATION]);
//!
//! pub static SERVICE: Service =
//!     Service::private("products", || Routes::new("Products.")).afterwards(|context, method| OUTBOX.nudge(context, method));
//! ```
//!
//! From there it reaches the broker by itself: right after the request that made the change, else with any other request, else by
//! [`Outbox::publish`], which `POST /internal/tick` calls. It may be published twice; the broker takes it once, by its id.
//!
//! # To listen
//!
//! The broker's `subscriptions.json` says which types a service gets. They arrive, one at a time, at `POST /internal/events`:
//!
//! ```
//! use http::StatusCode;
//! use serde::Deserialize;
//! use souk_chassis::Problem;
//! use souk_events::Delivered;
//!
//! #[derive(Deserialize)]
//! struct Created { product_id: String }
//!
//! async fn handle(Delivered(event): Delivered) -> Result<StatusCode, Problem> {
//!     if event.kind == "product.created" {
//!         let Created { product_id } = event.data()?;
//!         // ... one statement, which does nothing when it is done again
//!     }
//!     Ok(StatusCode::NO_CONTENT)
//! }
//! ```
//!
//! An answer of 2xx says that the effect is durable. Anything else brings the event again, later; and it can come again after a 2xx
//! too. So every effect is idempotent: by the event's id, by what it is about, or by a version that only grows. Events of one subject
//! come in their order.
//!
//! Events name people by their ids only: what is personal is asked for where it is kept, so that nothing has to be erased from logs.

#[cfg_attr(feature = "native", path = "broker/native.rs")]
#[cfg_attr(not(feature = "native"), path = "broker/network.rs")]
mod broker;
mod event;
mod inbox;
mod outbox;

#[cfg(feature = "native")]
pub use broker::{fail, published};
pub use event::{EVENT_LIMIT, Event, MEDIA_TYPE, SPEC_VERSION};
pub use inbox::{Delivered, operation};
pub use outbox::{MIGRATION, Outbox, source};
