//! Whether the files of `infra/observability` agree with each other.
//!
//! | module | what it knows |
//! |---|---|
//! | [`compose`] | which containers run, with which files, and where they listen |
//! | [`ports`] | whether every address in a file is one where somebody listens |
//! | [`collector`] | whether what a Collector defines is what its pipelines use |
//! | [`dashboards`] | whether dashboards can be read, and ask for what there is |
//! | [`metrics`] | which metrics there are |
//! | [`promql`] | what a query asks for |

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::problem::Problem;

mod collector;
mod compose;
mod dashboards;
mod metrics;
mod ports;
mod promql;

use metrics::Metrics;

/// Where they are.
pub const FOLDER: &str = "infra/observability";

const COMPOSE: &str = "compose.yml";
const COLLECTOR: &str = "collector.yml";
const JAEGER: &str = "jaeger.yml";
const LOKI: &str = "loki.yml";
const PROMETHEUS: &str = "prometheus-collector.yml";
const ALERTS: &str = "alerts.yml";
const DATASOURCES: &str = "grafana/provisioning/datasources/souk.yml";
const DASHBOARDS: &str = "grafana/dashboards";

/// The files.
pub struct Files {
    folder: PathBuf,
    /// Those that are YAML, by name.
    yaml: BTreeMap<&'static str, Value>,
    /// The dashboards, by the name of their file.
    dashboards: BTreeMap<String, Value>,
    metrics: Metrics,
}

impl Files {
    /// Reads all of them.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let folder = root.join(FOLDER);
        let mut yaml = BTreeMap::new();
        for name in [
            COMPOSE,
            COLLECTOR,
            JAEGER,
            LOKI,
            PROMETHEUS,
            ALERTS,
            DATASOURCES,
        ] {
            let value = serde_saphyr::from_str(&read(&folder, name)?);
            yaml.insert(name, value.with_context(|| format!("{FOLDER}/{name}"))?);
        }
        let mut dashboards = BTreeMap::new();
        for entry in fs::read_dir(folder.join(DASHBOARDS)).context(DASHBOARDS)? {
            let name = format!("{DASHBOARDS}/{}", entry?.file_name().to_string_lossy());
            let value = serde_json::from_str(&read(&folder, &name)?);
            dashboards.insert(name.clone(), value.with_context(|| name.clone())?);
        }
        let metrics = Metrics::parse(&read(&folder, metrics::FILE)?)?;
        Ok(Self {
            folder,
            yaml,
            dashboards,
            metrics,
        })
    }

    fn yaml(&self, name: &'static str) -> &Value {
        self.yaml.get(name).unwrap_or(&Value::Null)
    }
}

fn read(folder: &Path, name: &str) -> anyhow::Result<String> {
    fs::read_to_string(folder.join(name)).with_context(|| format!("{FOLDER}/{name}"))
}

/// What each check has found.
pub fn check(files: &Files) -> Vec<Vec<Problem>> {
    vec![
        compose::check(&files.folder, files.yaml(COMPOSE)),
        ports::check(files),
        collector::check(COLLECTOR, files.yaml(COLLECTOR)),
        collector::check_entrances(COLLECTOR, files.yaml(COLLECTOR)),
        collector::check(JAEGER, files.yaml(JAEGER)),
        dashboards::check(&files.dashboards, files.yaml(DATASOURCES), &files.metrics),
        metrics::check_alerts(ALERTS, files.yaml(ALERTS), &files.metrics),
    ]
}

/// Something that is wrong with a file.
fn problem(
    file: &str,
    object: impl Into<String>,
    field: impl Into<String>,
    advice: impl Into<String>,
) -> Problem {
    Problem {
        file: format!("{FOLDER}/{file}"),
        object: object.into(),
        field: field.into(),
        advice: advice.into(),
    }
}

/// The fields of an object, by name; none where there is no object.
fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.as_str(), value))
}

/// The texts of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    crate::objects::list(value).iter().filter_map(Value::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The files as they are, with one of them changed.
    pub fn changed(name: &'static str, change: impl FnOnce(&mut Value)) -> Files {
        let mut files = files();
        change(files.yaml.get_mut(name).unwrap());
        files
    }

    /// The files as they are.
    pub fn files() -> Files {
        Files::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
    }

    #[test]
    fn the_files_are_right() {
        let problems: Vec<_> = check(&files()).into_iter().flatten().collect();
        assert!(problems.is_empty(), "{problems:#?}");
    }
}
