//! Stores and databases on servers: the same as in files, also when the server goes away and comes back.

use crate::at_once;
use souk_tests::{Host, Launch, libsql_server, redis_server, souk_only};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A host of the components that keep values, with both of their stores in this Redis.
fn with_redis(url: &str) -> Host {
    let config = format!(
        "[key_value_store.default]\ntype = \"redis\"\nurl = \"{url}\"\n\
         [key_value_store.other]\ntype = \"redis\"\nurl = \"{url}/1\"\n"
    );
    Launch::of("tests/fixtures/spin.toml")
        .runtime_config_of(&config)
        .args("-c key-value -c atomics")
        .start()
}

/// A host of the component that runs SQL, with `items` on this server and `default` in a file.
fn with_libsql(url: &str) -> Host {
    let config =
        format!("[sqlite_database.items]\ntype = \"libsql\"\nurl = \"{url}\"\ntoken = \"\"\n");
    Launch::of("tests/fixtures/spin.toml")
        .runtime_config_of(&config)
        .args("-c sqlite")
        .start()
}

fn sql(host: &Host, statements: &str) -> String {
    host.post("/sql/?db=items", statements.to_owned()).text
}

fn soon<T>(ask: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let answer = ask();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    answer
}

#[test]
fn both_key_value_interfaces_keep_values_in_redis() {
    let redis = redis_server!();
    let host = with_redis(&redis.url());
    let get = |path: &str| host.get(path).text;
    assert_eq!(get("/kv/get?store=default&key=a"), "none");
    assert_eq!(get("/kv/set?store=default&key=a&value=1"), "ok");
    assert_eq!(get("/kv/set?store=default&key=b&value=2"), "ok");
    assert_eq!(get("/atomics/get?store=default&key=a"), "1");
    assert_eq!(get("/kv/keys?store=default"), "a,b");
    assert_eq!(get("/atomics/keys?store=default"), "a,b");
    assert_eq!(get("/kv/exists?store=default&key=a"), "true");
    assert_eq!(get("/kv/exists?store=other&key=a"), "false");
    assert_eq!(get("/kv/delete?store=default&key=a"), "ok");
    assert_eq!(get("/kv/delete?store=default&key=a"), "ok");
    assert_eq!(get("/atomics/exists?store=default&key=a"), "false");
    assert_eq!(get("/atomics/many?store=other"), "value of m1,value of m3");
    assert_eq!(
        get("/atomics/conflict?store=default&key=b"),
        "2 theirs ours"
    );
}

#[test]
fn a_counter_in_redis_counts_and_nothing_else_does() {
    let redis = redis_server!();
    let host = with_redis(&redis.url());
    let increment = |key: &str, by: i64| {
        let path = format!("/atomics/increment?store=default&key={key}&value={by}");
        host.get(&path).text
    };
    assert_eq!(increment("n", 5), "5");
    assert_eq!(increment("n", -7), "-2");
    assert_eq!(increment("big", i64::MAX), i64::MAX.to_string());
    assert!(increment("big", 1).contains("overflow"));
    host.get("/atomics/set?store=default&key=word&value=abc");
    assert!(increment("word", 1).contains("not an integer"));
    assert_eq!(host.get("/kv/get?store=default&key=word").text, "abc");
}

#[test]
fn what_two_hosts_change_at_once_in_redis_is_all_there() {
    souk_only!();
    let redis = redis_server!();
    let (one, two) = (with_redis(&redis.url()), with_redis(&redis.url()));
    let both = &[&one, &two];
    let mut sums: Vec<u32> = at_once(both, |_| "/atomics/increment?store=other&key=n".into())
        .iter()
        .map(|sum| sum.parse().unwrap())
        .collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=60).collect::<Vec<_>>());

    let appended = at_once(both, |client| {
        format!("/atomics/append?store=other&key=words&value=w{client}")
    });
    assert!(appended.iter().all(|answer| answer == "ok"));
    let words = one.get("/kv/get?store=other&key=words").text;
    let mut words: Vec<_> = words.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 60);

    let made = at_once(both, |client| {
        format!("/atomics/create?store=other&key=one&value=w{client}")
    });
    assert_eq!(made.iter().filter(|answer| *answer == "made").count(), 1);
}

#[test]
fn a_redis_that_goes_away_is_an_error_until_it_is_back() {
    souk_only!();
    let mut redis = redis_server!();
    redis.kill();
    // A store that is down does not stop the start.
    let host = with_redis(&redis.url());
    let get = || host.get("/kv/get?store=default&key=a").text;
    assert!(soon(get).starts_with("error: Error::Other"));
    redis.start_again();
    assert_eq!(get(), "none");
    host.get("/kv/set?store=default&key=a&value=kept");
    for _ in 0..2 {
        redis.kill();
        assert!(soon(get).starts_with("error: Error::Other"));
        let increment = "/atomics/increment?store=default&key=n";
        assert!(soon(|| host.get(increment).text).starts_with("error: Error::Other"));
        redis.start_again();
        assert_eq!(get(), "kept");
    }
}

#[test]
fn sqlite_on_libsql_is_as_in_a_file() {
    let sqld = libsql_server!();
    let host = with_libsql(&sqld.url());
    let answer = sql(
        &host,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x)\n\
         INSERT INTO t (x) VALUES (1.5), ('text'), (x'00ff'), (NULL), (9223372036854775807)\n\
         changes()\nrowid()\nSELECT x FROM t ORDER BY id\nUPDATE t SET x = 0 WHERE id > 2\nchanges()",
    );
    assert_eq!(
        answer,
        "5\n5\n1.5\ntext\n[0, 255]\nnull\n9223372036854775807\n3\n"
    );
    assert!(sql(&host, "SELECT 1; SELECT 2").starts_with("error: Error::Io"));
    assert!(sql(&host, "SELEC 1").contains("syntax error"));
    let search = "CREATE VIRTUAL TABLE f USING fts5(x)\nINSERT INTO f VALUES ('brass lamp')\n\
                  SELECT x FROM f WHERE f MATCH 'la*'\nSELECT value FROM json_each('[7]')";
    assert_eq!(sql(&host, search), "brass lamp\n7\n");
    // What a component recognizes, in SQLite's words; foreign keys are on.
    let children = "CREATE TABLE child (parent REFERENCES t (id), one UNIQUE)\nPRAGMA foreign_keys\n\
                    INSERT INTO child VALUES (1, 1)";
    assert_eq!(sql(&host, children), "1\n");
    let twice = sql(&host, "INSERT INTO child VALUES (1, 1)");
    assert!(
        twice.contains("\"UNIQUE constraint failed: child.one"),
        "{twice}"
    );
    let orphan = sql(&host, "INSERT INTO child VALUES (99, 2)");
    assert!(
        orphan.contains("\"FOREIGN KEY constraint failed"),
        "{orphan}"
    );
}

#[test]
fn what_would_need_several_statements_is_refused_on_libsql() {
    souk_only!();
    let sqld = libsql_server!();
    let host = with_libsql(&sqld.url());
    sql(&host, "CREATE TABLE t (x)");
    for statement in ["BEGIN", "COMMIT", "-- why\nSAVEPOINT a"] {
        let statement = statement.lines().last().unwrap();
        let refused = sql(&host, statement);
        assert!(refused.contains("is not supported on libSQL"), "{refused}");
    }
    let written = sql(&host, "BEGIN\nINSERT INTO t VALUES (1)");
    assert!(written.starts_with("error"), "{written}");
    assert_eq!(sql(&host, "SELECT count(*) FROM t"), "0\n");
}

#[test]
fn a_libsql_server_that_goes_away_is_an_error_until_it_is_back() {
    souk_only!();
    let mut sqld = libsql_server!();
    sqld.kill();
    // A database that is down does not stop the start.
    let host = with_libsql(&sqld.url());
    let away = soon(|| sql(&host, "SELECT 1"));
    assert!(away.contains("no answer of the database"), "{away}");
    assert!(away.contains("refused"), "{away}");
    sqld.start_again();
    sql(&host, "CREATE TABLE t (x)\nINSERT INTO t VALUES ('kept')");
    for _ in 0..2 {
        sqld.kill();
        let away = soon(|| sql(&host, "SELECT x FROM t"));
        assert!(away.contains("no answer of the database"), "{away}");
        sqld.start_again();
        assert_eq!(sql(&host, "SELECT x FROM t"), "kept\n");
    }
}

#[test]
fn many_at_once_write_to_libsql() {
    souk_only!();
    let sqld = libsql_server!();
    let host = with_libsql(&sqld.url());
    sql(
        &host,
        "CREATE TABLE t (n INTEGER)\nINSERT INTO t VALUES (0)",
    );
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(sql(&host, "UPDATE t SET n = n + 1\nchanges()"), "1\n");
                }
            });
        }
    });
    assert_eq!(sql(&host, "SELECT n FROM t"), "80\n");
}

#[test]
fn a_server_that_says_nothing_holds_up_nobody_else() {
    souk_only!();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = with_libsql(&format!("http://{}", silent.local_addr().unwrap()));
    let begun = Instant::now();
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| sql(&host, "SELECT 1"));
        std::thread::sleep(Duration::from_millis(300));
        let other = host.post("/sql/?db=default", "SELECT 2").text;
        assert_eq!(other, "2\n");
        assert!(begun.elapsed() < Duration::from_secs(2));
        asked.join().unwrap()
    });
    assert!(asked.contains("no answer within 10s"), "{asked}");
    assert!(begun.elapsed() < Duration::from_secs(12));
}
