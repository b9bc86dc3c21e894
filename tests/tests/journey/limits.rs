//! How much may be asked.

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;
use souk_tests::{Form, Reply, Shop, Visitor, at_once, souk_only, unique};
use souk_tokens::{Claims, Key};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A shop whose clients may make so many requests.
fn limited(name: &str, limit: &str) -> Shop {
    Shop::launch(Shop::launcher().variable(name, limit))
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies
        .iter()
        .filter(|reply| reply.status == status)
        .count()
}

#[test]
fn of_a_hundred_at_once_a_limit_of_fifty_lets_fifty_through() {
    souk_only!();
    // So long a time that none is given back while the test runs.
    let shop = limited("rate_limit_client", "50/36000");
    let replies = at_once(100, || shop.get("/api/products"));
    assert_eq!((count(&replies, 200), count(&replies, 429)), (50, 50));
    let mut left: Vec<i64> = Vec::new();
    for reply in &replies {
        assert_eq!(reply.header("ratelimit-limit"), "50");
        let number = |name| reply.header(name).parse::<i64>().unwrap();
        // A second more, since the answers are not made in the order in which the requests are counted.
        assert!(
            (1..=36_001).contains(&number("ratelimit-reset")),
            "{reply:?}"
        );
        match reply.status {
            200 => left.push(number("ratelimit-remaining")),
            _ => {
                assert_eq!(reply.problem(), "too-many-requests");
                assert_eq!(number("ratelimit-remaining"), 0);
                assert!(
                    (1..=721).contains(&number("retry-after")),
                    "{}",
                    number("retry-after")
                );
            }
        }
    }
    assert!(left.iter().all(|left| (0..50).contains(left)), "{left:?}");
    assert!(left.contains(&0), "{left:?}");
    let forged = shop
        .request("GET", "/api/products")
        .header("spin-client-addr", "10.0.0.1:1");
    assert_eq!(
        Reply::to(forged.header("x-forwarded-for", "10.0.0.1")).status,
        429
    );
}

#[test]
fn whoever_comes_back_when_told_is_let_in() {
    souk_only!();
    let shop = limited("rate_limit_client", "2/4");
    let replies = at_once(6, || shop.get("/api/categories"));
    let wait = replies
        .iter()
        .find(|reply| reply.status == 429)
        .unwrap()
        .header("retry-after");
    std::thread::sleep(Duration::from_secs(wait.parse().unwrap()));
    assert_eq!(shop.get("/api/categories").status, 200);
}

#[test]
fn logging_in_is_limited_more_than_the_rest() {
    souk_only!();
    let shop = limited("rate_limit_login", "5/36000");
    let body = json!({"email": "nobody@souk.example", "password": "guessed by a guesser"});
    let replies = at_once(12, || shop.send("POST", "/api/sessions", &body));
    assert_eq!((count(&replies, 401), count(&replies, 429)), (5, 7));
    let register = json!({"email": "x", "password": "x", "name": "x"});
    assert_eq!(
        shop.send("POST", "/api/users", &register).status,
        429,
        "accounts are counted with them"
    );
    assert_eq!(shop.get("/api/products").status, 200);
}

#[test]
fn an_account_has_a_limit_of_its_own() {
    souk_only!();
    let shop = limited("rate_limit_account", "10/36000");
    let (one, other) = (shop.customer(), shop.customer());
    let replies = at_once(20, || one.get("/api/users/me"));
    assert_eq!((count(&replies, 200), count(&replies, 429)), (10, 10));
    assert_eq!(other.get("/api/users/me").status, 200);
    assert_eq!(shop.get("/api/products").status, 200);
}

#[test]
fn limits_survive_a_restart() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let launch = || {
        Shop::launcher()
            .variable("rate_limit_client", "5/36000")
            .dir(dir.path())
    };
    let shop = Shop::launch(launch());
    assert_eq!(count(&at_once(6, || shop.get("/api/products")), 429), 1);
    shop.into_host().unwrap().kill();
    let started = Instant::now();
    let shop = Shop::launch(launch());
    assert_eq!(
        shop.get("/api/products").status,
        429,
        "{:?} later",
        started.elapsed()
    );
}

const PASSWORD: &str = "a long enough password";

/// A client with one of the machine's own addresses, 127.0.0.x.
fn at(last: u8) -> ClientBuilder {
    Client::builder().local_address(IpAddr::from([127, 0, 0, last]))
}

/// The form of the login page, filled in with what nobody has.
fn wrong_login(visitor: &Visitor) -> Form {
    let form = visitor.open("/login").form("/login");
    let email = format!("{}@souk.example", unique("nobody"));
    form.fill(&[("email", &email), ("password", "guessed by a guesser")])
}

/// Whether each of so many guesses at the login page was one too many.
fn guess(visitor: &Visitor, times: usize) -> Vec<bool> {
    let guess = |_| {
        let page = visitor.send(&wrong_login(visitor));
        assert_eq!(page.status, 422, "{}", page.html);
        let too_often = page.says("too often");
        assert_ne!(too_often, page.says("is not right"), "{}", page.html);
        too_often
    };
    (0..times).map(guess).collect()
}

/// Opens an account and logs in to it at the login page.
fn log_in(shop: &Shop, visitor: &Visitor) {
    let email = format!("{}@souk.example", unique("owner"));
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada"});
    let made = shop.send("POST", "/api/users", &body);
    assert_eq!(made.status, 201, "{}", made.text);
    let form = visitor.open("/login").form("/login");
    let page = visitor.send(&form.fill(&[("email", &email), ("password", PASSWORD)]));
    assert_eq!((page.status, &*page.address), (200, "/"), "{}", page.html);
}

/// The status of a login by the API with what nobody has.
fn api_login(shop: &Shop, client: ClientBuilder) -> u16 {
    let body = json!({"email": "nobody@souk.example", "password": "guessed by a guesser"});
    let request = client.build().unwrap();
    Reply::to(
        request
            .post(format!("{}/api/sessions", shop.url))
            .json(&body),
    )
    .status
}

/// What somebody says who would like to be somebody else, with a token as services make it where there is no key.
fn forged() -> HeaderMap {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let token = Key::new("").sign(&Claims::new("storefront", "gateway", now.as_secs()));
    let says = [
        ("x-souk-token", &*token),
        ("x-souk-client", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
        ("spin-client-addr", "0.0.0.0:0"),
    ];
    let pair = |(name, value): (&'static str, &str)| {
        let value = HeaderValue::from_str(value).unwrap();
        (name.parse().unwrap(), value)
    };
    says.into_iter().map(pair).collect()
}

#[test]
fn who_guesses_at_the_login_page_locks_nobody_else_out() {
    souk_only!();
    let shop = limited("rate_limit_login", "5/36000");
    let guesser = Visitor::by(&shop, at(2));
    assert_eq!(
        guess(&guesser, 7),
        [[false; 5].as_slice(), &[true; 2]].concat()
    );
    assert_eq!(api_login(&shop, at(2)), 429, "it is the same client");
    let disguised = Visitor::by(&shop, at(2).default_headers(forged()));
    assert_eq!(guess(&disguised, 2), [true; 2]);
    assert_eq!(api_login(&shop, at(2).default_headers(forged())), 429);
    log_in(&shop, &Visitor::by(&shop, at(3)));
}

#[test]
fn failed_logins_at_the_login_page_count_for_the_address_they_come_from() {
    souk_only!();
    let shop = Shop::start();
    let guesser = Visitor::by(&shop, at(2));
    // Thirty are free, one more makes the next one wait, if that comes soon.
    let free = (0..60).take_while(|_| guess(&guesser, 1) == [false]);
    assert!((31..60).contains(&free.count()));
    log_in(&shop, &Visitor::by(&shop, at(3)));
}

#[test]
fn a_visitor_has_one_limit_for_pages_and_the_api() {
    souk_only!();
    let shop = limited("rate_limit_client", "40/36000");
    let visitor = Visitor::by(&shop, at(2));
    // Each page takes some requests.
    let refused = (0..40)
        .map(|_| visitor.open("/"))
        .find(|page| page.status != 200);
    let page = refused.unwrap();
    assert_eq!(page.status, 429, "{}", page.html);
    assert!(page.says("too often"), "{}", page.html);
    let products = |client: ClientBuilder| {
        let client = client.build().unwrap();
        Reply::to(client.get(format!("{}/api/products", shop.url))).status
    };
    assert_eq!((products(at(2)), products(at(3))), (429, 200));
    assert_eq!(Visitor::by(&shop, at(4)).open("/").status, 200);
}

/// A client behind a proxy, which has added its address to what it said itself.
fn behind_a_proxy(said: &str) -> ClientBuilder {
    let said = HeaderValue::from_str(said).unwrap();
    let mut headers = forged();
    headers.insert("x-forwarded-for", said);
    Client::builder().default_headers(headers)
}

#[test]
fn behind_a_proxy_clients_are_told_apart_by_what_it_has_added() {
    souk_only!();
    let shop = Shop::launcher().variable("trusted_proxies", "1");
    let shop = Shop::launch(shop.variable("rate_limit_login", "4/36000"));
    let guesser = Visitor::by(&shop, behind_a_proxy("203.0.113.7"));
    assert_eq!(guess(&guesser, 3), [false; 3]);
    assert_eq!(api_login(&shop, behind_a_proxy("203.0.113.7:4711")), 401);
    for disguise in [
        "203.0.113.7",
        "203.0.113.8, 203.0.113.7",
        "127.0.0.1,203.0.113.7",
    ] {
        let disguised = Visitor::by(&shop, behind_a_proxy(disguise));
        assert_eq!(guess(&disguised, 1), [true], "{disguise}");
        assert_eq!(
            api_login(&shop, behind_a_proxy(disguise)),
            429,
            "{disguise}"
        );
    }
    log_in(
        &shop,
        &Visitor::by(&shop, behind_a_proxy("203.0.113.7, 203.0.113.8")),
    );
    assert_eq!(api_login(&shop, behind_a_proxy("203.0.113.9")), 401);
}

#[test]
fn a_number_of_proxies_that_makes_no_sense_is_named() {
    souk_only!();
    let shop = limited("trusted_proxies", "many");
    for path in ["/api/products", "/"] {
        let answer = shop.get(path);
        assert_eq!(
            (answer.status, answer.problem()),
            (503, "misconfigured".into()),
            "{path}"
        );
        assert!(
            answer.text.contains("trusted_proxies must be a number"),
            "{}",
            answer.text
        );
    }
}
