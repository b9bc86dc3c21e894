//! How a service gets along with neighbours that fail, hang and come back: carts, whose neighbours are reached over the network.

use crate::{SERVICE_KEY, Service, now, service_token};
use serde_json::{Value, json};
use souk_tests::{Launch, Manner, Neighbour, Reply, eventually, souk_only};
use std::time::{Duration, Instant};

const PRODUCT: &str = "018f0000-0000-7000-8000-00000000000a";

/// How long carts waits for an answer of products by itself.
const TIMEOUT: Duration = Duration::from_millis(1_500);

/// Carts, and somebody's cart with something in it.
struct Carts {
    service: Service,
    token: String,
    products: Neighbour,
    _inventory: Neighbour,
}

impl Carts {
    fn open(flags: &str) -> Self {
        let (products, inventory) = (Neighbour::start(), Neighbour::start());
        let discovery = format!("products={},inventory={}", products.url, inventory.url);
        let host = Launch::of("components/carts/spin.toml")
            .runtime_config("runtime-config.toml")
            .args(flags)
            .variable("service_key", SERVICE_KEY)
            .variable("discovery", &discovery)
            .variable("instances", "http://127.0.0.1:*")
            .start();
        let service = Service {
            name: "carts",
            host,
        };
        let item = format!("/api/cart/items/{PRODUCT}");
        let made = service.ask("PUT", &item, &[], &json!({"quantity": 1}));
        let token = made.json()["cart_token"].as_str().unwrap().to_owned();
        Self {
            service,
            token,
            products,
            _inventory: inventory,
        }
    }

    fn read(&self, headers: &[(&str, &str)]) -> Reply {
        let mut all = vec![("x-cart-token", &*self.token)];
        all.extend(headers);
        self.service.ask("GET", "/api/cart", &all, &Value::Null)
    }

    /// Whether the cart is shown with today's prices.
    fn is_priced(&self) -> bool {
        let cart = self.read(&[]);
        assert_eq!(cart.status, 200, "{}", cart.text);
        let warnings = cart.json()["warnings"].as_array().unwrap().clone();
        warnings.iter().all(|warning| warning["part"] != "products")
    }

    /// What it knows of products.
    fn breaker(&self) -> Value {
        let token = service_token(SERVICE_KEY, "carts", now(), None);
        let known = self.service.ask(
            "GET",
            "/internal/calls",
            &[("x-souk-token", &token)],
            &Value::Null,
        );
        assert_eq!(known.status, 200, "{}", known.text);
        let known = known.json();
        let items = known["items"].as_array().unwrap();
        items
            .iter()
            .find(|it| it["to"] == "products")
            .cloned()
            .unwrap_or_default()
    }
}

#[test]
fn a_callee_is_told_how_long_its_caller_waits_and_nobody_waits_longer() {
    souk_only!();
    let carts = Carts::open("");
    carts.products.behave(Manner::Hangs);
    let begun = Instant::now();
    let cart = carts.read(&[("x-souk-timeout-ms", "1400")]);
    let took = begun.elapsed();
    assert_eq!(cart.status, 200, "{}", cart.text);
    assert_eq!(
        cart.json()["warnings"][0]["part"],
        "products",
        "{}",
        cart.text
    );
    let told = carts.products.timeouts();
    let [told] = told[..] else {
        panic!("asked not once: {told:?}")
    };
    assert!(told <= 1_390, "{told}");
    // By its own clock, since how long the rest takes is the machine's affair; but that is less than a second wait.
    assert!(took < 2 * Duration::from_millis(told.into()), "{took:?}");
    let waited = format!("products did not answer within {told} ms");
    carts.service.host.says(&waited);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_begun() {
    souk_only!();
    let carts = Carts::open("");
    carts.products.behave(Manner::Answers);
    assert_eq!(carts.read(&[("x-souk-timeout-ms", "0")]).status, 504);
    assert_eq!(carts.products.calls(), 0);
}

#[test]
fn a_call_that_fails_now_and_then_is_made_again() {
    souk_only!();
    let carts = Carts::open("");
    carts.products.behave(Manner::Fails(1));
    assert!((0..30).all(|_| carts.is_priced()), "somebody has noticed");
    assert!(carts.products.calls() > 30);
}

#[test]
fn retries_stay_within_their_budget_however_long_it_lasts() {
    souk_only!();
    let carts = Carts::open("");
    // The budget at first is for short outages; this is about long ones.
    carts.products.behave(Manner::Fails(4));
    (0..200).for_each(|_| _ = carts.is_priced());
    carts.products.behave(Manner::Fails(4));
    let requests = 600;
    (0..requests).for_each(|_| _ = carts.is_priced());
    let calls = carts.products.calls();
    assert!(
        calls <= requests * 11 / 10,
        "{calls} calls for {requests} requests"
    );
    assert!(
        calls > requests * 9 / 10,
        "{calls}: the breaker is not what is asked about here"
    );
}

#[test]
fn a_neighbour_that_is_down_is_left_in_peace_until_it_is_well() {
    souk_only!();
    // Every request meets a new instance, so all that one knows it has from the others.
    let carts = Carts::open("--max-instance-reuse-count 1");
    carts.products.behave(Manner::Fails(10));
    let (begun, mut requests) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(8) {
        assert!(!carts.is_priced());
        requests += 1;
    }
    let calls = carts.products.calls();
    assert!(
        calls <= requests / 2,
        "{calls} calls for {requests} requests"
    );
    let breaker = carts.breaker();
    assert_ne!(breaker["state"], "closed", "{breaker}");
    assert!(breaker["opened"].as_u64().unwrap() >= 2, "{breaker}");

    carts.products.behave(Manner::Answers);
    eventually("it is called again", || {
        carts.is_priced() && carts.breaker()["state"] == "closed"
    });
    assert!((0..20).all(|_| carts.is_priced()));
}

#[test]
fn a_neighbour_that_hangs_is_waited_for_by_few() {
    souk_only!();
    let carts = Carts::open("");
    carts.products.behave(Manner::Hangs);
    let slowest = || {
        let timed = |_| {
            let begun = Instant::now();
            assert!(!carts.is_priced());
            begun.elapsed()
        };
        (0..20).map(timed).collect::<Vec<_>>()
    };
    let carts_of_many: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(slowest)).collect();
        all.into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    assert!(
        carts_of_many
            .iter()
            .all(|took| *took < Duration::from_secs(4))
    );
    let quick = carts_of_many.iter().filter(|took| **took < TIMEOUT);
    let (quick, all) = (quick.count(), carts_of_many.len());
    assert!(
        quick * 10 >= all * 7,
        "only {quick} of {all} were not held up"
    );
}
