//! `--faults`: requests of components that fail on purpose.

use souk_tests::{Host, Launch, eventually, souk_only};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A host whose requests fail as its file says.
struct Faulty {
    host: Host,
    file: PathBuf,
    _dir: TempDir,
}

impl Faulty {
    fn start(args: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("faults.json");
        let host = Launch::fixtures()
            .args(&format!("--faults {} {args}", file.display()))
            .start();
        Self {
            host,
            file,
            _dir: dir,
        }
    }

    /// Has requests fail like this from now on.
    fn set(&self, rules: &str) {
        std::fs::write(&self.file, rules).unwrap();
        std::thread::sleep(Duration::from_millis(60));
    }

    fn call(&self, url: &str) -> String {
        self.host.get(&format!("/call/?url={url}")).text
    }

    fn chained(&self) -> String {
        self.host.get("/call/chain").text
    }
}

const HELLO: &str = "200 Hello from Wasm\n";

#[test]
fn what_a_rule_names_fails_while_the_file_says_so() {
    souk_only!();
    let faulty = Faulty::start("");
    assert_eq!(faulty.chained(), HELLO);
    faulty.set(r#"[{"from": "caller", "to": "hello", "error_percent": 100}]"#);
    assert_eq!(faulty.chained(), "503 ");
    assert!(
        faulty
            .call("http://hidden.spin.internal/")
            .starts_with("200")
    );
    // What is no list of rules changes nothing, and is said once.
    faulty.set("[{");
    for _ in 0..3 {
        assert_eq!(faulty.chained(), "503 ");
        std::thread::sleep(Duration::from_millis(60));
    }
    let output = faulty.host.says("--faults");
    assert_eq!(output.matches("--faults").count(), 1, "{output}");
    std::fs::remove_file(&faulty.file).unwrap();
    eventually("the fault is over", || faulty.chained() == HELLO);
}

#[test]
fn requests_over_the_network_are_named_by_host_and_port() {
    souk_only!();
    let faulty = Faulty::start("");
    let own = faulty.host.address().to_owned();
    let rule = |to: &str| format!(r#"[{{"from": "*", "to": "{to}", "error_percent": 100}}]"#);
    faulty.set(&rule("127.0.0.1:9"));
    assert_eq!(faulty.call("http://127.0.0.1:9/"), "503 ");
    assert!(faulty.call("http://self.alt/hello/x").starts_with("200"));
    faulty.set(&rule(&own));
    assert_eq!(faulty.call("http://self.alt/hello/x"), "503 ");
    // What is not granted is refused before.
    faulty.set(&rule("*"));
    let denied = faulty.call("http://settings.spin.internal/");
    assert_eq!(denied, "error: ErrorCode::HttpRequestDenied");
}

#[test]
fn latency_delays_and_a_black_hole_answers_nobody() {
    souk_only!();
    let faulty = Faulty::start("--request-timeout 3s");
    faulty.set(r#"[{"from": "caller", "to": "hello", "latency_ms": 400}]"#);
    let begun = Instant::now();
    assert_eq!(faulty.chained(), HELLO);
    assert!(begun.elapsed() >= Duration::from_millis(400));
    faulty.set(r#"[{"from": "caller", "to": "*", "blackhole": true}]"#);
    assert_eq!(faulty.host.get("/call/chain").status, 504);
    faulty.set(r#"[{"from": "caller", "to": "*", "blackhole": true, "until": "1"}]"#);
    assert_eq!(faulty.chained(), HELLO);
}
