//! What Prometheus scrapes. In OpenMetrics there are exemplars too: the trace of one of those that are counted.

mod exported;

use std::fmt::Write;

use souk_exposition::{Format, escaped};

use crate::domain::BOUNDS_NS;
use crate::store::{Series, Total};

/// A histogram and its errors: requests, or calls between services.
struct Family {
    name: &'static str,
    help: &'static str,
    errors: &'static str,
    errors_help: &'static str,
}

const REQUESTS: Family = Family {
    name: "souk_request_duration_seconds",
    help: "How long services took to answer requests.",
    errors: "souk_request_errors",
    errors_help: "Requests that failed.",
};

/// The name of the gauge of what is kept here, and what it says.
const DATABASE: (&str, &str) = (
    "souk_telemetry_database_bytes",
    "How much of the database of traces, logs and metrics is in use.",
);

const CALLS: Family = Family {
    name: "souk_call_duration_seconds",
    help: "How long calls of one service by another took to be answered.",
    errors: "souk_call_errors",
    errors_help: "Calls of one service by another that failed.",
};

/// All that is measured, ordered by what it is of and then by bucket; and what others export.
pub fn write(format: Format, totals: &[Total], exported: &[Series], bytes_in_use: i64) -> String {
    let mut out = String::new();
    let (calls, requests): (Vec<_>, Vec<_>) = totals.iter().partition(|it| !it.caller.is_empty());
    family(format, &mut out, &REQUESTS, &requests);
    family(format, &mut out, &CALLS, &calls);
    let (bytes, help) = DATABASE;
    format.describe(&mut out, bytes, "gauge", help);
    _ = writeln!(out, "{bytes} {bytes_in_use}");
    exported::write(format, &mut out, exported);
    out.push_str(format.end());
    out
}

fn family(format: Format, out: &mut String, family: &Family, totals: &[&Total]) {
    let series: Vec<_> = totals
        .chunk_by(|one, next| labels(one) == labels(next))
        .collect();
    format.describe(out, family.name, "histogram", family.help);
    for buckets in &series {
        histogram(format, out, family.name, buckets);
    }
    format.describe(out, family.errors, "counter", family.errors_help);
    for buckets in &series {
        let errors: i64 = buckets.iter().map(|bucket| bucket.errors).sum();
        _ = writeln!(
            out,
            "{}_total{{{}}} {errors}",
            family.errors,
            labels(buckets[0])
        );
    }
}

fn histogram(format: Format, out: &mut String, name: &str, buckets: &[&Total]) {
    let labels = labels(buckets[0]);
    let mut count = 0;
    for index in 0..=BOUNDS_NS.len() {
        let bucket = buckets
            .iter()
            .find(|bucket| usize::try_from(bucket.bucket) == Ok(index));
        count += bucket.map_or(0, |bucket| bucket.calls);
        let bound = BOUNDS_NS
            .get(index)
            .map_or("+Inf".into(), |bound| seconds(*bound));
        _ = write!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        if let Some(bucket) = bucket.filter(|_| format == Format::OpenMetrics) {
            let (took, at) = (seconds(bucket.traced_ns), bucket.traced_at as f64 / 1e3);
            _ = write!(
                out,
                " # {{trace_id=\"{}\"}} {took} {at:.3}",
                bucket.trace_id
            );
        }
        out.push('\n');
    }
    let sum: i64 = buckets.iter().map(|bucket| bucket.sum_ns).sum();
    _ = writeln!(
        out,
        "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}",
        seconds(sum)
    );
}

/// What a series is of.
fn labels(total: &Total) -> String {
    let label = |name: &str, value: &str| format!("{name}=\"{}\"", escaped(value));
    match total.caller.is_empty() {
        true => format!(
            "{},{}",
            label("service", &total.service),
            label("route", &total.route)
        ),
        false => format!(
            "{},{}",
            label("caller", &total.caller),
            label("callee", &total.service)
        ),
    }
}

/// Nanoseconds as seconds; OpenMetrics wants a point in the bound of a bucket.
fn seconds(ns: i64) -> String {
    format!("{:?}", ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(caller: &str, bucket: i64, calls: i64) -> Total {
        Total {
            caller: caller.into(),
            service: "carts".into(),
            route: "GET \"x\"".into(),
            bucket,
            calls,
            errors: 1,
            sum_ns: calls * 1_000_000,
            trace_id: "ab".repeat(16),
            traced_ns: 7_000_000,
            traced_at: 1_700_000_000_500,
        }
    }

    #[test]
    fn buckets_are_cumulative_and_counters_summed() {
        let text = write(
            Format::Text,
            &[total("", 0, 2), total("", 3, 5), total("gateway", 13, 1)],
            &[],
            7,
        );
        let labels = r#"service="carts",route="GET \"x\"""#;
        for line in [
            "# TYPE souk_request_duration_seconds histogram",
            &format!("souk_request_duration_seconds_bucket{{{labels},le=\"0.001\"}} 2"),
            &format!("souk_request_duration_seconds_bucket{{{labels},le=\"0.01\"}} 7"),
            &format!("souk_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 7"),
            &format!("souk_request_duration_seconds_sum{{{labels}}} 0.007"),
            &format!("souk_request_duration_seconds_count{{{labels}}} 7"),
            "# TYPE souk_request_errors_total counter",
            &format!("souk_request_errors_total{{{labels}}} 2"),
            r#"souk_call_duration_seconds_bucket{caller="gateway",callee="carts",le="10.0"} 0"#,
            r#"souk_call_duration_seconds_bucket{caller="gateway",callee="carts",le="+Inf"} 1"#,
            "souk_telemetry_database_bytes 7",
        ] {
            assert!(text.lines().any(|is| is == line), "{line}\n{text}");
        }
        assert!(!text.contains("# {") && !text.contains("# EOF"));
    }

    #[test]
    fn open_metrics_has_units_exemplars_and_an_end() {
        let text = write(Format::OpenMetrics, &[total("", 3, 5)], &[], 7);
        assert!(text.contains("# UNIT souk_request_duration_seconds seconds\n"));
        assert!(text.contains("# TYPE souk_request_errors counter\n"));
        let exemplar = format!(
            "le=\"0.01\"}} 5 # {{trace_id=\"{}\"}} 0.007 1700000000.500\n",
            "ab".repeat(16)
        );
        assert!(text.contains(&exemplar), "{text}");
        assert!(text.ends_with("\n# EOF\n"));
    }
}
