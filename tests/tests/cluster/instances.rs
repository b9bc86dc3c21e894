//! What happens to single instances is nobody's concern.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use souk_tests::{Cluster, Customer, eventually, souk_only};

use crate::load::{self, while_buying, while_reading};

/// How long an instance is listed that says nothing more.
const LEASE: Duration = Duration::from_secs(9);

#[test]
fn a_killed_instance_is_not_missed_and_takes_its_share_again() {
    souk_only!();
    let cluster = Cluster::start();
    let shop = &cluster.shop;
    shop.product_with_stock(10, 450);
    let answers = while_reading(shop, 300, || {
        thread::sleep(Duration::from_secs(1));
        cluster.run("kill products-1");
        thread::sleep(Duration::from_secs(4));
    });
    answers.expect_no_failure();
    assert_eq!(cluster.status("products-1", 3), "dead");

    cluster.run("restart products-1");
    let restarted = Instant::now();
    while load::read(shop, 20).by_instance.len() < 2 {
        assert!(restarted.elapsed() < Duration::from_secs(5), "no share");
    }
    assert_eq!(cluster.status("products-1", 3), "running");
}

#[test]
fn a_rolling_restart_fails_no_order() {
    souk_only!();
    let cluster = Cluster::start();
    let shop = &cluster.shop;
    let product = shop.product_with_stock(100_000, 450);
    let customers: Vec<Customer<'_>> = (0..4).map(|_| shop.customer()).collect();
    let before = ["orders-1", "orders-2"].map(|it| cluster.status(it, 1));
    let answers = while_buying(&customers, &product, 50, || {
        cluster.run("restart orders");
    });
    answers.expect_no_failure();
    let after = ["orders-1", "orders-2"].map(|it| cluster.status(it, 1));
    assert!(before.iter().all(|pid| !after.contains(pid)), "{after:?}");

    let left = 100_000 - i64::try_from(answers.count()).unwrap();
    shop.wait_for_stock(&product, [left, 0, left]);
    shop.audit();
}

#[test]
fn the_registry_may_be_away_and_may_have_forgotten_everything() {
    souk_only!();
    let cluster = Cluster::start();
    let shop = &cluster.shop;
    let product = shop.product_with_stock(100_000, 450);
    let customers: Vec<Customer<'_>> = (0..2).map(|_| shop.customer()).collect();
    // Who never heard where payments are cannot know without the registry.
    customers[0].buy(&[(&product, 1)]);
    let all = cluster.listed();
    assert_eq!(all["products"], ["up", "up"], "{all:?}");
    let answers = while_buying(&customers, &product, 50, || {
        cluster.run("kill registry");
        thread::sleep(Duration::from_secs(6));
        for file in ["registry.db", "registry.db-wal", "registry.db-shm"] {
            let _ = fs::remove_file(cluster.dir().join(file));
        }
        cluster.run("restart registry");
        let restarted = Instant::now();
        eventually("all are listed again", || cluster.listed() == all);
        assert!(restarted.elapsed() < LEASE, "{:?}", restarted.elapsed());
    });
    answers.expect_no_failure();
    while_reading(shop, 100, || thread::sleep(Duration::from_secs(2))).expect_no_failure();
}
