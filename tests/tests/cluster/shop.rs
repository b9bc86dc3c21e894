//! It is the same shop.

use reqwest::blocking::Client;
use souk_tests::{Cluster, Reply, Shop, Visitor, client, eventually, souk_only};

use crate::load;

#[test]
fn it_is_a_whole_shop_whose_instances_share_the_work() {
    souk_only!();
    let cluster = Cluster::start();
    let shop = &cluster.shop;
    let product = shop.product_with_stock(10, 450);

    let customer = shop.customer();
    let path = format!("/api/cart/items/{product}");
    let put = customer.send("PUT", &path, &serde_json::json!({"quantity": 2}));
    assert_eq!(put.status, 200, "{}", put.text);
    let order = customer.buy(&[(&product, 2)]);
    customer.wait_for_payment(&order, "captured");
    customer.wait_for_notification(&order, "order_confirmed");
    shop.wait_for_stock(&product, [8, 0, 8]);
    shop.audit();

    let page = Reply::to(client().get(format!("{}/", cluster.storefront)));
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("A thing"), "{}", page.text);

    assert_eq!(cluster.listed()["products"], ["up", "up"]);
    // The gateway may have asked for the list before the second one was in it, and asks again every few seconds.
    eventually("both answer", || {
        load::read(shop, 200).by_instance.len() == 2
    });
    let answers = load::read(shop, 200);
    answers.expect_no_failure();
    assert_eq!(answers.by_instance.len(), 2, "{answers:?}");
    assert!(
        answers
            .by_instance
            .keys()
            .all(|it| it.starts_with("products-"))
    );
}

#[test]
fn visitors_of_the_storefront_are_told_apart() {
    souk_only!();
    let cluster = Cluster::start_with(&["--variable", "rate_limit_login=3/36000"]);
    let pages = Shop::at(&cluster.storefront);
    let visitor = |last: u8| {
        let address = std::net::IpAddr::from([127, 0, 0, last]);
        Visitor::by(&pages, Client::builder().local_address(address))
    };
    let guess = |visitor: &Visitor| {
        let form = visitor.open("/login").form("/login");
        let wrong = [("email", "nobody@souk.example"), ("password", "a guess")];
        visitor.send(&form.fill(&wrong))
    };
    let guesser = visitor(2);
    for _ in 0..3 {
        let page = guess(&guesser);
        assert!(page.says("is not right"), "{}", page.html);
    }
    let page = guess(&guesser);
    assert!(page.says("too often"), "{}", page.html);
    let page = guess(&visitor(3));
    assert!(page.says("is not right"), "{}", page.html);
}
