//! What the operator's console shows and is asked for.

pub mod chart;
pub mod map;
pub mod measures;
pub mod operations;
pub mod traces;

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

/// One page of a list of the API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// Whether an access token says that it is an administrator's. It is taken at its word: whoever made it up sees the console's frame,
/// and nothing in it, since the API believes no token that it did not sign.
pub fn is_operator(access_token: &str) -> bool {
    let role = || {
        let claims = BASE64.decode(access_token.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        Some(claims.get("role")? == "admin")
    };
    role().unwrap_or(false)
}

/// An address with those parameters that have a value.
pub fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    query.extend_pairs(given);
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// The page of a service. One that is none of ours may be called anything.
pub fn service_page(name: &str) -> String {
    const SPELLED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    format!("/console/services/{}", utf8_percent_encode(name, SPELLED))
}

/// What a page of a list is asked for: the parameters that it knows, as they are in its address and go on to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked(Vec<(&'static str, String)>);

impl Asked {
    /// Reads the query of a page, passing over what it does not know.
    pub fn of(query: &str, known: &[&'static str]) -> Self {
        let value = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let found = pairs.find(|(key, _)| key == name);
            found.map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        Self(known.iter().map(|name| (*name, value(name))).collect())
    }

    /// What a parameter is; empty where it is not asked for.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same with another value of a parameter.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let replaced = |(known, was): &(&'static str, String)| match *known == name {
            true => (*known, value.to_owned()),
            false => (*known, was.clone()),
        };
        Self(self.0.iter().map(replaced).collect())
    }

    /// The address of what is asked for at a path.
    pub fn at(&self, path: &str) -> String {
        let pairs = self.0.iter().map(|(name, value)| (*name, &**value));
        let pairs: Vec<_> = pairs.collect();
        link(path, &pairs)
    }
}

/// What somebody looks for who types it into the console's search field.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The order with this id, or what belongs to the request with this id.
    Id(&'a str),
    /// The order with this number.
    Order(&'a str),
    /// The trace with this id.
    Trace(&'a str),
    /// What belongs to the request with this id.
    Request(&'a str),
}

impl<'a> Wanted<'a> {
    /// Tells by how it looks.
    pub fn of(words: &'a str) -> Self {
        let words = words.trim().trim_start_matches('#');
        let all = |allowed: fn(&u8) -> bool| words.bytes().all(|byte| allowed(&byte));
        match words.len() {
            12 if all(u8::is_ascii_hexdigit) => Self::Order(words),
            32 if all(u8::is_ascii_hexdigit) => Self::Trace(words),
            36 if all(|byte| byte.is_ascii_hexdigit() || *byte == b'-') => Self::Id(words),
            _ => Self::Request(words),
        }
    }
}

/// A moment, in milliseconds since 1970, in RFC 3339.
pub fn rfc3339(moment: i64) -> String {
    let since_1970 = Duration::from_millis(moment.try_into().unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970).to_string()
}

/// The same the other way round; 0 for what is no moment.
pub fn milliseconds(rfc3339: &str) -> i64 {
    let moment = humantime::parse_rfc3339(rfc3339).ok();
    let since_1970 = moment.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    since_1970.map_or(0, |it| it.as_millis().try_into().unwrap_or(i64::MAX))
}

/// The day and the time of day of a moment in RFC 3339: `25 Nov 22:54:01`.
pub fn clock(rfc3339: &str) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let read = || {
        let month: usize = rfc3339.get(5..7)?.parse().ok()?;
        let month = MONTHS.get(month.checked_sub(1)?)?;
        let day = rfc3339.get(8..10)?;
        let day = day.strip_prefix('0').unwrap_or(day);
        Some(format!("{day} {month} {}", rfc3339.get(11..19)?))
    };
    read().unwrap_or_else(|| rfc3339.to_owned())
}

/// How long something takes: `0.4 ms`, `12 ms`, `1.3 s`.
pub fn duration(ms: f64) -> String {
    match ms {
        0.0 => "0".into(),
        ..1.0 => format!("{ms:.2} ms"),
        ..10.0 => format!("{ms:.1} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1000.0),
    }
}

/// How often something happens: `0.55/s`, `12/s`, and what is rare `3.1/min` or `2.0/h`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0/s".into(),
        ..0.002 => format!("{:.1}/h", per_second * 3600.0),
        ..0.1 => format!("{:.1}/min", per_second * 60.0),
        ..1.0 => format!("{per_second:.2}/s"),
        ..10.0 => format!("{per_second:.1}/s"),
        _ => format!("{per_second:.0}/s"),
    }
}

/// A part of a whole: `0%`, `0.4%`, `12%`.
pub fn percent(part: i64, whole: i64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    match percent {
        0.0 => "0%".into(),
        ..10.0 => format!("{percent:.1}%"),
        _ => format!("{percent:.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_be_called_anything() {
        assert_eq!(service_page("orders-2"), "/console/services/orders-2");
        assert_eq!(service_page("a b?c/d"), "/console/services/a%20b%3Fc%2Fd");
    }

    #[test]
    fn an_operator_is_known_by_the_token() {
        let token = |claims: &str| format!("head.{}.signature", BASE64.encode(claims));
        assert!(is_operator(&token(r#"{"role":"admin"}"#)));
        assert!(!is_operator(&token(r#"{"role":"customer"}"#)));
        for odd in ["", "a", "a.b.c", &token("{}"), &token("admin")] {
            assert!(!is_operator(odd), "{odd}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read_and_written_back() {
        let asked = Asked::of(
            "service=orders&q=a%26b&utm=x&level=",
            &["service", "level", "q"],
        );
        assert_eq!((asked.get("q"), asked.get("level")), ("a&b", ""));
        assert_eq!(
            asked.at("/console/logs"),
            "/console/logs?service=orders&q=a%26b"
        );
        let other = asked.with("service", "").with("utm", "y");
        assert_eq!(other.at("/l"), "/l?q=a%26b");
        assert_eq!(Asked::of("", &["q"]).at("/l"), "/l");
    }

    #[test]
    fn what_is_looked_for_is_known_by_its_looks() {
        assert_eq!(Wanted::of(" 0000CAFE4711 "), Wanted::Order("0000CAFE4711"));
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(Wanted::of(trace), Wanted::Trace(trace));
        let id = "0190a3c4-0000-7000-8000-0000cafe4711";
        assert_eq!(Wanted::of(id), Wanted::Id(id));
        assert_eq!(Wanted::of("my-request"), Wanted::Request("my-request"));
    }

    #[test]
    fn moments_and_amounts_are_short() {
        assert_eq!(clock("2026-11-05T22:54:01.123Z"), "5 Nov 22:54:01");
        assert_eq!(clock("soon"), "soon");
        assert_eq!(milliseconds(&rfc3339(1_764_111_222_000)), 1_764_111_222_000);
        assert_eq!(milliseconds("soon"), 0);
        let durations = [0.0, 0.25, 2.55, 12.4, 1345.0].map(duration);
        assert_eq!(durations, ["0", "0.25 ms", "2.5 ms", "12 ms", "1.3 s"]);
        assert_eq!(
            [0.0, 0.001, 0.051, 0.555, 2.0, 33.3].map(rate),
            ["0/s", "3.6/h", "3.1/min", "0.56/s", "2.0/s", "33/s"]
        );
        let percents = [percent(0, 0), percent(1, 250), percent(1, 4)];
        assert_eq!(percents, ["0%", "0.4%", "25%"]);
    }
}
