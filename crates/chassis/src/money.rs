//! Money.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{self, Fields, FromFields};

/// The largest amount: far beyond any price, and far from where sums would overflow.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// An amount of money.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// In the currency's minor unit.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

impl FromFields for Money {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            amount: fields.required("amount", fields::whole_number(0..=MAX_AMOUNT)),
            currency: fields.required("currency", fields::currency()),
        }
    }
}
