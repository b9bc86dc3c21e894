//! Which metrics there are: `metrics.toml` says it, for dashboards, alerts and tests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::{problem, promql};
use crate::objects::{list, text};
use crate::problem::Problem;

/// The list.
pub const FILE: &str = "metrics.toml";

/// The labels of everything that Prometheus has.
const EVERYWHERE: [&str; 2] = ["instance", "job"];

/// All metrics there are, by name.
pub struct Metrics(BTreeMap<String, Metric>);

/// What is known of one. Who has it is for the tests.
#[derive(Deserialize)]
struct Metric {
    #[serde(rename = "type")]
    kind: Kind,
    labels: Vec<String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metrics {
    /// Reads the list.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map(Self).context(FILE)
    }

    /// The metric of a series. A histogram has three kinds of them.
    fn of(&self, series: &str) -> Option<(&Metric, bool)> {
        let is_histogram = |metric: &&Metric| metric.kind == Kind::Histogram;
        if let Some(metric) = self.0.get(series) {
            return Some((metric, false)).filter(|(metric, _)| !is_histogram(metric));
        }
        let (name, part) = series.rsplit_once('_')?;
        let metric = self.0.get(name).filter(is_histogram)?;
        ["bucket", "sum", "count"]
            .contains(&part)
            .then_some((metric, part == "bucket"))
    }

    /// What a query asks for that there is not.
    pub fn unknown(&self, query: &str) -> Vec<String> {
        let names = promql::names(query);
        let mut unknown = Vec::new();
        let mut labels = BTreeSet::from(EVERYWHERE);
        for series in &names.metrics {
            match self.of(series) {
                None => unknown.push(format!("add {series} to {FILE}, or mend it")),
                Some((metric, has_buckets)) => {
                    labels.extend(metric.labels.iter().map(String::as_str));
                    labels.extend(has_buckets.then_some("le"));
                }
            }
        }
        if unknown.is_empty() {
            let strange = names
                .labels
                .iter()
                .filter(|label| !labels.contains(label.as_str()));
            unknown.extend(
                strange
                    .map(|label| format!("mend the label {label}, which none of its metrics has")),
            );
        }
        unknown
    }
}

/// Alerts warn of what there is.
pub fn check_alerts(file: &str, alerts: &Value, metrics: &Metrics) -> Vec<Problem> {
    let rules = list(&alerts["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]));
    let mut problems = Vec::new();
    for rule in rules {
        for advice in metrics.unknown(&text(&rule["expr"])) {
            problems.push(problem(file, text(&rule["alert"]), "expr", advice));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::ALERTS;
    use super::super::tests::{changed, files};
    use super::*;
    use crate::problem::assert_one;
    use serde_json::json;

    #[test]
    fn series_are_of_metrics() {
        let metrics = files().metrics;
        for known in [
            "up",
            "souk_request_errors_total",
            "souk_call_duration_seconds_count",
        ] {
            assert!(metrics.of(known).is_some(), "{known}");
        }
        for unknown in [
            "souk_call_duration_seconds",
            "souk_request_errors_total_count",
            "souk_call",
        ] {
            assert!(metrics.of(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn an_alert_on_what_is_not_there_is_found() {
        let found = |query: &str| {
            let files = changed(ALERTS, |alerts| {
                alerts["groups"][0]["rules"][0]["expr"] = json!(query)
            });
            check_alerts(ALERTS, files.yaml(ALERTS), &files.metrics)
        };
        assert_one(
            &found("rate(souk_request_error_total[5m]) > 1"),
            &["alerts.yml: ", "expr: add souk_request_error_total"],
        );
        assert_one(
            &found("sum by (servce) (souk_outbox_waiting) > 1"),
            &["mend the label servce"],
        );
        assert_one(
            &found("sum by (le) (souk_request_duration_seconds_count) > 1"),
            &["the label le"],
        );
    }
}
