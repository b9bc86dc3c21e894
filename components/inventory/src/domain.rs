//! What stock and reservations are, and the rules they keep. Pure: no I/O.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::page;
use uuid::Uuid;

/// How long a reservation holds unless told, in seconds.
pub const DEFAULT_EXPIRY: i64 = 15 * 60;

/// The most that can be on hand of a product: far beyond any warehouse, and far from where sums would overflow.
const MAX_ON_HAND: i64 = 1_000_000_000;

/// The stock of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Level {
    #[schemars(with = "String")]
    pub product_id: Uuid,
    /// How many are in the warehouse.
    pub on_hand: i64,
    /// How many of these open reservations hold.
    pub reserved: i64,
    /// How many of these can still be reserved.
    pub available: i64,
}

impl Level {
    pub fn new(product_id: Uuid, on_hand: i64, reserved: i64) -> Self {
        Self {
            product_id,
            on_hand,
            reserved,
            available: on_hand - reserved,
        }
    }
}

/// What an administrator counted.
#[derive(Debug, PartialEq, Eq)]
pub struct NewLevel {
    pub on_hand: i64,
}

impl FromFields for NewLevel {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            on_hand: fields.required("on_hand", fields::whole_number(0..=MAX_ON_HAND)),
        }
    }
}

/// A change of what is on hand: a delivery, a breakage, a theft.
#[derive(Debug, PartialEq, Eq)]
pub struct Adjustment {
    pub delta: i64,
    pub reason: String,
}

impl FromFields for Adjustment {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            delta: fields.required("delta", delta()),
            reason: fields.required("reason", fields::line(1..=200)),
        }
    }
}

fn delta() -> impl Rule<i64, i64> {
    fields::rule(
        || json!({"type": "integer", "minimum": -MAX_ON_HAND, "maximum": MAX_ON_HAND, "not": {"const": 0}}),
        |delta: i64| match delta != 0 && (-MAX_ON_HAND..=MAX_ON_HAND).contains(&delta) {
            true => Ok(delta),
            false => Err(format!(
                "must be a whole number up to {MAX_ON_HAND}, negative or positive, and not 0"
            )),
        },
    )
}

/// A movement of a product's stock.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// Its number among the product's movements, from 1.
    pub version: i64,
    pub kind: Kind,
    /// By how much it changed what is on hand.
    pub on_hand_change: i64,
    /// By how much it changed what is reserved.
    pub reserved_change: i64,
    /// What was on hand after it.
    pub on_hand: i64,
    /// What was reserved after it.
    pub reserved: i64,
    /// The order it was for.
    pub order_id: Option<String>,
    /// Why it was, where an administrator said so.
    pub reason: Option<String>,
    pub at: String,
}

/// What moves stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An administrator said what is on hand.
    Set,
    /// An administrator added or took some.
    Adjusted,
    /// An order holds it.
    Reserved,
    /// An order took it.
    Committed,
    /// An order does not hold it any longer.
    Released,
    /// An order held it for too long.
    Expired,
    /// An order that took it gave it back.
    Returned,
}

/// A product and how many of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    #[schemars(with = "String")]
    pub product_id: Uuid,
    pub quantity: i64,
}

impl FromFields for Line {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            product_id: fields.required("product_id", fields::uuid()),
            quantity: fields.required("quantity", fields::whole_number(1..=9999)),
        }
    }
}

/// What an order wants to hold: each product once, in the order of their ids.
#[derive(Debug, PartialEq, Eq)]
pub struct NewReservation {
    pub lines: Vec<Line>,
    /// For how many seconds.
    pub expires_in: i64,
}

impl FromFields for NewReservation {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            lines: merged(fields.required_list("lines", 1..=100)),
            expires_in: fields
                .optional("expires_in_seconds", fields::whole_number(30..=86_400))
                .unwrap_or(DEFAULT_EXPIRY),
        }
    }
}

/// Two lines of the same product are one of both quantities.
fn merged(lines: Vec<Line>) -> Vec<Line> {
    let mut quantities = BTreeMap::new();
    for line in lines {
        *quantities.entry(line.product_id).or_default() += line.quantity;
    }
    quantities
        .into_iter()
        .map(|(product_id, quantity)| Line {
            product_id,
            quantity,
        })
        .collect()
}

/// What an order holds or held.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reservation {
    #[schemars(with = "String")]
    pub order_id: Uuid,
    pub state: State,
    /// Each product once. Empty where the order was released before it reserved anything.
    pub lines: Vec<Line>,
    /// Until when an open one holds.
    pub expires_at: String,
}

/// How many of a product an order holds.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hold {
    pub order_id: String,
    pub quantity: i64,
    /// Until when.
    pub expires_at: String,
}

/// How far a reservation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It holds its lines.
    Open,
    /// Its lines are taken off the stock.
    Committed,
    /// It was given back, and cannot be had again.
    Released,
    /// It holds nothing any longer; committing or reserving it again takes the stock anew where there is enough.
    Expired,
}

/// A line of which there is not enough.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Shortage {
    pub product_id: Uuid,
    pub requested: i64,
    pub available: i64,
}

/// The lines of which these levels do not have enough. A product of which no stock is kept has none.
pub fn shortages(lines: &[Line], levels: &[Level]) -> Vec<Shortage> {
    let available = |product_id| {
        let level = levels.iter().find(|level| level.product_id == product_id);
        level.map_or(0, |level| level.available)
    };
    let shortages = lines.iter().map(|line| Shortage {
        product_id: line.product_id,
        requested: line.quantity,
        available: available(line.product_id),
    });
    shortages
        .filter(|line| line.available < line.requested)
        .collect()
}

/// Which levels are asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum LevelFilter {
    /// Those of these products.
    Of(Vec<Uuid>),
    /// A page of all, in the order of the products' ids.
    All {
        /// Only where fewer than this are available.
        below: Option<i64>,
        after: Option<Uuid>,
        limit: i64,
    },
}

impl FromFields for LevelFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        let product_ids = fields.optional("product_ids", fields::uuids(100));
        let below = fields.optional("below", fields::whole_number(0..=MAX_ON_HAND));
        let after = fields.optional("cursor", page::cursor());
        let limit = fields
            .optional("limit", page::limit())
            .unwrap_or(page::DEFAULT_LIMIT);
        match product_ids {
            Some(_) if below.is_some() || after.is_some() => {
                fields.error("product_ids", "cannot be combined with below or cursor");
                Self::Of(Vec::new())
            }
            Some(ids) => Self::Of(ids),
            None => Self::All {
                below,
                after,
                limit,
            },
        }
    }
}

/// Whether the books balance.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Audit {
    /// Of how many products stock is kept.
    pub products: i64,
    /// Those whose levels are not what the ledger and the open reservations say, a hundred at most.
    pub mismatches: Vec<Mismatch>,
}

/// A product whose books do not balance.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mismatch {
    #[schemars(with = "String")]
    pub product_id: Uuid,
    pub on_hand: i64,
    pub reserved: i64,
    /// How often its stock has moved.
    pub movements: i64,
    /// What is on hand by the ledger.
    pub ledger_on_hand: i64,
    /// What is reserved by the ledger.
    pub ledger_reserved: i64,
    /// How many movements the ledger has.
    pub ledger_entries: i64,
    /// What open reservations hold together.
    pub held: i64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn line(product: u128, quantity: i64) -> Line {
        Line {
            product_id: id(product),
            quantity,
        }
    }

    fn bad_fields<T: FromFields>(body: Value) -> Vec<String> {
        let errors = fields::from_json::<T>(body).err().unwrap_or_default();
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn lines_are_merged_and_sorted() {
        assert_eq!(
            merged(vec![line(2, 1), line(1, 5), line(2, 3)]),
            [line(1, 5), line(2, 4)]
        );
    }

    #[test]
    fn a_reservation_has_bounds() {
        let with = |quantity: i64, count: usize, seconds: i64| {
            let lines: Vec<_> = (0..count)
                .map(|n| json!({"product_id": id(n as u128), "quantity": quantity}))
                .collect();
            bad_fields::<NewReservation>(json!({"lines": lines, "expires_in_seconds": seconds}))
        };
        assert_eq!(with(1, 1, 30), [""; 0]);
        assert_eq!(with(9999, 100, 86_400), [""; 0]);
        assert_eq!(with(0, 1, 30), ["lines[0].quantity"]);
        assert_eq!(with(10_000, 1, 30), ["lines[0].quantity"]);
        assert_eq!(with(1, 0, 29), ["lines", "expires_in_seconds"]);
        assert_eq!(with(1, 101, 86_401), ["lines", "expires_in_seconds"]);
        let new: NewReservation =
            fields::from_json(json!({"lines": [{"product_id": id(1), "quantity": 2}]})).unwrap();
        assert_eq!(
            new,
            NewReservation {
                lines: vec![line(1, 2)],
                expires_in: DEFAULT_EXPIRY
            }
        );
    }

    #[test]
    fn an_adjustment_changes_something_and_says_why() {
        let bad = |delta: i64, reason: &str| {
            bad_fields::<Adjustment>(json!({"delta": delta, "reason": reason}))
        };
        assert_eq!(bad(-3, "broken"), [""; 0]);
        assert_eq!(bad(0, "counted"), ["delta"]);
        assert_eq!(bad(MAX_ON_HAND + 1, ""), ["delta", "reason"]);
        assert_eq!(bad(-MAX_ON_HAND - 1, "two\nlines"), ["delta", "reason"]);
        assert_eq!(bad_fields::<NewLevel>(json!({"on_hand": -1})), ["on_hand"]);
    }

    #[test]
    fn every_short_line_is_named() {
        let levels = [Level::new(id(1), 10, 7), Level::new(id(2), 2, 0)];
        let short = |product: u128, requested, available| Shortage {
            product_id: id(product),
            requested,
            available,
        };
        assert_eq!(shortages(&[line(1, 3), line(2, 2)], &levels), []);
        assert_eq!(
            shortages(&[line(1, 4), line(2, 2), line(3, 1)], &levels),
            [short(1, 4, 3), short(3, 1, 0)]
        );
    }

    #[test]
    fn a_list_is_of_some_products_or_a_page_of_all() {
        let read = |query: &str| fields::from_query::<LevelFilter>(query);
        let all = |below, limit| LevelFilter::All {
            below,
            after: None,
            limit,
        };
        assert_eq!(read("").unwrap(), all(None, page::DEFAULT_LIMIT));
        assert_eq!(read("below=5&limit=7").unwrap(), all(Some(5), 7));
        assert_eq!(
            read(&format!("product_ids={}", id(1))).unwrap(),
            LevelFilter::Of(vec![id(1)])
        );
        assert_eq!(
            read(&format!("product_ids={}&below=1", id(1))).unwrap_err()[0].field,
            "product_ids"
        );
    }
}
