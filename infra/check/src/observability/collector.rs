//! Whether what a Collector defines is what its pipelines use. Jaeger is one too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{fields, problem, texts};
use crate::objects::text;
use crate::problem::Problem;

const SIGNALS: [&str; 3] = ["traces", "metrics", "logs"];

/// Parts of a pipeline, each with where they are defined. A connector is where one pipeline ends and another begins.
const PARTS: [(&str, &[&str]); 3] = [
    ("receivers", &["receivers", "connectors"]),
    ("processors", &["processors"]),
    ("exporters", &["exporters", "connectors"]),
];

/// Checks all pipelines.
pub fn check(file: &str, collector: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, pipeline) in fields(&collector["service"]["pipelines"]) {
        if !SIGNALS.contains(&signal(name)) {
            let advice = format!("begin it with one of {}", SIGNALS.join(", "));
            problems.push(problem(file, "service.pipelines", name, advice));
        }
        for (part, sections) in PARTS {
            for id in texts(&pipeline[part]) {
                used.entry(part).or_default().insert(id);
                if !sections
                    .iter()
                    .any(|section| collector[section].get(id).is_some())
                {
                    let advice = format!("define {id} under {}", sections.join(" or "));
                    problems.push(problem(file, name, part, advice));
                }
            }
        }
    }
    let extensions = texts(&collector["service"]["extensions"]);
    used.insert("extensions", extensions.collect());
    for id in &used["extensions"] {
        if collector["extensions"].get(id).is_none() {
            problems.push(problem(file, "service.extensions", *id, "define it"));
        }
    }
    problems.extend(check_used(file, collector, &used));
    problems
}

fn check_used(
    file: &str,
    collector: &Value,
    used: &BTreeMap<&str, BTreeSet<&str>>,
) -> Vec<Problem> {
    let is_used = |part: &str, id: &str| used.get(part).is_some_and(|ids| ids.contains(id));
    let mut problems = Vec::new();
    for section in ["receivers", "processors", "exporters", "extensions"] {
        for (id, _) in fields(&collector[section]) {
            if !is_used(section, id) {
                let advice = format!("use it under service, or remove it from {section}");
                problems.push(problem(file, section, id, advice));
            }
        }
    }
    for (id, _) in fields(&collector["connectors"]) {
        for part in ["exporters", "receivers"] {
            if !is_used(part, id) {
                let advice = format!("have it among the {part} of a pipeline");
                problems.push(problem(file, "connectors", id, advice));
            }
        }
    }
    problems
}

/// Each signal has a way in, which is closed before the memory is full.
pub fn check_entrances(file: &str, collector: &Value) -> Vec<Problem> {
    let mut missing = BTreeSet::from(SIGNALS);
    let mut problems = Vec::new();
    for (name, pipeline) in fields(&collector["service"]["pipelines"]) {
        if texts(&pipeline["receivers"]).any(|receiver| receiver == "otlp") {
            missing.remove(signal(name));
            if text(&pipeline["processors"][0]) != "memory_limiter" {
                let advice = "begin with memory_limiter";
                problems.push(problem(file, name, "processors", advice));
            }
        }
    }
    let pipeline = |signal| {
        let advice = format!("add a pipeline of {signal} that receives otlp");
        problem(file, "service.pipelines", signal, advice)
    };
    problems.extend(missing.into_iter().map(pipeline));
    problems
}

/// What a pipeline is of; its name may follow.
fn signal(pipeline: &str) -> &str {
    pipeline.split('/').next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::COLLECTOR;
    use super::super::tests::changed;
    use super::*;
    use crate::problem::assert_one;
    use serde_json::json;

    fn found(change: impl FnOnce(&mut Value)) -> Vec<Problem> {
        let files = changed(COLLECTOR, change);
        let collector = files.yaml(COLLECTOR);
        let mut problems = check(COLLECTOR, collector);
        problems.extend(check_entrances(COLLECTOR, collector));
        problems
    }

    fn in_pipeline<'a>(collector: &'a mut Value, name: &str) -> &'a mut Value {
        &mut collector["service"]["pipelines"][name]
    }

    #[test]
    fn what_is_not_defined_is_found() {
        let problems = found(|it| {
            in_pipeline(it, "logs")["processors"] =
                json!(["memory_limiter", "transform/service", "batch", "redaction"])
        });
        assert_one(
            &problems,
            &["collector.yml: logs: processors: define redaction"],
        );
        let problems = found(|it| {
            in_pipeline(it, "metrics/edges")["receivers"] = json!(["servicegraph", "zipkin"])
        });
        assert_one(&problems, &["define zipkin under receivers or connectors"]);
        let problems = found(|it| it["service"]["extensions"] = json!(["health_check", "pprof"]));
        assert_one(&problems, &["service.extensions: pprof: define it"]);
    }

    #[test]
    fn what_nobody_uses_is_found() {
        let problems = found(|it| it["exporters"]["debug"] = json!({}));
        assert_one(&problems, &["exporters: debug: use it under service"]);
        let problems = found(|it| it["service"]["extensions"] = json!([]));
        assert_one(&problems, &["extensions: health_check: use it"]);
    }

    #[test]
    fn a_connector_that_leads_nowhere_is_found() {
        let problems = found(|it| {
            in_pipeline(it, "metrics")["receivers"] = json!(["otlp", "spanmetrics/requests"])
        });
        assert_one(
            &problems,
            &["connectors: spanmetrics/failures: have it among the receivers"],
        );
    }

    #[test]
    fn a_signal_that_is_none_or_has_no_way_in_is_found() {
        let problems = found(|it| {
            let pipelines = it["service"]["pipelines"].as_object_mut().unwrap();
            let logs = pipelines.remove("logs").unwrap();
            pipelines.insert("log".into(), logs);
        });
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(
            problems[0]
                .to_string()
                .contains("log: begin it with one of traces")
        );
        assert!(problems[1].to_string().contains("add a pipeline of logs"));
    }

    #[test]
    fn a_way_in_without_a_limit_is_found() {
        let problems = found(|it| {
            in_pipeline(it, "logs")["processors"] = json!(["transform/service", "batch"])
        });
        assert_one(&problems, &["logs: processors: begin with memory_limiter"]);
    }
}
