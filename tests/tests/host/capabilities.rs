//! Each capability: what it allows, and what it refuses.

use crate::at_once;
use souk_tests::{Host, Launch, souk_only};
use std::io::{Read, Write};
use std::net::TcpListener;

fn sql(host: &Host, path: &str, statements: &str) -> String {
    host.post(path, statements.to_owned()).text
}

#[test]
fn key_value_keeps_values_by_store() {
    let host = Launch::fixtures().start();
    let get = |path: &str| host.get(path).text;
    assert_eq!(get("/kv/get?store=default&key=a"), "none");
    assert_eq!(get("/kv/set?store=default&key=a&value=1"), "ok");
    assert_eq!(get("/kv/set?store=default&key=b&value=2"), "ok");
    assert_eq!(get("/kv/set?store=default&key=a&value=3"), "ok");
    assert_eq!(get("/kv/get?store=default&key=a"), "3");
    assert_eq!(get("/kv/keys?store=default"), "a,b");
    assert_eq!(get("/kv/exists?store=default&key=a"), "true");
    assert_eq!(get("/kv/exists?store=other&key=a"), "false");
    assert_eq!(get("/kv/delete?store=default&key=a"), "ok");
    assert_eq!(get("/kv/delete?store=default&key=a"), "ok");
    assert_eq!(get("/kv/keys?store=default"), "b");
}

#[test]
fn key_value_is_refused_unless_granted() {
    let host = Launch::fixtures().start();
    let denied = "error: Error::AccessDenied";
    assert_eq!(host.get("/kv-denied/get?store=default&key=a").text, denied);
    assert_eq!(host.get("/kv/get?store=ungranted&key=a").text, denied);
    assert_eq!(
        host.get("/kv/open-many?store=default").text,
        "error: Error::StoreTableFull"
    );
}

#[test]
fn both_key_value_interfaces_open_the_same_stores() {
    let host = Launch::fixtures().start();
    let get = |path: &str| host.get(path).text;
    assert_eq!(get("/atomics/set?store=other&key=a&value=1"), "ok");
    assert_eq!(get("/kv/get?store=other&key=a"), "1");
    assert_eq!(get("/kv/set?store=other&key=b&value=2"), "ok");
    assert_eq!(get("/atomics/get?store=other&key=b"), "2");
    assert_eq!(get("/atomics/keys?store=other"), "a,b");
    assert_eq!(get("/atomics/delete?store=other&key=a"), "ok");
    assert_eq!(get("/atomics/exists?store=other&key=a"), "false");
    assert_eq!(get("/atomics/exists?store=default&key=b"), "false");
    assert_eq!(get("/atomics/many?store=other"), "value of m1,value of m3");
    let denied = "error: Error::AccessDenied";
    assert_eq!(get("/atomics-denied/get?store=other&key=b"), denied);
    assert_eq!(get("/atomics/get?store=ungranted&key=b"), denied);
}

#[test]
fn a_swap_fails_where_somebody_came_before_and_may_be_tried_again() {
    let host = Launch::fixtures().start();
    host.get("/atomics/set?store=default&key=c&value=first");
    let told = host.get("/atomics/conflict?store=default&key=c").text;
    assert_eq!(told, "first theirs ours");
}

#[test]
fn a_counter_counts_and_nothing_else_does() {
    souk_only!();
    let host = Launch::fixtures().start();
    let increment = |key: &str, by: i64| {
        let path = format!("/atomics/increment?store=default&key={key}&value={by}");
        host.get(&path).text
    };
    assert_eq!(increment("n", 5), "5");
    assert_eq!(increment("n", -7), "-2");
    assert_eq!(increment("big", i64::MAX), i64::MAX.to_string());
    assert!(increment("big", 1).contains("overflow"));
    host.get("/atomics/set?store=default&key=word&value=abc");
    assert!(increment("word", 1).contains("no counter"));
    assert_eq!(host.get("/kv/get?store=default&key=word").text, "abc");
}

#[test]
fn what_many_instances_change_at_once_is_all_there_also_after_a_power_cut() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let host = Launch::fixtures().dir(dir.path()).start();
    let mut sums: Vec<u32> = at_once(&[&host], |_| "/atomics/increment?store=other&key=n".into())
        .iter()
        .map(|sum| sum.parse().unwrap())
        .collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=60).collect::<Vec<_>>());

    // From nothing and from something: both are the beginning of a swap.
    let appended = at_once(&[&host], |client| {
        format!("/atomics/append?store=other&key=words&value=w{client}")
    });
    assert!(appended.iter().all(|answer| answer == "ok"));
    let made = at_once(&[&host], |client| {
        format!("/atomics/create?store=other&key=one&value=w{client}")
    });
    assert_eq!(made.iter().filter(|answer| *answer == "made").count(), 1);

    host.kill();
    let host = Launch::fixtures().dir(dir.path()).start();
    let words = host.get("/kv/get?store=other&key=words").text;
    let mut words: Vec<_> = words.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 60);
    let next = host.get("/atomics/increment?store=other&key=n").text;
    assert_eq!(next, "61");
}

#[test]
fn sqlite_runs_one_statement_at_a_time() {
    let host = Launch::fixtures().start();
    let answer = sql(
        &host,
        "/sql/?db=items",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x)\n\
         INSERT INTO t (x) VALUES (1.5), ('text'), (x'00ff'), (NULL)\nchanges()\nrowid()\n\
         SELECT x FROM t ORDER BY id\nUPDATE t SET x = 0 WHERE id > 2\nchanges()",
    );
    assert_eq!(answer, "4\n4\n1.5\ntext\n[0, 255]\nnull\n2\n");
    let two = sql(&host, "/sql/?db=items", "SELECT 1; SELECT 2");
    assert!(two.starts_with("error: Error::Io"), "{two}");
    let wrong = sql(&host, "/sql/?db=items", "SELEC 1");
    assert!(wrong.contains("syntax error"), "{wrong}");
}

#[test]
fn sqlite_has_full_text_search_and_json() {
    let host = Launch::fixtures().start();
    let answer = sql(
        &host,
        "/sql/?db=items",
        "CREATE VIRTUAL TABLE f USING fts5(x)\nINSERT INTO f VALUES ('brass lamp')\n\
         SELECT x FROM f WHERE f MATCH 'la*'\nSELECT value FROM json_each('[7]')",
    );
    assert_eq!(answer, "brass lamp\n7\n");
}

#[test]
fn sqlite_is_refused_unless_granted_and_stays_in_its_file() {
    let host = Launch::fixtures().start();
    let denied = "error: Error::AccessDenied";
    assert_eq!(sql(&host, "/sql-denied/?db=default", "SELECT 1"), denied);
    assert_eq!(sql(&host, "/sql/?db=ungranted", "SELECT 1"), denied);
    for file in [
        "'elsewhere.db'",
        "'else' || 'where.db'",
        "(SELECT 'elsewhere.db')",
    ] {
        let attach = sql(&host, "/sql/?db=items", &format!("ATTACH {file} AS e"));
        if !souk_tests::on_spin() {
            assert!(attach.starts_with("error: Error::Io"), "{file}: {attach}");
            assert!(!host.dir.join("elsewhere.db").exists(), "{file}");
        }
    }
}

#[test]
fn vacuum_works_but_not_into_another_file() {
    souk_only!();
    let host = Launch::fixtures().start();
    assert_eq!(sql(&host, "/sql/?db=items", "VACUUM"), "");
    let into = sql(&host, "/sql/?db=items", "VACUUM INTO 'copy.db'");
    assert!(into.starts_with("error"), "{into}");
    assert!(!host.dir.join("copy.db").exists());
}

#[test]
fn an_opened_connection_is_as_new_whoever_had_it_before() {
    let host = Launch::fixtures().start();
    let ask = "PRAGMA foreign_keys\nPRAGMA busy_timeout\nPRAGMA synchronous\nchanges()\nrowid()";
    let fresh = "1\n5000\n2\n0\n0\n";
    assert_eq!(sql(&host, "/sql/?db=items", ask), fresh);
    let change = "PRAGMA foreign_keys = OFF\nPRAGMA busy_timeout = 1\nPRAGMA synchronous = OFF\n\
                  CREATE TABLE t (x)\nINSERT INTO t VALUES (1)\nCREATE TEMP TABLE mine (x)";
    sql(&host, "/sql/?db=items", change);
    // Also with a transaction left open, and twice, for statements that are prepared already.
    sql(&host, "/sql/?db=items", "BEGIN\nINSERT INTO t VALUES (2)");
    for _ in 0..3 {
        assert_eq!(sql(&host, "/sql/?db=items", ask), fresh);
        sql(
            &host,
            "/sql/?db=items",
            "PRAGMA foreign_keys = OFF\nPRAGMA busy_timeout = 1",
        );
    }
    sql(&host, "/sql/?db=items", "PRAGMA journal_mode = OFF");
    assert_eq!(
        sql(&host, "/sql/?db=items", "PRAGMA journal_mode"),
        "delete\n"
    );
    let missing = sql(&host, "/sql/?db=items", "SELECT * FROM mine");
    assert!(missing.contains("no such table"), "{missing}");
    assert_eq!(
        sql(&host, "/sql/?db=items", "SELECT count(*) FROM t"),
        "1\n"
    );
}

#[test]
fn no_guest_can_change_sqlite_for_the_others() {
    souk_only!();
    let host = Launch::fixtures().start();
    for pragma in [
        "hard_heap_limit = 1",
        "HARD_HEAP_LIMIT = 1",
        "temp_store_directory = '/x'",
    ] {
        let answer = sql(&host, "/sql/?db=items", &format!("PRAGMA {pragma}"));
        assert!(answer.contains("not authorized"), "{pragma}: {answer}");
    }
    let large = sql(
        &host,
        "/sql/?db=items",
        "SELECT length(hex(zeroblob(300000000)))",
    );
    assert!(large.contains("too big"), "{large}");
    assert_eq!(host.get("/kv/get?store=default&key=a").text, "none");
}

#[test]
fn variables_come_from_default_environment_and_command_line() {
    let ask = "/settings/variable?name=colour";
    assert_eq!(Launch::fixtures().start().get(ask).text, "blue");
    let from_env = || Launch::fixtures().env("SPIN_VARIABLE_COLOUR", "red");
    assert_eq!(from_env().start().get(ask).text, "red");
    let host = from_env().args("--variable colour=green").start();
    assert_eq!(host.get(ask).text, "green");
    assert_eq!(
        host.get("/settings/variable?name=phrase").text,
        "say xyzzy!"
    );
}

#[test]
fn a_variable_the_component_does_not_name_is_undefined_to_it() {
    let host = Launch::fixtures().start();
    for path in [
        "/settings/variable?name=secret_word",
        "/bare/variable?name=colour",
    ] {
        let answer = host.get(path).text;
        assert!(answer.contains("Undefined"), "{answer}");
    }
}

#[test]
fn environment_is_what_the_manifest_and_the_command_line_give() {
    let host = Launch::fixtures()
        .args("--env TIME=now")
        .env("SECRET", "host")
        .start();
    assert_eq!(host.get("/settings/env?name=PLACE").text, "here");
    assert_eq!(host.get("/settings/env?name=TIME").text, "now");
    assert_eq!(host.get("/settings/env?name=SECRET").text, "none");
    assert_eq!(host.get("/bare/env?name=PLACE").text, "none");
}

#[test]
fn files_are_readable_where_mounted_and_never_writable() {
    let host = Launch::fixtures().start();
    assert_eq!(
        host.get("/settings/file?name=/data/note.txt").text,
        "read only\n"
    );
    for path in [
        "/settings/write?name=/data/note.txt",
        "/settings/write?name=/data/new.txt",
        "/settings/file?name=/data/../spin.toml",
        "/settings/file?name=/etc/passwd",
        "/bare/file?name=/data/note.txt",
    ] {
        let answer = host.get(path).text;
        assert!(answer.starts_with("error"), "{path}: {answer}");
    }
}

#[test]
fn there_are_no_sockets() {
    let host = Launch::fixtures().start();
    assert!(host.get("/settings/socket").text.starts_with("error"));
}

#[test]
fn chaining_reaches_components_with_and_without_routes() {
    let host = Launch::fixtures().start();
    assert_eq!(host.get("/call/chain").text, "200 Hello from Wasm\n");
    let told = host.get("/call/?url=http://hidden.spin.internal/x").text;
    assert!(told.contains("spin-path-info: /x"), "{told}");
    assert!(told.contains("spin-client-addr: 0.0.0.0:0"), "{told}");
}

#[test]
fn a_crash_of_the_callee_is_an_answer_to_the_caller() {
    let host = Launch::fixtures().start();
    let answer = host
        .get("/call/?url=http://misbehave.spin.internal/trap")
        .text;
    assert!(answer.starts_with("500"), "{answer}");
    assert_eq!(host.get("/call/chain").status, 200);
}

#[test]
fn outbound_requests_go_where_they_are_granted() {
    let stub = Stub::start();
    let host = Launch::fixtures()
        .args(&format!("--variable stub_port={}", stub.port))
        .start();
    let url = format!("/call/?url=http://127.0.0.1:{}/x", stub.port);
    assert_eq!(host.get(&url).text, "200 stub");
    let own = host.get("/call/?url=http://self.alt/hello/x").text;
    assert!(own.contains("spin-path-info: /x"), "{own}");
}

#[test]
fn outbound_requests_are_refused_unless_granted() {
    let host = Launch::fixtures().args("--variable stub_port=1").start();
    let denied = "error: ErrorCode::HttpRequestDenied";
    for path in [
        "/call/?url=http://127.0.0.1:2/",
        "/call/?url=http://localhost:1/",
        "/call/?url=https://127.0.0.1:1/",
        "/call/?url=http://settings.spin.internal/env",
        "/call-denied/?url=http://127.0.0.1:1/",
        "/call-denied/?url=http://self.alt/",
        "/call-denied/chain",
    ] {
        assert_eq!(host.get(path).text, denied, "{path}");
    }
    // Granted, but nobody there.
    let refused = host.get("/call/?url=http://127.0.0.1:1/").text;
    assert_eq!(refused, "error: ErrorCode::ConnectionRefused");
}

/// A server that answers everything with `stub`.
struct Stub {
    port: u16,
}

impl Stub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nstub");
            }
        });
        Self { port }
    }
}
