//! Carts, of guests and of customers.

use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};
use souk_tests::{Customer, Reply, Shop, eventually, souk_only};

/// Has so many of a product in a cart; `request` says whose.
fn put(request: RequestBuilder, quantity: i64) -> Reply {
    let reply = Reply::to(request.json(&json!({"quantity": quantity})));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply
}

fn item(product: &str) -> String {
    format!("/api/cart/items/{product}")
}

/// What is in a cart: each product and how many.
fn contents(cart: &Value) -> Vec<(&str, i64)> {
    let items = cart["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| {
            (
                item["product_id"].as_str().unwrap(),
                item["quantity"].as_i64().unwrap(),
            )
        })
        .collect()
}

fn of(customer: &Customer<'_>) -> Value {
    customer.get("/api/cart").json()
}

#[test]
fn a_cart_adds_up() {
    let shop = Shop::open();
    let (tea, pot) = (
        shop.product_with_stock(50, 450),
        shop.product_with_stock(5, 3900),
    );
    let customer = shop.customer();
    assert_eq!(contents(&of(&customer)), []);
    put(customer.request("PUT", &item(&tea)), 3);
    put(customer.request("PUT", &item(&pot)), 1);
    let cart = put(customer.request("PUT", &item(&tea)), 2).json();
    assert_eq!(contents(&cart), [(&*tea, 2), (&*pot, 1)]);
    assert_eq!(cart["totals"], json!([{"amount": 4800, "currency": "EUR"}]));
    assert_eq!(cart["items"][0]["line_total"]["amount"], 900);
    assert_eq!(
        (&cart["items"][1]["available"], &cart["items"][1]["status"]),
        (&json!(5), &json!("available"))
    );

    assert_eq!(customer.act("DELETE", &item(&tea)).status, 200);
    assert_eq!(contents(&of(&customer)), [(&*pot, 1)]);
    assert_eq!(customer.act("DELETE", "/api/cart").status, 204);
    assert_eq!(contents(&of(&customer)), []);
}

#[test]
fn what_cannot_be_in_a_cart_is_refused() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 450);
    let customer = shop.customer();
    for quantity in [
        json!(0),
        json!(-1),
        json!(100),
        json!(1.5),
        json!("2"),
        Value::Null,
    ] {
        let reply = customer.send("PUT", &item(&product), &json!({"quantity": quantity}));
        assert_eq!(
            (reply.status, reply.problem()),
            (422, "validation".into()),
            "{quantity}"
        );
    }
    let unknown = customer.send("PUT", &item(&customer.id), &json!({"quantity": 1}));
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    assert_eq!(contents(&of(&customer)), []);
}

#[test]
fn a_guest_has_a_cart_by_header_or_cookie() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 450);
    let first = put(shop.request("PUT", &item(&product)), 2);
    let token = first.json()["cart_token"].as_str().unwrap().to_owned();
    let cookie = first.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();

    let guests = shop.request("GET", "/api/cart");
    assert_eq!(
        contents(&Reply::to(guests.header("x-cart-token", &token)).json()),
        [(&*product, 2)]
    );
    let guests = shop.request("GET", "/api/cart").header("cookie", cookie);
    assert_eq!(contents(&Reply::to(guests).json()), [(&*product, 2)]);

    assert_eq!(
        contents(&shop.get("/api/cart").json()),
        [],
        "somebody else's"
    );
    let mut forged = token.clone().into_bytes();
    forged[5] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    let refused = Reply::to(
        shop.request("GET", "/api/cart")
            .header("x-cart-token", forged),
    );
    assert!(!refused.text.contains(&product), "{}", refused.text);
    assert_eq!(refused.status, 400, "{}", refused.text);
}

#[test]
fn a_guests_cart_becomes_the_customers_once() {
    let shop = Shop::open();
    let (tea, pot) = (
        shop.product_with_stock(50, 450),
        shop.product_with_stock(5, 3900),
    );
    let customer = shop.customer();
    put(customer.request("PUT", &item(&tea)), 1);
    let guest = put(shop.request("PUT", &item(&tea)), 2).json();
    let token = guest["cart_token"].as_str().unwrap();
    put(
        shop.request("PUT", &item(&pot))
            .header("x-cart-token", token),
        1,
    );

    let merged = || {
        Reply::to(
            customer
                .request("GET", "/api/cart")
                .header("x-cart-token", token),
        )
        .json()
    };
    assert_eq!(contents(&merged()), [(&*tea, 3), (&*pot, 1)]);
    assert_eq!(contents(&merged()), [(&*tea, 3), (&*pot, 1)], "not twice");
    let left = Reply::to(
        shop.request("GET", "/api/cart")
            .header("x-cart-token", token),
    );
    assert!(!left.text.contains(&tea), "{}", left.text);
    let thief = shop.customer();
    let stolen = Reply::to(
        thief
            .request("GET", "/api/cart")
            .header("x-cart-token", token),
    )
    .json();
    assert_eq!(contents(&stolen), []);
}

#[test]
fn a_cart_says_when_price_and_stock_have_changed() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 450);
    let customer = shop.customer();
    put(customer.request("PUT", &item(&product)), 3);
    let dearer = json!({"price": {"amount": 500, "currency": "EUR"}});
    let path = format!("/api/products/{product}");
    assert_eq!(shop.admin_send("PATCH", &path, &dearer).status, 200);
    shop.set_stock(&product, 2);
    let line = of(&customer)["items"][0].clone();
    assert_eq!(
        (&line["price_changed"], &line["line_total"]["amount"]),
        (&json!(true), &json!(1500))
    );
    assert_eq!(
        (&line["price_at_adding"]["amount"], &line["status"]),
        (&json!(450), &json!("insufficient"))
    );

    shop.set_stock(&product, 0);
    assert_eq!(of(&customer)["items"][0]["status"], "out_of_stock");
    assert_eq!(Reply::to(shop.admin("DELETE", &path)).status, 204);
    // The line says so until carts hears of the deletion, and then it goes.
    let cart = of(&customer);
    let status = &cart["items"][0]["status"];
    assert!(["removed".into(), Value::Null].contains(status), "{cart}");
    assert_eq!(cart["totals"], json!([]));
    eventually("the line goes", || of(&customer)["items"] == json!([]));
}

#[test]
fn changes_at_once_are_all_there() {
    let shop = Shop::open();
    let products: Vec<String> = (0..8).map(|_| shop.product_with_stock(5, 450)).collect();
    let customer = shop.customer();
    std::thread::scope(|scope| {
        for product in &products {
            let customer = &customer;
            scope.spawn(move || put(customer.request("PUT", &item(product)), 1));
        }
    });
    assert_eq!(contents(&of(&customer)).len(), products.len());
}

#[test]
fn carts_survive_a_restart() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let (product, token, email, password);
    {
        let shop = Shop::launch(Shop::launcher().dir(dir.path()));
        product = shop.product_with_stock(5, 450);
        let customer = shop.customer();
        (email, password) = (customer.email.clone(), customer.password.clone());
        put(customer.request("PUT", &item(&product)), 2);
        let guest = put(shop.request("PUT", &item(&product)), 1).json();
        token = guest["cart_token"].as_str().unwrap().to_owned();
        shop.into_host().unwrap().kill();
    }
    let shop = Shop::launch(Shop::launcher().dir(dir.path()));
    let guests = Reply::to(
        shop.request("GET", "/api/cart")
            .header("x-cart-token", token),
    );
    assert_eq!(contents(&guests.json()), [(&*product, 1)]);
    let session = shop.log_in(&email, &password);
    let cart = Reply::to(
        shop.request("GET", "/api/cart")
            .bearer_auth(session.access_token),
    );
    assert_eq!(contents(&cart.json()), [(&*product, 2)]);
}
