//! A shop with nothing that ticks, as on stock Spin: what was interrupted goes on as soon as anybody looks at it.

use rusqlite::Connection;
use souk_tests::audit::Answers;
use souk_tests::{Account, Caller, Reply, Shop, client, souk_only};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::load::{Closing, Load};
use crate::plan::{self, Kill};
use crate::site::Site;

/// How often the host is killed.
const KILLS: usize = 8;

/// What a visitor looks at, who is signed in: the pages of the shop, and what its scripts ask for.
const VISITED: [&str; 5] = [
    "/",
    "/api/products",
    "/api/orders",
    "/api/cart",
    "/api/notifications",
];

#[test]
fn without_a_ticker_a_trickle_of_traffic_is_enough() {
    souk_only!();
    let seed = plan::seed();
    let site = Site::new(Shop::launcher_without_ticker("spin.toml"));
    let (shop, catalogue) = site.open();
    let mut visitor = visitor(&site.url);
    let over = AtomicBool::new(false);
    let load = Load {
        url: &site.url,
        seed,
        catalogue: &catalogue,
        pause: 20,
        is_patient: false,
        over: &over,
    };
    let answers = std::thread::scope(|scope| {
        let answers = scope.spawn(|| load.run(6));
        let closing = Closing(&over);
        std::thread::sleep(Duration::from_secs(2));
        shop.into_host().unwrap().kill();
        for kill in plan::kills(seed, KILLS) {
            let (Kill::Serving(after) | Kill::AtStart(after)) = kill;
            let host = site.start();
            std::thread::sleep(after);
            host.kill();
        }
        // The clients go home, and the last of what they asked for is interrupted too.
        let host = site.start();
        std::thread::sleep(Duration::from_millis(700));
        drop(closing);
        let answers: Answers = answers.join().unwrap();
        host.kill();
        answers
    });

    let host = site.start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| visit(&mut visitor, &done));
        site.wait_for_rest();
        done.store(true, Ordering::SeqCst);
    });
    site.audit(&host, &answers);
}

/// What a crash can leave behind, as it is just after it.
const INTERRUPTED: [(&str, &str); 7] = [
    ("inventory", "UPDATE outbox_progress SET published = 0"),
    ("notifications", "UPDATE outbox_progress SET published = 0"),
    ("orders", "UPDATE outbox_progress SET published = 0"),
    ("payments", "UPDATE outbox_progress SET published = 0"),
    ("products", "UPDATE outbox_progress SET published = 0"),
    ("users", "UPDATE outbox_progress SET published = 0"),
    ("events", "UPDATE subscriptions SET position = 0"),
];

#[test]
fn whatever_is_not_handed_on_is_handed_on_when_somebody_looks() {
    souk_only!();
    let site = Site::new(Shop::launcher_without_ticker("spin.toml"));
    let (shop, catalogue) = site.open();
    let customer = shop.customer();
    customer.buy(&[(&catalogue.plenty[0], 1)]);
    let mut visitor = visitor(&site.url);
    shop.into_host().unwrap().kill();
    let mut left = Vec::new();
    for (name, sql) in INTERRUPTED {
        let host = site.start();
        rests(&site, &mut visitor);
        host.kill();
        let file = site.state_dir().join(format!("{name}.db"));
        let database = Connection::open(file).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0);
        drop(database);
        let host = site.start();
        if !rests(&site, &mut visitor) {
            left.push((name, site.unrest()));
            // So that the next one is seen by itself.
            Reply::to(client().get(format!("{}/api/health", site.url)));
        }
        host.kill();
    }
    assert!(left.is_empty(), "what nobody goes on with: {left:#?}");
}

/// Whether all is at rest after some moments in which somebody looks around.
fn rests(site: &Site, visitor: &mut Caller) -> bool {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| visit(visitor, &done));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !site.unrest().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(200));
        }
        done.store(true, Ordering::SeqCst);
    });
    site.unrest().is_empty()
}

/// Somebody who is signed in before anything is interrupted, so that they only have to look.
fn visitor(url: &str) -> Caller {
    let account = Account {
        email: "visitor@souk.example".into(),
        password: "the password of a visitor".into(),
    };
    let mut visitor = Caller::new(url, account);
    visitor.register().expect("a shop that is there");
    visitor
}

/// Looks at one page after the other, slowly, and does nothing else.
fn visit(visitor: &mut Caller, done: &AtomicBool) {
    for path in VISITED.iter().cycle() {
        if done.load(Ordering::SeqCst) {
            return;
        }
        visitor.ask("GET", path, None, &serde_json::Value::Null);
        std::thread::sleep(Duration::from_millis(200));
    }
}
