//! The shop as one process per service: that it is the same shop, and that nobody notices when a process dies, hangs or is restarted.
#![allow(clippy::unwrap_used)]

mod commands;
mod instances;
mod load;
mod shop;
