//! The service as its callers see it, on a store in memory.
#![allow(clippy::unwrap_used)]

mod events;
mod merging;
pub mod neighbours;

use std::collections::BTreeMap;

use http::header;
use serde_json::{Value, json};
use souk_chassis::context::now;
use souk_contracts::{Answer, Ask};
use uuid::Uuid;

use crate::SERVICE;
use crate::domain::{ACCOUNT_LIFETIME, Cart, GUEST_LIFETIME};
use neighbours::{asked, down, sell, when_asked, withdraw};
use souk_keyvalue::memory as bucket;

const ANNA: &str = "018f0000-0000-7000-8000-00000000000a";
const BERT: &str = "018f0000-0000-7000-8000-00000000000b";

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The path of a product in the cart.
fn item(number: u128) -> String {
    format!("/api/cart/items/{}", id(number))
}

/// Products 1 to 5, at 1 to 5 euros; 10 in stock of each.
fn shop() {
    for number in 1..=5 {
        sell(
            id(number),
            &format!("Product {number}"),
            number as i64 * 100,
            10,
        );
    }
}

/// Who asks.
#[derive(Clone, Default)]
struct Client {
    user: Option<&'static str>,
    token: Option<String>,
    cookie: Option<String>,
}

impl Client {
    fn user(user: &'static str) -> Self {
        Self {
            user: Some(user),
            ..Self::default()
        }
    }

    /// A guest who puts this into a cart, and keeps the token.
    fn guest_with(number: u128, quantity: i64) -> Self {
        let answer = Self::default().put(number, quantity);
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self {
            token: answer.body["cart_token"].as_str().map(Into::into),
            ..Self::default()
        }
    }

    /// The same browser, signed in.
    fn signed_in(&self, user: &'static str) -> Self {
        Self {
            user: Some(user),
            ..self.clone()
        }
    }

    /// The same guest, by cookie.
    fn by_cookie(&self) -> Self {
        Self {
            user: self.user,
            token: None,
            cookie: self.token.clone(),
        }
    }

    fn ask(&self) -> Ask {
        let mut ask = Ask::of(&SERVICE);
        ask = match self.user {
            Some(user) => ask.user(user),
            None => ask.service("gateway"),
        };
        if let Some(token) = &self.token {
            ask = ask.header("x-cart-token", token);
        }
        if let Some(token) = &self.cookie {
            ask = ask.header("cookie", &format!("theme=dark; souk_cart={token}"));
        }
        ask
    }

    fn get(&self) -> Answer {
        self.ask().send("GET", "/api/cart")
    }

    fn put(&self, number: u128, quantity: i64) -> Answer {
        let body = json!({"quantity": quantity});
        self.ask().json(body).send("PUT", &item(number))
    }

    fn remove(&self, number: u128) -> Answer {
        self.ask().send("DELETE", &item(number))
    }

    fn clear(&self) -> Answer {
        self.ask().send("DELETE", "/api/cart")
    }

    /// What is in the cart: numbers of products and quantities.
    fn cart(&self) -> Vec<(u128, i64)> {
        let answer = self.get();
        assert_eq!(answer.status, 200, "{}", answer.text);
        contents(&answer)
    }
}

fn contents(answer: &Answer) -> Vec<(u128, i64)> {
    let items = answer.body["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let id: Uuid = item["product_id"].as_str().unwrap().parse().unwrap();
            (id.as_u128(), item["quantity"].as_i64().unwrap())
        })
        .collect()
}

/// Changes the kept cart of a user behind the service's back.
fn meddle(key: &str, change: impl FnOnce(&mut Cart)) {
    let mut cart: Cart = serde_json::from_slice(&bucket::value(key).unwrap()).unwrap();
    change(&mut cart);
    bucket::write(key, &serde_json::to_vec(&cart).unwrap());
}

fn account(user: &str) -> String {
    format!("account:{user}")
}

#[test]
fn a_customer_fills_changes_and_empties_a_cart() {
    shop();
    let anna = Client::user(ANNA);
    assert_eq!(anna.put(1, 2).status, 200);
    let answer = anna.put(2, 1);
    assert_eq!(contents(&answer), [(1, 2), (2, 1)]);
    assert_eq!(
        answer.body["totals"],
        json!([{"amount": 400, "currency": "EUR"}])
    );
    assert_eq!(answer.body["item_count"], 3);
    assert_eq!(answer.body["warnings"], json!([]));
    let line = &answer.body["items"][0];
    assert_eq!(line["name"], "Product 1");
    assert_eq!(
        line["line_total"],
        json!({"amount": 200, "currency": "EUR"})
    );
    assert_eq!(
        (&line["available"], &line["status"]),
        (&json!(10), &json!("available"))
    );
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");

    assert_eq!(contents(&anna.put(1, 5)), [(1, 5), (2, 1)]);
    assert_eq!(contents(&anna.remove(1)), [(2, 1)]);
    assert_eq!(contents(&anna.remove(1)), [(2, 1)], "and once more");
    assert_eq!(anna.cart(), [(2, 1)]);
    assert_eq!(anna.clear().status, 204);
    assert_eq!(anna.clear().status, 204);
    assert_eq!(anna.cart(), []);
    assert_eq!(Client::user(BERT).cart(), []);
}

#[test]
fn what_is_no_quantity_or_no_product_is_refused() {
    shop();
    let anna = Client::user(ANNA);
    for quantity in [
        json!(0),
        json!(100),
        json!(-1),
        json!(1.5),
        json!("2"),
        Value::Null,
    ] {
        let ask = anna.ask().json(json!({"quantity": quantity}));
        let answer = ask.send("PUT", &item(1));
        assert_eq!(answer.status, 422, "{quantity}");
        assert_eq!(answer.body["errors"][0]["field"], "quantity");
    }
    assert_eq!(anna.put(1, 99).status, 200);
    assert_eq!(anna.put(9, 1).status, 404);
    let ask = anna.ask().json(json!({"quantity": 1}));
    assert_eq!(ask.send("PUT", "/api/cart/items/x").status, 404);
    assert_eq!(anna.cart(), [(1, 99)]);
}

#[test]
fn a_guest_who_only_looks_leaves_nothing_behind() {
    let answer = Client::default().get();
    assert_eq!(contents(&answer), []);
    assert_eq!(answer.headers[header::ETAG], "\"0\"");
    assert_eq!(answer.body["cart_token"], Value::Null);
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert_eq!(Client::default().remove(1).status, 200);
    assert_eq!(Client::default().clear().status, 204);
    assert_eq!(bucket::keys(""), Vec::<String>::new());
    assert_eq!(asked(), 0);
}

#[test]
fn a_guests_cart_is_known_by_its_token_in_header_or_cookie() {
    shop();
    let answer = Client::default().put(1, 2);
    let token = answer.body["cart_token"].as_str().unwrap();
    assert_eq!(answer.headers["x-cart-token"], token);
    assert_eq!(
        answer.headers[header::SET_COOKIE],
        format!("souk_cart={token}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax")
    );
    let by_header = Client {
        token: Some(token.into()),
        ..Client::default()
    };
    let by_cookie = by_header.by_cookie();
    let again = by_cookie.put(2, 1);
    assert_eq!(again.body["cart_token"], token, "the cookie lives on");
    assert_eq!(by_header.cart(), [(1, 2), (2, 1)]);
    assert_eq!(by_cookie.cart(), [(1, 2), (2, 1)]);
    assert_eq!(contents(&by_cookie.remove(1)), [(2, 1)]);
    assert_eq!(by_cookie.clear().status, 204);
    assert_eq!(by_header.cart(), []);
    assert_eq!(bucket::keys("guest:").len(), 1);
}

#[test]
fn a_forged_token_is_an_error_in_the_header_and_nothing_in_the_cookie() {
    shop();
    let token = Client::guest_with(1, 2).token.unwrap();
    let other = if token.ends_with('A') { 'B' } else { 'A' };
    let forged = Client {
        token: Some(format!("{}{other}", &token[..63])),
        ..Client::default()
    };
    assert_ne!(forged.token.as_ref(), Some(&token));
    for answer in [
        forged.get(),
        forged.put(1, 1),
        forged.remove(1),
        forged.clear(),
    ] {
        assert_eq!(answer.status, 400);
    }
    assert_eq!(forged.signed_in(ANNA).get().status, 400);
    assert_eq!(forged.by_cookie().cart(), []);
    let new = forged.by_cookie().put(3, 1);
    assert_eq!(contents(&new), [(3, 1)]);
    assert_ne!(new.body["cart_token"], token);
}

#[test]
fn lines_are_marked_when_prices_or_stock_changed() {
    shop();
    let anna = Client::user(ANNA);
    for number in 1..=4 {
        anna.put(number, 4);
    }
    sell(id(1), "Product one", 150, 10);
    sell(id(2), "Product 2", 200, 3);
    sell(id(3), "Product 3", 300, 0);
    withdraw(id(4));
    let answer = anna.get();
    let of = |field: &str| -> Vec<Value> {
        let items = answer.body["items"].as_array().unwrap().iter();
        items.map(|item| item[field].clone()).collect()
    };
    let statuses = ["available", "insufficient", "out_of_stock", "removed"];
    assert_eq!(of("status"), statuses);
    assert_eq!(of("price_changed"), [true, false, false, false]);
    assert_eq!(
        of("available"),
        [json!(10), json!(3), json!(0), Value::Null]
    );
    assert_eq!(answer.body["items"][0]["name"], "Product one");
    assert_eq!(answer.body["items"][0]["price_at_adding"]["amount"], 100);
    assert_eq!(answer.body["totals"][0]["amount"], 600 + 800 + 1200);
    // Whoever sets the quantity again has seen the price.
    assert_eq!(anna.put(1, 4).body["items"][0]["price_changed"], false);
    assert_eq!(anna.put(4, 1).status, 404);
    assert_eq!(
        anna.put(3, 5).status,
        200,
        "more than there are is marked only"
    );
}

#[test]
fn a_cart_is_shown_as_well_as_it_can_be() {
    shop();
    let anna = Client::user(ANNA);
    anna.put(1, 2);
    sell(id(1), "Product one", 150, 1);
    let parts = |answer: &Answer| -> Vec<Value> {
        let warnings = answer.body["warnings"].as_array().unwrap().iter();
        warnings.map(|warning| warning["part"].clone()).collect()
    };
    down(&["products"]);
    let answer = anna.get();
    assert_eq!(parts(&answer), ["products"]);
    let line = &answer.body["items"][0];
    assert_eq!(
        (&line["name"], &line["unit_price"]["amount"]),
        (&json!("Product 1"), &json!(100))
    );
    assert_eq!(line["status"], "insufficient");

    down(&["inventory"]);
    let answer = anna.get();
    assert_eq!(parts(&answer), ["inventory"]);
    let line = &answer.body["items"][0];
    assert_eq!(
        (&line["unit_price"]["amount"], &line["status"]),
        (&json!(150), &json!("unknown"))
    );

    down(&["products", "inventory"]);
    assert_eq!(parts(&anna.get()), ["products", "inventory"]);
    let refused = anna.put(2, 1);
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    // What is known already may be had more or less of.
    let changed = anna.put(1, 7);
    assert_eq!(contents(&changed), [(1, 7)]);
    assert_eq!(changed.body["items"][0]["price_at_adding"]["amount"], 100);
    assert_eq!(contents(&anna.remove(1)), []);
}

#[test]
fn a_full_cart_takes_no_other_product() {
    for number in 1..=101 {
        sell(id(number), "X", 100, 1);
    }
    let anna = Client::user(ANNA);
    for number in 1..=100 {
        assert_eq!(anna.put(number, 1).status, 200);
    }
    let answer = anna.put(101, 1);
    assert_eq!(answer.status, 409);
    assert_eq!(answer.body["type"], "urn:souk:problem:cart-full");
    assert_eq!(anna.put(100, 2).status, 200);
    assert_eq!(anna.cart().len(), 100);

    let merged = Client::guest_with(101, 1).signed_in(ANNA).get();
    assert_eq!(merged.body["warnings"][0]["part"], "merge");
    assert_eq!(contents(&merged).len(), 100);
}

#[test]
fn changes_made_at_once_are_all_there() {
    shop();
    let anna = Client::user(ANNA);
    anna.put(1, 1);
    bucket::before_swap(|| {
        shop();
        Client::user(ANNA).put(2, 1);
    });
    let answer = anna.put(3, 1);
    assert_eq!(contents(&answer), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(
        answer.body["items"][1]["status"], "available",
        "asked about as well"
    );
    assert_eq!(anna.cart(), [(1, 1), (2, 1), (3, 1)]);

    bucket::before_swap(|| {
        shop();
        Client::user(ANNA).put(4, 1);
    });
    assert_eq!(contents(&anna.remove(1)), [(2, 1), (3, 1), (4, 1)]);
}

#[test]
fn of_those_who_make_an_accounts_cart_at_once_one_does() {
    shop();
    let anna = Client::user(ANNA);
    bucket::before_swap(|| {
        shop();
        let answer = Client::user(ANNA).put(2, 1);
        assert_eq!(answer.status, 503, "it waits, but not for ever");
    });
    assert_eq!(contents(&anna.put(1, 1)), [(1, 1)]);
    assert_eq!(contents(&anna.put(2, 1)), [(1, 1), (2, 1)]);
    assert_eq!(bucket::keys("claim:"), Vec::<String>::new());
}

#[test]
fn what_was_added_while_products_were_asked_is_there() {
    shop();
    when_asked(|| {
        shop();
        Client::user(ANNA).put(2, 1);
    });
    assert_eq!(contents(&Client::user(ANNA).put(1, 1)), [(2, 1), (1, 1)]);
}

#[test]
fn a_change_that_others_always_come_before_is_given_up() {
    shop();
    let anna = Client::user(ANNA);
    anna.put(1, 1);
    for _ in 0..100 {
        bucket::before_swap(|| meddle(&account(ANNA), |cart| cart.version += 1));
    }
    let answer = anna.put(2, 1);
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
}

#[test]
fn only_the_cart_that_was_seen_is_cleared() {
    shop();
    let anna = Client::user(ANNA);
    let clear_if = |tag: &str| {
        let ask = Client::user(ANNA).ask().header("if-match", tag);
        ask.send("DELETE", "/api/cart").status
    };
    assert_eq!(clear_if("\"0\""), 204);
    anna.put(1, 1);
    let seen = anna.get().headers[header::ETAG]
        .to_str()
        .unwrap()
        .to_owned();
    anna.put(2, 1);
    assert_eq!(clear_if(&seen), 412);
    assert_eq!(clear_if("rubbish"), 412);
    assert_eq!(anna.cart(), [(1, 1), (2, 1)]);

    let seen = anna.get().headers[header::ETAG]
        .to_str()
        .unwrap()
        .to_owned();
    bucket::before_swap(|| {
        shop();
        Client::user(ANNA).put(3, 1);
    });
    assert_eq!(
        clear_if(&seen),
        412,
        "something was added at the last moment"
    );
    assert_eq!(anna.cart().len(), 3);
    assert_eq!(clear_if("*"), 204);
    assert_eq!(clear_if(&seen), 412);
    assert_eq!(anna.cart(), []);
}

#[test]
fn carts_expire() {
    shop();
    let anna = Client::user(ANNA);
    anna.put(1, 1);
    meddle(&account(ANNA), |cart| {
        cart.changed_at = now() - ACCOUNT_LIFETIME + 60
    });
    assert_eq!(anna.cart(), [(1, 1)]);
    meddle(&account(ANNA), |cart| {
        cart.changed_at = now() - ACCOUNT_LIFETIME
    });
    assert_eq!(anna.cart(), []);
    assert_eq!(contents(&anna.put(2, 1)), [(2, 1)]);

    let guest = Client::guest_with(1, 1);
    let key = bucket::keys("guest:")[0].clone();
    meddle(&key, |cart| cart.changed_at = now() - GUEST_LIFETIME);
    assert_eq!(guest.cart(), []);
    assert_eq!(guest.signed_in(ANNA).cart(), [(2, 1)]);
}

#[test]
fn a_tick_sweeps_and_may_be_called_by_anybody() {
    let tick = || Ask::of(&SERVICE).send("POST", "/internal/tick").status;
    assert_eq!(tick(), 204);
    assert_eq!(tick(), 204);
    assert!(bucket::value("sweep").is_some());
}

#[test]
fn a_store_that_does_not_answer_is_one_to_ask_again() {
    bucket::fail(Some("get"));
    let answer = Client::user(ANNA).get();
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
}

#[test]
fn consumers_get_what_they_need() {
    souk_contracts::replay(&SERVICE, |given| {
        shop();
        let product_id = id(1).to_string();
        let values: &[(&str, String)] = match given {
            "nothing" => &[],
            "a guest's cart" => &[("cart_token", Client::guest_with(1, 2).token.unwrap())],
            "a customer's cart" => {
                let version = Client::user(ANNA).put(1, 2).body["version"].to_string();
                &[
                    ("user_id", ANNA.to_owned()),
                    ("product_id", product_id),
                    ("version", version),
                ]
            }
            other => panic!("nobody knows how to set up {other:?}"),
        };
        let values = values.iter();
        values
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect::<BTreeMap<_, _>>()
    });
}
