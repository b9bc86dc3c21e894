//! Somebody who buys.

use crate::{Reply, Shop, unique};
use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What a login gives.
#[derive(Debug, Clone)]
pub struct Session {
    /// Shows who one is.
    pub access_token: String,
    /// Is good for the next session.
    pub refresh_token: String,
}

impl Session {
    /// Reads the shop's answer.
    ///
    /// # Panics
    /// When there are no tokens in it.
    pub fn of(answer: &Value) -> Self {
        let token = |name: &str| {
            let token = answer[name].as_str();
            token
                .unwrap_or_else(|| panic!("no {name} in {answer}"))
                .to_owned()
        };
        Self {
            access_token: token("access_token"),
            refresh_token: token("refresh_token"),
        }
    }
}

/// A customer who is logged in.
pub struct Customer<'a> {
    shop: &'a Shop,
    /// The account's id.
    pub id: String,
    /// What to log in with.
    pub email: String,
    /// What to log in with.
    pub password: String,
    /// The session that requests are made in.
    pub session: Session,
}

impl<'a> Customer<'a> {
    /// Opens an account.
    pub(crate) fn register(shop: &'a Shop) -> Self {
        let email = format!("{}@souk.example", unique("customer"));
        let password = unique("a password");
        let body = json!({"email": email, "password": password, "name": "A Customer"});
        let reply = shop.send("POST", "/api/users", &body);
        assert_eq!(reply.status, 201, "{}", reply.text);
        let session = shop.log_in(&email, &password);
        Self {
            shop,
            id: reply.json()["id"].as_str().expect("an id").to_owned(),
            email,
            password,
            session,
        }
    }

    /// A request in the customer's name.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.shop.request(method, path);
        request.bearer_auth(&self.session.access_token)
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> Reply {
        Reply::to(self.request("GET", path))
    }

    /// The answer to a request with a JSON body.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        Reply::to(self.request(method, path).json(body))
    }

    /// The answer to a request without a body, such as a DELETE.
    pub fn act(&self, method: &str, path: &str) -> Reply {
        Reply::to(self.request(method, path))
    }

    /// Places an order, so many of each product, to be paid with this card.
    pub fn order(&self, items: &[(&str, i64)], card: &str) -> Reply {
        self.place(&unique("order"), &order(items, card))
    }

    /// Places an order under a key of one's own.
    pub fn place(&self, key: &str, body: &Value) -> Reply {
        let request = self.request("POST", "/api/orders");
        Reply::to(request.header("idempotency-key", key).json(body))
    }

    /// An order that is confirmed, at once or, on a busy machine, a little later; its id.
    ///
    /// # Panics
    /// When it is not.
    pub fn buy(&self, items: &[(&str, i64)]) -> String {
        let reply = self.order(items, cards::GOOD);
        assert!(matches!(reply.status, 201 | 202), "{}", reply.text);
        let order = reply.json()["id"].as_str().expect("an id").to_owned();
        self.wait_for(&order, "confirmed");
        order
    }

    /// The order, once it has this status.
    ///
    /// # Panics
    /// When it has another one for 30 seconds.
    pub fn wait_for(&self, order: &str, status: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.get(&format!("/api/orders/{order}")).json();
            if found["status"] == status {
                return found;
            }
            assert!(Instant::now() < deadline, "no {status} order: {found}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the customer was told about an order, newest first.
    pub fn notifications(&self, order: &str) -> Vec<Value> {
        let list = self
            .get(&format!("/api/notifications?order_id={order}"))
            .json();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// What the customer was told about an order, of this kind, once that has come.
    ///
    /// # Panics
    /// When it does not come for 30 seconds.
    pub fn wait_for_notification(&self, order: &str, kind: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let all = self.notifications(order);
            if let Some(found) = all.iter().find(|it| it["kind"] == kind) {
                return found.clone();
            }
            assert!(Instant::now() < deadline, "no {kind} in {all:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The payment of an order; null where there is none.
    pub fn payment(&self, order: &str) -> Value {
        let list = self.get(&format!("/api/payments?order_id={order}")).json();
        list["items"][0].clone()
    }

    /// The payment of an order, once it has this status.
    ///
    /// # Panics
    /// When it has another one for 30 seconds.
    pub fn wait_for_payment(&self, order: &str, status: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let payment = self.payment(order);
            if payment["status"] == status {
                return payment;
            }
            assert!(Instant::now() < deadline, "no {status} payment: {payment}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The body of an order: so many of each product, paid with this card.
pub fn order(items: &[(&str, i64)], card: &str) -> Value {
    let item =
        |(product, quantity): &(&str, i64)| json!({"product_id": product, "quantity": quantity});
    json!({
        "items": items.iter().map(item).collect::<Vec<_>>(),
        "shipping_address": address(),
        "payment_method": payment_method(card),
    })
}

/// Where to ship to.
pub fn address() -> Value {
    json!({"name": "A Customer", "line1": "Market Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE"})
}

/// What to pay with: a card with this number.
pub fn payment_method(number: &str) -> Value {
    json!({"type": "card", "number": number, "exp_month": 12, "exp_year": 2099, "cvc": "737"})
}

/// The sandbox's cards.
pub mod cards {
    /// Always good.
    pub const GOOD: &str = "4242424242424242";
    /// Declined.
    pub const DECLINED: &str = "4000000000000002";
    /// Declined for lack of money.
    pub const POOR: &str = "4000000000009995";
    /// Cannot be authorized for a while.
    pub const LATE: &str = "4000000000000119";
    /// Is authorized, and then the money cannot be had.
    pub const UNCAPTURABLE: &str = "4000000000000341";

    /// The number of a good card that no other test has: 16 digits that pass Luhn's check.
    ///
    /// # Panics
    /// Never: all characters are digits.
    pub fn distinctive() -> String {
        let random = uuid::Uuid::now_v7().as_u128() % 100_000_000_000;
        let digits = format!("4929{random:011}");
        let sum: u32 = digits
            .chars()
            .rev()
            .enumerate()
            .map(|(place, digit)| (place, digit.to_digit(10).expect("a digit")))
            .map(|(place, digit)| {
                if place % 2 == 0 {
                    digit * 2 / 10 + digit * 2 % 10
                } else {
                    digit
                }
            })
            .sum();
        format!("{digits}{}", (10 - sum % 10) % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::cards::distinctive;

    #[test]
    fn distinctive_cards_pass_luhns_check() {
        let sum = |number: &str| -> u32 {
            let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0'));
            let doubled = |(place, digit)| match place % 2 {
                0 => digit,
                _ => [0, 2, 4, 6, 8, 1, 3, 5, 7, 9][digit as usize],
            };
            digits.enumerate().map(doubled).sum()
        };
        assert_eq!(sum("4242424242424242") % 10, 0);
        for _ in 0..100 {
            let number = distinctive();
            assert_eq!((number.len(), sum(&number) % 10), (16, 0), "{number}");
        }
        assert_ne!(distinctive(), distinctive());
    }
}
