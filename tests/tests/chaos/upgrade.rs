//! Services that are upgraded while they are used: one of two versions that work together, and one of the shop.

use rusqlite::Connection;
use souk_tests::{Cluster, Host, Launch, Reply, audit, client, eventually, souk_only};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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

/// A version of `notes`, one of the fixtures, on the database that is in a folder.
fn notes(version: u32, dir: &Path) -> Host {
    Launch::of(&format!("tests/fixtures/notes_{version}.toml"))
        .runtime_config_of("[sqlite_database.notes]\ntype = \"spin\"\npath = \"notes.db\"\n")
        .dir(dir)
        .start()
}

/// Keeps a note at one address and reads it at the other, again and again, wherever they are just now, and counts how often.
fn keep_notes(writer: usize, addresses: &Mutex<[String; 2]>, over: &AtomicBool, kept: &AtomicU32) {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let [put, get] = addresses.lock().unwrap().clone();
        let (put, get) = if count % 2 == 0 {
            (put, get)
        } else {
            (get, put)
        };
        // Three times each: who is first, and who is next, is now the one version and now the other.
        let (id, words) = (format!("{writer}-{}", count / 3), format!("words{count}"));
        let answer = ask(&put, &format!("/put?id={id}&words={words}"));
        assert_eq!(answer, "ok", "{put}");
        assert_eq!(
            ask(&get, &format!("/get?id={id}")),
            words,
            "kept at {put}, read at {get}"
        );
        count += 1;
        kept.store(count, Ordering::Relaxed);
    }
}

fn ask(address: &str, path: &str) -> String {
    let reply = Reply::to(client().get(format!("{address}{path}")));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text
}

#[test]
fn two_versions_work_on_one_database_and_either_can_be_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let old = notes(1, dir.path());
    ask(&old.url, "/put?id=early&words=bird");
    let addresses = Mutex::new([old.url.clone(), old.url.clone()]);
    let over = AtomicBool::new(false);
    let kept = [const { AtomicU32::new(0) }; 4];
    // The last host stays until nobody asks it any more.
    let _last = std::thread::scope(|scope| {
        let (addresses, over) = (&addresses, &over);
        let _closing = Closing(over);
        for (writer, kept) in kept.iter().enumerate() {
            scope.spawn(move || keep_notes(writer, addresses, over, kept));
        }
        // Until each writer has kept some, of which the first may have begun before: then nobody asks anybody else any more.
        let some_are_kept = || {
            for kept in &kept {
                let before = kept.load(Ordering::Relaxed);
                eventually("notes are kept", || {
                    kept.load(Ordering::Relaxed) >= before + 10
                });
            }
        };
        let send_to = |both: [&Host; 2]| {
            *addresses.lock().unwrap() = both.map(|host| host.url.clone());
            some_are_kept();
        };
        let new = notes(2, dir.path());
        send_to([&old, &new]);
        // The new one was no good: back, and forth again once it is mended.
        send_to([&old, &old]);
        new.kill();
        let new = notes(2, dir.path());
        send_to([&old, &new]);
        send_to([&new, &new]);
        old.kill();
        some_are_kept();
        assert_eq!(ask(&new.url, "/get?id=early"), "bird");
        new
    });
}
