//! Clients that do what people do with a shop, and go on whatever happens to it: what was not answered they ask again, with the same
//! key, until it is.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use souk_tests::audit::{Answers, Known, Placed, Promise, cart_of};
use souk_tests::{Account, Caller, Reply, address, cards, order, payment_method};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::plan;
use crate::site::{self, Catalogue};

/// How many wishes of a client are open at a time.
const MOST_OPEN: usize = 6;

/// How long a client insists on something that is done at once or not at all.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long it takes until everything is answered once the shop stays.
const LAST: Duration = Duration::from_secs(120);

/// What the clients of a run have in common.
pub struct Load<'a> {
    pub url: &'a str,
    pub seed: u64,
    pub catalogue: &'a Catalogue,
    /// How long a client thinks between two requests, at most, in milliseconds.
    pub pause: u64,
    /// Whether the clients wait for all answers before they come to an end.
    pub is_patient: bool,
    /// Whether they are to come to an end; where they are patient, the shop stays from now on.
    pub over: &'a AtomicBool,
}

impl Load<'_> {
    /// Lets so many customers and one clerk do what they do until it is over, and says what they were answered.
    pub fn run(&self, customers: u64) -> Answers {
        let clients: Vec<_> = (1..=customers)
            .map(|number| Client::new(self, number))
            .collect();
        let collector = self.collector();
        let mut answers = Answers {
            admin: site::admin(),
            customers: Vec::new(),
            promises: Vec::new(),
        };
        std::thread::scope(|scope| {
            let clerk = scope.spawn(|| Clerk::new(self).work());
            let clients: Vec<_> = clients
                .into_iter()
                .map(|client| scope.spawn(|| client.live()))
                .collect();
            for client in clients {
                let (known, promises) = client.join().expect("a client that came to its end");
                answers.customers.extend(known);
                answers.promises.extend(promises);
            }
            answers
                .promises
                .extend(clerk.join().expect("a clerk who came to an end"));
        });
        answers.customers.push(collector);
        answers
    }

    /// Somebody who has put into the cart what is going to be deleted, and does nothing else.
    fn collector(&self) -> Known {
        let mut known = nobody(account(0, 0));
        let mut caller = Caller::new(self.url, known.account.clone());
        caller.register().expect("a shop that is there");
        for product in &self.catalogue.doomed {
            let path = format!("/api/cart/items/{product}");
            let put = json!({"quantity": 1});
            let cart = caller.insist(PATIENCE, "PUT", &path, None, &put);
            known.cart = cart.map(|cart| cart_of(&cart.json()));
        }
        known
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn think(&self, numbers: &mut StdRng) {
        std::thread::sleep(Duration::from_millis(numbers.random_range(0..=self.pause)));
    }
}

/// Sends the clients home when it is dropped, also by a test that fails: it would wait for them for ever.
pub struct Closing<'a>(pub &'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Something that a client wants, and asks for until it is answered for good.
struct Wish {
    path: String,
    key: String,
    body: Value,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Order,
    OrderOfTheCart,
    Cancel,
}

/// A customer; when they have deleted their account, another one.
struct Client<'a> {
    load: &'a Load<'a>,
    number: u64,
    numbers: StdRng,
    caller: Caller,
    known: Known,
    gone: Vec<Known>,
    promises: Vec<Promise>,
    open: Vec<Wish>,
    wishes: usize,
}

impl<'a> Client<'a> {
    fn new(load: &'a Load<'a>, number: u64) -> Self {
        let account = account(number, 0);
        Self {
            load,
            number,
            numbers: plan::numbers(load.seed, number),
            caller: Caller::new(load.url, account.clone()),
            known: nobody(account),
            gone: Vec::new(),
            promises: Vec::new(),
            open: Vec::new(),
            wishes: 0,
        }
    }

    /// Lives, and says what it was told.
    fn live(mut self) -> (Vec<Known>, Vec<Promise>) {
        self.arrive();
        while !self.load.is_over() {
            self.act();
            self.load.think(&mut self.numbers);
        }
        let deadline = Instant::now() + LAST;
        while self.load.is_patient && !self.open.is_empty() {
            self.ask_again();
            let (number, left) = (self.number, self.open.len());
            assert!(
                Instant::now() < deadline,
                "client {number}: {left} wishes without an answer"
            );
        }
        if self
            .open
            .iter()
            .any(|wish| wish.what == What::OrderOfTheCart)
        {
            self.known.cart = None; // Nobody knows whether it was ordered.
        }
        self.gone.push(self.known);
        (self.gone, self.promises)
    }

    fn arrive(&mut self) {
        let deadline = Instant::now() + LAST;
        while self.caller.register().is_none() {
            assert!(Instant::now() < deadline, "nobody can register");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// One thing at a time. The plan is the same whatever the shop answers; only what it makes of it is not.
    fn act(&mut self) {
        let choice = self.numbers.random_range(0..100);
        if self.open.len() >= MOST_OPEN || choice % 3 == 0 {
            self.ask_again();
        }
        match choice {
            0..55 => self.order(),
            55..70 => self.order_the_cart(),
            70..84 => self.cancel(),
            84..99 => self.look_around(),
            _ => self.leave(),
        }
    }

    fn order(&mut self) {
        let card = card(&mut self.numbers, true);
        let mut items = Vec::new();
        for _ in 0..self.numbers.random_range(1..=2) {
            let product = match self.numbers.random_range(0..10) {
                0..2 => self.load.catalogue.scarce.choose(&mut self.numbers),
                2 => self.load.catalogue.doomed.choose(&mut self.numbers),
                _ => self.load.catalogue.plenty.choose(&mut self.numbers),
            };
            let product = product.unwrap().as_str();
            if items.iter().all(|(other, _)| *other != product) {
                items.push((product, self.numbers.random_range(1..=3)));
            }
        }
        self.wish(What::Order, "/api/orders", order(&items, card));
    }

    /// Fills the cart and orders it, unless it is not yet as it is to be after the last time.
    fn order_the_cart(&mut self) {
        let card = card(&mut self.numbers, false);
        let product = self
            .load
            .catalogue
            .plenty
            .choose(&mut self.numbers)
            .unwrap();
        let quantity = self.numbers.random_range(1..=3);
        let is_being_ordered = self
            .open
            .iter()
            .any(|wish| wish.what == What::OrderOfTheCart);
        let cart = self.caller.ask("GET", "/api/cart", None, &Value::Null);
        let cart = cart.map(|reply| cart_of(&reply.json()));
        if is_being_ordered || cart.is_none() || cart != self.known.cart {
            return;
        }
        let path = format!("/api/cart/items/{product}");
        let put = json!({"quantity": quantity});
        let put = self.caller.insist(PATIENCE, "PUT", &path, None, &put);
        let Some(cart) = put.filter(|reply| reply.status == 200) else {
            self.known.cart = None; // It may be there or not.
            return;
        };
        self.known.cart = Some(cart_of(&cart.json()));
        let body = json!({"cart": true, "shipping_address": address(), "payment_method": payment_method(card)});
        self.wish(What::OrderOfTheCart, "/api/orders", body);
    }

    fn cancel(&mut self) {
        let confirmed = self
            .known
            .orders
            .iter()
            .filter(|placed| placed.status == 201);
        let confirmed: Vec<_> = confirmed.filter_map(Placed::order_id).collect();
        let order = confirmed
            .choose(&mut self.numbers)
            .map(|id| (*id).to_owned());
        if let Some(order) = order {
            self.wish(
                What::Cancel,
                &format!("/api/orders/{order}/cancel"),
                Value::Null,
            );
        }
    }

    fn look_around(&mut self) {
        let paths = [
            "/api/orders",
            "/api/products",
            "/api/cart",
            "/api/notifications",
            "/api/home",
        ];
        let path = paths.choose(&mut self.numbers).unwrap();
        self.caller.ask("GET", path, None, &Value::Null);
    }

    /// Deletes the account, whatever is under way, and comes back as somebody else.
    fn leave(&mut self) {
        let deadline = Instant::now() + LAST;
        loop {
            let reply = self
                .caller
                .send("DELETE", "/api/users/me", None, &Value::Null);
            match reply.map(|reply| reply.status) {
                // Who is gone already is not known any more.
                Some(204 | 401) => break,
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
            assert!(Instant::now() < deadline, "nobody can leave");
        }
        self.open.clear();
        let account = account(self.number, self.gone.len() + 1);
        let mut known = std::mem::replace(&mut self.known, nobody(account.clone()));
        known.is_gone = true;
        self.gone.push(known);
        self.caller = Caller::new(self.load.url, account);
        self.arrive();
    }

    fn wish(&mut self, what: What, path: &str, body: Value) {
        self.wishes += 1;
        let wish = Wish {
            path: path.to_owned(),
            key: format!("client-{}-wish-{}", self.number, self.wishes),
            body,
            what,
        };
        self.ask_for(wish);
    }

    fn ask_again(&mut self) {
        if !self.open.is_empty() {
            let oldest = self.open.remove(0);
            self.ask_for(oldest);
        }
    }

    fn ask_for(&mut self, wish: Wish) {
        let reply = self
            .caller
            .ask("POST", &wish.path, Some(&wish.key), &wish.body);
        match reply {
            Some(reply) if wish.is_answered(&reply) => self.note(wish, &reply),
            _ => {
                self.open.push(wish);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn note(&mut self, wish: Wish, reply: &Reply) {
        if wish.what == What::Cancel {
            if reply.status == 200 {
                let order = reply.json()["id"].as_str().unwrap().to_owned();
                self.promises.push(Promise::Cancelled(order));
            }
            return;
        }
        if wish.what == What::OrderOfTheCart && reply.status == 201 {
            self.known.cart = Some(Vec::new());
        }
        // A request that made no sense made no order either: a product was deleted meanwhile.
        if reply.status != 422 {
            self.known.orders.push(Placed {
                key: wish.key,
                body: wish.body,
                status: reply.status,
                answer: reply.json(),
            });
        }
    }
}

impl Wish {
    /// Whether this is the last word.
    fn is_answered(&self, reply: &Reply) -> bool {
        match self.what {
            What::Cancel => reply.status != 202,
            _ if reply.status == 422 => {
                assert_eq!(reply.problem(), "validation", "{}", reply.text);
                true
            }
            _ => {
                let is_known = matches!(reply.status, 201 | 202 | 402 | 409);
                assert!(
                    is_known,
                    "{} for {}: {}",
                    reply.status, self.key, reply.text
                );
                // That the cart is being ordered by another request is over soon.
                reply.status == 201 || reply.json()["order_id"].is_string()
            }
        }
    }
}

/// Good cards for the most part. Where `any` is not asked for, none that is confirmed and then not charged.
fn card(numbers: &mut StdRng, any: bool) -> &'static str {
    match numbers.random_range(0..100) {
        0..55 => cards::GOOD,
        55..68 => cards::DECLINED,
        68..76 => cards::POOR,
        76..88 if any => cards::UNCAPTURABLE,
        _ => cards::LATE,
    }
}

fn account(client: u64, times: usize) -> Account {
    Account {
        email: format!("client-{client}-{times}@souk.example"),
        password: format!("the password of client {client}"),
    }
}

fn nobody(account: Account) -> Known {
    Known {
        account,
        is_gone: false,
        cart: Some(Vec::new()),
        orders: Vec::new(),
    }
}

/// The administrator at work: prices, stock, shipments, refunds.
struct Clerk<'a> {
    load: &'a Load<'a>,
    numbers: StdRng,
    caller: Caller,
    promises: Vec<Promise>,
    works: usize,
    deleted: usize,
}

impl<'a> Clerk<'a> {
    fn new(load: &'a Load<'a>) -> Self {
        Self {
            load,
            numbers: plan::numbers(load.seed, 1_000),
            caller: Caller::new(load.url, site::admin()),
            promises: Vec::new(),
            works: 0,
            deleted: 0,
        }
    }

    fn work(mut self) -> Vec<Promise> {
        while !self.load.is_over() {
            self.works += 1;
            match self.numbers.random_range(0..100) {
                0..20 => self.restock(),
                20..35 => self.set_a_price(),
                35..43 => self.make_a_product(),
                43..50 => self.delete_a_product(),
                50..75 => self.ship(),
                75..90 => self.deliver(),
                _ => self.refund(),
            }
            self.load.think(&mut self.numbers);
        }
        self.promises
    }

    /// The answer, once there is one.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Option<Reply> {
        let key = format!("clerk-{}", self.works);
        self.caller.insist(PATIENCE, method, path, Some(&key), body)
    }

    fn restock(&mut self) {
        let product = self
            .load
            .catalogue
            .scarce
            .choose(&mut self.numbers)
            .unwrap();
        let delta = self.numbers.random_range(1..=6);
        let body = json!({"delta": delta, "reason": "delivery"});
        let reply = self.ask(
            "POST",
            &format!("/api/inventory/{product}/adjustments"),
            &body,
        );
        if reply.is_some_and(|reply| reply.status == 200) {
            let key = format!("clerk-{}", self.works);
            self.promises
                .push(Promise::Adjusted(product.clone(), key, delta));
        }
    }

    fn set_a_price(&mut self) {
        let product = self
            .load
            .catalogue
            .plenty
            .choose(&mut self.numbers)
            .unwrap();
        let price = self.numbers.random_range(50..5000);
        let body = json!({"price": {"amount": price, "currency": "EUR"}});
        self.ask("PATCH", &format!("/api/products/{product}"), &body);
    }

    fn make_a_product(&mut self) {
        let body = json!({
            "sku": format!("NEW-{}", self.works),
            "name": "A new thing",
            "description": "One of the things of a test.",
            "category": self.load.catalogue.category,
            "price": {"amount": 100, "currency": "EUR"},
        });
        let reply = self.ask("POST", "/api/products", &body);
        if let Some(reply) = reply.filter(|reply| reply.status == 201) {
            let product = reply.json()["id"].as_str().unwrap().to_owned();
            self.promises.push(Promise::Made(product));
        }
    }

    fn delete_a_product(&mut self) {
        let Some(product) = self.load.catalogue.doomed.get(self.deleted) else {
            return;
        };
        let reply = self.ask("DELETE", &format!("/api/products/{product}"), &Value::Null);
        if reply.is_some_and(|reply| matches!(reply.status, 204 | 404)) {
            self.promises.push(Promise::Deleted(product.clone()));
            self.deleted += 1;
        }
    }

    /// An order of this status, of the newest ones.
    fn order(&mut self, status: &str) -> Option<String> {
        let path = format!("/api/orders?status={status}&limit=20");
        let orders = self.ask("GET", &path, &Value::Null)?.json();
        let order = orders["items"].as_array()?.choose(&mut self.numbers)?;
        Some(order["id"].as_str()?.to_owned())
    }

    fn ship(&mut self) {
        let Some(order) = self.order("confirmed") else {
            return;
        };
        let body = json!({"carrier": "Post", "tracking": format!("T-{order}")});
        let reply = self.ask("POST", &format!("/api/orders/{order}/ship"), &body);
        if reply.is_some_and(|reply| reply.status == 200) {
            self.promises.push(Promise::Shipped(order));
        }
    }

    fn deliver(&mut self) {
        let Some(order) = self.order("shipped") else {
            return;
        };
        let reply = self.ask(
            "POST",
            &format!("/api/orders/{order}/deliver"),
            &Value::Null,
        );
        if reply.is_some_and(|reply| reply.status == 200) {
            self.promises.push(Promise::Delivered(order));
        }
    }

    /// Gives a little back of what was paid for an order.
    fn refund(&mut self) {
        let Some(order) = self.order("shipped") else {
            return;
        };
        let path = format!("/api/payments?order_id={order}");
        let Some(payments) = self.ask("GET", &path, &Value::Null) else {
            return;
        };
        let payments = payments.json();
        let Some(payment) = payments["items"][0]["id"].as_str() else {
            return;
        };
        let body = json!({"amount": 1});
        let reply = self.ask("POST", &format!("/api/payments/{payment}/refunds"), &body);
        if reply.is_some_and(|reply| reply.status == 201) {
            let key = format!("clerk-{}", self.works);
            self.promises
                .push(Promise::Refunded(payment.into(), key, 1));
        }
    }
}
