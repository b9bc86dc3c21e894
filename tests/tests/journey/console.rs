//! The operator's console, as HTML and without a script. What needs a browser is in the browser's suite.

use serde_json::{Value, json};
use souk_tests::{
    ADMIN_EMAIL, ADMIN_PASSWORD, Reply, Shop, Visitor, cards, eventually, souk_only, unique,
};

/// Every page that is there without anything having happened.
const PAGES: [&str; 13] = [
    "/console",
    "/console?minutes=360",
    "/console/map",
    "/console/traces",
    "/console/logs",
    "/console/orders",
    "/console/orders/sagas",
    "/console/events",
    "/console/events/subscriptions",
    "/console/events/dead-letters",
    "/console/stock",
    "/console/services",
    "/console/faults",
];

fn operator(shop: &Shop) -> Visitor {
    let visitor = Visitor::of(shop);
    let form = visitor.open("/login?next=%2Fconsole").form("/login");
    let form = form.fill(&[("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)]);
    let page = visitor.send(&form);
    assert_eq!((page.status, page.address.as_str()), (200, "/console"));
    visitor
}

#[test]
fn operators_alone_find_a_console() {
    souk_only!();
    let shop = Shop::start();
    let visitor = Visitor::of(&shop);
    let page = visitor.open("/console/traces?status=error");
    assert_eq!(
        page.address,
        "/login?next=%2Fconsole%2Ftraces%3Fstatus%3Derror"
    );
    visitor.register(
        &format!("{}@souk.example", unique("c")),
        "a long enough password",
    );
    for path in PAGES {
        let page = visitor.open(path);
        assert_eq!(page.status, 404, "{path}");
        assert!(!page.html.contains("/console/"), "{path}");
    }
    let operator = operator(&shop);
    for path in PAGES {
        // A service that was never asked before makes its database first.
        eventually(path, || !operator.open(path).says("cannot be had"));
        let page = operator.open(path);
        assert_eq!(page.status, 200, "{path}: {}", page.html);
        assert!(
            !page.html.contains("style=\""),
            "{path}: the policy allows none"
        );
    }
    assert_eq!(operator.open("/console/traces/none").status, 404);
    assert_eq!(operator.open("/console/nowhere").status, 404);
}

#[test]
fn an_order_is_found_by_its_number() {
    souk_only!();
    let shop = Shop::start();
    let order = shop
        .customer()
        .order(&[(&shop.product_with_stock(5, 100), 2)], cards::GOOD)
        .json();
    let id = order["id"].as_str().unwrap();
    let operator = operator(&shop);
    let words = [id, &id[24..], &id[24..].to_ascii_uppercase()];
    for words in words {
        let page = operator.open(&format!("/console/find?q={words}"));
        assert_eq!(
            (page.status, page.address.as_str()),
            (200, &*format!("/console/orders/{id}"))
        );
        assert!(page.says("capture") && page.says(order["request_id"].as_str().unwrap()));
    }
    let nothing = operator.open("/console/find?q=000000000000");
    assert!(nothing.says("No order is like this."));
    let request = operator.open("/console/find?q=somebody");
    assert_eq!(request.address, "/console/traces?request_id=somebody");
}

#[test]
fn what_was_given_back_leads_to_each_time_that_it_was() {
    souk_only!();
    let shop = Shop::start();
    let customer = shop.customer();
    let order = customer.buy(&[(&shop.product_with_stock(5, 1000), 2)]);
    let payment = customer.wait_for_payment(&order, "captured");
    let id = payment["id"].as_str().unwrap();
    for amount in [300, 450] {
        let request = shop.admin("POST", &format!("/api/payments/{id}/refunds"));
        let request = request.header("idempotency-key", unique("refund"));
        let reply = Reply::to(request.json(&json!({"amount": amount})));
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    let (operator, page) = (operator(&shop), format!("/console/orders/{order}"));
    let refunds = format!("/console/events?type=payment.refunded&subject={id}");
    let link = format!("<a href=\"{}\">€7.50<", refunds.replace('&', "&amp;"));
    eventually("the order knows of both", || {
        operator.open(&page).html.contains(&link)
    });
    let listed = operator.open(&refunds).html;
    assert_eq!(listed.matches(">payment.refunded</a>").count(), 2);
}

#[test]
fn stock_is_set_and_says_how_it_came_to_that() {
    souk_only!();
    let shop = Shop::start();
    let product = shop.product_with_stock(5, 100);
    let (operator, page) = (operator(&shop), format!("/console/stock/{product}"));
    let form = operator.open("/console/stock").form(&page);
    let answer = operator.send(&form.clone().fill(&[("on_hand", "3")]));
    assert_eq!(
        (answer.status, answer.address.as_str()),
        (200, "/console/stock")
    );
    assert!(answer.says("few left"));
    assert!(operator.open(&page).says("-2"));
    let forged = operator.send(&form.fill(&[("on_hand", "9"), ("form_token", "x")]));
    assert_eq!(forged.status, 403);
}

#[test]
fn what_fails_on_purpose_is_said_on_every_page() {
    souk_only!();
    let shop = Shop::launch(Shop::launcher().variable("fault_injection", "on"));
    let operator = operator(&shop);
    let form = operator.open("/console/faults").form("/console/faults");
    let late = [
        ("from", "carts"),
        ("to", "products"),
        ("latency_ms", "7"),
        ("error_percent", "0"),
    ];
    let wrong = operator.send(&form.clone().fill(&late).fill(&[("seconds", "soon")]));
    assert_eq!(wrong.status, 422);
    assert!(wrong.says("This must be a whole number"), "{}", wrong.html);
    operator.send(&form.fill(&late).fill(&[("seconds", "60")]));
    let banner = operator.open("/console/stock").text("aside");
    assert!(
        banner.contains("Calls of carts to products are 7 ms late until"),
        "{banner}"
    );
    let end = operator.open("/console/faults").form("/console/faults/end");
    assert!(operator.send(&end).says("Nothing fails on purpose."));
    assert_eq!(operator.open("/console/stock").text("aside"), "");
}

#[test]
fn all_requests_are_counted_whichever_are_traced() {
    souk_only!();
    let shop = Shop::start();
    // Of those that begin in a second twenty are traced.
    const REQUESTS: u64 = 300;
    for _ in 0..REQUESTS {
        assert_eq!(shop.get("/api/products?limit=1").status, 200);
    }
    eventually("all are counted", || {
        let path = "/api/ops/metrics?service=products&step=60";
        let measured = shop.admin_send("GET", path, &Value::Null).json();
        let items = measured["items"].as_array().unwrap().iter();
        let calls = items.map(|item| item["calls"].as_u64().unwrap());
        calls.sum::<u64>() >= REQUESTS
    });
}
