//! Ordering and paying: what a customer sees when it goes well, and that nothing stays done when it does not.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use souk_tests::{Customer, Reply, Shop, cards, order, souk_only, unique};
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

/// The statuses an order has had.
fn history(order: &Value) -> Vec<&str> {
    let entries = order["history"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["status"].as_str().unwrap())
        .collect()
}

fn id(order: &Reply) -> String {
    order.json()["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", order.text))
        .to_owned()
}

/// How a payment stands: its status, what was captured and what refunded.
fn state(payment: &Value) -> (&str, i64, i64) {
    let amount = |name: &str| payment[name]["amount"].as_i64().unwrap();
    (
        payment["status"].as_str().unwrap(),
        amount("captured"),
        amount("refunded"),
    )
}

#[test]
fn an_order_is_confirmed_paid_and_taken_off_the_stock() {
    let shop = Shop::open();
    let (tea, pot) = (
        shop.product_with_stock(10, 450),
        shop.product_with_stock(3, 3900),
    );
    let customer = shop.customer();
    let placed = customer.order(&[(&tea, 4), (&pot, 1)], cards::GOOD);
    assert_eq!(placed.status, 201, "{}", placed.text);
    let order = placed.json();
    let id = id(&placed);
    assert_eq!(placed.header("location"), format!("/api/orders/{id}"));
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["total"], json!({"amount": 5700, "currency": "EUR"}));
    assert_eq!(order["items"][0]["quantity"], 4);
    assert_eq!(
        (&order["payment"]["brand"], &order["payment"]["last4"]),
        (&json!("visa"), &json!("4242"))
    );
    assert_eq!(
        history(&order),
        ["pending", "reserved", "authorized", "confirmed"]
    );

    shop.wait_for_stock(&tea, [6, 0, 6]);
    shop.wait_for_stock(&pot, [2, 0, 2]);
    let payment = customer.wait_for_payment(&id, "captured");
    assert_eq!(state(&payment), ("captured", 5700, 0));
    assert_eq!(payment["card"]["last4"], "4242");
    let kinds: Vec<_> = payment["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].clone())
        .collect();
    assert_eq!(kinds, ["authorize", "capture"]);
}

#[test]
fn an_order_is_in_the_history_of_its_owner_alone() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let (customer, other) = (shop.customer(), shop.customer());
    let ids: Vec<String> = (0..3).map(|_| customer.buy(&[(&product, 1)])).collect();
    let first = customer.get("/api/orders?limit=2").json();
    let listed = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        listed(&first),
        [ids[2].clone(), ids[1].clone()],
        "newest first"
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = customer
        .get(&format!("/api/orders?limit=2&cursor={cursor}"))
        .json();
    assert_eq!(
        (listed(&second), &second["next_cursor"]),
        (vec![ids[0].clone()], &Value::Null)
    );

    assert_eq!(listed(&other.get("/api/orders").json()), [""; 0]);
    for path in ["", "/summary", "/stream"] {
        let path = format!("/api/orders/{}{path}", ids[0]);
        assert_eq!(other.get(&path).status, 404, "{path}");
    }
    assert_eq!(other.payment(&ids[0]), Value::Null);
    let all = format!("/api/orders?user_id={}", customer.id);
    assert_eq!(listed(&Reply::to(shop.admin("GET", &all)).json()).len(), 3);
}

#[test]
fn a_summary_has_the_order_and_its_payment() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let id = customer.buy(&[(&product, 2)]);
    customer.wait_for_payment(&id, "captured");
    let summary = customer.get(&format!("/api/orders/{id}/summary")).json();
    assert_eq!(
        (&summary["order"]["id"], &summary["warnings"]),
        (&json!(id), &json!([]))
    );
    assert_eq!(summary["payment"]["captured"]["amount"], 900);
}

#[test]
fn a_declined_card_orders_nothing() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    for (card, code) in [
        (cards::DECLINED, "card_declined"),
        (cards::POOR, "insufficient_funds"),
    ] {
        let refused = customer.order(&[(&product, 4)], card);
        assert_eq!(
            (refused.status, refused.problem()),
            (402, "payment-declined".into()),
            "{}",
            refused.text
        );
        assert_eq!(refused.json()["decline_code"], code);
        let id = refused.json()["order_id"].as_str().unwrap().to_owned();
        let order = customer.wait_for(&id, "rejected");
        assert_eq!(order["reason"], "payment_declined");
        shop.wait_for_stock(&product, [10, 0, 10]);
        assert_eq!(state(&customer.payment(&id)), ("declined", 0, 0));
    }
}

#[test]
fn what_is_not_in_stock_is_named_and_nothing_is_charged() {
    let shop = Shop::open();
    let (plenty, scarce) = (
        shop.product_with_stock(10, 450),
        shop.product_with_stock(2, 3900),
    );
    let none = shop.product_with_stock(0, 3900);
    let customer = shop.customer();
    let refused = customer.order(&[(&plenty, 1), (&scarce, 3), (&none, 1)], cards::GOOD);
    assert_eq!(
        (refused.status, refused.problem()),
        (409, "out-of-stock".into()),
        "{}",
        refused.text
    );
    let problem = refused.json();
    let mut lines: Vec<_> = problem["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["product_id"].clone(),
                line["requested"].clone(),
                line["available"].clone(),
            )
        })
        .collect();
    lines.sort_by_key(|(_, requested, _)| requested.as_i64());
    assert_eq!(
        lines,
        [
            (json!(none), json!(1), json!(0)),
            (json!(scarce), json!(3), json!(2))
        ]
    );

    let id = problem["order_id"].as_str().unwrap().to_owned();
    customer.wait_for(&id, "rejected");
    assert_eq!(customer.payment(&id), Value::Null);
    assert_eq!(
        (shop.stock(&plenty), shop.stock(&scarce)),
        ([10, 0, 10], [2, 0, 2])
    );
}

#[test]
fn an_order_that_makes_no_sense_is_not_made() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let good = order(&[(&product, 1)], cards::GOOD);
    let fields_of = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        let reply = customer.place(&unique("order"), &body);
        assert_eq!(
            (reply.status, reply.problem()),
            (422, "validation".into()),
            "{}",
            reply.text
        );
        let errors = reply.json()["errors"].as_array().unwrap().clone();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        fields_of(&|body| body["items"][0]["quantity"] = json!(0)),
        ["items[0].quantity"]
    );
    assert_eq!(fields_of(&|body| body["items"] = json!([])), ["items"]);
    assert_eq!(
        fields_of(&|body| body["items"][0]["product_id"] = json!(customer.id)),
        ["items[0].product_id"]
    );
    assert_eq!(fields_of(&|body| body["cart"] = json!(true)), ["items"]);
    assert_eq!(
        fields_of(&|body| body["payment_method"]["number"] = json!("4242424242424241")),
        ["payment_method.number"]
    );
    assert_eq!(
        fields_of(&|body| body["payment_method"]["exp_year"] = json!(2020)),
        ["payment_method.exp_year"]
    );
    assert_eq!(
        fields_of(&|body| body["payment_method"]["cvc"] = json!("12345")),
        ["payment_method.cvc"]
    );
    assert_eq!(
        fields_of(&|body| body["shipping_address"]["city"] = json!("")),
        ["shipping_address.city"]
    );
    let keyless = Reply::to(customer.request("POST", "/api/orders").json(&good));
    assert_eq!(keyless.status, 400, "{}", keyless.text);
    assert_eq!(customer.get("/api/orders").json()["items"], json!([]));
    assert_eq!(shop.stock(&product), [10, 0, 10]);
}

#[test]
fn an_order_goes_on_by_itself_when_the_bank_does_not_answer_for_a_while() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let placed = customer.order(&[(&product, 4)], cards::LATE);
    // How long the bank is away is up to the provider, and how long the shop waits is up to the shop.
    assert!(
        matches!(placed.status, 201 | 202),
        "{} {}",
        placed.status,
        placed.text
    );
    let id = id(&placed);
    if placed.status == 202 {
        assert!(placed.header("retry-after").parse::<u32>().unwrap() >= 1);
        assert_eq!(shop.stock(&product)[2], 6, "it is reserved meanwhile");
    }
    customer.wait_for(&id, "confirmed");
    assert_eq!(
        state(&customer.wait_for_payment(&id, "captured")),
        ("captured", 1800, 0)
    );
    shop.wait_for_stock(&product, [6, 0, 6]);
}

#[test]
fn a_shop_that_has_to_wait_for_the_bank_says_so() {
    souk_tests::souk_only!();
    let shop =
        Shop::launch(Shop::launcher().variable("payment_provider_settings", "transient_ms=8000"));
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let started = Instant::now();
    let key = unique("order");
    let body = order(&[(&product, 4)], cards::LATE);
    let placed = customer.place(&key, &body);
    assert_eq!(placed.status, 202, "{}", placed.text);
    assert!(
        started.elapsed() < Duration::from_secs(7),
        "{:?}",
        started.elapsed()
    );
    assert!(placed.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(placed.json()["status"], "reserved");
    let id = id(&placed);
    customer.wait_for(&id, "confirmed");
    customer.wait_for_payment(&id, "captured");
    let again = customer.place(&key, &body);
    assert_eq!(
        (again.status, &again.json()["id"]),
        (201, &json!(id)),
        "{}",
        again.text
    );
    shop.wait_for_stock(&product, [6, 0, 6]);
}

#[test]
fn money_that_cannot_be_had_after_all_undoes_the_order() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let placed = customer.order(&[(&product, 4)], cards::UNCAPTURABLE);
    // Whether the customer is told depends on who is faster: the answer or the bank.
    let id = match placed.status {
        201 => id(&placed),
        402 => placed.json()["order_id"].as_str().unwrap().to_owned(),
        status => panic!("{status} {}", placed.text),
    };
    let payment = customer.wait_for_payment(&id, "voided");
    assert_eq!(state(&payment), ("voided", 0, 0));
    assert_eq!(payment["decline_code"], "capture_declined", "{payment}");
    let order = customer.wait_for(&id, "cancelled");
    assert_eq!(order["reason"], "payment_capture_failed", "{order}");
    shop.wait_for_stock(&product, [10, 0, 10]);
}

#[test]
fn a_cancelled_order_is_undone() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let id = customer.buy(&[(&product, 4)]);
    customer.wait_for_payment(&id, "captured");
    let path = format!("/api/orders/{id}/cancel");
    let cancelled = customer.act("POST", &path);
    assert!(
        matches!(cancelled.status, 200 | 202),
        "{} {}",
        cancelled.status,
        cancelled.text
    );
    let order = customer.wait_for(&id, "cancelled");
    assert_eq!(order["reason"], "cancelled_by_customer");
    assert_eq!(
        state(&customer.wait_for_payment(&id, "refunded")),
        ("refunded", 1800, 1800)
    );
    shop.wait_for_stock(&product, [10, 0, 10]);

    let again = customer.act("POST", &path);
    assert_eq!(
        (again.status, &again.json()["status"]),
        (200, &json!("cancelled")),
        "{}",
        again.text
    );
    assert_eq!(customer.payment(&id)["refunded"]["amount"], 1800, "once");
    let ship = json!({"carrier": "Post", "tracking": "1"});
    assert_eq!(
        shop.admin_send("POST", &format!("/api/orders/{id}/ship"), &ship)
            .status,
        409
    );
}

/// Ships an order; it is not until it is paid that it can be.
fn ship(shop: &Shop, customer: &Customer<'_>, id: &str) {
    customer.wait_for_payment(id, "captured");
    let body = json!({"carrier": "Parcel Post", "tracking": "PP-1"});
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let shipped = shop.admin_send("POST", &format!("/api/orders/{id}/ship"), &body);
        if shipped.status == 200 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{} {}",
            shipped.status,
            shipped.text
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_order_is_shipped_and_delivered() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let id = customer.buy(&[(&product, 1)]);
    let deliver = format!("/api/orders/{id}/deliver");
    assert_eq!(
        Reply::to(shop.admin("POST", &deliver)).status,
        409,
        "it is not on its way"
    );
    ship(&shop, &customer, &id);
    let shipped = customer.get(&format!("/api/orders/{id}")).json();
    assert_eq!(
        shipped["shipment"],
        json!({"carrier": "Parcel Post", "tracking": "PP-1"})
    );
    assert_eq!(
        customer
            .act("POST", &format!("/api/orders/{id}/cancel"))
            .status,
        409
    );
    assert_eq!(Reply::to(shop.admin("POST", &deliver)).status, 200);
    let order = customer.get(&format!("/api/orders/{id}")).json();
    assert_eq!(history(&order)[3..], ["confirmed", "shipped", "delivered"]);
    assert_eq!(customer.payment(&id)["status"], "captured");
}

#[test]
fn somebody_who_follows_an_order_does_not_hold_up_a_shop_that_stops() {
    souk_only!();
    let shop = Shop::start();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let id = customer.buy(&[(&product, 1)]);
    let path = format!("/api/orders/{id}/stream");
    let mut stream = customer.request("GET", &path).send().unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    drop(customer);
    let begun = Instant::now();
    let host = shop.into_host().unwrap();
    host.signal(Signal::SIGTERM);
    stream.read_to_string(&mut String::new()).unwrap();
    assert_eq!(host.wait(Duration::from_secs(12)).code, Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
    println!("it took {took:?}");
}

#[test]
fn statuses_are_streamed_as_they_come() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let customer = shop.customer();
    let id = customer.buy(&[(&product, 1)]);
    let path = format!("/api/orders/{id}/stream");
    let stream = customer
        .request("GET", &path)
        .timeout(Duration::from_secs(60))
        .send()
        .unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let statuses = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            let event: Value = serde_json::from_str(line.strip_prefix("data: ")?).unwrap();
            Some(event["status"].as_str().unwrap().to_owned())
        });
    let mut seen = Vec::new();
    for status in statuses {
        if status == "confirmed" {
            ship(&shop, &customer, &id);
        } else if status == "shipped" {
            Reply::to(shop.admin("POST", &format!("/api/orders/{id}/deliver")));
        }
        seen.push(status);
    }
    assert_eq!(
        seen,
        [
            "pending",
            "reserved",
            "authorized",
            "confirmed",
            "shipped",
            "delivered"
        ]
    );

    let rest = customer.request("GET", &path).header("last-event-id", "4");
    assert_eq!(
        Reply::to(rest).text.matches("data: ").count(),
        2,
        "what came after the fourth"
    );
    let nothing = customer.request("GET", &path).header("last-event-id", "6");
    assert_eq!(Reply::to(nothing).status, 204);
}

#[test]
fn a_cart_is_ordered_and_then_empty() {
    let shop = Shop::open();
    let (tea, pot) = (
        shop.product_with_stock(10, 450),
        shop.product_with_stock(3, 3900),
    );
    let customer = shop.customer();
    for (product, quantity) in [(&tea, 4), (&pot, 1)] {
        let put = customer.send(
            "PUT",
            &format!("/api/cart/items/{product}"),
            &json!({"quantity": quantity}),
        );
        assert_eq!(put.status, 200, "{}", put.text);
    }
    let mut body = order(&[], cards::GOOD);
    body.as_object_mut().unwrap().remove("items");
    body["cart"] = json!(true);
    let placed = customer.place(&unique("order"), &body);
    assert_eq!(placed.status, 201, "{}", placed.text);
    assert_eq!(placed.json()["total"]["amount"], 5700);
    let deadline = Instant::now() + Duration::from_secs(30);
    while customer.get("/api/cart").json()["items"] != json!([]) {
        assert!(Instant::now() < deadline, "the cart is still full");
        std::thread::sleep(Duration::from_millis(100));
    }
    let empty = customer.place(&unique("order"), &body);
    assert_eq!(
        (empty.status, empty.problem()),
        (422, "validation".into()),
        "{}",
        empty.text
    );
}

#[test]
fn a_price_that_changed_is_the_one_that_is_paid() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 450);
    let dearer = json!({"price": {"amount": 500, "currency": "EUR"}});
    assert_eq!(
        shop.admin_send("PATCH", &format!("/api/products/{product}"), &dearer)
            .status,
        200
    );
    let customer = shop.customer();
    let id = customer.buy(&[(&product, 2)]);
    assert_eq!(
        customer.wait_for_payment(&id, "captured")["captured"]["amount"],
        1000
    );
    let cheaper = json!({"price": {"amount": 1, "currency": "EUR"}});
    shop.admin_send("PATCH", &format!("/api/products/{product}"), &cheaper);
    assert_eq!(
        customer.get(&format!("/api/orders/{id}")).json()["total"]["amount"],
        1000,
        "a bill stays"
    );
}
