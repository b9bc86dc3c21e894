//! A service's own key-value store, with compare-and-swap: `wasi:keyvalue`, the interface of Spin's stores that has atomic operations.
//!
//! ```no_run
//! use souk_keyvalue::{Bucket, Error};
//!
//! /// Adds a visitor to the list, whoever else is about to.
//! fn note(visitor: &str) -> Result<(), Error> {
//!     let bucket = Bucket::open("visits")?;
//!     loop {
//!         let (swap, seen) = bucket.look("visitors")?;
//!         let mut list = seen.unwrap_or_default();
//!         list.extend(visitor.as_bytes());
//!         if swap.swap(&list)? {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```
//!
//! Its functions wait where they are called, and the instance does nothing else meanwhile. A read costs one call to the host, which in
//! most cases answers at once.
//!
//! Tests of a service turn on the feature `native` in their dev-dependencies: then every test has a store in [`memory`].

#[cfg(feature = "native")]
pub mod memory;
#[cfg(not(feature = "native"))]
mod spin;

#[cfg(feature = "native")]
pub use memory::{Bucket, Swap, pause};
#[cfg(not(feature = "native"))]
pub use spin::{Bucket, Swap, pause};

/// What the store says that did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key-value store: {0}")]
pub struct Error(pub String);
