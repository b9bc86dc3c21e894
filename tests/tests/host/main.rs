//! What the host promises, through its fixture components and over HTTP.
#![allow(clippy::unwrap_used)]

mod backends;
mod capabilities;
mod durability;
mod faults;
mod isolation;
mod lifecycle;
mod redis;
mod register;
mod routing;
mod start;
mod streams;
