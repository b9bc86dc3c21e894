//! Which containers run: with pinned images, files that are there, a check of their health, and ports on loopback alone.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{COMPOSE, fields, problem, texts};
use crate::objects::{list, text};
use crate::problem::Problem;

/// What is used of the Compose Specification for a service, so that nobody misspells it.
const FIELDS: [&str; 13] = [
    "command",
    "configs",
    "depends_on",
    "environment",
    "expose",
    "extra_hosts",
    "healthcheck",
    "image",
    "mem_limit",
    "ports",
    "restart",
    "user",
    "volumes",
];

/// Whose image has no program that could ask how it is.
const UNASKED: [&str; 1] = ["collector"];

const LOOPBACK: &str = "127.0.0.1:";

/// Checks each service, and that what is declared is used.
pub fn check(folder: &Path, compose: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut unused = BTreeSet::new();
    for kind in ["volumes", "configs"] {
        unused.extend(fields(&compose[kind]).map(|(name, _)| (kind, name)));
    }
    for (name, service) in fields(&compose["services"]) {
        let mut wrong =
            |field: &str, advice: String| problems.push(problem(COMPOSE, name, field, advice));
        check_fields(name, service, &mut wrong);
        check_image(service, &mut wrong);
        for port in texts(&service["ports"]).filter(|port| !port.starts_with(LOOPBACK)) {
            wrong("ports", format!("begin {port} with {LOOPBACK}"));
        }
        for (other, _) in fields(&service["depends_on"]) {
            if compose["services"].get(other).is_none() {
                wrong("depends_on", format!("there is no service {other}"));
            }
        }
        for source in texts(&service["volumes"]).map(source) {
            let is_file = source.starts_with(['.', '/']);
            let is_there = match is_file {
                true => folder.join(source).exists(),
                false => compose["volumes"].get(source).is_some(),
            };
            if !is_there {
                wrong("volumes", format!("there is no {source}"));
            }
            unused.remove(&("volumes", source));
        }
        for config in list(&service["configs"]) {
            let source = config["source"].as_str().unwrap_or_default();
            if compose["configs"].get(source).is_none() {
                wrong("configs", format!("there is no {source}"));
            }
            unused.remove(&("configs", source));
        }
    }
    for (kind, name) in unused {
        problems.push(problem(
            COMPOSE,
            kind,
            name,
            "remove it, for nobody uses it",
        ));
    }
    problems
}

fn check_fields(name: &str, service: &Value, wrong: &mut impl FnMut(&str, String)) {
    for (field, _) in fields(service) {
        if !FIELDS.contains(&field) {
            wrong(field, format!("use one of {}", FIELDS.join(", ")));
        }
    }
    let is_asked = !list(&service["healthcheck"]["test"]).is_empty();
    if !is_asked && !UNASKED.contains(&name) {
        wrong("healthcheck", "add a test".into());
    }
}

/// A version is a number; `latest` is another one every week.
fn check_image(service: &Value, wrong: &mut impl FnMut(&str, String)) {
    let image = text(&service["image"]);
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let version = tag.trim_start_matches('v');
    if !version.starts_with(|first: char| first.is_ascii_digit()) || !version.contains('.') {
        wrong("image", format!("pin a version of {image}"));
    }
}

/// The file or volume of a mount.
fn source(mount: &str) -> &str {
    mount.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::changed;
    use super::*;
    use crate::problem::assert_one;
    use serde_json::json;

    fn found(change: impl FnOnce(&mut Value)) -> Vec<Problem> {
        let files = changed(COMPOSE, |compose| change(&mut compose["services"]["loki"]));
        check(&files.folder, files.yaml(COMPOSE))
    }

    #[test]
    fn an_image_without_a_version_is_found() {
        for image in ["grafana/loki", "grafana/loki:latest", "grafana/loki:3"] {
            assert_one(
                &found(|loki| loki["image"] = json!(image)),
                &["loki: image: pin a version"],
            );
        }
    }

    #[test]
    fn a_service_that_nobody_asks_is_found() {
        let problems = found(|loki| loki["healthcheck"] = json!({"interval": "10s"}));
        assert_one(&problems, &["compose.yml: loki: healthcheck: add a test"]);
    }

    #[test]
    fn a_field_that_is_misspelt_is_found() {
        let problems = found(|loki| loki["volume"] = json!([]));
        assert_one(&problems, &["loki: volume: use one of"]);
    }

    #[test]
    fn a_file_and_a_volume_that_are_not_there_are_found() {
        let problems = found(|loki| loki["volumes"][0] = json!("./lok.yml:/etc/souk/loki.yml:ro"));
        assert_one(&problems, &["loki: volumes: there is no ./lok.yml"]);
        let problems = found(|loki| loki["volumes"][1] = json!("log:/loki"));
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(problems[1].to_string().contains("volumes: logs: remove it"));
    }

    #[test]
    fn a_port_that_everybody_sees_is_found() {
        let problems = found(|loki| loki["ports"] = json!(["3100:3100"]));
        assert_one(&problems, &["loki: ports: begin 3100:3100 with 127.0.0.1:"]);
    }

    #[test]
    fn waiting_for_nobody_is_found() {
        let problems = found(|loki| loki["depends_on"] = json!({"tempo": {}}));
        assert_one(&problems, &["loki: depends_on: there is no service tempo"]);
    }
}
