//! What people do with the shop, over HTTP, against any base URL.
#![allow(clippy::unwrap_used)]

mod catalogue;
mod door;
mod storefront;
