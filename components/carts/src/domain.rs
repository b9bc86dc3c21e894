//! What a cart is, and the rules it keeps. Pure: no I/O.

pub mod view;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use souk_chassis::Money;
use uuid::Uuid;

/// Different products a cart may have: as many as products and inventory can be asked about at once, and as an order takes.
pub const MOST_LINES: usize = 100;

/// Pieces of a product a cart may have.
pub const MOST_OF_A_PRODUCT: i64 = 99;

/// Seconds a guest's cart is kept after it was last changed.
pub const GUEST_LIFETIME: u64 = 30 * DAY;

/// Seconds an account's cart is kept after it was last changed.
pub const ACCOUNT_LIFETIME: u64 = 90 * DAY;

const DAY: u64 = 24 * 60 * 60;

/// Guests' carts an account remembers having taken over. Only a request that was made at the same time as the one that took a
/// cart over looks for it, so a few are enough.
const REMEMBERED: usize = 10;

/// Orders of it that a cart remembers one by one; of those before it remembers the last.
const REMEMBERED_ORDERS: usize = 20;

/// A cart as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// Counts the changes; never the same twice, so that a compare-and-swap notices each.
    pub version: u64,
    /// Seconds since 1970.
    pub changed_at: u64,
    /// In the order they were added.
    pub lines: Vec<Line>,
    /// Of an account's cart: the guests' carts that it took over last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<Uuid>,
    /// Of an account's cart: the orders whose lines were taken out last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ordered: Vec<Uuid>,
    /// Orders up to this one, which has been forgotten, are done with: their ids sort by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_before: Option<Uuid>,
    /// Of a guest's cart: set once nothing may be changed in it any more, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// What comes of a guest's cart that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// It expired and is to be deleted.
    Expired,
    /// It is this account's, whose cart takes it over.
    Into(String),
}

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub product_id: Uuid,
    pub quantity: i64,
    /// The product as it was when its quantity was set last.
    pub added: Snapshot,
}

/// What a cart remembers of a product, for when the product cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    pub name: String,
    pub image_url: Option<String>,
    pub price: Money,
}

/// A cart has [`MOST_LINES`] lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Cart {
    /// The cart at a moment: one that nobody has changed for its lifetime is an empty one.
    pub fn at(mut self, now: u64, lifetime: u64) -> Self {
        if self.has_expired(now, lifetime) {
            self.lines.clear();
        }
        self
    }

    pub fn has_expired(&self, now: u64, lifetime: u64) -> bool {
        now.saturating_sub(self.changed_at) >= lifetime
    }

    pub fn line(&self, product_id: Uuid) -> Option<&Line> {
        self.place(product_id).map(|place| &self.lines[place])
    }

    fn place(&self, product_id: Uuid) -> Option<usize> {
        self.product_ids().position(|id| id == product_id)
    }

    pub fn product_ids(&self) -> impl Iterator<Item = Uuid> {
        self.lines.iter().map(|line| line.product_id)
    }

    /// Has so many of a product from now on, whatever it had before.
    pub fn put(&mut self, line: Line, now: u64) -> Result<(), Full> {
        match self.place(line.product_id) {
            Some(place) => self.lines[place] = line,
            None if self.lines.len() == MOST_LINES => return Err(Full),
            None => self.lines.push(line),
        }
        self.changed(now);
        Ok(())
    }

    /// Has nothing of a product any more; says whether it had.
    pub fn remove(&mut self, product_id: Uuid, now: u64) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| line.product_id != product_id);
        let removed = self.lines.len() < before;
        if removed {
            self.changed(now);
        }
        removed
    }

    /// Has nothing any more; says whether it had.
    pub fn clear(&mut self, now: u64) -> bool {
        let had = !self.lines.is_empty();
        if had {
            self.lines.clear();
            self.changed(now);
        }
        had
    }

    /// Takes a guest's cart over: quantities add up, as far as a cart may have them. Returns how many products did not fit in,
    /// or nothing if this guest's cart was taken over before.
    pub fn merge(&mut self, guest: Uuid, lines: &[Line], now: u64) -> Option<usize> {
        if self.merged.contains(&guest) {
            return None;
        }
        let mut left_out = 0;
        for line in lines {
            match self.place(line.product_id) {
                Some(place) => {
                    let kept = &mut self.lines[place];
                    kept.quantity = (kept.quantity + line.quantity).min(MOST_OF_A_PRODUCT);
                }
                None if self.lines.len() == MOST_LINES => left_out += 1,
                None => self.lines.push(line.clone()),
            }
        }
        let forgotten = (self.merged.len() + 1).saturating_sub(REMEMBERED);
        self.merged.drain(..forgotten);
        self.merged.push(guest);
        self.changed(now);
        Some(left_out)
    }

    /// Takes out what was ordered, so many of each product, unless that was done for this order before; says whether it did.
    pub fn settle(&mut self, order: Uuid, ordered: &[(Uuid, i64)], now: u64) -> bool {
        if Some(order) <= self.ordered_before || self.ordered.contains(&order) {
            return false;
        }
        for (product_id, quantity) in ordered {
            if let Some(place) = self.place(*product_id) {
                self.lines[place].quantity -= quantity;
            }
        }
        self.lines.retain(|line| line.quantity > 0);
        let forgotten = (self.ordered.len() + 1).saturating_sub(REMEMBERED_ORDERS);
        let forgotten = self.ordered.drain(..forgotten).max();
        self.ordered_before = self.ordered_before.max(forgotten);
        self.ordered.push(order);
        self.changed(now);
        true
    }

    /// Lets nothing be changed any more. What is in it stays, and when it was changed last.
    pub fn close(&mut self, why: Closed) {
        self.closed = Some(why);
        self.version += 1;
    }

    fn changed(&mut self, now: u64) {
        self.version += 1;
        self.changed_at = now;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn line(number: u128, quantity: i64) -> Line {
        let price = Money {
            amount: 100,
            currency: "EUR".into(),
        };
        let added = Snapshot {
            name: format!("Product {number}"),
            image_url: None,
            price,
        };
        Line {
            product_id: id(number),
            quantity,
            added,
        }
    }

    fn cart(lines: &[(u128, i64)]) -> Cart {
        let mut cart = Cart::default();
        for &(number, quantity) in lines {
            cart.put(line(number, quantity), 1000).unwrap();
        }
        cart
    }

    fn quantities(cart: &Cart) -> Vec<(u128, i64)> {
        let lines = cart.lines.iter();
        lines
            .map(|line| (line.product_id.as_u128(), line.quantity))
            .collect()
    }

    #[test]
    fn a_quantity_is_replaced_and_the_line_stays_where_it_is() {
        let mut cart = cart(&[(1, 2), (2, 3)]);
        cart.put(line(1, 7), 1001).unwrap();
        assert_eq!(quantities(&cart), [(1, 7), (2, 3)]);
        assert_eq!((cart.version, cart.changed_at), (3, 1001));
    }

    #[test]
    fn only_what_changes_something_counts_as_a_change() {
        let mut cart = cart(&[(1, 2), (2, 3)]);
        assert!(!cart.remove(id(9), 1001));
        assert_eq!((cart.version, cart.changed_at), (2, 1000));
        assert!(cart.remove(id(1), 1001));
        assert!(cart.clear(1002));
        assert!(!cart.clear(1003));
        assert_eq!((cart.version, cart.changed_at), (4, 1002));
        assert_eq!(quantities(&cart), []);
    }

    #[test]
    fn a_full_cart_takes_no_more_products_but_more_of_one() {
        let numbers: Vec<_> = (0..MOST_LINES as u128).map(|number| (number, 1)).collect();
        let mut cart = cart(&numbers);
        assert_eq!(cart.put(line(1000, 1), 1001), Err(Full));
        assert_eq!(cart.version, 100);
        assert_eq!(cart.put(line(0, 2), 1001), Ok(()));
        assert_eq!(
            cart.merge(id(7), &[line(1000, 1), line(1, 1)], 1002),
            Some(1)
        );
        assert_eq!(cart.lines.len(), MOST_LINES);
        assert_eq!(cart.line(id(1)).unwrap().quantity, 2);
    }

    #[test]
    fn quantities_of_both_carts_add_up_to_what_a_cart_may_have() {
        let mut account = cart(&[(1, 2), (2, 60)]);
        let guest = cart(&[(2, 60), (3, 4)]);
        assert_eq!(account.merge(id(7), &guest.lines, 1001), Some(0));
        assert_eq!(quantities(&account), [(1, 2), (2, 99), (3, 4)]);
        assert_eq!((account.version, account.changed_at), (3, 1001));
    }

    #[test]
    fn a_guests_cart_is_taken_over_once() {
        let mut account = cart(&[]);
        let guest = cart(&[(1, 2)]);
        assert_eq!(account.merge(id(7), &guest.lines, 1001), Some(0));
        let merged = account.clone();
        assert_eq!(account.merge(id(7), &guest.lines, 1002), None);
        assert_eq!(account, merged);
        for other in 8..8 + REMEMBERED as u128 - 1 {
            assert_eq!(account.merge(id(other), &guest.lines, 1002), Some(0));
        }
        assert_eq!(account.merge(id(7), &guest.lines, 1003), None);
        assert_eq!(account.merged.len(), REMEMBERED);
    }

    #[test]
    fn an_expired_cart_is_an_empty_one_of_the_same_version() {
        let cart = cart(&[(1, 2)]);
        let lifetime = GUEST_LIFETIME;
        assert_eq!(cart.clone().at(1000 + lifetime - 1, lifetime), cart);
        let expired = cart.clone().at(1000 + lifetime, lifetime);
        assert_eq!((expired.lines.len(), expired.version), (0, cart.version));
        assert!(!cart.has_expired(0, lifetime), "clocks may go backwards");
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let mut kept = cart(&[(1, 2)]);
        kept.merge(id(7), &[], 1001);
        kept.close(Closed::Into("u".into()));
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Cart>(&text).unwrap(), kept);
        let least = r#"{"version":1,"changed_at":2,"lines":[]}"#;
        assert!(serde_json::from_str::<Cart>(least).is_ok());
    }
}
