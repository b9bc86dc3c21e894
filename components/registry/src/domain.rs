//! What instances are, and the rules they keep. Pure: no I/O.

use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use souk_chassis::fields::{self, Fields, FromFields, Rule};

/// For how many seconds a lease may be: long enough for a renewal to be missed, short enough to be rid of who is gone.
const LEASE: std::ops::RangeInclusive<i64> = 3..=60;

/// For how many milliseconds a client may wait for a change: well within the time that a host allows a request.
const LONGEST_WAIT: i64 = 20_000;

/// The largest number that is the same number everywhere in JSON.
const MAX_REVISION: i64 = (1 << 53) - 1;

/// After how many failed probes in a row an instance is down. One may be a hiccup.
const FAILURES_TO_BE_DOWN: i64 = 2;

/// What a service or an instance is called: 1 to 64 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        match (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
            true => Ok(Self(name)),
            false => Err("must be 1 to 64 of a-z, 0-9 and -"),
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What a host says of an instance.
#[derive(Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where it is: scheme, host and port.
    pub address: String,
    /// For how long it is registered unless it is renewed.
    pub lease_seconds: i64,
    /// Which run of the instance this is; another one begins with a clean slate.
    pub incarnation: String,
}

impl FromFields for Registration {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            address: fields.required("address", address()),
            lease_seconds: fields.required("lease_seconds", fields::whole_number(LEASE)),
            incarnation: fields.required("incarnation", incarnation()),
        }
    }
}

fn address() -> impl Rule<String, String> {
    const HOST: &str = r"([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])";
    const PORT: &str =
        "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
    fields::rule(
        || json!({"type": "string", "pattern": format!("^https?://{HOST}(:{PORT})?$")}),
        |address: String| match is_address(&address) {
            true => Ok(address),
            false => {
                Err("must be http:// or https://, a host in lower case, and a port or none".into())
            }
        },
    )
}

/// Whether this is the address of an instance: one way to write each, so that the same address is the same text.
fn is_address(address: &str) -> bool {
    let authority = address.strip_prefix("http://");
    let Some(authority) = authority.or_else(|| address.strip_prefix("https://")) else {
        return false;
    };
    // The colons within brackets are no port's.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    is_host(host) && port.is_none_or(is_port)
}

fn is_host(host: &str) -> bool {
    let within = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match within {
        Some(ip) => {
            let allowed = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f' | b':' | b'.');
            (2..=45).contains(&ip.len()) && ip.bytes().all(allowed)
        }
        None => {
            let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
            (1..=253).contains(&host.len()) && host.bytes().all(allowed)
        }
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|c| c.is_ascii_digit())
        && !port.starts_with('0')
        && port.parse::<u16>().is_ok()
}

fn incarnation() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"}),
        |incarnation: String| {
            let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
            match (1..=64).contains(&incarnation.len()) && incarnation.bytes().all(allowed) {
                true => Ok(incarnation),
                false => Err("must be 1 to 64 of A-Z, a-z, 0-9 and -".into()),
            }
        },
    )
}

/// Which instances are asked for, and when.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter {
    /// Those of these services; of all where none is named.
    pub services: Vec<String>,
    /// What the client knows already.
    pub after: i64,
    /// For how long it waits for something newer.
    pub wait_ms: i64,
}

impl FromFields for Filter {
    fn from_fields(fields: &mut Fields) -> Self {
        let services = fields.optional("service", names(32));
        let after = fields.optional("after", fields::whole_number(0..=MAX_REVISION));
        let wait_ms = fields.optional("wait_ms", fields::whole_number(0..=LONGEST_WAIT));
        Self {
            services: services.unwrap_or_default(),
            // Who knows nothing is answered at once, also where there is nothing.
            after: after.unwrap_or(-1),
            wait_ms: wait_ms.unwrap_or(0),
        }
    }
}

/// Names with commas between, at most so many of them.
fn names(most: usize) -> impl Rule<String, Vec<String>> {
    const ONE: &str = "[a-z0-9-]{1,64}";
    fields::rule(
        move || json!({"type": "string", "pattern": format!("^{ONE}(,{ONE}){{0,{}}}$", most - 1)}),
        move |text: String| {
            let names: Result<Vec<Name>, _> = text
                .split(',')
                .map(|name| Name::try_from(name.to_owned()))
                .collect();
            match names {
                Ok(names) if names.len() <= most => {
                    Ok(names.into_iter().map(|name| name.0).collect())
                }
                _ => Err(format!(
                    "must be up to {most} names of services with commas between"
                )),
            }
        },
    )
}

/// Instances, and as of when.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Instances {
    /// Grows with every change of what was asked for. A client that has this waits for what comes after it.
    pub revision: i64,
    /// By service, then by id.
    pub items: Vec<Instance>,
}

/// An instance of a service.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Instance {
    pub service: String,
    pub id: String,
    pub address: String,
    pub incarnation: String,
    pub state: State,
    /// When this incarnation was first registered at this address.
    pub registered_at: String,
    pub renewed_at: String,
    /// When its lease ends or has ended.
    pub expires_at: String,
    /// When it was last asked how it is.
    pub probed_at: Option<String>,
}

/// Whether an instance can be called: only one that is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its lease holds, and it is well or was not asked yet.
    Up,
    /// It has not answered several times in a row.
    Down,
    /// Somebody else answers at its address.
    Wrong,
    /// Its lease is over.
    Expired,
}

/// What probes have found out of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Up,
    Down,
    Wrong,
}

/// What came of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The service answered that it is well.
    Well,
    /// Another service answered.
    Another,
    /// No answer in time, or one that says nothing.
    Failed,
}

/// The health of an instance, and how many probes in a row have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    pub health: Health,
    pub failures: i64,
}

impl Condition {
    /// What it is after another probe.
    pub fn after(self, answer: Answer) -> Self {
        let failures = match answer {
            Answer::Failed => self.failures + 1,
            Answer::Well | Answer::Another => 0,
        };
        let health = match (answer, self.health) {
            (Answer::Well, _) => Health::Up,
            (Answer::Another, _) => Health::Wrong,
            // That nobody answers now does not make the address the instance's again.
            (Answer::Failed, Health::Up) if failures >= FAILURES_TO_BE_DOWN => Health::Down,
            (Answer::Failed, health) => health,
        };
        Self { health, failures }
    }
}

/// An instance that somebody has claimed to probe.
#[derive(Debug)]
pub struct Target {
    pub service: String,
    pub id: String,
    pub address: String,
    pub condition: Condition,
    /// Until when the claim holds, which nobody else's claim of it has in common.
    pub claimed_until: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        for good in [
            "http://127.0.0.1:4001",
            "https://carts.example",
            "http://carts-1.shop.svc:80",
            "http://[::1]:4001",
            "http://[::1]",
            "http://a:65535",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:4001",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a/",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://u@a",
            "http://u:p@a:1",
            "http://A",
            "http://a:",
            "http://a:0",
            "http://a:080",
            "http://a:65536",
            "http://a:+1",
            "http://a b",
            "http://[::1",
            "http://::1",
            "http://[]:1",
            " http://a",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        let name = |text: &str| Name::try_from(text.to_owned()).is_ok();
        assert!(name("carts-1") && name(&"a".repeat(64)));
        for bad in ["", "Carts", "a_b", "a.b", "a/b", "ä", &"a".repeat(65)] {
            assert!(!name(bad), "{bad}");
        }
    }

    #[test]
    fn a_registration_names_all_that_is_wrong() {
        let errors = fields::from_json::<Registration>(json!({
            "address": "nowhere", "lease_seconds": 2, "incarnation": "a b",
        }));
        let names: Vec<_> = errors.unwrap_err().into_iter().map(|it| it.field).collect();
        assert_eq!(names, ["address", "lease_seconds", "incarnation"]);
    }

    #[test]
    fn the_lease_has_bounds() {
        let read = |lease: i64| {
            fields::from_json::<Registration>(json!({
                "address": "http://a", "lease_seconds": lease, "incarnation": "i",
            }))
            .is_ok()
        };
        assert_eq!([2, 3, 60, 61].map(read), [false, true, true, false]);
    }

    #[test]
    fn a_filter_has_bounds() {
        let read = |query: &str| fields::from_query::<Filter>(query);
        let all = Filter {
            services: Vec::new(),
            after: -1,
            wait_ms: 0,
        };
        assert_eq!(read("").unwrap(), all);
        let some = read("service=a,b-1&after=7&wait_ms=20000").unwrap();
        assert_eq!(
            (some.services.len(), some.after, some.wait_ms),
            (2, 7, 20_000)
        );
        let many = vec!["a"; 33].join(",");
        for bad in [
            "service=a,,b",
            "service=A",
            "after=-1",
            "wait_ms=20001",
            &format!("service={many}"),
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    fn healths(answers: &[Answer]) -> Vec<Health> {
        let mut condition = Condition {
            health: Health::Up,
            failures: 0,
        };
        let mut next = |answer: &Answer| {
            condition = condition.after(*answer);
            condition.health
        };
        answers.iter().map(&mut next).collect()
    }

    #[test]
    fn two_failures_in_a_row_are_one_too_many_and_one_good_answer_is_enough() {
        use Answer::{Failed, Well};
        use Health::{Down, Up};
        assert_eq!(
            healths(&[Failed, Well, Failed, Failed, Failed, Well, Failed]),
            [Up, Up, Up, Down, Down, Up, Up]
        );
    }

    #[test]
    fn who_answers_for_another_is_wrong_until_it_answers_for_itself() {
        use Answer::{Another, Failed, Well};
        use Health::{Up, Wrong};
        assert_eq!(
            healths(&[Another, Failed, Failed, Failed, Well, Failed, Another]),
            [Wrong, Wrong, Wrong, Wrong, Up, Up, Wrong]
        );
    }
}
