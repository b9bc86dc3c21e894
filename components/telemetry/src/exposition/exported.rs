//! The metrics that others export, named and written as OpenTelemetry's rules for Prometheus have it:
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use serde_json::Value;
use souk_exposition::{Format, escaped};

use super::{CALLS, DATABASE, REQUESTS};
use crate::store::Series;

/// How many bytes of these are written; the rest is left out. With what is counted here it is less than the gateway takes.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Labels that are not for exporters to set.
const RESERVED: [&str; 5] = ["job", "service", "instance", "le", "quantile"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

impl Kind {
    /// A histogram that does not say its bounds tells no more than a summary.
    fn of(series: &Series) -> Self {
        match series.kind.as_str() {
            "counter" => Self::Counter,
            "histogram" if !series.bounds.is_empty() => Self::Histogram,
            "histogram" | "summary" => Self::Summary,
            _ => Self::Gauge,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// What follows the name of a family in those of its samples, and in those that it keeps others from having.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["", "_total"],
            Self::Gauge => &[""],
            Self::Histogram => &["", "_bucket", "_sum", "_count"],
            Self::Summary => &["", "_sum", "_count"],
        }
    }
}

/// Metrics of one name and kind.
struct Family<'a> {
    kind: Kind,
    /// What the exporters call it, and what one of them says of it.
    name: &'a str,
    description: &'a str,
    /// By their labels, each of which is there once.
    series: BTreeMap<String, &'a Series>,
}

impl<'a> Family<'a> {
    fn like(series: &'a Series) -> Self {
        Self {
            kind: Kind::of(series),
            name: &series.name,
            description: "",
            series: BTreeMap::new(),
        }
    }

    fn add(&mut self, series: &'a Series) {
        if self.description.is_empty() {
            self.description = &series.description;
        }
        self.series.entry(labels(series)).or_insert(series);
    }

    fn help(&self) -> String {
        match self.description {
            "" => format!("What is exported as {}.", self.name),
            said => said.to_owned(),
        }
    }
}

/// What others export. Of two families whose samples would have the same name the first is there, and ours before any.
pub fn write(format: Format, out: &mut String, exported: &[Series]) {
    let mut taken = our_names();
    let most = out.len() + MOST_BYTES;
    for (name, family) in families(exported) {
        let suffixes = family.kind.suffixes().iter();
        let names: Vec<_> = suffixes.map(|suffix| format!("{name}{suffix}")).collect();
        if is_somebody_elses(&name) || names.iter().any(|name| taken.contains(name)) {
            continue;
        }
        taken.extend(names);
        format.describe(out, &name, family.kind.word(), &family.help());
        for (labels, series) in family.series {
            if out.len() > most {
                return;
            }
            samples(out, &name, family.kind, &labels, series);
        }
    }
}

/// Whether a name is Prometheus's own, or one of the shop's that no host exports.
fn is_somebody_elses(name: &str) -> bool {
    let of_hosts = ["souk_load_", "souk_requests_"];
    let is_of_a_host = of_hosts.iter().any(|prefix| name.starts_with(prefix));
    name == "up" || (name.starts_with("souk_") && !is_of_a_host)
}

fn our_names() -> HashSet<String> {
    let histograms = [REQUESTS.name, CALLS.name].map(|name| (name, Kind::Histogram));
    let errors = [REQUESTS.errors, CALLS.errors].map(|name| (name, Kind::Counter));
    let all = histograms.into_iter().chain(errors);
    let all = all.chain([(DATABASE.0, Kind::Gauge)]);
    let samples = |(name, kind): (&str, Kind)| {
        let suffixes = kind.suffixes().iter();
        suffixes
            .map(|suffix| format!("{name}{suffix}"))
            .collect::<Vec<_>>()
    };
    all.flat_map(samples).collect()
}

/// The series by the names they are given. Of a name there is one kind: the one that most series are of, so that an exporter that means something
/// else by it takes nothing from the others.
fn families(exported: &[Series]) -> BTreeMap<String, Family<'_>> {
    let mut all = BTreeMap::<String, BTreeMap<Kind, Family<'_>>>::new();
    for series in exported {
        let kind = Kind::of(series);
        let has_value = match kind {
            Kind::Counter | Kind::Gauge => series.value.is_some(),
            Kind::Histogram | Kind::Summary => series.count.is_some(),
        };
        if has_value {
            let families = all.entry(name(series, kind)).or_default();
            let family = families.entry(kind).or_insert_with(|| Family::like(series));
            family.add(series);
        }
    }
    let names = all.into_iter();
    let largest = names.filter_map(|(name, families)| {
        let largest = families.into_values().max_by_key(|it| it.series.len())?;
        Some((name, largest))
    });
    largest.collect()
}

fn samples(out: &mut String, name: &str, kind: Kind, labels: &str, series: &Series) {
    if kind == Kind::Histogram {
        buckets(out, name, labels, series);
    }
    let value = series.value;
    let mut sample = |suffix: &str, value: String| {
        _ = writeln!(out, "{name}{suffix}{{{labels}}} {value}");
    };
    match kind {
        Kind::Counter => sample("_total", number(value.unwrap_or_default())),
        Kind::Gauge => sample("", number(value.unwrap_or_default())),
        Kind::Histogram | Kind::Summary => {
            // Where something below zero may be added there is no sum.
            if let Some(sum) = value {
                sample("_sum", number(sum));
            }
            sample("_count", series.count.unwrap_or_default().to_string());
        }
    }
}

fn buckets(out: &mut String, name: &str, labels: &str, series: &Series) {
    let bounds = series.bounds.iter().map(|bound| number(*bound));
    let mut count = 0_i64;
    for (bound, more) in bounds.chain(["+Inf".into()]).zip(&series.buckets) {
        count = count.saturating_add(*more);
        _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
    }
}

fn number(number: f64) -> String {
    format!("{number:?}")
}

/// What a metric is called there, without the `_total` of a counter.
fn name(series: &Series, kind: Kind) -> String {
    let mut name = sanitized(&series.name);
    if kind == Kind::Counter {
        name.truncate(name.trim_end_matches("_total").len());
    }
    let unit = match (series.unit.as_str(), kind) {
        ("1", Kind::Gauge) => "ratio".into(),
        (unit, _) => unit_word(unit),
    };
    let unit = unit.trim_matches('_');
    if !unit.is_empty() && !name.ends_with(&format!("_{unit}")) {
        name = format!("{name}_{unit}");
    }
    match name.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

/// A unit, which is in the words of UCUM, in those of Prometheus.
fn unit_word(unit: &str) -> String {
    let (unit, per) = unit.split_once('/').unwrap_or((unit, ""));
    match (sanitized(units(unit)), sanitized(singular(per))) {
        (unit, per) if per.is_empty() => unit,
        (unit, per) if unit.is_empty() => format!("per_{per}"),
        (unit, per) => format!("{unit}_per_{per}"),
    }
}

fn units(unit: &str) -> &str {
    match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "Hz" => "hertz",
        "Cel" => "celsius",
        "%" => "percent",
        // What is in braces says what is counted, and is no unit.
        unit if unit == "1" || unit.starts_with('{') => "",
        unit => unit,
    }
}

fn singular(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "min" => "minute",
        "h" => "hour",
        "d" => "day",
        unit if unit.starts_with('{') => "",
        unit => unit,
    }
}

/// A name of letters, digits and underscores, never two of these in a row.
fn sanitized(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter.is_ascii_alphanumeric() {
            true => clean.push(letter),
            false if clean.ends_with('_') => {}
            false => clean.push('_'),
        }
    }
    clean
}

/// What a series is of. Attributes whose names become the same are one label with all their values.
fn labels(series: &Series) -> String {
    let mut labels = BTreeMap::<String, String>::new();
    for (name, value) in &series.attributes {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        labels
            .entry(label(name))
            .and_modify(|all| *all = format!("{all};{value}"))
            .or_insert(value);
    }
    let mut written = format!("service=\"{}\"", escaped(&series.service));
    if !series.instance.is_empty() {
        _ = write!(written, ",instance=\"{}\"", escaped(&series.instance));
    }
    for (name, value) in labels {
        _ = write!(written, ",{name}=\"{}\"", escaped(&value));
    }
    written
}

fn label(name: &str) -> String {
    let clean = sanitized(name);
    match clean.chars().next() {
        None => "_".into(),
        Some(first) if first.is_ascii_digit() => format!("key_{clean}"),
        Some(_) if RESERVED.contains(&clean.as_str()) => format!("exported_{clean}"),
        Some(_) => clean,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn series(name: &str, kind: &str, unit: &str, attributes: Value) -> Series {
        Series {
            service: "orders".into(),
            instance: "orders-1".into(),
            name: name.into(),
            attributes: attributes.as_object().unwrap().clone(),
            kind: kind.into(),
            unit: unit.into(),
            description: String::new(),
            value: Some(2.5),
            count: Some(3),
            bounds: Vec::new(),
            buckets: Vec::new(),
        }
    }

    fn written(format: Format, exported: &[Series]) -> String {
        let mut out = String::new();
        super::write(format, &mut out, exported);
        out
    }

    fn named(name: &str, kind: &str, unit: &str) -> String {
        let series = series(name, kind, unit, json!({}));
        super::name(&series, Kind::of(&series))
    }

    #[test]
    fn names_have_units_and_no_odd_letters() {
        for (name, kind, unit, expected) in [
            (
                "http.server.request.duration",
                "histogram",
                "s",
                "http_server_request_duration_seconds",
            ),
            (
                "http.server.active_requests",
                "sum",
                "{request}",
                "http_server_active_requests",
            ),
            (
                "process.memory.usage",
                "sum",
                "By",
                "process_memory_usage_bytes",
            ),
            (
                "process.cpu.time",
                "counter",
                "s",
                "process_cpu_time_seconds",
            ),
            (
                "souk.requests.refused",
                "counter",
                "{request}",
                "souk_requests_refused",
            ),
            ("io.total", "counter", "By", "io_bytes"),
            ("latency_seconds", "gauge", "s", "latency_seconds"),
            ("cpu.utilization", "gauge", "1", "cpu_utilization_ratio"),
            (
                "disk..speed",
                "gauge",
                "By/s",
                "disk_speed_bytes_per_second",
            ),
            ("4xx", "gauge", "", "_4xx"),
            ("größe", "gauge", "°", "gr_e"),
        ] {
            assert_eq!(named(name, kind, unit), expected);
        }
    }

    #[test]
    fn a_histogram_has_its_buckets_and_without_bounds_is_a_summary() {
        let mut took = series("took", "histogram", "s", json!({"http.route": "/a\"b"}));
        took.bounds = vec![0.005, 1.0];
        took.buckets = vec![1, 0, 2];
        let text = written(Format::Text, &[took]);
        let labels = r#"service="orders",instance="orders-1",http_route="/a\"b""#;
        let expected = format!(
            "# HELP took_seconds What is exported as took.\n# TYPE took_seconds histogram\n\
             took_seconds_bucket{{{labels},le=\"0.005\"}} 1\ntook_seconds_bucket{{{labels},le=\"1.0\"}} 1\n\
             took_seconds_bucket{{{labels},le=\"+Inf\"}} 3\n\
             took_seconds_sum{{{labels}}} 2.5\ntook_seconds_count{{{labels}}} 3\n"
        );
        assert_eq!(text, expected);
        let text = written(Format::Text, &[series("took", "histogram", "s", json!({}))]);
        assert!(text.contains("# TYPE took_seconds summary\n") && !text.contains("_bucket"));
    }

    #[test]
    fn a_counter_is_named_as_the_format_has_it() {
        let made = [series("made", "counter", "", json!({}))];
        for (format, family) in [(Format::Text, "made_total"), (Format::OpenMetrics, "made")] {
            let text = written(format, &made);
            assert!(
                text.contains(&format!("# TYPE {family} counter\n")),
                "{text}"
            );
            assert!(text.contains("\nmade_total{service="), "{text}");
        }
    }

    #[test]
    fn nothing_has_the_name_of_something_else() {
        let text = written(
            Format::Text,
            &[
                series("a.b", "counter", "", json!({})),
                series("a.b", "gauge", "", json!({})),
                series("a_b", "gauge", "", json!({"more": 1})),
                series("a_b", "gauge", "", json!({})),
                series("souk.request.errors", "counter", "", json!({})),
                series("souk.service.up", "gauge", "", json!({})),
                series("up", "gauge", "", json!({})),
                series("souk_call_duration_seconds_sum", "gauge", "", json!({})),
                series("took", "summary", "", json!({})),
                series("took_sum", "gauge", "", json!({})),
            ],
        );
        let types: Vec<_> = text.lines().filter(|it| it.starts_with("# TYPE")).collect();
        assert_eq!(types, ["# TYPE a_b gauge", "# TYPE took summary"], "{text}");
        assert_eq!(text.matches("\na_b{").count(), 2, "{text}");
    }

    #[test]
    fn labels_are_clean_and_each_is_there_once() {
        let of = |attributes| labels(&series("x", "gauge", "", attributes));
        let base = r#"service="orders",instance="orders-1""#;
        assert_eq!(
            of(json!({"a.b": 1, "a_b": true, "instance": "i", "1st": "x", "": "e"})),
            format!(r#"{base},_="e",a_b="1;true",exported_instance="i",key_1st="x""#)
        );
        assert_eq!(
            of(json!({"__name__": "x"})),
            format!(r#"{base},_name_="x""#)
        );
    }

    #[test]
    fn what_has_no_value_is_left_out() {
        let mut gone = series("x", "gauge", "", json!({}));
        gone.value = None;
        assert_eq!(written(Format::Text, &[gone]), "");
    }
}
