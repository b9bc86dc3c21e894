//! Rate limits: what they are, what a request counts against, and what its answer says about it.
//!
//! The algorithm is GCRA, the generic cell rate algorithm: of each caller one time is kept, the *theoretical arrival time*
//! at which the caller will have the whole limit again. A request moves it one interval ahead, and is refused where that
//! would take it further ahead of now than the whole limit lasts. So a limit of 20/60 lets 20 requests through at once, and
//! then one every three seconds; there is no window at whose edge twice as many pass. The one statement that decides is in
//! `store.rs`.
//!
//! Answers carry `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds until the whole limit is there
//! again) as in draft-ietf-httpapi-ratelimit-headers-06, the last to have them as separate fields; where several limits
//! apply they tell of the one with the least left.

use std::net::IpAddr;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use souk_chassis::Problem;

/// What a request counts against, beside the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What any client may do in all.
    Ordinary,
    /// What a password or a token can be guessed with.
    Login,
}

/// So many requests in so much time, all of them at once if need be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many requests.
    pub count: i64,
    /// After how many microseconds there is one more.
    pub interval: i64,
}

impl Limit {
    /// Reads a setting: "1200/60" is 1200 requests in 60 seconds, "off" is no limit.
    pub fn parse(setting: &str) -> Result<Option<Self>, String> {
        if setting == "off" {
            return Ok(None);
        }
        let numbers = setting
            .split_once('/')
            .and_then(|(count, seconds)| Some((number(count)?, number(seconds)?)));
        match numbers {
            Some((count @ 1..=1_000_000, seconds @ 1..=86_400)) => Ok(Some(Self {
                count,
                interval: (seconds * MICROSECONDS + count - 1) / count,
            })),
            _ => Err(
                "must be \"off\" or requests/seconds, such as \"1200/60\": 1 to 1000000 requests in 1 to 86400 seconds"
                    .into(),
            ),
        }
    }

    /// How far ahead of now the theoretical arrival time may be.
    pub fn period(self) -> i64 {
        self.count * self.interval
    }
}

/// Digits only: `i64`'s own parser would take a sign as well.
fn number(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

const MICROSECONDS: i64 = 1_000_000;

/// One limit that a request counts against: whose, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// What the time is kept under.
    pub key: String,
    /// The limit.
    pub limit: Limit,
}

impl Charge {
    /// Against the limit of a client's address.
    pub fn client(class: Class, client: IpAddr, limit: Limit) -> Self {
        let kind = match class {
            Class::Ordinary => "client",
            Class::Login => "login",
        };
        let key = format!("{kind} {}", network(client));
        Self { key, limit }
    }

    /// Against the limit of an account.
    pub fn account(user: &str, limit: Limit) -> Self {
        let key = format!("account {user}");
        Self { key, limit }
    }

    /// How many microseconds are left of the limit when the theoretical arrival time is this; negative where it is exceeded.
    fn left(&self, tat: i64, now: i64) -> i64 {
        self.limit.period() - (tat - now).max(0)
    }
}

/// Whoever has an address of IPv6 has 2^64 of them, so they count as one.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

/// What was decided about a request, for the limit that has the least left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    limit: i64,
    remaining: i64,
    /// Seconds until the whole limit is there again.
    reset: i64,
    /// Seconds until another request will be let through, where this one was not.
    retry_after: Option<i64>,
}

impl Verdict {
    /// The verdict on a request that was let through, from the theoretical arrival times it has led to.
    pub fn passed(charges: &[Charge], tats: &[i64], now: i64) -> Option<Self> {
        let left =
            |(charge, tat): &(&Charge, &i64)| charge.left(**tat, now) / charge.limit.interval;
        let (charge, tat) = charges.iter().zip(tats).min_by_key(left)?;
        Some(Self::of(charge, *tat, now, None))
    }

    /// The verdict on a request that was refused, from the theoretical arrival times that it met.
    pub fn refused(charges: &[Charge], tats: &[i64], now: i64) -> Option<Self> {
        let wait = |charge: &Charge, tat: i64| charge.limit.interval - charge.left(tat, now);
        let (charge, tat) = charges
            .iter()
            .zip(tats)
            .max_by_key(|(charge, tat)| wait(charge, **tat))?;
        let retry_after = seconds(wait(charge, *tat)).max(1);
        Some(Self::of(charge, *tat, now, Some(retry_after)))
    }

    fn of(charge: &Charge, tat: i64, now: i64, retry_after: Option<i64>) -> Self {
        let remaining = match retry_after {
            Some(_) => 0,
            None => (charge.left(tat, now) / charge.limit.interval).max(0),
        };
        Self {
            limit: charge.limit.count,
            remaining,
            reset: seconds((tat - now).max(0)),
            retry_after,
        }
    }

    /// Refuses the request where it is over a limit.
    pub fn admit(self) -> Result<(), Problem> {
        let Some(retry_after) = self.retry_after else {
            return Ok(());
        };
        let detail = format!("there may be another request in {retry_after} s");
        Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests",
            detail,
        )
        .header(header::RETRY_AFTER, HeaderValue::from(retry_after)))
    }

    /// Tells the client.
    pub fn tell(self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset));
    }
}

/// How many requests the limit has.
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");

/// How many of them are left.
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

/// After how many seconds all of them are there again.
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Rounded up, so that whoever waits so long has waited long enough.
fn seconds(microseconds: i64) -> i64 {
    (microseconds + MICROSECONDS - 1) / MICROSECONDS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limit(setting: &str) -> Limit {
        Limit::parse(setting).unwrap().unwrap()
    }

    #[test]
    fn a_limit_is_requests_in_seconds() {
        assert_eq!(
            limit("1200/60"),
            Limit {
                count: 1200,
                interval: 50_000
            }
        );
        assert_eq!(limit("7/60").interval, 8_571_429, "rounded up");
        assert_eq!(limit("1000000/1").interval, 1);
        assert_eq!(Limit::parse("off"), Ok(None));
        for bad in [
            "",
            "60",
            "/",
            "0/60",
            "60/0",
            "-1/60",
            "+1/60",
            "1/+60",
            "1.5/60",
            "1/60/1",
            "1 / 60",
            "OFF",
            "1000001/1",
            "1/86401",
            "99999999999999999999/1",
        ] {
            assert!(Limit::parse(bad).is_err(), "{bad}");
        }
    }

    fn client(address: &str) -> Charge {
        Charge::client(Class::Ordinary, address.parse().unwrap(), limit("10/10"))
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2::1"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        let login = Charge::client(Class::Login, "192.0.2.1".parse().unwrap(), limit("10/10"));
        assert_ne!(client("192.0.2.1").key, login.key);
    }

    const NOW: i64 = 1_700_000_000_000_000;

    #[test]
    fn the_limit_with_the_least_left_is_told() {
        let charges = [client("192.0.2.1"), Charge::account("u1", limit("4/8"))];
        let verdict = Verdict::passed(&charges, &[NOW + 1_000_000, NOW + 6_000_000], NOW).unwrap();
        assert_eq!((verdict.limit, verdict.remaining, verdict.reset), (4, 1, 6));
        assert!(verdict.admit().is_ok());
        let verdict = Verdict::passed(&charges, &[NOW + 9_500_000, NOW + 2_000_000], NOW).unwrap();
        assert_eq!(
            (verdict.limit, verdict.remaining, verdict.reset),
            (10, 0, 10)
        );
    }

    #[test]
    fn a_refusal_says_when_it_ends() {
        let charges = [client("192.0.2.1"), Charge::account("u1", limit("4/8"))];
        let verdict = Verdict::refused(&charges, &[NOW + 9_900_000, NOW + 7_500_000], NOW).unwrap();
        assert_eq!(verdict.limit, 4);
        assert_eq!((verdict.remaining, verdict.retry_after), (0, Some(2)));
        assert_eq!(verdict.admit().unwrap_err().status(), 429);
        let verdict = Verdict::refused(&charges, &[NOW + 9_900_000, NOW - 5], NOW).unwrap();
        assert_eq!((verdict.limit, verdict.retry_after), (10, Some(1)));
    }

    #[test]
    fn no_limit_has_nothing_to_tell() {
        assert_eq!(Verdict::passed(&[], &[], NOW), None);
    }
}
