//! The subcommands do what they say, and say what they do not do.

use souk_tests::{Cluster, Reply, eventually, souk_only};

use crate::load::{self, while_reading};

#[test]
fn an_instance_that_hangs_is_down_until_it_goes_on() {
    souk_only!();
    let cluster = Cluster::start();
    cluster.run("hang inventory-2");
    assert_eq!(cluster.status("inventory-2", 3), "stopped");
    eventually("it is no longer up", || {
        cluster.status("inventory-2", 4) != "up"
    });
    cluster.run("resume inventory-2");
    assert_eq!(cluster.status("inventory-2", 3), "running");
    eventually("it is up again", || {
        cluster.status("inventory-2", 4) == "up"
    });
}

#[test]
fn a_service_gets_more_instances_and_fewer() {
    souk_only!();
    let cluster = Cluster::start();
    cluster.shop.product_with_stock(1, 450);
    let answers = while_reading(&cluster.shop, 100, || {
        cluster.run("scale products 3");
        assert_eq!(cluster.listed()["products"], ["up", "up", "up"]);
        eventually("all three answer", || {
            load::read(&cluster.shop, 20).by_instance.len() == 3
        });
        cluster.run("scale products 1");
    });
    answers.expect_no_failure();
    assert_eq!(answers.by_instance.len(), 3);
    assert_eq!(cluster.listed()["products"], ["up"]);
}

#[test]
fn its_metrics_are_in_one_place_and_tell_who_is_down() {
    souk_only!();
    let cluster = Cluster::start();
    let token = std::fs::read_to_string(cluster.dir().join("metrics-token")).unwrap();
    let (token, url) = (token.trim(), &cluster.shop.url);
    let told = format!("curl -H 'authorization: Bearer {token}' {url}/metrics");
    eventually("it is told how to scrape", || {
        cluster.output().contains(&told)
    });
    let carts_are = |up: u8| {
        let scraped = Reply::to(cluster.shop.request("GET", "/metrics").bearer_auth(token));
        assert_eq!(scraped.status, 200, "{}", scraped.text);
        let line = format!("souk_service_up{{service=\"carts\"}} {up}\n");
        scraped.text.contains(&line)
    };
    eventually("carts is up", || carts_are(1));
    cluster.run("kill carts");
    eventually("carts is down", || carts_are(0));
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    souk_only!();
    let cluster = Cluster::start();
    for (command, expected) in [
        ("scale gateway 2", "there is one gateway"),
        ("scale products 0", "at least one instance"),
        ("scale shoes 2", "no service \"shoes\", but registry"),
        ("kill products-9", "no instance or service \"products-9\""),
        ("status now", "unexpected argument \"now\""),
        (
            "restart products --manifest none.toml",
            "--manifest none.toml",
        ),
        ("up --no-build", "runs in"),
    ] {
        let error = cluster.refused(command);
        assert!(error.contains(expected), "{command}: {error}");
        assert_eq!(error.lines().count(), 1, "{command}: {error}");
    }
    cluster.run("kill carts");
    eventually("its end is told", || {
        cluster.output().contains("cluster restart carts-1")
    });
    let again = cluster.refused("kill carts");
    assert!(again.contains("does not run"), "{again}");
    cluster.run("down");
    let error = cluster.refused("status");
    assert!(error.contains("no cluster runs in"), "{error}");
}
