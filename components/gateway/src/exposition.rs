//! How metrics are written for Prometheus: <https://prometheus.io/docs/instrumenting/exposition_formats/> and OpenMetrics 1.0.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The media type of Prometheus's own text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What ends a text of OpenMetrics, so that one that was cut off is known.
const END: &str = "# EOF\n";

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

/// Metrics by name.
#[derive(Debug, Default)]
pub struct Families(BTreeMap<String, Family>);

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: String,
    /// By what they are of, so that each is there once.
    samples: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

impl Format {
    /// The one that a client accepts.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// What it is called.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => TEXT,
            Self::OpenMetrics => OPEN_METRICS,
        }
    }

    /// What somebody else has written, to be followed by more; none where it was cut off.
    pub fn opened(self, text: &str) -> Option<&str> {
        match self {
            Self::Text => (text.is_empty() || text.ends_with('\n')).then_some(text),
            Self::OpenMetrics => text.strip_suffix(END),
        }
    }

    /// The same with these after it, and its end.
    pub fn close(self, opened: &str, families: &Families) -> String {
        let mut out = opened.to_owned();
        for (name, family) in &families.0 {
            self.family(&mut out, name, family);
        }
        if self == Self::OpenMetrics {
            out.push_str(END);
        }
        out
    }

    fn family(self, out: &mut String, name: &str, family: &Family) {
        let (kind, suffix) = match family.kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
        };
        // Of a counter OpenMetrics names the family without the suffix.
        let described = match self {
            Self::Text => format!("{name}{suffix}"),
            Self::OpenMetrics => name.to_owned(),
        };
        let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
        _ = writeln!(out, "# HELP {described} {help}\n# TYPE {described} {kind}");
        if self == Self::OpenMetrics && name.ends_with("_seconds") {
            _ = writeln!(out, "# UNIT {described} seconds");
        }
        for (labels, value) in &family.samples {
            _ = writeln!(out, "{name}{suffix}{labels} {value}");
        }
    }
}

impl Families {
    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.add(Kind::Gauge, name, help, labels, value);
    }

    /// A number that only grows; its name is without `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.add(Kind::Counter, name, help, labels, value);
    }

    fn add(&mut self, kind: Kind, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let family = self.0.entry(name.to_owned()).or_insert_with(|| Family {
            kind,
            help: help.to_owned(),
            samples: BTreeMap::new(),
        });
        family.samples.insert(written(labels), value);
    }
}

fn written(labels: &[(&str, &str)]) -> String {
    let label = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escaped(value));
    let labels: Vec<_> = labels.iter().map(label).collect();
    match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn families() -> Families {
        let mut families = Families::default();
        families.gauge("souk_b", "Of\nb \\.", &[], 1.0);
        families.gauge(
            "souk_a_seconds",
            "Of a.",
            &[("x", "1"), ("y", "\"\\\n")],
            0.25,
        );
        families.gauge("souk_a_seconds", "Not said again.", &[("x", "2")], 3.0);
        families.gauge("souk_a_seconds", "Of a.", &[("x", "2")], 4.0);
        families.counter("souk_c", "Of c.", &[("x", "1")], 5.0);
        families
    }

    #[test]
    fn a_family_is_described_once_and_a_series_is_there_once() {
        let text = "# TYPE other counter\nother 1\n";
        let written = Format::Text.close(Format::Text.opened(text).unwrap(), &families());
        assert_eq!(
            written,
            concat!(
                "# TYPE other counter\nother 1\n",
                "# HELP souk_a_seconds Of a.\n# TYPE souk_a_seconds gauge\n",
                "souk_a_seconds{x=\"1\",y=\"\\\"\\\\\\n\"} 0.25\nsouk_a_seconds{x=\"2\"} 4\n",
                "# HELP souk_b Of\\nb \\\\.\n# TYPE souk_b gauge\nsouk_b 1\n",
                "# HELP souk_c_total Of c.\n# TYPE souk_c_total counter\nsouk_c_total{x=\"1\"} 5\n",
            )
        );
    }

    #[test]
    fn open_metrics_has_units_and_one_end() {
        let text = "# TYPE other gauge\nother 1\n# EOF\n";
        let opened = Format::OpenMetrics.opened(text).unwrap();
        let written = Format::OpenMetrics.close(opened, &families());
        assert_eq!(written.matches("# EOF").count(), 1);
        assert!(written.ends_with("\n# EOF\n"));
        assert!(written.contains("# UNIT souk_a_seconds seconds\n"));
        assert!(written.contains("# TYPE souk_c counter\nsouk_c_total{"));
    }

    #[test]
    fn what_was_cut_off_is_not_passed_on() {
        assert_eq!(Format::Text.opened(""), Some(""));
        assert_eq!(Format::Text.opened("other 1"), None);
        assert_eq!(Format::OpenMetrics.opened("other 1\n"), None);
        assert_eq!(Format::OpenMetrics.opened(""), None);
    }

    #[test]
    fn the_format_is_what_the_client_accepts() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Text);
    }
}
