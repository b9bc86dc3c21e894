//! What the host promises, through its fixture components and over HTTP.
#![allow(clippy::unwrap_used)]

mod capabilities;
mod durability;
mod isolation;
mod lifecycle;
mod redis;
mod routing;
mod start;
mod streams;
