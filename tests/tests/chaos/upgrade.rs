//! A service that is upgraded while people use the shop.

use rusqlite::Connection;
use souk_tests::{Cluster, audit, souk_only};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::load::{Closing, Load};
use crate::plan;
use crate::site::{self, Catalogue, REST};

/// What the first instance of a new version does to a database that the old one still uses: it only ever adds, so that both can work
/// with it until the old one is gone (expand, then contract).
fn expand(database: &Path) {
    let database = Connection::open(database).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = {
        let mut tables = database.prepare(sql).unwrap();
        let names = tables.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    assert!(tables.len() > 3, "{tables:?}");
    for table in tables {
        let sql =
            format!("ALTER TABLE {table} ADD COLUMN of_the_next_version TEXT NOT NULL DEFAULT ''");
        database.execute_batch(&sql).unwrap();
    }
}

#[test]
fn orders_is_upgraded_under_load_and_no_order_is_lost_or_doubled() {
    souk_only!();
    let cluster = Cluster::start();
    let (url, catalogue) = (cluster.shop.url.clone(), Catalogue::of(&cluster.shop));
    let over = AtomicBool::new(false);
    let load = Load {
        url: &url,
        seed: plan::seed(),
        catalogue: &catalogue,
        pause: 150,
        is_patient: true,
        over: &over,
    };
    let answers = std::thread::scope(|scope| {
        let answers = scope.spawn(|| load.run(4));
        let closing = Closing(&over);
        std::thread::sleep(Duration::from_secs(3));
        expand(&cluster.dir().join("orders.db"));
        // The old version goes on with what the new one has made of the database.
        std::thread::sleep(Duration::from_secs(3));
        cluster.run("restart orders");
        std::thread::sleep(Duration::from_secs(3));
        drop(closing);
        answers.join().unwrap()
    });
    let books = audit::Books {
        state_dir: cluster.dir(),
        log: None,
    };
    let started = Instant::now();
    while !audit::unrest(&books).is_empty() && started.elapsed() < REST {
        std::thread::sleep(Duration::from_millis(500));
    }
    let scratch = tempfile::tempdir().unwrap();
    let (fits, text) = site::audit(&url, cluster.dir(), "database", &answers, scratch.path());
    println!("{text}");
    assert!(fits, "{text}");
}
