//! Whether every address in a file is one where somebody listens. Where containers listen is said by `ports` and `expose` of `compose.yml`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    COLLECTOR, COMPOSE, DATASOURCES, Files, JAEGER, LOKI, PROMETHEUS, fields, problem, texts,
};
use crate::objects::number;
use crate::problem::Problem;

/// Which file tells which service what to do.
const CONFIGURED: [(&str, &str); 5] = [
    (COLLECTOR, "collector"),
    (JAEGER, "jaeger"),
    (LOKI, "loki"),
    (PROMETHEUS, "prometheus"),
    (DATASOURCES, "grafana"),
];

/// Those whose file says all the ports that they listen on; the others have one of their own.
const SAYS_ALL: [&str; 3] = [COLLECTOR, JAEGER, LOKI];

/// Checks all files.
pub fn check(files: &Files) -> Vec<Problem> {
    let services = &files.yaml(COMPOSE)["services"];
    let ports: Ports<'_> = fields(services)
        .map(|(name, it)| (name, ports(it)))
        .collect();
    let mut problems = Vec::new();
    for (name, service) in fields(services) {
        let mut asked = Vec::new();
        collect(&service["healthcheck"], &mut asked);
        for (_, port) in asked.iter().filter(|(_, port)| !ports[name].contains(port)) {
            problems.push(problem(
                COMPOSE,
                name,
                "healthcheck",
                format!("ask a port that it has, not {port}"),
            ));
        }
    }
    for (file, name) in CONFIGURED {
        problems.extend(check_file(file, files.yaml(file), name, services, &ports));
    }
    problems
}

type Ports<'a> = BTreeMap<&'a str, BTreeSet<u16>>;

fn ports(service: &Value) -> BTreeSet<u16> {
    let published = texts(&service["ports"]).filter_map(|port| port.rsplit(':').next());
    let all = published.chain(texts(&service["expose"]));
    all.filter_map(|port| port.parse().ok()).collect()
}

fn check_file(
    file: &str,
    value: &Value,
    name: &str,
    services: &Value,
    ports: &Ports<'_>,
) -> Vec<Problem> {
    let mut addresses = Vec::new();
    collect(value, &mut addresses);
    let outside: BTreeSet<_> = texts(&services[name]["extra_hosts"])
        .filter_map(|host| host.split(':').next())
        .collect();
    let mut problems = Vec::new();
    let mut silent = match SAYS_ALL.contains(&file) {
        true => ports.get(name).cloned().unwrap_or_default(),
        false => BTreeSet::new(),
    };
    for (host, port) in addresses {
        let (service, advice) = match host.as_str() {
            EVERYWHERE => (name, "have it in ports or expose of compose.yml"),
            host if outside.contains(host) => continue,
            host => (host, "lead it to a port that compose.yml has for it"),
        };
        silent.retain(|silent| host != EVERYWHERE || *silent != port);
        if !ports
            .get(service)
            .is_some_and(|ports| ports.contains(&port))
        {
            problems.push(problem(file, name, format!("{host}:{port}"), advice));
        }
    }
    for port in silent {
        let advice = format!("have it listen there, or remove {port} from compose.yml");
        problems.push(problem(file, name, port.to_string(), advice));
    }
    problems
}

/// How a container says that it listens.
const EVERYWHERE: &str = "0.0.0.0";

/// Finds host and port of every address, wherever it is.
fn collect(value: &Value, found: &mut Vec<(String, u16)>) {
    match value {
        Value::String(text) => found.extend(address(text)),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, found)),
        Value::Object(all) => {
            // Some write it in two fields, or leave out the host.
            if let (Some(EVERYWHERE), Some(port)) = (
                all.get("host").and_then(Value::as_str),
                all.get("port").and_then(number),
            ) {
                found.push((EVERYWHERE.into(), port));
            }
            if let Some(port) = all.get("http_listen_port").and_then(number) {
                found.push((EVERYWHERE.into(), port));
            }
            all.values().for_each(|field| collect(field, found));
        }
        _ => {}
    }
}

fn address(text: &str) -> Option<(String, u16)> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, port) = rest.split('/').next()?.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::changed;
    use super::*;
    use crate::problem::assert_one;
    use serde_json::json;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(
            address("http://loki:3100/otlp"),
            Some(("loki".into(), 3100))
        );
        assert_eq!(address("0.0.0.0:4317"), Some(("0.0.0.0".into(), 4317)));
        assert_eq!(address("/loki/chunks"), None);
        assert_eq!(address("traces:/tmp"), None);
    }

    #[test]
    fn a_port_where_nobody_listens_is_found() {
        let files = changed(COLLECTOR, |collector| {
            collector["exporters"]["otlp_http/loki"]["endpoint"] = json!("http://loki:3101/otlp")
        });
        assert_one(
            &check(&files),
            &["collector.yml: collector: loki:3101: lead it to a port"],
        );
        let files = changed(DATASOURCES, |sources| {
            sources["datasources"][1]["url"] = json!("http://tempo:3200")
        });
        assert_one(&check(&files), &["souk.yml: grafana: tempo:3200"]);
        let files = changed(PROMETHEUS, |prometheus| {
            prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0] =
                json!("collector:8890")
        });
        assert_one(
            &check(&files),
            &["prometheus-collector.yml: prometheus: collector:8890"],
        );
    }

    #[test]
    fn a_port_that_compose_does_not_have_is_found_in_both() {
        let files = changed(COLLECTOR, |collector| {
            collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = json!("0.0.0.0:4319")
        });
        let problems = check(&files);
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(
            problems[0]
                .to_string()
                .contains("0.0.0.0:4319: have it in ports")
        );
        assert!(
            problems[1]
                .to_string()
                .contains("remove 4318 from compose.yml")
        );
    }

    #[test]
    fn a_health_check_of_another_port_is_found() {
        let files = changed(COMPOSE, |compose| {
            compose["services"]["jaeger"]["healthcheck"]["test"][4] =
                json!("http://127.0.0.1:13132/status")
        });
        assert_one(
            &check(&files),
            &["compose.yml: jaeger: healthcheck: ask a port that it has, not 13132"],
        );
    }
}
