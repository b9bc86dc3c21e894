//! How slow and unreliable to be: `latency_ms=200&failure=unknown&failure_percent=30&transient_ms=3000`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::interface::exports::souk::payment::provider::Failure;

/// What the shop sets.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// `latency_ms`: how long each answer takes.
    pub latency: Duration,
    /// `transient_ms`: for how long after its tokenization the card 4000000000000119 cannot be authorized.
    pub transient: Duration,
    /// `failure`: how operations fail, if they do.
    failure: Option<Kind>,
    /// `failure_percent`: how many of them do.
    percent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unavailable,
    Unknown,
}

impl Settings {
    /// Reads the settings, or says which of them is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut settings = Self {
            latency: Duration::ZERO,
            transient: Duration::from_secs(3),
            failure: None,
            percent: 100,
        };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let number = |range| number(&name, &value, range);
            match name.as_ref() {
                "latency_ms" => settings.latency = Duration::from_millis(number(0..=9_000)?),
                "transient_ms" => settings.transient = Duration::from_millis(number(0..=600_000)?),
                "failure_percent" => settings.percent = number(0..=100)?,
                "failure" => settings.failure = failure(&value)?,
                _ => return Err(format!("the sandbox has no setting {name:?}")),
            }
        }
        Ok(settings)
    }

    /// Fails the operation with this key, if that is its lot.
    pub fn fail(&self, key: &str) -> Result<(), Failure> {
        match self.failure {
            Some(Kind::Unavailable) if self.strikes(key) => Err(Failure::Unavailable(
                "the sandbox is set to be unavailable".into(),
            )),
            Some(Kind::Unknown) if self.strikes(key) => Err(Failure::Unknown(
                "the sandbox is set to give no answer".into(),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the operation with this key was carried out: of those that got no answer, one half was.
    pub fn was_done(&self, key: &str) -> bool {
        match self.failure {
            Some(Kind::Unavailable) => !self.strikes(key),
            Some(Kind::Unknown) => !self.strikes(key) || draw("done", key, 2) == 0,
            None => true,
        }
    }

    fn strikes(&self, key: &str) -> bool {
        draw("fails", key, 100) < self.percent
    }
}

fn number(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (min, max) = (range.start(), range.end());
        format!("the setting {name} must be a whole number from {min} to {max}")
    })
}

fn failure(value: &str) -> Result<Option<Kind>, String> {
    match value {
        "none" => Ok(None),
        "unavailable" => Ok(Some(Kind::Unavailable)),
        "unknown" => Ok(Some(Kind::Unknown)),
        _ => Err("the setting failure must be none, unavailable or unknown".into()),
    }
}

/// A number below `sides` that is the same each time the question and the key are.
fn draw(question: &str, key: &str, sides: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (question, key).hash(&mut hasher);
    hasher.finish() % sides
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_set_is_fast_and_reliable() {
        let settings = Settings::parse("").unwrap();
        assert_eq!(settings.latency, Duration::ZERO);
        assert_eq!(settings.transient, Duration::from_secs(3));
        assert!(settings.fail("k").is_ok() && settings.was_done("k"));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (text, named) in [
            ("latency_ms=fast", "latency_ms"),
            ("latency_ms=9001", "latency_ms"),
            ("transient_ms=-1", "transient_ms"),
            ("failure_percent=101", "failure_percent"),
            ("failure=often", "failure"),
            ("latency=5", "latency"),
        ] {
            let error = Settings::parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn so_many_of_a_hundred_fail() {
        let settings = Settings::parse("failure=unavailable&failure_percent=30").unwrap();
        let failed = (0..1000)
            .filter(|n| settings.fail(&format!("key-{n}")).is_err())
            .count();
        assert!((250..350).contains(&failed), "{failed}");
        let never = Settings::parse("failure=unknown&failure_percent=0").unwrap();
        assert!((0..100).all(|n| never.fail(&n.to_string()).is_ok()));
    }

    #[test]
    fn what_was_unavailable_was_not_done() {
        let settings = Settings::parse("failure=unavailable&failure_percent=50").unwrap();
        for key in (0..100).map(|n| n.to_string()) {
            assert_eq!(settings.fail(&key).is_ok(), settings.was_done(&key));
        }
    }

    #[test]
    fn what_got_no_answer_was_done_or_not_and_stays_so() {
        let settings = Settings::parse("latency_ms=1&failure=unknown").unwrap();
        let done = |n: i32| settings.was_done(&n.to_string());
        assert!(
            (0..100).all(|n| matches!(settings.fail(&n.to_string()), Err(Failure::Unknown(_))))
        );
        assert!((0..100).any(done) && !(0..100).all(done));
        assert!((0..100).all(|n| done(n) == done(n)));
    }
}
