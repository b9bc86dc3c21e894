//! What telemetry is made of, and the rules it keeps. Pure: no I/O.

pub mod asked;
mod latency;
mod logs;
mod points;
mod spans;
mod values;

use serde::Serialize;

pub use latency::BOUNDS_NS;
pub use logs::{level_word, logs};
pub use points::points;
pub use spans::spans;

/// For how many hours anything is kept.
pub const KEEP_HOURS: i64 = 72;

/// How many bytes of the database may be in use. When more are, the oldest goes until there are fewer.
pub const MOST_BYTES: i64 = 128 * 1024 * 1024;

/// When a series of points that nobody exports any more is over, in milliseconds.
pub const STALE_MS: i64 = 5 * 60 * 1000;

/// How many spans, log records or points of one request are taken.
pub const MOST_ITEMS: usize = 10_000;

/// How long the rows of one request may be as JSON, which is how they go to the database.
const MOST_JSON: usize = 8 * 1024 * 1024;

/// What this service is called, of which nothing is kept: what it does to keep a span would make another span.
pub const SELF: &str = "telemetry";

/// Where exporters post to. What is kept says nothing of requests to these either.
pub const RECEIVER_PATHS: [&str; 3] = ["/v1/traces", "/v1/logs", "/v1/metrics"];

const NS_PER_MS: i64 = 1_000_000;

/// Why a span, record or point is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

/// What is taken of a request: rows as a JSON array, and how many were refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    json: String,
    pub accepted: usize,
    pub rejected: i64,
    /// Why the first of those that were refused was.
    pub why: &'static str,
}

impl Batch {
    fn new() -> Self {
        Self {
            json: "[".into(),
            accepted: 0,
            rejected: 0,
            why: "",
        }
    }

    fn add<T: Serialize>(&mut self, row: Result<T, Refusal>) {
        match row.and_then(|row| self.push(&row)) {
            Ok(()) => self.accepted += 1,
            Err(Refusal(why)) if self.rejected == 0 => (self.rejected, self.why) = (1, why),
            Err(_) => self.rejected += 1,
        }
    }

    fn push(&mut self, row: &impl Serialize) -> Result<(), Refusal> {
        if self.accepted == MOST_ITEMS {
            return Err(Refusal("there are too many in one request"));
        }
        let row = serde_json::to_string(row).map_err(|_| Refusal("it cannot be written"))?;
        if self.json.len() + row.len() > MOST_JSON {
            return Err(Refusal("the request has too much in it"));
        }
        if self.accepted > 0 {
            self.json.push(',');
        }
        self.json.push_str(&row);
        Ok(())
    }

    /// The rows, as the store takes them.
    pub fn into_json(self) -> String {
        self.json + "]"
    }
}

/// A time in nanoseconds since 1970, where it is one that can be kept: of the last days, or a little ahead of our clock.
fn within_keeping(time_ns: u64, now_ms: i64) -> Option<i64> {
    const AHEAD_MS: i64 = 60 * 60 * 1000;
    let time_ns = i64::try_from(time_ns).ok()?;
    let kept = now_ms - KEEP_HOURS * 3_600_000..=now_ms + AHEAD_MS;
    kept.contains(&(time_ns / NS_PER_MS)).then_some(time_ns)
}

/// An id of so many bytes, sixteen at most, in hex; none where it is another number of bytes, or all zeros.
fn hex_id(bytes: &[u8], length: usize) -> Option<String> {
    let is_id = bytes.len() == length && bytes.iter().any(|byte| *byte != 0);
    let number = || {
        bytes
            .iter()
            .fold(0_u128, |id, byte| id << 8 | u128::from(*byte))
    };
    is_id.then(|| format!("{:0digits$x}", number(), digits = 2 * length))
}

/// A moment as RFC 3339, from nanoseconds since 1970.
pub fn rfc3339(time_ns: i64) -> String {
    let since_1970 = std::time::Duration::from_nanos(time_ns.try_into().unwrap_or(0));
    humantime::format_rfc3339_micros(std::time::UNIX_EPOCH + since_1970).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_so_many_rows_and_bytes_at_most() {
        let mut batch = Batch::new();
        for number in 0..MOST_ITEMS + 5 {
            batch.add(Ok(number));
        }
        assert_eq!((batch.accepted, batch.rejected), (MOST_ITEMS, 5));
        let mut batch = Batch::new();
        let mebibyte = "x".repeat(1024 * 1024);
        for _ in 0..20 {
            batch.add(Ok(&mebibyte));
        }
        assert_eq!((batch.accepted, batch.rejected), (7, 13));
        assert!(batch.into_json().len() <= MOST_JSON + 1);
    }

    #[test]
    fn rows_are_a_json_array() {
        let mut batch = Batch::new();
        batch.add(Ok(1));
        batch.add::<i64>(Err(Refusal("no")));
        batch.add(Ok(2));
        assert_eq!((batch.rejected, batch.why), (1, "no"));
        assert_eq!(batch.into_json(), "[1,2]");
        assert_eq!(Batch::new().into_json(), "[]");
    }

    #[test]
    fn ids_are_whole_and_not_zero() {
        assert_eq!(hex_id(&[0, 255], 2).as_deref(), Some("00ff"));
        assert_eq!(hex_id(&[0, 0], 2), None);
        assert_eq!(hex_id(&[1], 2), None);
    }

    #[test]
    fn absurd_times_are_not_kept() {
        let now = 1_800_000_000_000;
        let at = |ms: i64| within_keeping(u64::try_from(ms).unwrap_or(0) * 1_000_000, now);
        assert!(at(now).is_some() && at(now - 60_000).is_some() && at(now + 60_000).is_some());
        assert_eq!(at(0), None);
        assert_eq!(at(now - 73 * 3_600_000), None);
        assert_eq!(at(now + 2 * 3_600_000), None);
        assert_eq!(within_keeping(u64::MAX, now), None);
    }
}
