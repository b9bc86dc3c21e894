//! How metrics are written for Prometheus: its [text format](https://prometheus.io/docs/instrumenting/exposition_formats/), and
//! [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/) for who accepts it.
//!
//! ```
//! use std::fmt::Write;
//! use souk_exposition::{Format, escaped};
//!
//! let format = Format::accepted("*/*");
//! let mut out = String::new();
//! format.describe(&mut out, "orders_placed", "counter", "Orders that were placed.");
//! writeln!(out, "orders_placed_total{{country=\"{}\"}} 7", escaped("DE")).unwrap();
//! out.push_str(format.end());
//! assert!(out.contains("# TYPE orders_placed_total counter\n"));
//! ```

use std::fmt::Write;

/// The media type of Prometheus's own text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own.
    Text,
    /// The same with units and an end, and exemplars where there are some.
    OpenMetrics,
}

impl Format {
    /// The one that a client accepts, by its header `accept`.
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

    /// What ends a text, so that one that was cut off is known.
    pub fn end(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::OpenMetrics => "# EOF\n",
        }
    }

    /// Writes what comes before the samples of a family. The name of a counter is without `_total`, as OpenMetrics has it.
    pub fn describe(self, out: &mut String, name: &str, kind: &str, help: &str) {
        let (suffix, help) = match self {
            Self::Text if kind == "counter" => ("_total", help_text(help)),
            Self::Text => ("", help_text(help)),
            Self::OpenMetrics => ("", escaped(help)),
        };
        _ = writeln!(
            out,
            "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}"
        );
        let unit = name.rsplit('_').next().unwrap_or_default();
        if self == Self::OpenMetrics && ["seconds", "bytes"].contains(&unit) {
            _ = writeln!(out, "# UNIT {name} {unit}");
        }
    }
}

/// The value of a label, between its quotes.
pub fn escaped(value: &str) -> String {
    help_text(value).replace('"', "\\\"")
}

fn help_text(help: &str) -> String {
    help.replace('\\', r"\\").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(format: Format, name: &str, kind: &str) -> String {
        let mut out = String::new();
        format.describe(&mut out, name, kind, "A \\ and\na \"b\".");
        out
    }

    #[test]
    fn a_counter_is_named_as_the_format_has_it() {
        assert_eq!(
            described(Format::Text, "made", "counter"),
            "# HELP made_total A \\\\ and\\na \"b\".\n# TYPE made_total counter\n"
        );
        assert_eq!(
            described(Format::OpenMetrics, "made", "counter"),
            "# HELP made A \\\\ and\\na \\\"b\\\".\n# TYPE made counter\n"
        );
    }

    #[test]
    fn open_metrics_has_units_and_an_end() {
        let gauge = described(Format::OpenMetrics, "age_seconds", "gauge");
        assert!(gauge.ends_with("\n# UNIT age_seconds seconds\n"), "{gauge}");
        assert!(!described(Format::Text, "age_seconds", "gauge").contains("UNIT"));
        assert_eq!(
            (Format::Text.end(), Format::OpenMetrics.end()),
            ("", "# EOF\n")
        );
    }

    #[test]
    fn the_format_is_what_the_client_accepts() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Text);
        assert_eq!(Format::accepted(""), Format::Text);
    }
}
