//! One text for Prometheus of what somebody else has written and what is added to it.

use std::collections::BTreeMap;
use std::fmt::Write;

use souk_exposition::{Format, escaped};

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

impl Families {
    /// What somebody else has written, without what is called as one of these, and these after it. What was cut off is left out.
    pub fn written_after(&self, text: &str, format: Format) -> String {
        let mut out = self.others(opened(text, format));
        for (name, family) in &self.0 {
            family.write(&mut out, name, format);
        }
        out.push_str(format.end());
        out
    }

    fn others(&self, text: &str) -> String {
        let (mut out, mut is_ours) = (String::with_capacity(text.len()), false);
        for line in text.split_inclusive('\n') {
            if let Some(described) = line.strip_prefix("# HELP ") {
                let name = described.split(' ').next().unwrap_or_default();
                is_ours = self.0.contains_key(name.trim_end_matches("_total"));
            }
            if !is_ours {
                out.push_str(line);
            }
        }
        out
    }

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

impl Family {
    fn write(&self, out: &mut String, name: &str, format: Format) {
        let (kind, suffix) = match self.kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
        };
        format.describe(out, name, kind, &self.help);
        for (labels, value) in &self.samples {
            _ = writeln!(out, "{name}{suffix}{labels} {value}");
        }
    }
}

/// A text that can be followed by more; nothing where it was cut off.
fn opened(text: &str, format: Format) -> &str {
    match format.end() {
        "" if text.ends_with('\n') => text,
        "" => "",
        end => text.strip_suffix(end).unwrap_or_default(),
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
        assert_eq!(
            families().written_after(text, Format::Text),
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
    fn nobody_else_says_what_these_are() {
        let text = "# HELP souk_c_total No.\n# TYPE souk_c_total counter\nsouk_c_total 9\n# HELP z Z.\n# TYPE z gauge\nz 1\n";
        let written = families().written_after(text, Format::Text);
        assert!(!written.contains("souk_c_total 9") && written.contains("\nz 1\n"));
        assert_eq!(written.matches("# TYPE souk_c_total").count(), 1);
    }

    #[test]
    fn open_metrics_has_one_end() {
        let text = "# TYPE other gauge\nother 1\n# EOF\n";
        let written = families().written_after(text, Format::OpenMetrics);
        assert_eq!(written.matches("# EOF").count(), 1);
        assert!(written.starts_with("# TYPE other gauge\nother 1\n"));
        assert!(written.ends_with("\n# EOF\n"));
        assert!(written.contains("# TYPE souk_c counter\nsouk_c_total{"));
    }

    #[test]
    fn what_was_cut_off_is_not_passed_on() {
        for (text, format) in [
            ("", Format::Text),
            ("other 1", Format::Text),
            ("other 1\n", Format::OpenMetrics),
            ("", Format::OpenMetrics),
        ] {
            let written = families().written_after(text, format);
            assert!(written.starts_with("# HELP souk_a_seconds"), "{written}");
        }
    }
}
