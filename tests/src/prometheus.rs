//! A Prometheus for tests, with the configuration of `infra/observability`, and its `promtool`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::redis::free_port;
use crate::{client, repo};

/// Who exposes a metric, and what it is, as `metrics.toml` has it.
#[derive(Debug, Deserialize)]
pub struct Metric {
    /// `telemetry`, `host`, `gateway` or `prometheus`.
    pub from: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The names of its labels.
    pub labels: Vec<String>,
}

/// All metrics that dashboards and alerts may ask for.
///
/// # Panics
/// When the list cannot be read.
pub fn known_metrics() -> BTreeMap<String, Metric> {
    let file = Prometheus::configuration().join("metrics.toml");
    let text = std::fs::read_to_string(file).expect("the list of metrics");
    toml::from_str(&text).expect("TOML")
}

/// Why a test is skipped that has none.
pub const NO_PROMETHEUS: &str = "there is no Prometheus on the PATH; Debian has it in `prometheus`";

/// How long it may take to begin.
const START: Duration = Duration::from_secs(30);

/// A Prometheus of a test's own.
pub struct Prometheus {
    url: String,
    child: Child,
    _dir: TempDir,
}

impl Prometheus {
    /// Where our configuration of it is.
    pub fn configuration() -> PathBuf {
        repo().join("infra/observability")
    }

    /// One that looks at `target` (host and port) every second; `None` where there is no program.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start(target: &str) -> Option<Self> {
        Self::scraping(target, "")
    }

    /// The same, of a shop that wants this token.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn scraping(target: &str, token: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder for the data");
        Self::configure(dir.path(), target, token);
        let listen = format!("127.0.0.1:{}", free_port());
        let spawned = Command::new("prometheus")
            .current_dir(dir.path())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={listen}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("cannot start prometheus: {error}"),
        };
        let prometheus = Self {
            url: format!("http://{listen}"),
            child,
            _dir: dir,
        };
        let seen = prometheus.await_value("up", |up| up > 0.0);
        assert!(seen > 0.0, "prometheus does not see {target}");
        Some(prometheus)
    }

    /// Writes our own configuration into a folder, but for the target, its token, and how often it looks; of dead letters it warns after a second.
    ///
    /// # Panics
    /// When ours is not as expected.
    pub fn configure(dir: &Path, target: &str, token: &str) {
        let ours = |file| std::fs::read_to_string(Self::configuration().join(file)).expect(file);
        let write = |file, text: String| std::fs::write(dir.join(file), text).expect(file);
        let scrapes = ours("prometheus.yml")
            .replace("127.0.0.1:3000", target)
            .replace("../../.spin/metrics-token", "metrics-token")
            .replace("15s", "1s");
        assert!(
            [target, " metrics-token", "1s"]
                .iter()
                .all(|it| scrapes.contains(it)),
            "{scrapes}"
        );
        write("prometheus.yml", scrapes);
        write("metrics-token", token.to_owned());
        write(
            "alerts.yml",
            ours("alerts.yml").replace(
                "expr: souk_dead_letters > 0\n        for: 5m",
                "expr: souk_dead_letters > 0\n        for: 1s",
            ),
        );
    }

    /// The value of a query, once it is as wanted, or what it is after half a minute; 0 where there is none.
    pub fn await_value(&self, query: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let deadline = Instant::now() + START;
        loop {
            let value = self.value(query).unwrap_or_default();
            if wanted(value) || Instant::now() > deadline {
                return value;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The answer to a query: whether it can be read, and what there is.
    pub fn query(&self, query: &str) -> Option<Value> {
        let url = format!("{}/api/v1/query", self.url);
        let answer = client().get(url).query(&[("query", query)]).send().ok()?;
        answer.json().ok()
    }

    fn value(&self, query: &str) -> Option<f64> {
        let answer = self.query(query)?;
        let value = &answer["data"]["result"][0]["value"][1];
        value.as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `promtool` says of `input` beside our configuration, and whether it is content; `None` where there is no program.
pub fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    promtool_in(&Prometheus::configuration(), arguments, input)
}

/// The same in another folder.
pub fn promtool_in(dir: &Path, arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let spawned = Command::new("promtool")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match spawned {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => panic!("cannot start promtool: {error}"),
    };
    let mut stdin = promtool.stdin.take().expect("it is piped");
    // It may not want to read it all.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}
