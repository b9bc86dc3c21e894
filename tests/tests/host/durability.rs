//! Nothing is damaged by a host that ends in the middle, or by two that start at once.

use reqwest::blocking::{RequestBuilder, Response};
use souk_tests::{Launch, Reply, client, souk_only};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn killed_during_writes_it_starts_again_with_all_that_was_acknowledged() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0u64;
    for round in 0..4 {
        let host = Launch::fixtures().dir(dir.path()).start();
        let create = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x TEXT)";
        assert_eq!(host.post("/sql/?db=items", create).text, "");
        let acknowledged = AtomicU64::new(written);
        let stop = AtomicBool::new(false);
        let url = host.url.as_str();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let client = client();
                while !stop.load(Ordering::SeqCst) {
                    let id = acknowledged.load(Ordering::SeqCst) + 1;
                    let sql = format!("INSERT OR IGNORE INTO t VALUES ({id}, 'x')");
                    let insert = client.post(format!("{url}/sql/?db=items")).body(sql);
                    let set = client.get(format!("{url}/kv/set?store=other&key=k&value={id}"));
                    let answer = |request: RequestBuilder| request.send().and_then(Response::text);
                    if answer(insert).is_ok_and(|text| text.is_empty())
                        && answer(set).is_ok_and(|text| text == "ok")
                    {
                        acknowledged.store(id, Ordering::SeqCst);
                    }
                }
            });
            // Not for ever: the writer goes on until it is told to stop.
            let begun = Instant::now();
            let are_some = || acknowledged.load(Ordering::SeqCst) >= written + 3;
            while !are_some() && begun.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(70 * round));
            host.signal(nix::sys::signal::Signal::SIGKILL);
            stop.store(true, Ordering::SeqCst);
        });
        assert!(acknowledged.load(Ordering::SeqCst) >= written + 3);
        written = acknowledged.load(Ordering::SeqCst);
    }

    let host = Launch::fixtures().dir(dir.path()).start();
    let ids = host
        .post("/sql/?db=items", "SELECT count(*), max(id) FROM t")
        .text;
    let (count, max) = ids.trim().split_once('|').unwrap();
    assert_eq!(count, max, "a write is missing in the middle");
    assert!(
        max.parse::<u64>().unwrap() >= written,
        "an acknowledged write is gone"
    );
    let value: u64 = host.get("/kv/get?store=other&key=k").text.parse().unwrap();
    assert!(value >= written);
    assert_eq!(
        host.post("/sql/?db=items", "PRAGMA integrity_check").text,
        "ok\n"
    );
    host.kill();
    let database = rusqlite::Connection::open(dir.path().join("other.db")).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

/// A launch with a code cache of its own.
fn with_cache(cache: &Path) -> Launch {
    Launch::fixtures()
        .args("-c hello")
        .env("XDG_CACHE_HOME", &cache.display().to_string())
}

/// Files of the cache with an ending.
fn cached(cache: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache.join("souk/code")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect()
}

#[test]
fn damaged_compiled_code_is_made_again() {
    souk_only!();
    let cache = tempfile::tempdir().unwrap();
    drop(with_cache(cache.path()).start());
    let code = cached(cache.path(), "cwasm");
    assert_eq!(code.len(), 1);
    let whole = std::fs::read(&code[0]).unwrap();
    for damage in [&whole[..whole.len() / 2], b"".as_slice(), &[7; 100_000]] {
        std::fs::write(&code[0], damage).unwrap();
        let host = with_cache(cache.path()).start();
        assert_eq!(host.get("/hello/x").status, 200);
        assert_eq!(std::fs::read(&code[0]).unwrap().len(), whole.len());
    }
}

#[test]
fn killed_while_compiling_it_leaves_nothing_in_the_way() {
    souk_only!();
    let cache = tempfile::tempdir().unwrap();
    let bin = std::env::var_os("SOUK_BIN").unwrap();
    for millis in [5, 20, 60, 120] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(&bin)
            .args(["up", "--listen", "127.0.0.1:0", "-c", "hello", "--from"])
            .arg(souk_tests::repo().join("tests/fixtures/spin.toml"))
            .arg("--state-dir")
            .arg(dir.path())
            .env("XDG_CACHE_HOME", cache.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let host = with_cache(cache.path()).start();
    assert_eq!(host.get("/hello/x").status, 200);
}

#[test]
fn hosts_that_start_at_once_share_the_compiled_code() {
    souk_only!();
    let cache = tempfile::tempdir().unwrap();
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let launch = with_cache(cache.path());
            std::thread::spawn(move || launch.start())
        })
        .collect();
    let hosts: Vec<_> = starts
        .into_iter()
        .map(|start| start.join().unwrap())
        .collect();
    for host in &hosts {
        assert_eq!(host.get("/hello/x").status, 200);
    }
    assert_eq!(cached(cache.path(), "cwasm").len(), 1);
}

#[test]
fn without_the_cache_nothing_is_kept() {
    souk_only!();
    let cache = tempfile::tempdir().unwrap();
    let host = with_cache(cache.path()).args("--disable-cache").start();
    assert_eq!(host.get("/hello/x").status, 200);
    assert!(!cache.path().join("souk").exists());
}

#[test]
fn two_hosts_can_share_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let first = Launch::fixtures().dir(dir.path()).start();
    let second = Launch::fixtures().dir(dir.path()).start();
    first.post(
        "/sql/?db=items",
        "PRAGMA journal_mode = WAL\nCREATE TABLE t (x)",
    );
    std::thread::scope(|scope| {
        for url in [first.url.as_str(), second.url.as_str()] {
            scope.spawn(move || {
                for _ in 0..50 {
                    let post = client().post(format!("{url}/sql/?db=items"));
                    assert_eq!(Reply::to(post.body("INSERT INTO t VALUES (1)")).text, "");
                }
            });
        }
    });
    assert_eq!(
        second.post("/sql/?db=items", "SELECT count(*) FROM t").text,
        "100\n"
    );
}
