//! What shoppers do on the shop's pages, without a script.

use souk_tests::{Form, Page, Reply, Shop, Visitor, at_once, cards, eventually, souk_only, unique};
use std::sync::atomic::{AtomicUsize, Ordering};

const PASSWORD: &str = "a long enough password";

/// Somebody with an account of their own, who is logged in.
fn shopper(shop: &Shop) -> Visitor {
    let visitor = Visitor::of(shop);
    let page = visitor.register(&email(), PASSWORD);
    assert_eq!((page.status, &*page.address), (200, "/"), "{}", page.html);
    visitor
}

fn email() -> String {
    format!("{}@souk.example", unique("shopper"))
}

/// The form of the checkout, filled in for this card.
fn checkout(visitor: &Visitor, card: &str) -> Form {
    let page = visitor.open("/checkout");
    assert_eq!(page.status, 200, "{}", page.html);
    filled_in(&page, card)
}

fn filled_in(page: &Page, card: &str) -> Form {
    page.form("/checkout").fill(&[
        ("name", "A Shopper"),
        ("line1", "Market Street 1"),
        ("postal_code", "10115"),
        ("city", "Berlin"),
        ("country", "DE"),
        ("number", card),
        ("expiry", "09/39"),
        ("cvc", "737"),
    ])
}

#[test]
fn a_guest_fills_a_cart_opens_an_account_and_orders() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1250);
    let guest = Visitor::of(&shop);
    let cart = guest.add_to_cart(&product);
    assert!(
        cart.says("is in your cart") && cart.says("€12.50"),
        "{}",
        cart.html
    );
    let line = format!("/cart/items/{product}");
    let cart = guest.send(&cart.form(&line).fill(&[("quantity", "3")]));
    assert!(cart.says("€37.50"), "{}", cart.html);

    let door = guest.open("/checkout");
    assert_eq!(door.address, "/login?next=%2Fcheckout");
    let form = guest.open("/register?next=%2Fcheckout").form("/register");
    let email = email();
    let page = guest.send(&form.fill(&[("name", "A"), ("email", &email), ("password", PASSWORD)]));
    assert_eq!(page.address, "/checkout", "{}", page.html);
    assert!(page.says("€37.50"), "the cart came along: {}", page.html);

    let order = guest.send(&filled_in(&page, cards::GOOD).fill(&[("remember", "on")]));
    assert!(order.address.starts_with("/orders/"), "{}", order.html);
    assert!(order.says("Your order is confirmed"), "{}", order.html);
    assert!(order.says("Berlin") && order.says("VISA ending in 4242"));
    shop.wait_for_stock(&product, [2, 0, 2]);
    assert!(guest.open("/orders").says("€37.50"));
    assert!(guest.open("/account/addresses").says("Market Street 1"));
    eventually("the cart is empty", || {
        guest.open("/cart").says("Your cart is empty")
    });
    eventually("the confirmation is there", || {
        guest.open("/notifications").says("is confirmed")
    });
}

#[test]
fn a_form_that_is_sent_twice_makes_one_order() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1000);
    let shopper = shopper(&shop);
    shopper.add_to_cart(&product);
    let form = checkout(&shopper, cards::GOOD);
    let [first, second] = std::thread::scope(|scope| {
        let twice = [(); 2].map(|()| scope.spawn(|| shopper.send(&form)));
        twice.map(|sent| sent.join().unwrap())
    });
    let third = shopper.send(&form);
    assert!(first.address.starts_with("/orders/"), "{}", first.html);
    assert_eq!(first.address, second.address);
    assert_eq!(first.address, third.address);
    shop.wait_for_stock(&product, [4, 0, 4]);
}

#[test]
fn a_declined_card_is_told_and_not_shown_again() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1000);
    let shopper = shopper(&shop);
    shopper.add_to_cart(&product);
    let form = checkout(&shopper, cards::DECLINED);
    let page = shopper.send(&form);
    assert_eq!(page.status, 402, "{}", page.html);
    assert!(page.text("[role=alert]").contains("card was declined"));
    assert!(!page.html.contains(cards::DECLINED) && !page.html.contains("737"));
    let poor = shopper.send(&filled_in(&page, cards::POOR));
    assert!(
        poor.text("[role=alert]").contains("not enough money"),
        "{}",
        poor.html
    );
    let order = shopper.send(&filled_in(&poor, cards::GOOD));
    assert!(order.says("Your order is confirmed"), "{}", order.html);
    shop.wait_for_stock(&product, [4, 0, 4]);
}

#[test]
fn an_order_that_takes_longer_is_said_to_be_safe() {
    // So much longer that it is not done before a slow machine has shown the page.
    let launch = Shop::launcher().variable("payment_provider_settings", "transient_ms=8000");
    let shop = Shop::launch(launch);
    let product = shop.product_with_stock(5, 1000);
    let shopper = shopper(&shop);
    shopper.add_to_cart(&product);
    let page = shopper.send(&checkout(&shopper, cards::LATE));
    assert!(page.address.starts_with("/orders/"), "{}", page.html);
    assert!(
        page.says("Your order is safe, and we are finishing it"),
        "{}",
        page.html
    );
    let cancel = page.form(&format!("{}/cancel", page.address));
    let page = shopper.send(&cancel);
    eventually("it is called off", || {
        shopper.open(&page.address).says("You cancelled this order")
    });
}

#[test]
fn what_is_gone_from_the_stock_stops_at_the_cart() {
    let shop = Shop::open();
    let product = shop.product_with_stock(1, 1000);
    let shopper = shopper(&shop);
    shopper.add_to_cart(&product);
    let form = checkout(&shopper, cards::GOOD);
    shop.set_stock(&product, 0);
    let page = shopper.send(&form);
    assert_eq!(page.status, 409, "{}", page.html);
    assert!(
        page.text("[role=alert]").contains("out of stock"),
        "{}",
        page.html
    );
    let cart = shopper.open("/checkout");
    assert_eq!(cart.address, "/cart");
    assert!(cart.says("Out of stock"), "{}", cart.html);
}

#[test]
fn forms_from_elsewhere_change_nothing() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1000);
    let shopper = shopper(&shop);
    let id = uuid::Uuid::now_v7();
    for path in [
        "/cart",
        &format!("/cart/items/{product}"),
        "/login",
        "/register",
        "/logout",
        "/checkout",
        &format!("/orders/{id}/cancel"),
        &format!("/notifications/{id}/read"),
        "/account",
        "/account/password",
        "/account/delete",
        "/account/addresses/new",
        &format!("/account/addresses/{id}"),
        &format!("/account/addresses/{id}/delete"),
    ] {
        let form = [("product_id", &*product), ("sure", "on"), ("quantity", "1")];
        let reply = shopper.request("POST", path).form(&form).send().unwrap();
        assert_eq!(reply.status(), 403, "{path}");
    }
    let page = shopper.open(&format!("/products/{product}"));
    let token = page.form("/cart");
    let sent = |name: &str, value: &str| {
        let request = shopper.request("POST", "/cart").form(&[
            ("product_id", &*product),
            ("form_token", token.value("form_token")),
        ]);
        request.header(name, value).send().unwrap().status()
    };
    assert_eq!(sent("sec-fetch-site", "cross-site"), 403);
    assert_eq!(sent("origin", "https://evil.example"), 403);
    assert!(shopper.open("/cart").says("Your cart is empty"));
    let forged = token
        .clone()
        .fill(&[("form_token", "AAAAAAAAAAAAAAAAAAAAAA")]);
    assert_eq!(shopper.send(&forged).status, 403);
    assert_eq!(
        shopper.send(&token.clone().without("form_token")).status,
        403
    );
    assert!(shopper.send(&token).says("is in your cart"));
}

#[test]
fn nobody_is_led_to_another_site() {
    let shop = Shop::open();
    let visitor = Visitor::of(&shop);
    let email = email();
    visitor.register(&email, PASSWORD);
    for next in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let form = visitor.open("/login").form("/login");
        let form = form.fill(&[("email", &email), ("password", PASSWORD), ("next", next)]);
        assert_eq!(visitor.send(&form).address, "/", "{next}");
    }
    let form = visitor.open("/login").form("/login");
    let page = visitor.send(&form.fill(&[("email", &email), ("password", "not this one")]));
    assert_eq!(page.status, 422);
    assert!(
        page.text("[role=alert]").contains("not right"),
        "{}",
        page.html
    );
}

#[test]
fn what_is_somebodys_own_is_shown_to_nobody_else() {
    let shop = Shop::open();
    let product = shop.product_with_stock(5, 1000);
    let (one, other) = (shopper(&shop), shopper(&shop));
    one.add_to_cart(&product);
    let order = one.send(&checkout(&one, cards::GOOD));
    assert!(order.header("cache-control").contains("private"));
    assert_eq!(other.open(&order.address).status, 404);
    let stream = format!("{}/stream", order.address);
    assert_eq!(other.open(&stream).status, 404);
    let stranger = Visitor::of(&shop).open(&order.address);
    assert!(stranger.address.starts_with("/login?next="));
}

#[test]
fn whoever_logs_out_is_out() {
    let shop = Shop::open();
    let shopper = shopper(&shop);
    let page = shopper.send(&shopper.open("/account").form("/logout"));
    assert!(page.says("You are logged out."), "{}", page.html);
    assert!(shopper.open("/account").address.starts_with("/login"));
}

/// The refresh token that an answer has the browser keep; none where it says nothing about it.
fn kept(reply: &Reply) -> Option<String> {
    let cookies = reply.headers.get_all("set-cookie").into_iter();
    cookies
        .filter_map(|cookie| cookie.to_str().ok()?.strip_prefix("souk_refresh="))
        .map(|cookie| cookie.split(';').next().unwrap_or_default().to_owned())
        .next()
}

#[test]
fn tabs_that_refresh_at_once_at_two_hosts_keep_the_session() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let shops = [(); 2].map(|()| Shop::launch(Shop::launcher().dir(dir.path())));
    let customer = shops[0].customer();
    // What a browser brings whose access token has had its time.
    let open = |shop: &Shop, session: &str| {
        let cookie = format!("souk_refresh={session}");
        Reply::to(shop.request("GET", "/account").header("cookie", cookie))
    };
    let mut session = customer.session.refresh_token.clone();
    for _ in 0..5 {
        let tab = AtomicUsize::new(0);
        let pages = at_once(6, || {
            open(&shops[tab.fetch_add(1, Ordering::Relaxed) % 2], &session)
        });
        let next = kept(&pages[0]).unwrap();
        for page in &pages {
            assert_eq!(page.status, 200, "{}", page.text);
            assert!(page.text.contains("Your account"), "{}", page.text);
            assert_eq!(kept(page).as_ref(), Some(&next));
        }
        assert_ne!(next, session);
        session = next;
    }

    let gone = open(&shops[1], &customer.session.refresh_token);
    assert_eq!(gone.header("location"), "/login?next=%2Faccount");
    assert_eq!(kept(&gone).as_deref(), Some(""), "the browser forgets it");
    assert_eq!(
        open(&shops[0], &session).status,
        303,
        "a token from long ago is in the wrong hands, so all of it has ended"
    );
}

#[test]
fn a_visitor_whose_refresh_has_to_wait_stays_signed_in() {
    souk_only!();
    let shop = Shop::launch(Shop::launcher().variable("rate_limit_login", "3/36000"));
    let customer = shop.customer();
    let open = |session: &str| {
        let cookie = format!("souk_refresh={session}");
        Reply::to(shop.request("GET", "/account").header("cookie", cookie))
    };
    // Registering and logging in were two of three.
    let session = kept(&open(&customer.session.refresh_token)).unwrap();
    let later = open(&session);
    assert_eq!((later.status, kept(&later)), (503, None), "{}", later.text);
}
