//! `--faults FILE`: has requests between components fail on purpose. For tests alone.
//!
//! The file is a JSON list of rules, which may change while the host runs:
//!
//! ```json
//! [{"from": "gateway", "to": "orders", "latency_ms": 200, "error_percent": 10},
//!  {"from": "*", "to": "127.0.0.1:4001", "blackhole": true, "until": "1767225600000"}]
//! ```
//!
//! `from` is a component, `to` a component that is chained to or the `host:port` of a request over the network; `*` is any.
//! Every rule that fits a request counts: their latencies add up, before the request is sent. What is answered with an error
//! (503 without a body) or falls into a black hole never reaches the callee. A rule ends at `until`, in milliseconds since 1970.

use crate::body::full;
use http::{Response, StatusCode};
use rand::Rng;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime_wasi_http::{Error, WasiBody};

/// How often the file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The rules of a file.
pub struct Faults {
    path: PathBuf,
    seen: Mutex<Seen>,
}

/// What was last seen of the file.
#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    /// When the file was changed, and how long it was then; none where it is not there.
    version: Option<(SystemTime, u64)>,
    rules: Arc<[Rule]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    from: String,
    to: String,
    #[serde(default)]
    latency_ms: u64,
    #[serde(default)]
    error_percent: f64,
    #[serde(default)]
    blackhole: bool,
    #[serde(default, deserialize_with = "number_in_words")]
    until: Option<u64>,
}

/// Milliseconds since 1970, as a string or a number.
fn number_in_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Until {
        Number(u64),
        Words(String),
    }
    match Until::deserialize(deserializer)? {
        Until::Number(number) => Ok(Some(number)),
        Until::Words(words) => words.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl Rule {
    fn fits(&self, from: &str, to: &str, now: u64) -> bool {
        let is = |pattern: &str, name: &str| pattern == "*" || pattern == name;
        is(&self.from, from) && is(&self.to, to) && self.until.is_none_or(|until| now < until)
    }
}

impl Faults {
    /// The faults of a file, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            seen: Mutex::default(),
        }
    }

    /// What a request gets instead of being sent, if anything, after the delay that it has in any case. Nobody waits
    /// longer than `limit`.
    ///
    /// # Errors
    /// A timeout, where `limit` is over before.
    pub async fn meet(
        &self,
        from: &str,
        to: &str,
        limit: Duration,
    ) -> Result<Option<Response<WasiBody>>, Error> {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
        let rules = self.rules();
        let fitting = || {
            let now = now.try_into().unwrap_or(u64::MAX);
            rules.iter().filter(move |rule| rule.fits(from, to, now))
        };
        let latency = Duration::from_millis(fitting().map(|rule| rule.latency_ms).sum());
        if latency >= limit || fitting().any(|rule| rule.blackhole) {
            tokio::time::sleep(limit).await;
            return Err(Error::ConnectionReadTimeout);
        }
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let failed =
            fitting().any(|rule| rand::rng().random_range(0.0..100.0) < rule.error_percent);
        Ok(failed.then(unavailable))
    }

    /// The rules as they are now.
    fn rules(&self) -> Arc<[Rule]> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            seen.looked = Some(Instant::now());
            self.look(&mut seen);
        }
        seen.rules.clone()
    }

    fn look(&self, seen: &mut Seen) {
        let version = std::fs::metadata(&self.path).ok();
        let version = version.and_then(|file| Some((file.modified().ok()?, file.len())));
        if version == seen.version {
            return;
        }
        seen.version = version;
        if version.is_none() {
            seen.rules = Arc::default();
            return;
        }
        let read = std::fs::read(&self.path).map_err(|error| error.to_string());
        let rules = read.and_then(|text| {
            serde_json::from_slice::<Vec<Rule>>(&text).map_err(|error| error.to_string())
        });
        match rules {
            Ok(rules) => seen.rules = rules.into(),
            Err(why) => {
                tracing::warn!(file = %self.path.display(), "--faults: {why}; the faults stay as they were");
            }
        }
    }
}

fn unavailable() -> Response<WasiBody> {
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    fn faults(rules: &str) -> (tempfile::TempDir, Faults) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("faults.json");
        std::fs::write(&file, rules).unwrap();
        (dir, Faults::new(file))
    }

    #[tokio::test]
    async fn only_what_a_rule_names_fails() {
        let (_dir, faults) = faults(r#"[{"from": "a", "to": "b", "error_percent": 100}]"#);
        let failed = faults.meet("a", "b", LIMIT).await.unwrap().unwrap();
        assert_eq!(failed.status(), 503);
        for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
            assert!(faults.meet(from, to, LIMIT).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn latencies_add_up_and_nobody_waits_beyond_a_limit() {
        let rules = r#"[{"from": "*", "to": "b", "latency_ms": 60}, {"from": "a", "to": "*", "latency_ms": 40}]"#;
        let (_dir, faults) = faults(rules);
        let begun = Instant::now();
        assert!(faults.meet("a", "b", LIMIT).await.unwrap().is_none());
        assert!(begun.elapsed() >= Duration::from_millis(100));
        let limit = Duration::from_millis(80);
        assert!(faults.meet("a", "b", limit).await.is_err());
    }

    #[tokio::test]
    async fn a_black_hole_answers_nobody_until_it_is_over() {
        let rule = |until: u64| {
            format!(r#"[{{"from": "*", "to": "*", "blackhole": true, "until": "{until}"}}]"#)
        };
        let (_dir, open) = faults(&rule(u64::MAX));
        assert!(open.meet("a", "b", LIMIT).await.is_err());
        let (_dir, over) = faults(&rule(1));
        assert!(over.meet("a", "b", LIMIT).await.unwrap().is_none());
    }

    #[test]
    fn the_file_may_change_go_and_be_wrong() {
        let (dir, faults) = faults(r#"[{"from": "a", "to": "b"}]"#);
        let file = dir.path().join("faults.json");
        let rules = || {
            faults.seen.lock().unwrap().looked = None;
            faults.rules().len()
        };
        assert_eq!(rules(), 1);
        std::fs::write(&file, "[{").unwrap();
        assert_eq!(rules(), 1);
        std::fs::write(&file, r#"[{"from": "a", "to": "b", "unknown": 1}]"#).unwrap();
        assert_eq!(rules(), 1);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(rules(), 0);
        std::fs::write(&file, r#"[{"from": "a", "to": "b", "until": 7}]"#).unwrap();
        assert_eq!(rules(), 1);
    }
}
