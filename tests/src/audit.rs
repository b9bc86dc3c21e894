//! The auditor: whether the books of a shop balance, once it is at rest.
//!
//! It reads the databases of the services beside each other, which none of them can ([`books`]), and asks the public API like
//! anybody else ([`api`]). It changes nothing but by repeating requests with their keys, which is to change nothing.

mod api;
mod books;
mod checks;
mod log;

pub use api::cart_of;
pub use books::PUBLISHERS;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

use crate::{Account, Caller};

/// What clients know of a shop: who they are, and what they were answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answers {
    /// Who may see everything.
    pub admin: Account,
    /// All customers, also those that are gone.
    pub customers: Vec<Known>,
    /// What was said to be done.
    pub promises: Vec<Promise>,
}

/// A customer, and what they were answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Known {
    /// What to log in with.
    pub account: Account,
    /// Whether they have deleted their account.
    pub is_gone: bool,
    /// Products and quantities that are in the cart, as far as they know for certain; what they ordered is not.
    pub cart: Option<Vec<(String, i64)>>,
    /// Their orders that were answered for good.
    pub orders: Vec<Placed>,
}

/// A request that placed an order, and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Placed {
    /// Its idempotency key.
    pub key: String,
    /// What was sent.
    pub body: Value,
    /// 201, 402 or 409.
    pub status: u16,
    /// The body of the answer.
    pub answer: Value,
}

impl Placed {
    /// The order it is about.
    pub fn order_id(&self) -> Option<&str> {
        let field = if self.status == 201 { "id" } else { "order_id" };
        self.answer[field].as_str()
    }
}

/// Something that a client was told is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// This order was cancelled.
    Cancelled(String),
    /// This order was shipped.
    Shipped(String),
    /// This order was delivered.
    Delivered(String),
    /// The stock of this product was adjusted under this key by so many.
    Adjusted(String, String, i64),
    /// Of this payment, so much was given back under this key.
    Refunded(String, String, i64),
    /// This product was made.
    Made(String),
    /// This product was deleted.
    Deleted(String),
}

/// What an audit has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What does not fit, each with the name of the check and the ids.
    pub discrepancies: Vec<String>,
    /// What was compared, in numbers.
    pub compared: String,
}

/// Where a shop's books are.
pub struct Books<'a> {
    /// The folder of the databases.
    pub state_dir: &'a Path,
    /// Where the log of events can be asked for, and as whom, if it is not in a database of that folder.
    pub log: Option<(&'a str, &'a Account)>,
}

/// Audits a shop: its books, and the API at a URL.
pub fn run(url: &str, books: &Books<'_>, answers: &Answers) -> Findings {
    let mut found = run_offline(books, answers);
    found.take(api::compare(url, answers));
    found
}

/// Audits the books alone.
pub fn run_offline(books: &Books<'_>, answers: &Answers) -> Findings {
    let mut found = Findings::default();
    match books::open(books.state_dir, books.admin().as_mut()) {
        Ok(books) => found.take(books::compare(&books, answers)),
        Err(error) => found.complain("books", format!("they cannot be read: {error}")),
    }
    found
}

/// What has not come to rest yet in a shop; empty when an audit makes sense.
pub fn unrest(books: &Books<'_>) -> Vec<String> {
    look(books).unwrap_or_else(|error| vec![error])
}

/// Looks at everything, one after the other: that makes one picture only if nothing was published meanwhile.
fn look(books: &Books<'_>) -> Result<Vec<String>, String> {
    let mut admin = books.admin();
    let opened = books::open(books.state_dir, admin.as_mut())?;
    let end = || books::end_of_log(&opened).map_err(|error| error.to_string());
    let before = end()?;
    let mut found = books::unrest(&opened).map_err(|error| error.to_string())?;
    let after = match &mut admin {
        Some(admin) => log::end(admin)?,
        None => end()?,
    };
    if after != before {
        found.push(format!(
            "events: the log went on from {before:?} to {after:?}"
        ));
    }
    Ok(found)
}

impl Books<'_> {
    /// Who asks for the log, if it has to be asked for.
    fn admin(&self) -> Option<Caller> {
        let (url, account) = self.log?;
        Some(Caller::new(url, account.clone()))
    }
}

impl Findings {
    fn complain(&mut self, check: &str, what: impl std::fmt::Display) {
        self.discrepancies.push(format!("{check}: {what}"));
    }

    fn take(&mut self, other: Self) {
        self.discrepancies.extend(other.discrepancies);
        if !self.compared.is_empty() {
            self.compared.push_str(", ");
        }
        self.compared.push_str(&other.compared);
    }
}
