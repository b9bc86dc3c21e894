//! What people do with the shop, over HTTP, against any base URL.
#![allow(clippy::unwrap_used)]

mod accounts;
mod authorization;
mod card_data;
mod cart;
mod catalogue;
mod checkout;
mod console;
mod door;
mod events;
mod hidden;
mod idempotency;
mod limits;
mod metrics;
mod notifications;
mod oversell;
mod payment_provider;
mod refunds;
mod resilience;
mod shopping;
mod storefront;
mod trace;
