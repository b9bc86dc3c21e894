//! What services tell each other, and what comes of it.

use serde_json::{Value, json};
use souk_contracts::{listeners, schemas, wrong_with};
use souk_tests::audit::PUBLISHERS;
use souk_tests::{Redis, Reply, Shop, cards, eventually, order, redis_server, souk_only, unique};
use std::collections::BTreeSet;

/// All events of the log that fit a query, oldest first.
fn log(shop: &Shop, query: &str) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/ops/events?limit=100{query}{cursor}");
        let page = Reply::to(shop.admin("GET", &path)).json();
        events.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["event"].clone()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    events.reverse();
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// A shop in which everything happens that there is an event of.
fn live(shop: &Shop) {
    let product = shop.product_with_stock(6, 1000);
    let gone = shop.product_with_stock(1, 500);
    let admin = |method: &str, path: &str, body: Value| {
        let request = shop
            .admin(method, path)
            .header("idempotency-key", unique("key"));
        let reply = Reply::to(request.json(&body));
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply
    };
    admin(
        "PATCH",
        &format!("/api/products/{product}"),
        json!({"price": {"amount": 1100, "currency": "EUR"}}),
    );
    admin("DELETE", &format!("/api/products/{gone}"), json!({}));
    let customer = shop.customer();
    let shipped = customer.buy(&[(&product, 2)]);
    customer.wait_for_payment(&shipped, "captured");
    shop.wait_for_stock(&product, [4, 0, 4]);
    admin(
        "POST",
        &format!("/api/orders/{shipped}/ship"),
        json!({"carrier": "Post", "tracking": "1"}),
    );
    admin("POST", &format!("/api/orders/{shipped}/deliver"), json!({}));
    let payment = customer.payment(&shipped)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    admin(
        "POST",
        &format!("/api/payments/{payment}/refunds"),
        json!({"amount": 100}),
    );
    assert_eq!(
        customer.order(&[(&product, 1)], cards::DECLINED).status,
        402
    );
    // Cancelled before the money is taken, so it is let go of; or after, so it is given back.
    customer.order(&[(&product, 1)], cards::UNCAPTURABLE);
    let cancelled = customer.buy(&[(&product, 1)]);
    assert!(
        customer
            .act("POST", &format!("/api/orders/{cancelled}/cancel"))
            .status
            < 300
    );
    customer.wait_for(&cancelled, "cancelled");
    let leaving = shop.customer();
    assert_eq!(leaving.act("DELETE", "/api/users/me").status, 204);
}

#[test]
fn every_event_keeps_to_its_schema_and_to_what_its_consumers_need() {
    let shop = Shop::start();
    live(&shop);
    let every: BTreeSet<String> = PUBLISHERS
        .into_iter()
        .flat_map(schemas)
        .map(|(_, schema)| schema["title"].as_str().unwrap().to_owned())
        // What happens to a mail that nobody takes is in the tests of notifications.
        .filter(|kind| kind != "notification.failed")
        .collect();
    let seen = || -> BTreeSet<String> {
        kinds(&log(&shop, ""))
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    eventually("every kind of event happens", || seen().is_superset(&every));
    let listeners = listeners();
    let events = log(&shop, "");
    let wrong: Vec<_> = events
        .iter()
        .flat_map(|event| wrong_with(event, &listeners))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        seen().is_subset(&every),
        "there is no schema of some of {:?}",
        seen()
    );
}

#[test]
fn events_of_one_order_come_in_their_order() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1000);
    let customer = shop.customer();
    let order = customer.buy(&[(&product, 1)]);
    customer.wait_for_payment(&order, "captured");
    assert_eq!(
        customer
            .act("POST", &format!("/api/orders/{order}/cancel"))
            .status,
        200
    );
    let query = format!("&subject={order}");
    eventually("the events are there", || log(&shop, &query).len() == 3);
    assert_eq!(
        kinds(&log(&shop, &query)),
        ["order.placed", "order.confirmed", "order.cancelled"]
    );
    let query = format!("&subject={product}&source=/services/inventory");
    eventually("the stock is back", || {
        kinds(&log(&shop, &query)).contains(&"stock.released")
    });
    let versions: Vec<_> = log(&shop, &query)
        .iter()
        .map(|it| it["data"]["version"].as_i64().unwrap())
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
}

#[test]
fn a_listed_product_has_stock_of_nothing_and_lists_say_how_many_there_are() {
    let shop = Shop::open();
    let category = unique("cat");
    shop.put_category(&category, "Things");
    let product = shop.post_product(&category, json!({}))["id"]
        .as_str()
        .unwrap()
        .to_owned();
    eventually("stock is kept of it", || {
        shop.get(&format!("/api/inventory/{product}")).status == 200
    });
    assert_eq!(shop.stock(&product), [0, 0, 0]);
    let listed = || {
        shop.get(&format!("/api/products?category={category}"))
            .json()["items"][0]["available"]
            .clone()
    };
    eventually("the list has it", || listed() == 0);
    shop.set_stock(&product, 7);
    eventually("the list has it", || listed() == 7);
    shop.customer().buy(&[(&product, 2)]);
    eventually("the list has it", || listed() == 5);
}

#[test]
fn an_ordered_cart_is_emptied_and_a_deleted_product_leaves_it() {
    let shop = Shop::open();
    let (ordered, kept) = (
        shop.product_with_stock(5, 1000),
        shop.product_with_stock(5, 500),
    );
    let customer = shop.customer();
    let put = |product: &str, quantity: i64| {
        let path = format!("/api/cart/items/{product}");
        assert_eq!(
            customer
                .send("PUT", &path, &json!({"quantity": quantity}))
                .status,
            200
        );
    };
    let in_cart = || {
        customer.get("/api/cart").json()["item_count"]
            .as_i64()
            .unwrap()
    };
    put(&ordered, 2);
    let mut body = order(&[], cards::GOOD);
    body.as_object_mut().unwrap().remove("items");
    body["cart"] = json!(true);
    assert_eq!(customer.place(&unique("order"), &body).status, 201);
    eventually("the cart is empty", || in_cart() == 0);
    put(&kept, 1);
    put(&ordered, 1);
    assert_eq!(
        Reply::to(shop.admin("DELETE", &format!("/api/products/{kept}"))).status,
        204
    );
    eventually("the product has left the cart", || in_cart() == 1);
}

#[test]
fn a_deletion_reaches_whoever_holds_something_personal() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1000);
    let customer = shop.customer();
    let order = customer.buy(&[(&product, 1)]);
    customer.wait_for_notification(&order, "payment_receipt");
    assert_eq!(
        customer
            .act("POST", &format!("/api/orders/{order}/cancel"))
            .status,
        200
    );
    customer.send(
        "PUT",
        &format!("/api/cart/items/{product}"),
        &json!({"quantity": 1}),
    );
    assert_eq!(customer.act("DELETE", "/api/users/me").status, 204);
    eventually("the address is gone", || {
        let order = Reply::to(shop.admin("GET", &format!("/api/orders/{order}"))).json();
        order["shipping_address"] == Value::Null
    });
    // The access token is good for some minutes more; there is nothing left that it could show.
    eventually("the cart is empty", || {
        customer.get("/api/cart").json()["item_count"] == 0
    });
    eventually("the inbox is empty", || {
        customer.get("/api/notifications").json()["items"] == json!([])
    });
    eventually("nothing is ordered in the name", || {
        customer.order(&[(&product, 1)], cards::GOOD).status == 401
    });
}

#[test]
fn with_the_log_in_redis_the_shop_is_the_same_and_outlives_its_outage() {
    souk_only!();
    let mut redis: Redis = redis_server!();
    let launch = Shop::launcher()
        .variable("broker", "redis")
        .variable("broker_redis_url", &redis.url());
    let shop = Shop::launch(launch);
    let product = shop.product_with_stock(50, 1000);
    let customer = shop.customer();
    let before = customer.buy(&[(&product, 1)]);
    customer.wait_for_notification(&before, "order_confirmed");
    assert_eq!(
        kinds(&log(&shop, &format!("&subject={before}"))),
        ["order.placed", "order.confirmed"]
    );

    redis.kill();
    let meanwhile = customer.buy(&[(&product, 1)]);
    assert_eq!(customer.notifications(&meanwhile), Vec::<Value>::new());
    redis.start_again();
    for order in [&before, &meanwhile] {
        customer.wait_for_notification(order, "order_confirmed");
        customer.wait_for_notification(order, "payment_receipt");
        let told = customer.notifications(order);
        assert_eq!(told.len(), 2, "each once: {told:?}");
    }
    shop.audit();
}
