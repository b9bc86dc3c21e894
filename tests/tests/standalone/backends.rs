//! Services whose data is on servers rather than in files: the same services, by another runtime configuration.

use crate::{SERVICE_KEY, Service, USER, now, service_token};
use serde_json::{Value, json};
use souk_tests::{Launch, Reply, eventually, libsql_server, redis_server, souk_only};
use souk_tokens::{Claims, Key, Role};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const PRODUCT: &str = "018f0000-0000-7000-8000-00000000000a";

/// A service with its SQLite database on this server.
pub fn on_libsql(name: &'static str, url: &str) -> Service {
    let config = format!(
        "[sqlite_database.{name}]\ntype = \"libsql\"\nurl = \"{url}\"\ntoken = \"\"\n\
         [key_value_store.{name}-calls]\ntype = \"spin\"\npath = \"calls.db\"\n"
    );
    let host = Launch::of(&format!("components/{name}/spin.toml"))
        .runtime_config_of(&config)
        .variable("service_key", SERVICE_KEY)
        .start();
    Service { name, host }
}

impl Service {
    /// The answer to what an administrator asks.
    fn by_admin(&self, method: &str, path: &str, body: &Value) -> Reply {
        let token = service_token(SERVICE_KEY, self.name, now(), Some(Role::Admin));
        self.ask(method, path, &[("x-souk-token", &token)], body)
    }

    /// The answer to what the service `orders` asks.
    fn by_orders(&self, method: &str, path: &str, body: &Value) -> Reply {
        let claims = Claims::new("orders", self.name, now());
        let token = Key::new(SERVICE_KEY).sign(&claims);
        self.ask(method, path, &[("x-souk-token", &token)], body)
    }
}

#[test]
fn each_service_makes_its_tables_on_libsql_and_reads_them() {
    souk_only!();
    for (name, path) in [
        ("products", "/api/products".to_owned()),
        ("users", "/api/sessions".into()),
        ("orders", "/api/orders".into()),
        ("payments", format!("/api/payments?order_id={USER}")),
        ("notifications", "/api/notifications".into()),
    ] {
        let sqld = libsql_server!();
        let service = on_libsql(name, &sqld.url());
        let read = service.by_customer("GET", &path, &Value::Null);
        assert_eq!(read.status, 200, "{name}: {}", read.text);
    }
}

#[test]
fn stock_on_libsql_is_not_oversold_and_outlives_the_server() {
    souk_only!();
    let mut sqld = libsql_server!();
    let inventory = on_libsql("inventory", &sqld.url());
    let level = format!("/api/inventory/{PRODUCT}");
    let begun = Instant::now();
    let set = inventory.by_admin("PUT", &level, &json!({"on_hand": 5}));
    assert_eq!(set.status, 200, "{}", set.text);
    println!(
        "the first request, with all migrations, took {:?}",
        begun.elapsed()
    );

    let (reserved, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reserve = |order: usize| {
        let path = format!("/internal/reservations/018f0000-0000-7000-8000-{order:012}");
        let lines = json!({"lines": [{"product_id": PRODUCT, "quantity": 1}]});
        match inventory.by_orders("PUT", &path, &lines).status {
            201 => reserved.fetch_add(1, Ordering::Relaxed),
            409 => refused.fetch_add(1, Ordering::Relaxed),
            status => panic!("{status}"),
        }
    };
    std::thread::scope(|scope| {
        for order in 0..12 {
            scope.spawn(move || reserve(order));
        }
    });
    assert_eq!(reserved.load(Ordering::Relaxed), 5);
    assert_eq!(refused.load(Ordering::Relaxed), 7);

    sqld.kill();
    let away = inventory.ask("GET", &level, &[], &Value::Null);
    assert!([500, 503].contains(&away.status), "{}", away.text);
    assert_eq!(away.header("content-type"), "application/problem+json");
    sqld.start_again();
    let now = inventory.ask("GET", &level, &[], &Value::Null).json();
    assert_eq!((&now["on_hand"], &now["available"]), (&json!(5), &json!(0)));
    let audit = inventory.by_admin("GET", "/api/inventory/audit", &Value::Null);
    assert_eq!(audit.status, 200, "{}", audit.text);
    println!("{}", audit.text);

    let begun = Instant::now();
    for _ in 0..100 {
        inventory.ask("GET", &level, &[], &Value::Null);
    }
    println!("a read takes {:?}", begun.elapsed() / 100);
}

#[test]
fn carts_in_redis_are_one_cart_for_two_hosts_and_outlive_the_server() {
    souk_only!();
    let mut redis = redis_server!();
    let config = format!(
        "[key_value_store.carts]\ntype = \"redis\"\nurl = \"{}\"\n",
        redis.url()
    );
    let start = || Service {
        name: "carts",
        host: Launch::of("tests/standalone/carts.toml")
            .runtime_config_of(&config)
            .variable("service_key", SERVICE_KEY)
            .start(),
    };
    let (one, two) = (start(), start());
    let put = |service: &Service, product: usize| {
        let item = format!("/api/cart/items/018f0000-0000-7000-8000-0000000000a{product}");
        let put = service.by_customer("PUT", &item, &json!({"quantity": 1}));
        assert_eq!(put.status, 200, "{}", put.text);
    };
    // Each is a compare-and-swap of the same cart.
    std::thread::scope(|scope| {
        for product in 0..8 {
            let service = [&one, &two][product % 2];
            scope.spawn(move || put(service, product));
        }
    });
    let count = |service: &Service| {
        let cart = service.by_customer("GET", "/api/cart", &Value::Null);
        (cart.status == 200).then(|| cart.json()["item_count"].clone())
    };
    assert_eq!((count(&one), count(&two)), (Some(json!(8)), Some(json!(8))));
    redis.kill();
    let away = one.by_customer("GET", "/api/cart", &Value::Null);
    assert!([500, 503].contains(&away.status), "{}", away.text);
    redis.start_again();
    eventually("the cart is there", || count(&one) == Some(json!(8)));
}
