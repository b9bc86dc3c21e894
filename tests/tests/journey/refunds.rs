//! Money that goes back.

use serde_json::{Value, json};
use souk_tests::{Reply, Shop, unique};

fn refund(shop: &Shop, payment: &str, key: &str, body: &Value) -> Reply {
    let request = shop.admin("POST", &format!("/api/payments/{payment}/refunds"));
    Reply::to(request.header("idempotency-key", key).json(body))
}

#[test]
fn a_part_of_the_money_is_refunded_and_then_the_rest() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 1000);
    let customer = shop.customer();
    let order = customer.buy(&[(&product, 3)]);
    let payment = customer.wait_for_payment(&order, "captured");
    let id = payment["id"].as_str().unwrap();

    let key = unique("refund");
    let part = refund(&shop, id, &key, &json!({"amount": 500}));
    assert_eq!(part.status, 201, "{}", part.text);
    assert_eq!(
        (&part.json()["status"], &part.json()["refunded"]["amount"]),
        (&json!("partially_refunded"), &json!(500))
    );
    let again = refund(&shop, id, &key, &json!({"amount": 500}));
    assert_eq!(
        (again.status, &again.json()["refunded"]["amount"]),
        (201, &json!(500)),
        "the same again is the same"
    );
    let other = refund(&shop, id, &key, &json!({"amount": 600}));
    assert_eq!(other.status, 422, "{}", other.text);
    let too_much = refund(&shop, id, &unique("refund"), &json!({"amount": 2501}));
    assert_eq!(
        (too_much.status, too_much.problem()),
        (409, "conflict".into()),
        "{}",
        too_much.text
    );

    let rest = refund(&shop, id, &unique("refund"), &json!({}));
    assert_eq!(rest.status, 201, "{}", rest.text);
    assert_eq!(
        (&rest.json()["status"], &rest.json()["refunded"]["amount"]),
        (&json!("refunded"), &json!(3000))
    );
    let seen = customer.get(&format!("/api/payments/{id}")).json();
    let kinds: Vec<_> = seen["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].clone())
        .collect();
    assert_eq!(kinds, ["authorize", "capture", "refund", "refund"]);
    assert_eq!(
        refund(&shop, id, &unique("refund"), &json!({})).status,
        409,
        "there is nothing left"
    );
}

#[test]
fn refunds_are_the_administrators() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 1000);
    let (customer, other) = (shop.customer(), shop.customer());
    let order = customer.buy(&[(&product, 1)]);
    let payment = customer.wait_for_payment(&order, "captured");
    let path = format!("/api/payments/{}", payment["id"].as_str().unwrap());
    let own = customer
        .request("POST", &format!("{path}/refunds"))
        .header("idempotency-key", "k");
    assert_eq!(Reply::to(own.json(&json!({}))).status, 403);
    assert_eq!(other.get(&path).status, 404);
    assert_eq!(
        Reply::to(shop.admin("GET", &path)).json()["order_id"],
        json!(order)
    );
    let keyless = shop.admin_send("POST", &format!("{path}/refunds"), &json!({}));
    assert_eq!(keyless.status, 400, "{}", keyless.text);
    for amount in [json!(0), json!(-1), json!(0.5), json!("1")] {
        let bad = shop
            .admin("POST", &format!("{path}/refunds"))
            .header("idempotency-key", "k");
        assert_eq!(
            Reply::to(bad.json(&json!({"amount": amount}))).status,
            422,
            "{amount}"
        );
    }
    assert_eq!(customer.payment(&order)["refunded"]["amount"], 0);
}

#[test]
fn what_was_refunded_in_part_is_not_refunded_again_when_the_order_is_cancelled() {
    let shop = Shop::open();
    let product = shop.product_with_stock(10, 1000);
    let customer = shop.customer();
    let order = customer.buy(&[(&product, 3)]);
    let payment = customer.wait_for_payment(&order, "captured");
    refund(
        &shop,
        payment["id"].as_str().unwrap(),
        &unique("refund"),
        &json!({"amount": 500}),
    );
    customer.act("POST", &format!("/api/orders/{order}/cancel"));
    let refunded = customer.wait_for_payment(&order, "refunded");
    assert_eq!(refunded["refunded"]["amount"], 3000, "{refunded}");
    customer.wait_for(&order, "cancelled");
    shop.wait_for_stock(&product, [10, 0, 10]);
}
