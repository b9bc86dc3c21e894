//! Everything that is kept: the log, how far each consumer has come, what is held back.

mod sqlite;

pub use sqlite::*;

use crate::domain::Item;

/// A consumer whose lease was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub consumer: String,
    /// How often in a row it took nothing.
    pub failures: i64,
}

/// What there is to do for a consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// What is held back and due, and what comes next in the log, in the order of the log.
    pub items: Vec<Item>,
    /// How far the log was read.
    pub scanned: i64,
    /// Whether the log was read any further than before.
    pub advances: bool,
}

impl Work {
    pub fn is_nothing(&self) -> bool {
        self.items.is_empty() && !self.advances
    }
}

/// What became of events that were sent to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Appended {
    /// How many are in the log now that were not before.
    pub appended: usize,
    /// How many were there already.
    pub known: usize,
}
