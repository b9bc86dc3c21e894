//! Redis: what a component may ask of it, and what becomes of that when the server ends.

use souk_tests::{Host, Launch, Redis, Reply, redis_server, souk_only};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// The answer to an operation of the fixture.
fn ask(host: &Host, redis: &str, operation: &str) -> String {
    let (operation, rest) = operation.split_once('?').unwrap_or((operation, ""));
    host.get(&format!("/redis/{operation}?address={redis}&{rest}"))
        .text
}

/// The answer to any command; its words are the lines.
fn execute(host: &Host, redis: &str, words: &[&str]) -> String {
    host.post(&format!("/redis/execute?address={redis}"), words.join("\n"))
        .text
}

fn started() -> Host {
    Launch::fixtures().args("-c redis -c redis-denied").start()
}

#[test]
fn values_counters_and_sets() {
    let redis = redis_server!();
    let host = started();
    let ask = |operation: &str| ask(&host, &redis.url(), operation);
    assert_eq!(ask("get?key=a"), "none");
    assert_eq!(ask("set?key=a&value=1"), "ok");
    assert_eq!(ask("set?key=a&value=word"), "ok");
    assert_eq!(ask("get?key=a"), "word");
    assert_eq!(ask("incr?key=n"), "1");
    assert_eq!(ask("incr?key=n"), "2");
    assert_eq!(ask("sadd?key=s&value=x,y,z"), "3");
    assert_eq!(ask("sadd?key=s&value=x,w"), "1");
    assert_eq!(ask("srem?key=s&value=y,nothing"), "1");
    assert_eq!(ask("smembers?key=s"), "w,x,z");
    assert_eq!(ask("smembers?key=nothing"), "");
    assert_eq!(ask("del?value=a,n,nothing"), "2");
    assert_eq!(ask("get?key=a"), "none");
    assert_eq!(ask("publish?key=news&value=hello"), "ok");
    // What the server says against it comes in its own words.
    let wrong = ask("incr?key=s");
    assert!(wrong.contains("WRONGTYPE"), "{wrong}");
}

#[test]
fn any_command_with_its_answer_flattened() {
    let redis = redis_server!();
    let host = started();
    let execute = |words: &[&str]| execute(&host, &redis.url(), words);
    assert_eq!(execute(&["PING"]), "status PONG");
    assert_eq!(execute(&["SET", "k", "7"]), "status OK");
    assert_eq!(execute(&["INCRBY", "k", "-9"]), "number -2");
    assert_eq!(execute(&["GET", "nothing"]), "nil");
    assert_eq!(execute(&["LRANGE", "nothing", "0", "-1"]), "");

    assert_eq!(execute(&["XADD", "log", "1-1", "kind", "paid"]), "1-1");
    let second = execute(&["XADD", "log", "*", "kind", "shipped", "to", "Bo"]);
    let entries = execute(&["XRANGE", "log", "-", "+"]);
    assert_eq!(
        entries,
        format!("1-1,kind,paid,{second},kind,shipped,to,Bo")
    );
    let made = execute(&["XGROUP", "CREATE", "log", "readers", "0"]);
    assert_eq!(made, "status OK");
    let again = execute(&["XGROUP", "CREATE", "log", "readers", "0"]);
    assert!(again.contains("BUSYGROUP"), "{again}");

    let script =
        "redis.call('SET', KEYS[1], ARGV[1]) return {redis.call('GET', KEYS[1]), 5, false}";
    let told = execute(&["EVAL", script, "1", "by-script", "yes"]);
    assert_eq!(told, "yes,number 5,nil");
    let unknown = execute(&["NONSENSE"]);
    assert!(unknown.contains("unknown command"), "{unknown}");
}

#[test]
fn a_database_of_its_own_is_part_of_the_address() {
    let redis = redis_server!();
    let host = started();
    let third = format!("{}/3", redis.url());
    assert_eq!(ask(&host, &third, "set?key=a&value=third"), "ok");
    assert_eq!(ask(&host, &redis.url(), "get?key=a"), "none");
    assert_eq!(ask(&host, &third, "get?key=a"), "third");
}

#[test]
fn an_address_is_refused_unless_granted() {
    let redis = redis_server!();
    let host = started();
    let url = redis.url();
    let refused = "error: Error::InvalidAddress";
    for address in [
        url.replace("127.0.0.1", "localhost"),
        url.replace("redis:", "rediss:"),
        url.replace("redis:", "http:"),
        "unix:///run/redis.sock".into(),
        "nonsense".into(),
    ] {
        assert_eq!(ask(&host, &address, "get?key=a"), refused, "{address}");
    }
    let denied = host.get(&format!("/redis-denied/get?address={url}&key=a"));
    assert_eq!(denied.text, refused);
    if !souk_tests::on_spin() {
        host.says("not in allowed_outbound_hosts");
    }
    assert_eq!(ask(&host, &url, "get?key=a"), "none");
}

#[test]
fn handles_of_an_instance_are_bounded() {
    souk_only!();
    let redis = redis_server!();
    let host = started();
    let answer = ask(&host, &redis.url(), "open-many");
    assert_eq!(answer, "error: Error::TooManyConnections");
    // They were closed with the guest's values.
    assert_eq!(ask(&host, &redis.url(), "get?key=a"), "none");
    // Behind them is one connection.
    let clients = execute(&host, &redis.url(), &["INFO", "clients"]);
    assert!(clients.contains("connected_clients:1\r\n"), "{clients}");
}

#[test]
fn what_would_disturb_others_on_the_connection_is_refused() {
    souk_only!();
    let redis = redis_server!();
    let host = started();
    for words in [
        ["select", "3"].as_slice(),
        &["MULTI"],
        &["SUBSCRIBE", "news"],
        &["CLIENT", "REPLY", "OFF"],
        &["BLPOP", "list", "0"],
        &["XREAD", "BLOCK", "0", "STREAMS", "log", "$"],
    ] {
        let answer = execute(&host, &redis.url(), words);
        let wanted = format!("{} is not supported", words[0]);
        assert!(answer.contains(&wanted), "{answer}");
    }
    let read = execute(&host, &redis.url(), &["XREAD", "STREAMS", "log", "0"]);
    assert_eq!(read, "nil");
}

#[test]
fn a_server_that_was_restarted_is_used_again_and_has_its_data() {
    let mut redis = redis_server!();
    let host = started();
    let url = redis.url();
    for round in 0..3 {
        let set = format!("set?key=a&value={round}");
        assert_eq!(ask(&host, &url, &set), "ok");
        redis.kill();
        let begun = Instant::now();
        let away = ask(&host, &url, "get?key=a");
        assert!(away.starts_with("error: Error::Other"), "{away}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        redis.start_again();
        // The very next request, without one that finds out.
        assert_eq!(ask(&host, &url, "get?key=a"), round.to_string());
    }
    // Also when nobody asked while it was away.
    redis.kill();
    redis.start_again();
    assert_eq!(ask(&host, &url, "get?key=a"), "2");
}

#[test]
fn a_handle_outlives_a_restart_of_the_server() {
    souk_only!();
    let mut redis = redis_server!();
    let host = started();
    let url = redis.url();
    ask(&host, &url, "set?key=a&value=kept");
    let request = host.request(&format!("/redis/twice?address={url}&key=a"));
    let twice = std::thread::spawn(move || Reply::to(request).text);
    wait_for(&host, &redis, "waiting");
    redis.kill();
    std::thread::sleep(Duration::from_millis(100));
    redis.start_again();
    ask(&host, &url, "set?key=go&value=now");
    assert_eq!(twice.join().unwrap(), "kept kept");
}

fn wait_for(host: &Host, redis: &Redis, key: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while ask(host, &redis.url(), &format!("get?key={key}")) == "none" {
        assert!(Instant::now() < deadline, "nobody set {key}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error_soon() {
    souk_only!();
    let host = started();
    let begun = Instant::now();
    let nobody = ask(&host, "redis://127.0.0.1:1", "get?key=a");
    assert!(nobody.contains("refused"), "{nobody}");
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );

    // It takes connections and says nothing; many ask it at once.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("redis://{}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let asked: Vec<_> = (0..20)
        .map(|_| host.request(&format!("/redis/get?address={address}&key=a")))
        .map(|request| std::thread::spawn(move || Reply::to(request).text))
        .collect();
    for answer in asked {
        let answer = answer.join().unwrap();
        assert!(answer.starts_with("error: Error::Other"), "{answer}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(host.get("/redis/nothing?address=nonsense").status, 200);
}

#[test]
fn after_an_answer_that_does_not_come_in_time_there_is_a_fresh_connection() {
    souk_only!();
    let redis = redis_server!();
    let host = started();
    let url = redis.url();
    assert_eq!(ask(&host, &url, "set?key=a&value=1"), "ok");
    // The server does nothing else meanwhile.
    let busy = "local now = function() local t = redis.call('TIME') return t[1] + t[2] / 1e6 end \
                local till = now() + 6 while now() < till do end return 'late'";
    let late = execute(&host, &url, &["EVAL", busy, "0"]);
    assert!(late.contains("timed out"), "{late}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(ask(&host, &url, "get?key=a"), "1");
}

#[test]
fn many_at_once_share_the_connection_without_mixing_up_answers() {
    let redis = redis_server!();
    let host = started();
    let url = redis.url();
    std::thread::scope(|scope| {
        for client in 0..16 {
            let (host, url) = (&host, &url);
            scope.spawn(move || {
                for round in 0..20 {
                    let value = format!("{client}x{round}");
                    let set = format!("set?key=k{client}&value={value}");
                    assert_eq!(ask(host, url, &set), "ok");
                    assert_eq!(ask(host, url, &format!("get?key=k{client}")), value);
                    ask(host, url, "incr?key=all");
                }
            });
        }
    });
    assert_eq!(ask(&host, &url, "get?key=all"), "320");
}
