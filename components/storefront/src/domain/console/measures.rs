//! Rate, errors and duration of requests, put together for the charts and tables of the console.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::operations::Sales;
use super::{link, milliseconds, rfc3339};

const MINUTE: i64 = 60_000;

/// How long the times are that can be looked at, in minutes, and what they are called.
pub const SPANS: [(i64, &str); 3] = [(15, "15 minutes"), (60, "An hour"), (360, "6 hours")];

/// The time that is looked at: so many minutes up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many minutes.
    pub minutes: i64,
    /// Now, in milliseconds since 1970.
    pub now: i64,
}

impl Window {
    /// The time that is asked for, an hour unless told.
    pub fn of(minutes: Option<&str>, now: i64) -> Self {
        let asked = minutes.and_then(|minutes| minutes.parse().ok());
        let known = asked.filter(|asked| SPANS.iter().any(|(minutes, _)| minutes == asked));
        Self {
            minutes: known.unwrap_or(60),
            now,
        }
    }

    /// How many minutes are one point of a chart.
    pub fn step(&self) -> i64 {
        (self.minutes / 60).max(1)
    }

    /// When it begins, in milliseconds since 1970: with a whole step.
    pub fn from(&self) -> i64 {
        let step = self.step() * MINUTE;
        (self.now - self.minutes * MINUTE) / step * step + step
    }

    /// How many points a chart has.
    fn points(&self) -> usize {
        usize::try_from(self.minutes / self.step()).unwrap_or(0)
    }

    /// How many seconds of it are over.
    pub fn seconds(&self) -> f64 {
        ((self.now - self.from()) as f64 / 1000.0).max(1.0)
    }

    /// Which point of a chart a moment belongs to.
    fn point(&self, at: &str) -> Option<usize> {
        let since = milliseconds(at) - self.from();
        let point = usize::try_from(since.div_euclid(self.step() * MINUTE)).ok()?;
        (point < self.points()).then_some(point)
    }

    /// When it begins, as a parameter of addresses.
    pub fn begins(&self) -> String {
        rfc3339(self.from())
    }

    /// The times of day below a chart: at its begin, in its middle and at its end.
    pub fn times(&self) -> [String; 3] {
        let half = self.minutes * MINUTE / 2;
        [self.from(), self.from() + half, self.now].map(|moment| rfc3339(moment)[11..16].to_owned())
    }

    /// What to ask the API for.
    pub fn api_path(&self, path: &str, more: &[(&str, &str)]) -> String {
        let (from, step) = (self.begins(), self.step().to_string());
        let mut parameters = vec![("from", &*from), ("step", &*step)];
        parameters.extend(more);
        link(path, &parameters)
    }
}

/// What was measured, as the API tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Measures {
    /// What the buckets end with, in milliseconds; the last has no end.
    pub bounds_ms: Vec<f64>,
    /// By time, then by service and route.
    pub items: Vec<Measure>,
}

/// Requests of some minutes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Measure {
    /// When these began.
    pub at: String,
    /// Of which service.
    pub service: String,
    /// Of which of its routes; empty where these are not told apart.
    #[serde(default)]
    pub route: String,
    /// How many, and how they went.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// Rate, errors and duration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Numbers {
    /// How many there were.
    pub calls: i64,
    /// How many of them failed.
    pub errors: i64,
    /// Half of them took no longer than this.
    pub p50_ms: f64,
    /// Of a hundred, all but one took no longer than this.
    pub p99_ms: f64,
    /// How many are in each bucket.
    pub buckets: Vec<i64>,
    /// Half of them and more took no longer than this, as far as buckets tell; as a parameter of addresses, empty where they do not.
    #[serde(skip)]
    pub half_to_ms: String,
    /// The slowest of a hundred took at least this long, as far as buckets tell; as a parameter of addresses.
    #[serde(skip)]
    pub slowest_from_ms: String,
}

impl Numbers {
    /// Says which of them its durations are about. A duration is an estimate within a bucket: where there are few, none of them may have
    /// taken longer, or all. So these go to the ends of the bucket.
    pub fn tell_apart(&mut self, bounds_ms: &[f64]) {
        let end = bounds_ms.iter().find(|end| **end > self.p50_ms);
        self.half_to_ms = end.map_or_else(String::new, |end| end.ceil().to_string());
        let mut begins = bounds_ms.iter().rev();
        let begin = begins.find(|begin| **begin < self.p99_ms);
        self.slowest_from_ms = begin.map_or(0.0, |begin| begin.floor()).to_string();
    }

    /// The parameter of addresses for the faster half of them.
    pub fn half(&self) -> (&'static str, &str) {
        ("max_ms", &self.half_to_ms)
    }

    /// The parameter of addresses for the slowest of them.
    pub fn slowest(&self) -> (&'static str, &str) {
        ("min_ms", &self.slowest_from_ms)
    }
}

/// What there is to say of a service or a route over a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// All of it.
    pub all: Numbers,
    /// Point by point of a chart.
    pub points: Vec<Numbers>,
}

impl Figures {
    /// A series of a chart: how many a second.
    pub fn rates(&self, window: Window) -> Vec<f64> {
        let seconds = window.step() as f64 * 60.0;
        let rate = |point: &Numbers| point.calls as f64 / seconds;
        self.points.iter().map(rate).collect()
    }

    /// A series of a chart: how many of a hundred failed.
    pub fn error_percents(&self) -> Vec<f64> {
        let percent = |point: &Numbers| point.errors as f64 * 100.0 / point.calls.max(1) as f64;
        self.points.iter().map(percent).collect()
    }

    /// A series of a chart: how long they took, in milliseconds.
    pub fn durations(&self, quantile: fn(&Numbers) -> f64) -> Vec<f64> {
        self.points.iter().map(quantile).collect()
    }
}

impl Measures {
    /// What there is to say of each thing over a time: of each service, or each route.
    pub fn by(&self, thing: fn(&Measure) -> &str, window: Window) -> BTreeMap<String, Figures> {
        let mut all: BTreeMap<String, Figures> = BTreeMap::new();
        for measure in &self.items {
            let figures = all.entry(thing(measure).to_owned()).or_default();
            figures.points.resize(window.points(), Numbers::default());
            if let Some(point) = window.point(&measure.at) {
                add(&mut figures.points[point], &measure.numbers);
            }
            add(&mut figures.all, &measure.numbers);
        }
        for figures in all.values_mut() {
            figures.points.iter_mut().for_each(|it| self.estimate(it));
            self.estimate(&mut figures.all);
            figures.all.tell_apart(&self.bounds_ms);
        }
        all
    }

    /// Says of what was added up how long it took.
    fn estimate(&self, numbers: &mut Numbers) {
        numbers.p50_ms = quantile(&self.bounds_ms, &numbers.buckets, 0.5);
        numbers.p99_ms = quantile(&self.bounds_ms, &numbers.buckets, 0.99);
    }
}

fn add(all: &mut Numbers, some: &Numbers) {
    all.calls += some.calls;
    all.errors += some.errors;
    let length = all.buckets.len().max(some.buckets.len());
    all.buckets.resize(length, 0);
    for (all, some) in all.buckets.iter_mut().zip(&some.buckets) {
        *all += some;
    }
}

/// The duration that this share does not exceed, as if they were spread evenly within a bucket; as the API has it for each minute.
fn quantile(bounds_ms: &[f64], buckets: &[i64], share: f64) -> f64 {
    let wanted = share * buckets.iter().sum::<i64>() as f64;
    let bound = |bucket: usize| bounds_ms.get(bucket).or(bounds_ms.last()).copied();
    let (mut below, mut begin) = (0.0, 0.0);
    for (bucket, count) in buckets.iter().enumerate() {
        let (count, end) = (*count as f64, bound(bucket).unwrap_or(0.0));
        if count > 0.0 && below + count >= wanted {
            return begin + (end - begin) * (wanted - below) / count;
        }
        (below, begin) = (below + count, end);
    }
    0.0
}

/// What was ordered over a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turnover {
    /// How many orders were placed.
    pub orders: i64,
    /// How many, point by point of a chart.
    pub orders_by_point: Vec<f64>,
    /// What was taken, in the smallest unit of each currency.
    pub taken: BTreeMap<String, i64>,
    /// The same in the currency that most was taken of, point by point.
    pub taken_by_point: Vec<f64>,
}

impl Turnover {
    /// Puts together what the API tells by minutes.
    pub fn of(sales: &[Sales], window: Window) -> Self {
        let mut all = Self {
            orders_by_point: vec![0.0; window.points()],
            taken_by_point: vec![0.0; window.points()],
            ..Self::default()
        };
        let within: Vec<_> = sales
            .iter()
            .filter_map(|some| Some((window.point(&some.at)?, some)))
            .collect();
        for (point, some) in &within {
            all.orders += some.orders;
            all.orders_by_point[*point] += some.orders as f64 / window.step() as f64;
            if let Some(taken) = &some.taken {
                *all.taken.entry(taken.currency.clone()).or_default() += taken.amount;
            }
        }
        let currency = all.currency().map(str::to_owned);
        for (point, some) in &within {
            let taken = some.taken.as_ref();
            if let Some(taken) = taken.filter(|it| Some(&it.currency) == currency.as_ref()) {
                all.taken_by_point[*point] += taken.major() / window.step() as f64;
            }
        }
        all
    }

    /// The currency that most was taken of.
    pub fn currency(&self) -> Option<&str> {
        let most = self.taken.iter().max_by_key(|(_, amount)| **amount);
        most.map(|(currency, _)| currency.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::Money;

    /// 2026-01-31 12:30:30
    const NOW: i64 = 1_769_862_630_000;

    fn measure(at: &str, service: &str, buckets: [i64; 3], errors: i64) -> Measure {
        Measure {
            at: at.into(),
            service: service.into(),
            route: String::new(),
            numbers: Numbers {
                calls: buckets.iter().sum(),
                errors,
                buckets: buckets.into(),
                ..Numbers::default()
            },
        }
    }

    #[test]
    fn a_time_begins_with_a_whole_step() {
        let window = Window::of(Some("15"), NOW);
        assert_eq!(window.begins(), "2026-01-31T12:16:00Z");
        assert_eq!(window.seconds(), 14.5 * 60.0);
        assert_eq!(window.times(), ["12:16", "12:23", "12:30"]);
        assert_eq!(window.point("2026-01-31T12:30:00Z"), Some(14));
        assert_eq!(window.point("2026-01-31T12:15:00Z"), None);
        assert_eq!(window.point("2026-01-31T12:31:00Z"), None);
        let window = Window::of(Some("360"), NOW);
        assert_eq!(
            (window.step(), window.begins().as_str()),
            (6, "2026-01-31T06:36:00Z")
        );
        for odd in [None, Some("7"), Some("x")] {
            assert_eq!(Window::of(odd, NOW).minutes, 60);
        }
        assert_eq!(
            window.api_path("/api/ops/metrics", &[("by", "route")]),
            "/api/ops/metrics?from=2026-01-31T06%3A36%3A00Z&step=6&by=route"
        );
    }

    #[test]
    fn minutes_are_put_together_by_service() {
        let measures = Measures {
            bounds_ms: vec![10.0, 20.0],
            items: vec![
                measure("2026-01-31T12:29:00Z", "carts", [4, 0, 0], 1),
                measure("2026-01-31T12:30:00Z", "carts", [0, 6, 0], 2),
                measure("2026-01-31T12:30:00Z", "orders", [0, 0, 1], 0),
            ],
        };
        let window = Window::of(Some("15"), NOW);
        let by_service = measures.by(|it| &it.service, window);
        let carts = &by_service["carts"];
        assert_eq!((carts.all.calls, carts.all.errors), (10, 3));
        assert_eq!(carts.all.p50_ms, 10.0 + 10.0 / 6.0);
        assert_eq!(carts.points.len(), 15);
        assert_eq!(carts.rates(window)[13..], [4.0 / 60.0, 0.1]);
        assert_eq!(carts.error_percents()[13..], [25.0, 200.0 / 6.0]);
        assert_eq!(
            by_service["orders"].all.p99_ms, 20.0,
            "beyond the last bound nobody knows"
        );
    }

    #[test]
    fn what_a_duration_is_about_is_not_less_than_there_is() {
        let about = |p50_ms, p99_ms| {
            let mut numbers = Numbers {
                p50_ms,
                p99_ms,
                ..Numbers::default()
            };
            numbers.tell_apart(&[1.0, 2.5, 10.0]);
            (numbers.half().1.to_owned(), numbers.slowest().1.to_owned())
        };
        assert_eq!(about(0.5, 0.9), ("1".into(), "0".into()));
        assert_eq!(about(1.2, 9.9), ("3".into(), "2".into()));
        assert_eq!(about(10.0, 10.0), (String::new(), "2".into()));
    }

    #[test]
    fn what_was_taken_is_put_together_by_currency() {
        let sales = |at: &str, orders, amount, currency: &str| Sales {
            at: at.into(),
            orders,
            confirmed: orders,
            taken: Some(Money {
                amount,
                currency: currency.into(),
            }),
        };
        let turnover = Turnover::of(
            &[
                sales("2026-01-31T12:29:00Z", 2, 5000, "EUR"),
                sales("2026-01-31T12:29:00Z", 1, 700, "USD"),
                sales("2026-01-31T12:30:00Z", 1, 2500, "EUR"),
                sales("2026-01-31T10:00:00Z", 9, 9900, "EUR"),
            ],
            Window::of(Some("15"), NOW),
        );
        assert_eq!((turnover.orders, turnover.currency()), (4, Some("EUR")));
        assert_eq!(turnover.taken["EUR"], 7500);
        assert_eq!(turnover.orders_by_point[13..], [3.0, 1.0]);
        assert_eq!(turnover.taken_by_point[13..], [50.0, 25.0]);
    }
}
