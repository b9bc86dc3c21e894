//! Who has to talk to whom.

use std::collections::{BTreeMap, BTreeSet};

use super::policies::Pod;
use super::{APP_PORT, DNS, DNS_PORT, End, Flow, INGRESS, INTERNET, MONITORS, Needed};
use crate::apps::{app_name, variable};
use crate::objects::{Object, list, number, of_kind, text};
use crate::problem::Problem;
use crate::shop::{Service, Shop, Store};

/// All of it, and what leads nowhere.
pub fn all(objects: &[Object], pods: &[Pod<'_>], shop: &Shop) -> (Needed, Vec<Problem>) {
    let mut needs = Needs {
        addresses: addresses(objects, pods),
        flows: Needed::new(),
        problems: Vec::new(),
    };
    needs.of_services(objects, shop);
    needs.of_telemetry(objects);
    needs.of_the_ticker(objects);
    needs.of_the_ingress(objects, shop);
    needs.of_monitors(objects);
    needs.of_names();
    (needs.flows, needs.problems)
}

/// Which pod answers at a name and port inside the cluster, and on which port of its own.
type Addresses = BTreeMap<(String, u16), (String, u16)>;

fn addresses(objects: &[Object], pods: &[Pod<'_>]) -> Addresses {
    let mut addresses = Addresses::new();
    // The operator makes the Service of a SpinApp.
    for app in of_kind(objects, "SpinApp") {
        addresses.insert((app.name().into(), APP_PORT), (app.name().into(), APP_PORT));
    }
    for service in of_kind(objects, "Service") {
        let Some(pod) = pods
            .iter()
            .find(|pod| pod.is_behind(&service.spec()["selector"]))
        else {
            continue;
        };
        for port in list(&service.spec()["ports"]) {
            let target = pod.port(port.get("targetPort").unwrap_or(&port["port"]));
            if let (Some(port), Some(target)) = (number(&port["port"]), target) {
                addresses.insert((service.name().into(), port), (pod.name.clone(), target));
            }
        }
    }
    addresses
}

struct Needs {
    addresses: Addresses,
    flows: Needed,
    problems: Vec<Problem>,
}

impl Needs {
    fn of_services(&mut self, objects: &[Object], shop: &Shop) {
        for (name, service) in &shop.services {
            let app_name = app_name(name);
            // That there is none is found elsewhere.
            let Some(app) = of_kind(objects, "SpinApp").find(|app| app.name() == app_name) else {
                continue;
            };
            for host in &service.hosts {
                let reason = format!("{} grants {host}", service.manifest);
                self.call(app, resolve(host, app, service), &reason);
            }
            self.of_stores(app, service, &service.databases, &shop.stores.databases);
            self.of_stores(app, service, &service.key_values, &shop.stores.key_values);
        }
    }

    fn of_stores(
        &mut self,
        app: &Object,
        service: &Service,
        labels: &BTreeSet<String>,
        stores: &BTreeMap<String, Store>,
    ) {
        for label in labels {
            // That there is none is found elsewhere.
            if let Some(store) = stores.get(label) {
                let reason = format!("{} grants the store {label}", service.manifest);
                self.call(app, place(&store.url, app.namespace()), &reason);
            }
        }
    }

    /// What an executor has its pods send goes to a Collector in another namespace.
    fn of_telemetry(&mut self, objects: &[Object]) {
        for executor in of_kind(objects, "SpinAppExecutor") {
            let endpoint =
                text(&executor.spec()["deploymentConfig"]["otel"]["exporter_otlp_endpoint"]);
            let (host, port) = authority(&endpoint);
            let Some((_, namespace)) = host.split_once('.') else {
                continue;
            };
            let receiver = super::policies::other_namespace(namespace);
            let is_of = |app: &&Object| app.spec()["executor"] == executor.name();
            for app in of_kind(objects, "SpinApp").filter(is_of) {
                let reason = format!("{} names {endpoint}", executor.name());
                self.flow(End::Egress, app.name(), &receiver, port, &reason);
            }
        }
    }

    /// What a CronJob calls is in its arguments.
    fn of_the_ticker(&mut self, objects: &[Object]) {
        for job in of_kind(objects, "CronJob") {
            for url in job
                .arguments()
                .filter(|argument| argument.starts_with("http"))
            {
                self.call(job, place(url, job.namespace()), &format!("it calls {url}"));
            }
        }
    }

    /// The world sees what has public routes in the manifest of the whole shop.
    fn of_the_ingress(&mut self, objects: &[Object], shop: &Shop) {
        let public: BTreeSet<_> = shop
            .public
            .iter()
            .map(|service| app_name(service))
            .collect();
        for ingress in of_kind(objects, "Ingress") {
            let mut missing = public.clone();
            let rules = list(&ingress.spec()["rules"]).iter();
            for path in rules.flat_map(|rule| list(&rule["http"]["paths"])) {
                let name = text(&path["backend"]["service"]["name"]);
                let port =
                    number(&path["backend"]["service"]["port"]["number"]).unwrap_or_default();
                missing.remove(&name);
                let advice = match self.addresses.get(&(name.clone(), port)).cloned() {
                    _ if !public.contains(&name) => {
                        format!("do not show {name}, for spin.toml has it private")
                    }
                    None => format!("lead it to a port of {name} that is there"),
                    Some((pod, port)) => {
                        self.flow(End::Ingress, &pod, INGRESS, port, "the Ingress leads to it");
                        continue;
                    }
                };
                self.problems
                    .push(ingress.problem(format!("spec.rules ({})", text(&path["path"])), advice));
            }
            for name in missing {
                self.problems.push(ingress.problem(
                    "spec.rules",
                    format!("show {name}, for spin.toml has public routes to it"),
                ));
            }
        }
    }

    /// Whoever takes a token of metrics is scraped.
    fn of_monitors(&mut self, objects: &[Object]) {
        for app in of_kind(objects, "SpinApp") {
            if variable(app, "metrics_token").is_some() {
                let reason = "it takes a metrics_token";
                self.flow(End::Ingress, app.name(), MONITORS, APP_PORT, reason);
            }
        }
    }

    /// Who calls anybody asks DNS where they are.
    fn of_names(&mut self) {
        let calls = self.flows.keys().filter(|flow| flow.end == End::Egress);
        let callers: BTreeSet<_> = calls.map(|flow| flow.pod.clone()).collect();
        for caller in callers {
            self.flow(
                End::Egress,
                &caller,
                DNS,
                DNS_PORT,
                "it calls others by name",
            );
        }
    }

    fn call(&mut self, caller: &Object, place: Place, reason: &str) {
        match place {
            Place::Nowhere => {}
            Place::Outside(port) => self.flow(End::Egress, caller.name(), INTERNET, port, reason),
            Place::Inside(name, port) => match self.addresses.get(&(name.clone(), port)).cloned() {
                Some((pod, port)) => {
                    self.flow(End::Egress, caller.name(), &pod, port, reason);
                    self.flow(End::Ingress, &pod, caller.name(), port, reason);
                }
                None => {
                    let advice = format!("add the Service {name} with port {port}, for {reason}");
                    self.problems.push(caller.problem("spec", advice));
                }
            },
        }
    }

    fn flow(&mut self, end: End, pod: &str, peer: &str, port: u16, reason: &str) {
        let flow = Flow {
            end,
            pod: pod.into(),
            peer: peer.into(),
            port: Some(port),
        };
        self.flows.entry(flow).or_insert_with(|| reason.into());
    }
}

/// Where a URL leads.
#[derive(Debug, PartialEq)]
enum Place {
    /// To a name inside the cluster.
    Inside(String, u16),
    /// To a port on the internet.
    Outside(u16),
    /// Nowhere: it stands for what is not used.
    Nowhere,
}

fn place(url: &str, namespace: &str) -> Place {
    let (host, port) = authority(url);
    if host.ends_with(".invalid") || host.ends_with(".spin.internal") || host.starts_with("127.") {
        return Place::Nowhere;
    }
    match host.split_once('.') {
        Some((name, rest)) if rest == namespace => Place::Inside(name.into(), port),
        _ => Place::Outside(port),
    }
}

/// The host and the port of a URL.
fn authority(url: &str) -> (&str, u16) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (authority, None),
    };
    let usual = match scheme {
        "https" => 443,
        "redis" => 6379,
        _ => 80,
    };
    (host, port.unwrap_or(usual))
}

/// Where a granted host leads, with what the SpinApp sets its variables to. What comes from a secret can be anywhere outside.
fn resolve(host: &str, app: &Object, service: &Service) -> Place {
    let mut url = String::new();
    let mut rest = host;
    while let Some((before, (name, after))) = rest
        .split_once("{{")
        .and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        let name = name.trim();
        let default = || service.variables.get(name)?.default.as_deref();
        let value = match variable(app, name) {
            Some(set) => set["value"].as_str(),
            None => Some(default().unwrap_or_default()),
        };
        let Some(value) = value else {
            return Place::Outside(443);
        };
        url.push_str(before);
        url.push_str(value);
        rest = after;
    }
    url.push_str(rest);
    place(&url, app.namespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_inside_outside_or_nowhere() {
        assert_eq!(
            place("http://souk-a.souk", "souk"),
            Place::Inside("souk-a".into(), 80)
        );
        assert_eq!(
            place("redis://:p@souk-redis.souk:6379/1", "souk"),
            Place::Inside("souk-redis".into(), 6379)
        );
        assert_eq!(
            place("https://api.example.com/x", "souk"),
            Place::Outside(443)
        );
        assert_eq!(place("http://registry.invalid", "souk"), Place::Nowhere);
    }
}
