//! What a cart looks like to whoever asks for it: priced, and compared with the stock.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use souk_chassis::Money;
use uuid::Uuid;

use super::{Cart, Line, Snapshot};

/// A cart.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CartView {
    /// Counts the changes; 0 for a cart nobody ever put anything in. It is the cart's ETag as well.
    pub version: u64,
    /// In the order they were added.
    pub items: Vec<Item>,
    /// Pieces, without products that are sold no longer.
    pub item_count: i64,
    /// What the cart costs, without products that are sold no longer: one amount for each currency.
    pub totals: Vec<Money>,
    /// What a guest's cart is known by; only in answers to changes of one.
    pub cart_token: Option<String>,
    /// What is not as it should be in this answer.
    pub warnings: Vec<Warning>,
}

/// So many of a product.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Item {
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub product_id: Uuid,
    /// As it is now, or was when it was added if it cannot be had.
    pub name: String,
    pub image_url: Option<String>,
    pub quantity: i64,
    /// As it is now, or was when it was added if it cannot be had.
    pub unit_price: Money,
    pub line_total: Money,
    /// What one cost when this quantity was set.
    pub price_at_adding: Money,
    /// Whether the price is another one now.
    pub price_changed: bool,
    /// How many there are to be had; null where that is not known.
    pub available: Option<i64>,
    pub status: Status,
}

/// Whether a line can be ordered as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There are as many.
    Available,
    /// There are some, but not as many.
    Insufficient,
    /// There are none.
    OutOfStock,
    /// The product is sold no longer; the line does not count.
    Removed,
    /// Nobody could be asked.
    Unknown,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// What it is about: `products`, `inventory` or `merge`.
    pub part: &'static str,
    pub detail: String,
}

/// What products and inventory know about some products. One that did not answer is none.
#[derive(Debug, Default)]
pub struct Facts {
    /// The products that were asked about.
    pub asked: BTreeSet<Uuid>,
    /// Those that are sold.
    pub products: Option<BTreeMap<Uuid, Snapshot>>,
    /// How many there are of those that stock is kept of.
    pub available: Option<BTreeMap<Uuid, i64>>,
}

impl Facts {
    /// Whether everything that is in the cart was asked about.
    pub fn cover(&self, cart: &Cart) -> bool {
        cart.product_ids().all(|id| self.asked.contains(&id))
    }
}

impl CartView {
    pub fn new(cart: &Cart, facts: &Facts) -> Self {
        let items: Vec<_> = cart
            .lines
            .iter()
            .map(|line| Item::new(line, facts))
            .collect();
        let counted = || items.iter().filter(|item| item.status != Status::Removed);
        let mut totals = BTreeMap::new();
        for Money { amount, currency } in counted().map(|item| &item.line_total) {
            *totals.entry(currency.clone()).or_default() += amount;
        }
        let totals = totals
            .into_iter()
            .map(|(currency, amount)| Money { amount, currency });
        Self {
            version: cart.version,
            item_count: counted().map(|item| item.quantity).sum(),
            totals: totals.collect(),
            cart_token: None,
            warnings: Vec::new(),
            items,
        }
    }
}

impl Item {
    fn new(line: &Line, facts: &Facts) -> Self {
        let id = &line.product_id;
        let products = facts.products.as_ref();
        let product = products.and_then(|products| products.get(id));
        let is_sold = products.map(|_| product.is_some());
        let Snapshot {
            name,
            image_url,
            price,
        } = product.unwrap_or(&line.added).clone();
        let available = facts
            .available
            .as_ref()
            .filter(|_| is_sold != Some(false))
            .map(|available| available.get(id).copied().unwrap_or_default());
        let line_total = Money {
            amount: price.amount.saturating_mul(line.quantity),
            currency: price.currency.clone(),
        };
        Self {
            product_id: *id,
            name,
            image_url,
            quantity: line.quantity,
            price_changed: price != line.added.price,
            unit_price: price,
            line_total,
            price_at_adding: line.added.price.clone(),
            available,
            status: status(is_sold, available, line.quantity),
        }
    }
}

fn status(is_sold: Option<bool>, available: Option<i64>, quantity: i64) -> Status {
    match (is_sold, available) {
        (Some(false), _) => Status::Removed,
        (_, None) => Status::Unknown,
        (_, Some(available)) if available >= quantity => Status::Available,
        (_, Some(1..)) => Status::Insufficient,
        (_, Some(_)) => Status::OutOfStock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn euros(amount: i64) -> Money {
        Money {
            amount,
            currency: "EUR".into(),
        }
    }

    fn snapshot(name: &str, price: Money) -> Snapshot {
        Snapshot {
            name: name.into(),
            image_url: None,
            price,
        }
    }

    /// A cart with so many of each product, all added at 1 euro.
    fn cart(lines: &[(u128, i64)]) -> Cart {
        let line = |&(number, quantity)| Line {
            product_id: id(number),
            quantity,
            added: snapshot("then", euros(100)),
        };
        Cart {
            version: 5,
            lines: lines.iter().map(line).collect(),
            ..Cart::default()
        }
    }

    /// What is known: products with their prices, levels.
    fn facts(products: Option<&[(u128, Money)]>, available: Option<&[(u128, i64)]>) -> Facts {
        let product =
            |(number, price): &(u128, Money)| (id(*number), snapshot("now", price.clone()));
        Facts {
            asked: BTreeSet::new(),
            products: products.map(|products| products.iter().map(product).collect()),
            available: available
                .map(|levels| levels.iter().map(|&(n, level)| (id(n), level)).collect()),
        }
    }

    fn statuses(view: &CartView) -> Vec<Status> {
        view.items.iter().map(|item| item.status).collect()
    }

    #[test]
    fn lines_cost_what_they_cost_now() {
        let facts = facts(
            Some(&[(1, euros(100)), (2, euros(250))]),
            Some(&[(1, 9), (2, 9)]),
        );
        let view = CartView::new(&cart(&[(1, 3), (2, 2)]), &facts);
        assert_eq!((view.version, view.item_count), (5, 5));
        assert_eq!(view.totals, [euros(800)]);
        let [same, dearer] = &view.items[..] else {
            panic!("{view:?}");
        };
        assert!(!same.price_changed);
        assert!(dearer.price_changed);
        assert_eq!(dearer.name, "now");
        assert_eq!(
            (&dearer.unit_price, &dearer.line_total),
            (&euros(250), &euros(500))
        );
        assert_eq!(dearer.price_at_adding, euros(100));
    }

    #[test]
    fn a_line_says_whether_there_is_enough() {
        let prices: Vec<_> = (1..=5).map(|number| (number, euros(100))).collect();
        let facts = facts(Some(&prices), Some(&[(1, 3), (2, 4), (3, 2), (4, 0)]));
        let view = CartView::new(&cart(&[(1, 3), (2, 3), (3, 3), (4, 3), (5, 3)]), &facts);
        use Status::*;
        assert_eq!(
            statuses(&view),
            [Available, Available, Insufficient, OutOfStock, OutOfStock]
        );
        assert_eq!(view.items[2].available, Some(2));
        assert_eq!(view.items[4].available, Some(0));
        assert_eq!(view.totals, [euros(1500)], "it is still in the cart");
    }

    #[test]
    fn a_product_that_is_sold_no_longer_does_not_count() {
        let facts = facts(Some(&[(1, euros(100))]), Some(&[(1, 9), (2, 9)]));
        let view = CartView::new(&cart(&[(1, 1), (2, 4)]), &facts);
        assert_eq!(statuses(&view), [Status::Available, Status::Removed]);
        assert_eq!((view.item_count, &view.totals[..]), (1, &[euros(100)][..]));
        assert_eq!(
            (&*view.items[1].name, view.items[1].available),
            ("then", None)
        );
    }

    #[test]
    fn what_nobody_answers_is_as_it_was_or_unknown() {
        let cart = cart(&[(1, 3)]);
        let no_prices = CartView::new(&cart, &facts(None, Some(&[(1, 1)])));
        assert_eq!(statuses(&no_prices), [Status::Insufficient]);
        assert_eq!(no_prices.totals, [euros(300)]);
        assert!(!no_prices.items[0].price_changed);
        let no_levels = CartView::new(&cart, &facts(Some(&[(1, euros(200))]), None));
        assert_eq!(statuses(&no_levels), [Status::Unknown]);
        assert_eq!(no_levels.totals, [euros(600)]);
    }

    #[test]
    fn each_currency_has_its_total() {
        let yen = Money {
            amount: 7,
            currency: "JPY".into(),
        };
        let facts = facts(Some(&[(1, yen.clone()), (2, euros(5))]), None);
        let view = CartView::new(&cart(&[(1, 1), (2, 1)]), &facts);
        assert_eq!(view.totals, [euros(5), yen]);
        assert_eq!(CartView::new(&cart(&[]), &facts).totals, []);
    }
}
