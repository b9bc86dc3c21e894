//! What a customer sends to place an order, and what it costs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::{MAX_AMOUNT, Money, PostalAddress};
use uuid::Uuid;

use super::{Line, Mistake};

/// How many different products an order can have.
pub const MOST_LINES: usize = 100;

/// How much of a product an order can have.
pub const MOST_OF_A_PRODUCT: i64 = 99;

/// The header that makes a request one that can be repeated.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What it takes to place an order.
pub struct NewOrder {
    pub contents: Contents,
    pub shipping_address: PostalAddress,
    pub card: Card,
}

/// What is ordered.
#[derive(Debug, PartialEq, Eq)]
pub enum Contents {
    /// What the customer's cart has.
    Cart,
    /// These; each product once.
    Items(Vec<Item>),
}

/// A product that is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub product_id: String,
    pub quantity: i64,
    /// The field of the request that names it.
    pub field: String,
}

/// A card as it is sent. It goes to payments and nowhere else, so it can be neither printed nor kept.
#[derive(Default, Serialize)]
pub struct Card {
    r#type: String,
    number: String,
    exp_month: i64,
    exp_year: i64,
    cvc: String,
}

struct NewItem {
    product_id: Uuid,
    quantity: i64,
}

impl FromFields for NewOrder {
    fn from_fields(fields: &mut Fields) -> Self {
        let items = fields.optional_list::<NewItem>("items", 1..=MOST_LINES);
        let cart = fields.optional("cart", fields::boolean()).unwrap_or(false);
        let contents = match (items, cart) {
            (Some(items), false) => merged(fields, items),
            (None, true) => Contents::Cart,
            _ => {
                fields.error("items", "must be there, or else `cart` must be true");
                Contents::Cart
            }
        };
        Self {
            contents,
            shipping_address: fields.required_object("shipping_address"),
            card: fields.required_object("payment_method"),
        }
    }
}

impl FromFields for NewItem {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            product_id: fields.required("product_id", fields::uuid()),
            quantity: fields.required("quantity", fields::whole_number(1..=MOST_OF_A_PRODUCT)),
        }
    }
}

impl FromFields for Card {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            r#type: fields.required("type", fields::one_of(&["card"])),
            number: fields.required("number", digits(12..=19, "^[0-9]{12,19}$")),
            exp_month: fields.required("exp_month", fields::whole_number(1..=12)),
            exp_year: fields.required("exp_year", fields::whole_number(2000..=2100)),
            cvc: fields.required("cvc", digits(3..=4, "^[0-9]{3,4}$")),
        }
    }
}

impl Card {
    fn last4(&self) -> &str {
        let start = self.number.len().saturating_sub(4);
        self.number.get(start..).unwrap_or_default()
    }
}

/// Digits alone; what people put between them for the eye is taken off.
fn digits(
    length: std::ops::RangeInclusive<usize>,
    pattern: &'static str,
) -> impl Rule<String, String> {
    fields::rule(
        move || json!({"type": "string", "pattern": pattern}),
        move |text: String| {
            let digits = text.replace([' ', '-'], "");
            let sane = length.contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
            match sane {
                true => Ok(digits),
                false => Err(format!(
                    "must have {} to {} digits",
                    length.start(),
                    length.end()
                )),
            }
        },
    )
}

/// Makes one of items that name the same product.
fn merged(fields: &mut Fields, items: Vec<NewItem>) -> Contents {
    let mut merged: Vec<Item> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let product_id = item.product_id.to_string();
        let known = merged.iter_mut().find(|it| it.product_id == product_id);
        let quantity = match known {
            Some(known) => {
                known.quantity += item.quantity;
                known.quantity
            }
            None => {
                merged.push(Item {
                    product_id,
                    quantity: item.quantity,
                    field: format!("items[{index}].product_id"),
                });
                item.quantity
            }
        };
        if quantity > MOST_OF_A_PRODUCT {
            let detail = format!("must not exceed {MOST_OF_A_PRODUCT} of a product altogether");
            fields.error(&format!("items[{index}].quantity"), detail);
        }
    }
    Contents::Items(merged)
}

impl NewOrder {
    /// What tells this request from another one with the same idempotency key.
    ///
    /// It is kept, so nothing a card could be recovered from may go into it: with the issuer known and the last four digits
    /// beside it there are few enough card numbers to try them all, so even a hash of one gives it away. Of the card there are
    /// the last four digits and the expiry date alone; two cards that share those count as the same.
    pub fn hash(&self) -> String {
        let items = match &self.contents {
            Contents::Cart => json!("cart"),
            Contents::Items(items) => items
                .iter()
                .map(|item| json!([item.product_id, item.quantity]))
                .collect(),
        };
        let card = &self.card;
        let request = json!({
            "items": items,
            "shipping_address": self.shipping_address,
            "card": [card.last4(), card.exp_month, card.exp_year],
        });
        format!("{:x}", Sha256::digest(request.to_string()))
    }
}

/// The key of a request that can be repeated, or what is wrong with it.
pub fn idempotency_key(value: Option<&[u8]>) -> Result<String, &'static str> {
    let value = value.ok_or(
        "send a header `Idempotency-Key` with a value of your own for this order, such as a UUID: \
         whoever sends the request again with the same key gets the same order and not a second one",
    )?;
    let sane = (1..=255).contains(&value.len()) && value.iter().all(|c| (b' '..=b'~').contains(c));
    match std::str::from_utf8(value) {
        Ok(key) if sane => Ok(key.to_owned()),
        _ => Err("the header `Idempotency-Key` must have 1 to 255 printable ASCII characters"),
    }
}

/// What an order needs to know of a product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Product {
    pub id: String,
    pub name: String,
    pub price: Money,
}

/// What an order's lines cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub lines: Vec<Line>,
    pub total: Money,
}

/// Prices items, or names each that cannot be ordered.
pub fn quote(items: &[Item], products: &[Product]) -> Result<Quote, Vec<Mistake>> {
    let products: BTreeMap<_, _> = products.iter().map(|it| (it.id.as_str(), it)).collect();
    let (mut lines, mut mistakes) = (Vec::new(), Vec::new());
    for item in items {
        match products.get(item.product_id.as_str()) {
            Some(product) => lines.push(priced(item, product)),
            None => mistakes.push(Mistake {
                field: item.field.clone(),
                detail: format!("there is no product {}", item.product_id),
            }),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let total = total(&lines).map_err(|detail| {
        let field = "items".into();
        vec![Mistake { field, detail }]
    })?;
    Ok(Quote { lines, total })
}

fn priced(item: &Item, product: &Product) -> Line {
    let amount = product.price.amount.saturating_mul(item.quantity);
    Line {
        product_id: item.product_id.clone(),
        name: Some(product.name.clone()),
        quantity: item.quantity,
        unit_price: Some(product.price.clone()),
        line_total: Some(Money {
            amount,
            currency: product.price.currency.clone(),
        }),
    }
}

fn total(lines: &[Line]) -> Result<Money, String> {
    let mut totals = lines.iter().filter_map(|line| line.line_total.clone());
    let mut total = totals.next().unwrap_or_default();
    for money in totals {
        if money.currency != total.currency {
            return Err("must all be priced in the same currency".into());
        }
        total.amount = total.amount.saturating_add(money.amount);
    }
    match total.amount <= MAX_AMOUNT {
        true => Ok(total),
        false => Err("cost more than can be paid at once".into()),
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    const CHAIR: &str = "018f0000-0000-7000-8000-00000000000a";
    const TABLE: &str = "018f0000-0000-7000-8000-00000000000b";

    pub fn body() -> Value {
        json!({
            "items": [{"product_id": CHAIR, "quantity": 2}, {"product_id": TABLE, "quantity": 1}],
            "shipping_address": {
                "name": "Ada", "line1": "1 Main St", "city": "Paris", "postal_code": "75001", "country": "FR"},
            "payment_method": {
                "type": "card", "number": "4242 4242 4242 4242", "exp_month": 12, "exp_year": 2040, "cvc": "123"},
        })
    }

    fn read(change: impl FnOnce(&mut Value)) -> Result<NewOrder, Vec<String>> {
        let mut body = body();
        change(&mut body);
        let read = fields::from_json(body);
        read.map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    fn hash(change: impl FnOnce(&mut Value)) -> String {
        read(change)
            .unwrap_or_else(|fields| panic!("{fields:?}"))
            .hash()
    }

    fn refused(change: impl FnOnce(&mut Value)) -> Vec<String> {
        read(change).err().unwrap_or_default()
    }

    #[test]
    fn items_that_name_the_same_product_become_one() {
        let order = read(|body| body["items"][1]["product_id"] = json!(CHAIR.to_uppercase()));
        let Ok(Contents::Items(items)) = order.map(|order| order.contents) else {
            panic!("items");
        };
        assert_eq!((items.len(), items[0].quantity), (1, 3));
        let too_many = refused(|body| {
            body["items"] = json!([{"product_id": CHAIR, "quantity": 60}, {"product_id": CHAIR, "quantity": 40}]);
        });
        assert_eq!(too_many, ["items[1].quantity"]);
    }

    #[test]
    fn either_items_or_the_cart_are_ordered() {
        let cart = |body: &mut Value| {
            body.as_object_mut().unwrap().remove("items");
            body["cart"] = json!(true);
        };
        assert_eq!(read(cart).ok().unwrap().contents, Contents::Cart);
        assert_eq!(refused(|body| body["cart"] = json!(true)), ["items"]);
        assert_eq!(
            refused(|body| drop(body.as_object_mut().unwrap().remove("items"))),
            ["items"]
        );
        assert_eq!(refused(|body| body["items"] = json!([])), ["items"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let bad = refused(|body| {
            body["items"][0]["quantity"] = json!(100);
            body["shipping_address"]["country"] = json!("France");
            body["payment_method"]["number"] = json!("4242x");
            body["payment_method"]["cvc"] = json!(123);
        });
        assert_eq!(
            bad,
            [
                "items[0].quantity",
                "shipping_address.country",
                "payment_method.number",
                "payment_method.cvc"
            ]
        );
    }

    #[test]
    fn the_hash_tells_requests_apart_but_not_cards() {
        let first = hash(|_| {});
        assert_eq!(
            first,
            hash(|body| body["payment_method"]["number"] = json!("4242424242424242"))
        );
        assert_ne!(first, hash(|body| body["items"][0]["quantity"] = json!(3)));
        assert_ne!(
            first,
            hash(|body| body["shipping_address"]["city"] = json!("Lyon"))
        );
        assert_ne!(
            first,
            hash(|body| body["payment_method"]["number"] = json!("4000000000000002"))
        );
        assert_ne!(
            first,
            hash(|body| body["payment_method"]["exp_month"] = json!(11))
        );
        // Nothing but the last four digits of the number, and nothing of the code, goes in: what differs there alone is the same.
        assert_eq!(
            first,
            hash(|body| body["payment_method"]["number"] = json!("5555555555554242"))
        );
        assert_eq!(
            first,
            hash(|body| body["payment_method"]["cvc"] = json!("999"))
        );
    }

    #[test]
    fn a_key_is_printable() {
        assert_eq!(idempotency_key(Some(b"a b~1")), Ok("a b~1".into()));
        assert!(
            idempotency_key(None)
                .unwrap_err()
                .contains("Idempotency-Key")
        );
        for odd in [&b""[..], b"a\tb", "\u{e9}".as_bytes(), &[b'a'; 256]] {
            assert!(idempotency_key(Some(odd)).is_err(), "{odd:?}");
        }
    }

    fn item(product_id: &str, quantity: i64) -> Item {
        Item {
            product_id: product_id.into(),
            quantity,
            field: format!("the field of {product_id}"),
        }
    }

    fn product(id: &str, amount: i64, currency: &str) -> Product {
        Product {
            id: id.into(),
            name: id.to_uppercase(),
            price: Money {
                amount,
                currency: currency.into(),
            },
        }
    }

    #[test]
    fn lines_are_priced_and_summed_up() {
        let products = [product("b", 5, "EUR"), product("a", 100, "EUR")];
        let quote = quote(&[item("a", 3), item("b", 2)], &products).unwrap();
        assert_eq!(quote.total.amount, 310);
        assert_eq!(quote.total.currency, "EUR");
        assert_eq!(quote.lines[0].name.as_deref(), Some("A"));
        assert_eq!(quote.lines[0].line_total.as_ref().unwrap().amount, 300);
    }

    #[test]
    fn what_cannot_be_ordered_is_named() {
        let mistakes = |products: &[Product]| -> Vec<String> {
            let mistakes = quote(&[item("a", 3), item("b", 2)], products).unwrap_err();
            mistakes.into_iter().map(|it| it.field).collect()
        };
        assert_eq!(mistakes(&[product("a", 1, "EUR")]), ["the field of b"]);
        assert_eq!(mistakes(&[]).len(), 2);
        assert_eq!(
            mistakes(&[product("a", 1, "EUR"), product("b", 1, "USD")]),
            ["items"]
        );
        let dear = [
            product("a", MAX_AMOUNT, "EUR"),
            product("b", i64::MAX, "EUR"),
        ];
        assert_eq!(mistakes(&dear), ["items"]);
    }
}
