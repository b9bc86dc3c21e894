//! Whether dashboards can be read, and ask for what there is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::metrics::Metrics;
use super::problem;
use crate::objects::{list, text};
use crate::problem::Problem;

/// How wide Grafana's grid is.
const COLUMNS: u64 = 24;

/// Checks all dashboards.
pub fn check(
    dashboards: &BTreeMap<String, Value>,
    datasources: &Value,
    metrics: &Metrics,
) -> Vec<Problem> {
    let sources: Vec<_> = list(&datasources["datasources"]).iter().collect();
    let mut problems = Vec::new();
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards {
        let title = text(&dashboard["title"]);
        let mut wrong = |object: &str, field: &str, advice: String| {
            problems.push(problem(file, object, field, advice));
        };
        if !uids.insert(text(&dashboard["uid"])) {
            wrong(&title, "uid", "give it one of its own".into());
        }
        for variable in list(&dashboard["templating"]["list"]) {
            check_variable(variable, &sources, metrics, &mut wrong);
        }
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard["panels"]) {
            if !ids.insert(panel["id"].as_u64()) {
                wrong(&name(panel), "id", "give it one of its own".into());
            }
            if text(&panel["title"]).is_empty() {
                wrong(&name(panel), "title", "add one".into());
            }
            if panel["type"] != "row" {
                check_panel(panel, &sources, metrics, &mut wrong);
            }
        }
        check_places(list(&dashboard["panels"]), &mut wrong);
    }
    problems
}

/// What a panel is called, or else its number.
fn name(panel: &Value) -> String {
    match text(&panel["title"]) {
        title if title.is_empty() => format!("panel {}", panel["id"]),
        title => title,
    }
}

fn check_variable(
    variable: &Value,
    sources: &[&Value],
    metrics: &Metrics,
    wrong: &mut impl FnMut(&str, &str, String),
) {
    let name = text(&variable["name"]);
    if variable.get("datasource").is_some() {
        check_source(&variable["datasource"], sources, |advice| {
            wrong(&name, "datasource", advice)
        });
    }
    let query = text(&variable["query"]["query"]);
    if let Some(values) = query.strip_prefix("label_values(") {
        let series = values.split([',', ')']).next().unwrap_or_default();
        for advice in metrics.unknown(series) {
            wrong(&name, "query", advice);
        }
    }
}

fn check_panel(
    panel: &Value,
    sources: &[&Value],
    metrics: &Metrics,
    wrong: &mut impl FnMut(&str, &str, String),
) {
    let name = name(panel);
    if text(&panel["description"]).is_empty() {
        wrong(&name, "description", "say what it shows".into());
    }
    if text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty() {
        wrong(
            &name,
            "fieldConfig.defaults.unit",
            "say what it counts".into(),
        );
    }
    if list(&panel["targets"]).is_empty() {
        wrong(&name, "targets", "add a query".into());
    }
    for target in list(&panel["targets"]) {
        let kind = check_source(&target["datasource"], sources, |advice| {
            wrong(&name, "targets.datasource", advice)
        });
        let query = text(&target["expr"]);
        if query.is_empty() {
            wrong(&name, "targets.expr", "add a query".into());
        }
        if kind == "prometheus" {
            for advice in metrics.unknown(&query) {
                wrong(&name, "targets.expr", advice);
            }
        }
    }
}

/// The kind of a data source, which has to be one that is provisioned.
fn check_source(source: &Value, sources: &[&Value], mut wrong: impl FnMut(String)) -> String {
    let found = sources.iter().find(|known| known["uid"] == source["uid"]);
    match found {
        Some(known) if known["type"] == source["type"] => {}
        Some(known) => wrong(format!(
            "{} is of the type {}",
            source["uid"], known["type"]
        )),
        None => {
            let known: Vec<_> = sources.iter().map(|known| text(&known["uid"])).collect();
            wrong(format!("use one of {}", known.join(", ")));
        }
    }
    text(&source["type"])
}

/// No panel is upon another, or beside the grid.
fn check_places(panels: &[Value], wrong: &mut impl FnMut(&str, &str, String)) {
    let mut taken: BTreeMap<(u64, u64), &Value> = BTreeMap::new();
    for panel in panels {
        let place = |field: &str| panel["gridPos"][field].as_u64().unwrap_or_default();
        let (left, top, right, bottom) = (
            place("x"),
            place("y"),
            place("x") + place("w"),
            place("y") + place("h"),
        );
        if right > COLUMNS || left == right || top == bottom {
            wrong(
                &name(panel),
                "gridPos",
                format!("lay it within {COLUMNS} columns"),
            );
        }
        let cells = (left..right).flat_map(|x| (top..bottom).map(move |y| (x, y)));
        let covered = cells.filter_map(|cell| taken.insert(cell, panel)).next();
        if let Some(other) = covered {
            wrong(
                &name(panel),
                "gridPos",
                format!("move it away from {}", name(other)),
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::files;
    use super::super::{DATASOURCES, Files};
    use super::*;
    use crate::problem::assert_one;
    use serde_json::json;

    fn run(files: &Files) -> Vec<Problem> {
        check(&files.dashboards, files.yaml(DATASOURCES), &files.metrics)
    }

    /// What is found when the second panel of one of them, the first that is not a row, is changed.
    fn found(change: impl FnOnce(&mut Value)) -> Vec<Problem> {
        let mut files = files();
        let dashboard = files
            .dashboards
            .get_mut("grafana/dashboards/shop.json")
            .unwrap();
        change(&mut dashboard["panels"][1]);
        run(&files)
    }

    #[test]
    fn what_a_panel_lacks_is_found() {
        for (field, advice) in [
            ("title", "title: add one"),
            ("description", "say what it shows"),
        ] {
            assert_one(
                &found(|panel| panel[field] = json!("")),
                &["shop.json: ", advice],
            );
        }
        assert_one(
            &found(|panel| panel["targets"] = json!([])),
            &["targets: add a query"],
        );
        assert_one(
            &found(|panel| panel["targets"][0]["expr"] = json!("")),
            &["targets.expr: add a query"],
        );
        assert_one(
            &found(|panel| panel["fieldConfig"]["defaults"]["unit"] = Value::Null),
            &["Services up: fieldConfig.defaults.unit: say what it counts"],
        );
    }

    #[test]
    fn two_of_one_id_or_uid_are_found() {
        assert_one(
            &found(|panel| panel["id"] = json!(1)),
            &["Services up: id: give it one of its own"],
        );
        let mut files = files();
        files
            .dashboards
            .get_mut("grafana/dashboards/shop.json")
            .unwrap()["uid"] = json!("souk-service");
        assert_one(&run(&files), &["Souk: shop: uid"]);
    }

    #[test]
    fn a_panel_upon_another_or_beside_the_grid_is_found() {
        assert_one(
            &found(|panel| panel["gridPos"]["w"] = json!(5)),
            &["gridPos: move it away from Services up"],
        );
        let problems = found(|panel| panel["gridPos"]["x"] = json!(22));
        assert!(
            problems
                .iter()
                .any(|it| it.advice.contains("within 24 columns")),
            "{problems:#?}"
        );
    }

    #[test]
    fn a_datasource_that_is_not_provisioned_is_found() {
        let source = |source: Value| found(|panel| panel["targets"][0]["datasource"] = source);
        assert_one(
            &source(json!({"type": "prometheus", "uid": "mimir"})),
            &["use one of prometheus, jaeger, loki"],
        );
        assert_one(
            &source(json!({"type": "loki", "uid": "prometheus"})),
            &["is of the type"],
        );
    }

    #[test]
    fn a_metric_that_is_not_there_is_found() {
        assert_one(
            &found(|panel| panel["targets"][0]["expr"] = json!("avg(souk_services_up)")),
            &["Services up: targets.expr: add souk_services_up to metrics.toml"],
        );
        let mut files = files();
        let dashboard = files
            .dashboards
            .get_mut("grafana/dashboards/service.json")
            .unwrap();
        dashboard["templating"]["list"][0]["query"]["query"] =
            json!("label_values(souk_requests, service)");
        assert_one(&run(&files), &["service: query: add souk_requests"]);
    }
}
