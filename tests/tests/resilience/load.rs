//! 64 people who look around and buy.

use serde_json::{Value, json};
use souk_tests::{Customer, Reply, Shop, address, cards, payment_method};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long somebody looks at a page.
const LOOKS: Duration = Duration::from_millis(400);
/// After how many pages they buy something.
const BUYS_AFTER: usize = 20;

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Looked at the catalogue.
    Browse,
    /// Changed their cart, looked at their account or their inbox.
    Own,
    /// Bought something.
    Buy,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub kind: Kind,
    /// When it was over.
    pub at: Instant,
    pub took: Duration,
    pub good: bool,
    /// Whether it was answered, be it with a refusal that says when to come again.
    pub told: bool,
}

/// Things that are looked at.
pub struct Catalogue {
    products: Vec<String>,
    pages: Vec<String>,
}

impl Catalogue {
    /// Of a shop that is given some.
    pub fn of(shop: &Shop) -> Self {
        shop.put_category("things", "Things");
        let product = |price: i64| {
            let made = shop.post_product(
                "things",
                json!({"price": {"amount": price, "currency": "EUR"}}),
            );
            let id = made["id"].as_str().unwrap().to_owned();
            shop.set_stock(&id, 1_000_000);
            id
        };
        let products: Vec<_> = (1..=6).map(|price| product(price * 100)).collect();
        let mut pages: Vec<_> = products
            .iter()
            .map(|id| format!("/api/products/{id}"))
            .collect();
        pages.extend(
            [
                "/api/products?limit=12",
                "/api/products?category=things",
                "/api/categories",
                "/api/home",
            ]
            .map(str::to_owned),
        );
        Self { products, pages }
    }
}

/// The people.
pub struct Load<'a> {
    pub shop: &'a Shop,
    pub catalogue: &'a Catalogue,
    pub over: &'a AtomicBool,
    pub samples: &'a Mutex<Vec<Sample>>,
}

impl Load<'_> {
    /// Lets so many of them in until it is over.
    pub fn run(&self, people: usize) {
        std::thread::scope(|scope| {
            // One after the other comes in, so that not all do the same at the same moment.
            for number in 0..people {
                let customer = self.shop.customer();
                scope.spawn(move || self.one(number, &customer));
            }
        });
    }

    fn one(&self, number: usize, customer: &Customer<'_>) {
        let mut step = number;
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOKS);
            step += 1;
            match step % BUYS_AFTER {
                0 => self.buy(customer, step),
                5 => self.look(customer, "/api/notifications"),
                10 => self.fill(customer, step),
                15 => self.look(customer, "/api/users/me"),
                _ => self.browse(step),
            }
        }
    }

    fn browse(&self, step: usize) {
        let page = &self.catalogue.pages[step % self.catalogue.pages.len()];
        self.note(Kind::Browse, || Reply::to(self.shop.request("GET", page)));
    }

    fn look(&self, customer: &Customer<'_>, path: &str) {
        self.note(Kind::Own, || customer.get(path));
    }

    fn fill(&self, customer: &Customer<'_>, step: usize) {
        let path = format!("/api/cart/items/{}", self.product(step));
        self.note(Kind::Own, || {
            Reply::to(customer.request("PUT", &path).json(&json!({"quantity": 1})))
        });
    }

    fn buy(&self, customer: &Customer<'_>, step: usize) {
        let order: Value = json!({
            "items": [{"product_id": self.product(step), "quantity": 1}],
            "shipping_address": address(),
            "payment_method": payment_method(cards::GOOD),
        });
        let key = souk_tests::unique("bought");
        self.note(Kind::Buy, || {
            let request = customer.request("POST", "/api/orders").json(&order);
            Reply::to(request.header("idempotency-key", &key))
        });
    }

    fn product(&self, step: usize) -> &str {
        &self.catalogue.products[step % self.catalogue.products.len()]
    }

    fn note(&self, kind: Kind, ask: impl FnOnce() -> Reply) {
        let begun = Instant::now();
        let reply = ask();
        let sample = Sample {
            kind,
            at: Instant::now(),
            took: begun.elapsed(),
            good: (200..300).contains(&reply.status),
            told: reply.status < 500
                || reply.headers.contains_key("retry-after")
                || reply.status == 504,
        };
        if !sample.good {
            println!(
                "{kind:?} {} after {:?}: {}",
                reply.status, sample.took, reply.text
            );
        }
        self.samples.lock().unwrap().push(sample);
    }
}

/// How many good answers a second there were between two moments.
pub fn pace(samples: &[Sample], from: Instant, to: Instant) -> f64 {
    let good = samples
        .iter()
        .filter(|it| it.good && it.at >= from && it.at < to);
    #[allow(clippy::cast_precision_loss)]
    let count = good.count() as f64;
    count / (to - from).as_secs_f64()
}
