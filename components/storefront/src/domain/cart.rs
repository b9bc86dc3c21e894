//! The cart as the pages show it.

use serde::Deserialize;

use super::{Money, picture};

/// Pieces of a product that a cart may have.
pub const MOST_OF_A_PRODUCT: i64 = 99;

/// A cart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Cart {
    /// In the order they were added.
    pub items: Vec<Line>,
    /// How many pieces.
    pub item_count: i64,
    /// What it costs, in each currency.
    pub totals: Vec<Money>,
    /// What a guest's cart is known by; only in answers to changes of one.
    pub cart_token: Option<String>,
}

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// Which product.
    pub product_id: String,
    /// What it is called.
    pub name: String,
    /// Where its picture is.
    pub image_url: Option<String>,
    /// How many.
    pub quantity: i64,
    /// What one costs now.
    pub unit_price: Money,
    /// What all of them cost now.
    pub line_total: Money,
    /// What one cost when it was put into the cart.
    pub price_at_adding: Money,
    /// Whether that is not the price any more.
    pub price_changed: bool,
    /// How many there are, where that is known.
    pub available: Option<i64>,
    /// Whether it can be ordered.
    pub status: Status,
}

/// Whether a line can be ordered as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There are as many.
    Available,
    /// There are some, but not as many.
    Insufficient,
    /// There are none.
    OutOfStock,
    /// It is sold no longer.
    Removed,
    /// Nobody could be asked.
    #[serde(other)]
    Unknown,
}

impl Cart {
    /// Whether nothing in it is in the way of an order. What nobody could be asked about is seen to when it is ordered.
    pub fn can_be_ordered(&self) -> bool {
        !self.items.is_empty() && self.items.iter().all(Line::can_be_ordered)
    }

    /// How many of a product it has.
    pub fn quantity_of(&self, product_id: &str) -> i64 {
        let line = self.items.iter().find(|line| line.product_id == product_id);
        line.map_or(0, |line| line.quantity)
    }
}

impl Line {
    /// Whether this can be ordered as it is.
    pub fn can_be_ordered(&self) -> bool {
        matches!(self.status, Status::Available | Status::Unknown)
    }

    /// The address of its product's page.
    pub fn href(&self) -> String {
        format!("/products/{}", self.product_id)
    }

    /// The address of its picture.
    pub fn picture(&self) -> &str {
        picture(self.image_url.as_deref())
    }

    /// What is in the way of ordering it, in words.
    pub fn obstacle(&self) -> Option<String> {
        match (self.status, self.available) {
            (Status::Insufficient, Some(available)) => {
                Some(format!("Only {available} left. Please take fewer."))
            }
            (Status::Insufficient, None) => Some("There are not as many left.".into()),
            (Status::OutOfStock, _) => Some("Out of stock. Please remove it to go on.".into()),
            (Status::Removed, _) => Some("No longer sold. Please remove it to go on.".into()),
            (Status::Available | Status::Unknown, _) => None,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn line(status: Status, available: Option<i64>) -> Line {
        let euros = |amount| Money {
            amount,
            currency: "EUR".into(),
        };
        Line {
            product_id: "p1".into(),
            name: "Bowl".into(),
            image_url: None,
            quantity: 3,
            unit_price: euros(500),
            line_total: euros(1500),
            price_at_adding: euros(400),
            price_changed: true,
            available,
            status,
        }
    }

    pub fn cart(lines: Vec<Line>) -> Cart {
        Cart {
            item_count: lines.iter().map(|line| line.quantity).sum(),
            totals: lines.iter().map(|line| line.line_total.clone()).collect(),
            items: lines,
            cart_token: None,
        }
    }

    #[test]
    fn what_cannot_be_had_stands_in_the_way() {
        let can = |lines| cart(lines).can_be_ordered();
        assert!(can(vec![line(Status::Available, Some(3))]));
        assert!(can(vec![line(Status::Unknown, None)]));
        assert!(!can(Vec::new()));
        for status in [Status::Insufficient, Status::OutOfStock, Status::Removed] {
            let short = line(status, Some(1));
            assert!(short.obstacle().is_some());
            assert!(!can(vec![line(Status::Available, Some(3)), short]));
        }
        let short = line(Status::Insufficient, Some(2));
        assert!(short.obstacle().is_some_and(|text| text.contains("Only 2")));
    }
}
