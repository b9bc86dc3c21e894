//! What customers and administrators are told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use souk_tests::{Mailbox, Reply, Shop, eventually, souk_only};
use std::time::Duration;

fn kinds(notifications: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = notifications
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn a_customer_is_told_of_each_step_once() {
    let shop = Shop::open();
    let product = shop.product_with_stock(20, 1234);
    let customer = shop.customer();
    let order = customer.buy(&[(&product, 2)]);
    let confirmation = customer.wait_for_notification(&order, "order_confirmed");
    for text in ["A thing", "EUR 12.34", "EUR 24.68"] {
        assert!(
            confirmation["text"].as_str().unwrap().contains(text),
            "{confirmation}"
        );
    }
    customer.wait_for_notification(&order, "payment_receipt");
    customer.wait_for_payment(&order, "captured");
    let ship = json!({"carrier": "Post & Co", "tracking": "XY-1"});
    for _ in 0..2 {
        let reply = shop.admin_send("POST", &format!("/api/orders/{order}/ship"), &ship);
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let shipped = customer.wait_for_notification(&order, "order_shipped");
    assert!(
        shipped["text"].as_str().unwrap().contains("XY-1"),
        "{shipped}"
    );
    assert!(
        shipped["html"].as_str().unwrap().contains("Post &amp; Co"),
        "{shipped}"
    );
    assert_eq!(
        kinds(&customer.notifications(&order)),
        ["order_confirmed", "order_shipped", "payment_receipt"]
    );
    let summary = customer.get(&format!("/api/orders/{order}/summary")).json();
    assert_eq!(
        summary["notifications"].as_array().unwrap().len(),
        3,
        "{summary}"
    );

    let stranger = shop.customer();
    assert_eq!(stranger.notifications(&order), Vec::<Value>::new());
    let read = format!(
        "/api/notifications/{}/read",
        shipped["id"].as_str().unwrap()
    );
    assert_eq!(stranger.act("POST", &read).status, 404);
    assert_eq!(customer.act("POST", &read).status, 200);
    let unread = customer.get("/api/notifications?unread=true").json();
    assert_eq!(
        kinds(unread["items"].as_array().unwrap()),
        ["order_confirmed", "payment_receipt"]
    );
}

#[test]
fn a_cancellation_is_told_and_a_rejection_is_not() {
    let shop = Shop::open();
    let product = shop.product_with_stock(20, 1000);
    let customer = shop.customer();
    let rejected = customer
        .order(&[(&product, 1)], souk_tests::cards::DECLINED)
        .json()["order_id"]
        .clone();
    let order = customer.buy(&[(&product, 1)]);
    customer.wait_for_payment(&order, "captured");
    assert_eq!(
        customer
            .act("POST", &format!("/api/orders/{order}/cancel"))
            .status,
        200
    );
    customer.wait_for_notification(&order, "order_cancelled");
    assert_eq!(
        customer.notifications(rejected.as_str().unwrap()),
        Vec::<Value>::new()
    );
}

#[test]
fn administrators_are_told_when_little_is_left() {
    let shop = Shop::open();
    let product = shop.product_with_stock(6, 1000);
    shop.customer().buy(&[(&product, 2)]);
    eventually("the administrators are told once", || {
        let inbox = Reply::to(shop.admin("GET", "/api/notifications?limit=100")).json();
        let told = inbox["items"].as_array().unwrap().iter();
        let about_it = |it: &&Value| {
            it["kind"] == "stock_low" && it["text"].as_str().unwrap().contains(&product)
        };
        told.filter(about_it).count() == 1
    });
    let customer = shop.customer();
    assert_eq!(
        customer.get("/api/notifications").json()["items"],
        json!([])
    );
}

#[test]
fn mail_and_webhooks_go_out_once_each_also_when_they_are_refused_at_first() {
    souk_only!();
    let (mail, hook) = (Mailbox::start(), Mailbox::start());
    let launch = Shop::launcher()
        .variable("mail_api_origin", &mail.url)
        .variable("mail_api_key", "the mail key")
        .variable("webhook_origin", &hook.url)
        .variable("webhook_path", "/shop")
        .variable("webhook_secret", "a secret of the test");
    let shop = Shop::launch(launch);
    let product = shop.product_with_stock(20, 1000);
    let customer = shop.customer();
    mail.fail(2);
    let order = customer.buy(&[(&product, 1)]);
    let hooks = hook.wait_for(2);
    assert!(
        mail.taken().len() < 2,
        "a channel that fails holds up no other"
    );
    let mails = mail.wait_for(2);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((mail.taken().len(), hook.taken().len()), (2, 2));

    let number = order[order.len() - 12..].to_uppercase();
    for mail in &mails {
        assert_eq!(
            (&*mail.path, mail.header("authorization")),
            ("/emails", "Bearer the mail key")
        );
        let body = mail.json();
        assert!(body["to"].to_string().contains(&customer.email), "{body}");
        assert!(
            body["subject"].as_str().unwrap().contains(&number),
            "{body}"
        );
        assert!(!mail.header("idempotency-key").is_empty());
    }
    for hook in &hooks {
        assert_eq!(hook.path, "/shop");
        let signed = format!(
            "{}.{}.{}",
            hook.header("webhook-id"),
            hook.header("webhook-timestamp"),
            hook.text
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a secret of the test").unwrap();
        mac.update(signed.as_bytes());
        let expected = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        assert_eq!(hook.header("webhook-signature"), expected);
        assert_eq!(hook.json()["data"]["order_id"], json!(order));
    }
}
