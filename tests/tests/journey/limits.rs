//! How much may be asked.

use serde_json::json;
use souk_tests::{Reply, Shop, at_once, souk_only};
use std::time::{Duration, Instant};

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
