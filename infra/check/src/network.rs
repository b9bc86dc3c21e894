//! Whether exactly those may talk to each other who have to: what the network policies allow is what the manifests grant, the stores
//! need, the ticker calls and the Ingress shows, neither more nor less, at both ends.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::apps::{app_name, variable};
use crate::objects::{Object, describe, list, of_kind};
use crate::problem::Problem;
use crate::shop::{Service, Shop, Store};

/// Where SpinKube has services listen, in their pods and in front of them.
const APP_PORT: u16 = 80;
const DNS_PORT: u16 = 53;

/// Peers that are no pods of ours.
const INTERNET: &str = "the internet";
const INGRESS: &str = "the controller of the Ingress";
const DNS: &str = "DNS";
const ANYBODY: &str = "anybody";

/// Addresses that are not on the internet: a policy that lets somebody out must except them.
const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
];

/// Checks all policies.
pub fn check(objects: &[Object], shop: &Shop) -> Vec<Problem> {
    let pods = pods(objects);
    let policies: Vec<_> = of_kind(objects, "NetworkPolicy").collect();
    let mut needs = Needs {
        addresses: addresses(objects, &pods),
        flows: BTreeMap::new(),
        problems: Vec::new(),
    };
    needs.of_services(objects, shop);
    needs.of_the_ticker(objects);
    needs.of_the_ingress(objects);
    needs.of_names();
    let mut problems = needs.problems;
    for pod in &pods {
        for end in [End::Egress, End::Ingress] {
            let allowed = allowed(pod, end, &policies, &pods);
            problems.extend(compare(pod, end, &allowed, &needs.flows));
        }
    }
    let selects_nobody = |policy: &&&Object| {
        !pods
            .iter()
            .any(|pod| selects(&policy.spec()["podSelector"], &pod.labels))
    };
    problems.extend(
        policies
            .iter()
            .filter(selects_nobody)
            .map(|policy| policy.problem("spec.podSelector", "mend it, for it selects no pod")),
    );
    problems
}

/// An end of a connection, from which a policy looks at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Egress,
    Ingress,
}

/// That a pod may connect to a peer (egress) or a peer to it (ingress). The port is that of whoever is connected to; none is any.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    end: End,
    pod: String,
    peer: String,
    port: Option<u16>,
}

/// The pods of one kind: those of a SpinApp, a StatefulSet or a CronJob.
struct Pod<'a> {
    name: String,
    labels: BTreeMap<String, String>,
    ports: Vec<(String, u16)>,
    object: &'a Object,
}

fn pods(objects: &[Object]) -> Vec<Pod<'_>> {
    objects.iter().filter_map(Pod::of).collect()
}

impl<'a> Pod<'a> {
    fn of(object: &'a Object) -> Option<Self> {
        let spec = object.spec();
        let template = match object.kind() {
            "SpinApp" => return Some(Self::of_app(object)),
            "CronJob" => &spec["jobTemplate"]["spec"]["template"],
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => &spec["template"],
            _ => return None,
        };
        let ports = list(&template["spec"]["containers"])
            .iter()
            .flat_map(|container| list(&container["ports"]));
        let ports = ports.filter_map(|port| {
            Some((
                text(&port["name"]),
                u16::try_from(port["containerPort"].as_u64()?).ok()?,
            ))
        });
        Some(Self {
            name: object.name().into(),
            labels: labels(&template["metadata"]["labels"]),
            ports: ports.collect(),
            object,
        })
    }

    /// The operator adds a label of its own to those of the SpinApp, and names the port.
    fn of_app(object: &'a Object) -> Self {
        let mut labels = labels(&object.spec()["podLabels"]);
        labels.insert("core.spinkube.dev/app-name".into(), object.name().into());
        Self {
            name: object.name().into(),
            labels,
            ports: vec![("http-app".into(), APP_PORT)],
            object,
        }
    }

    /// The number of a port that is given as a number or by its name.
    fn port(&self, port: &Value) -> Option<u16> {
        if let Some(number) = port.as_u64() {
            return u16::try_from(number).ok();
        }
        let named = self.ports.iter().find(|(name, _)| port == name.as_str());
        named.map(|(_, number)| *number)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let labels = value.as_object().into_iter().flatten();
    labels
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

/// Whether a selector selects what has these labels.
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key).is_some_and(|is| value == is.as_str()));
    equal
        && list(&selector["matchExpressions"])
            .iter()
            .all(|expression| {
                let label = expression["key"].as_str().and_then(|key| labels.get(key));
                let is_listed = label.is_some_and(|label| {
                    list(&expression["values"])
                        .iter()
                        .any(|value| value == label.as_str())
                });
                match expression["operator"].as_str() {
                    Some("In") => is_listed,
                    Some("NotIn") => !is_listed,
                    Some("Exists") => label.is_some(),
                    _ => label.is_none(),
                }
            })
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
        let selector = labels(&service.spec()["selector"]);
        let has_all = |pod: &&Pod<'_>| {
            selector
                .iter()
                .all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        let Some(pod) = pods.iter().find(has_all) else {
            continue;
        };
        for port in list(&service.spec()["ports"]) {
            let target = port.get("targetPort").unwrap_or(&port["port"]);
            if let (Some(number), Some(target)) = (
                port["port"]
                    .as_u64()
                    .and_then(|port| u16::try_from(port).ok()),
                pod.port(target),
            ) {
                addresses.insert((service.name().into(), number), (pod.name.clone(), target));
            }
        }
    }
    addresses
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
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (authority, None),
    };
    let port = port.unwrap_or(match scheme {
        "https" => 443,
        "redis" => 6379,
        _ => 80,
    });
    if host.ends_with(".invalid") || host.ends_with(".spin.internal") || host.starts_with("127.") {
        return Place::Nowhere;
    }
    match host
        .strip_suffix(namespace)
        .and_then(|name| name.strip_suffix('.'))
    {
        Some(name) => Place::Inside(name.into(), port),
        None => Place::Outside(port),
    }
}

/// Who has to talk to whom, each with the reason.
struct Needs {
    addresses: Addresses,
    flows: BTreeMap<Flow, String>,
    problems: Vec<Problem>,
}

impl Needs {
    fn of_services(&mut self, objects: &[Object], shop: &Shop) {
        for (name, service) in &shop.services {
            let app_name = app_name(name);
            let Some(app) = of_kind(objects, "SpinApp").find(|app| app.name() == app_name) else {
                continue;
            };
            for host in &service.hosts {
                let reason = format!("{} grants {host}", service.manifest);
                self.call(app, &resolve(host, app, service), &reason);
            }
            for (labels, stores) in [
                (&service.databases, &shop.stores.databases),
                (&service.key_values, &shop.stores.key_values),
            ] {
                self.of_stores(app, labels, stores, service);
            }
        }
    }

    fn of_stores(
        &mut self,
        app: &Object,
        labels: &BTreeSet<String>,
        stores: &BTreeMap<String, Store>,
        service: &Service,
    ) {
        // That a label has no store is found elsewhere.
        for (label, store) in labels
            .iter()
            .filter_map(|label| stores.get_key_value(label))
        {
            let reason = format!("{} grants the store {label}", service.manifest);
            self.call(app, &place(&store.url, namespace(app)), &reason);
        }
    }

    /// What a CronJob calls is in its arguments.
    fn of_the_ticker(&mut self, objects: &[Object]) {
        for job in of_kind(objects, "CronJob") {
            let containers =
                list(&job.spec()["jobTemplate"]["spec"]["template"]["spec"]["containers"]);
            let args = containers
                .iter()
                .flat_map(|container| list(&container["args"]))
                .filter_map(Value::as_str);
            for url in args.filter(|arg| arg.starts_with("http")) {
                self.call(job, &place(url, namespace(job)), &format!("it calls {url}"));
            }
        }
    }

    fn of_the_ingress(&mut self, objects: &[Object]) {
        for ingress in of_kind(objects, "Ingress") {
            let paths = list(&ingress.spec()["rules"])
                .iter()
                .flat_map(|rule| list(&rule["http"]["paths"]));
            for path in paths {
                let service = &path["backend"]["service"];
                let port = service["port"]["number"]
                    .as_u64()
                    .and_then(|port| u16::try_from(port).ok())
                    .unwrap_or_default();
                match self.addresses.get(&(text(&service["name"]), port)).cloned() {
                    Some((pod, port)) => {
                        self.flow(End::Ingress, &pod, INGRESS, port, "the Ingress leads to it")
                    }
                    None => self.problems.push(ingress.problem(
                        format!("spec.rules ({})", text(&path["path"])),
                        format!("lead it to something that is there: {service}"),
                    )),
                }
            }
        }
    }

    /// Who calls anybody asks DNS where they are.
    fn of_names(&mut self) {
        let callers: BTreeSet<_> = self
            .flows
            .keys()
            .filter(|flow| flow.end == End::Egress)
            .map(|flow| flow.pod.clone())
            .collect();
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

    fn call(&mut self, caller: &Object, place: &Place, reason: &str) {
        match place {
            Place::Nowhere => {}
            Place::Outside(port) => self.flow(End::Egress, caller.name(), INTERNET, *port, reason),
            Place::Inside(name, port) => {
                match self.addresses.get(&(name.clone(), *port)).cloned() {
                    Some((pod, port)) => {
                        self.flow(End::Egress, caller.name(), &pod, port, reason);
                        self.flow(End::Ingress, &pod, caller.name(), port, reason);
                    }
                    None => self.problems.push(caller.problem(
                        "spec",
                        format!("add the Service {name} with port {port}, for {reason}"),
                    )),
                }
            }
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

fn namespace(object: &Object) -> &str {
    object.value["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default()
}

/// Where a granted host leads, with what the SpinApp sets its variables to. What comes from a secret can be anywhere outside.
fn resolve(host: &str, app: &Object, service: &Service) -> Place {
    let mut url = String::new();
    let mut rest = host;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        let name = name.trim();
        let default = service
            .variables
            .get(name)
            .and_then(|variable| variable.default.as_deref())
            .unwrap_or_default();
        let value = match variable(app, name) {
            Some(set) => set["value"].as_str(),
            None => Some(default),
        };
        let Some(value) = value else {
            return Place::Outside(443);
        };
        url.push_str(before);
        url.push_str(value);
        rest = after;
    }
    url.push_str(rest);
    place(&url, namespace(app))
}

/// What policies allow a pod, each with the policy that does. Nothing is said of a pod that no policy confines.
fn allowed<'a>(
    pod: &Pod<'_>,
    end: End,
    policies: &[&'a Object],
    pods: &[Pod<'_>],
) -> Option<BTreeMap<Flow, &'a Object>> {
    let confines = |policy: &&&Object| {
        has_type(policy, end) && selects(&policy.spec()["podSelector"], &pod.labels)
    };
    let confining: Vec<_> = policies.iter().filter(confines).collect();
    if confining.is_empty() {
        return None;
    }
    let mut flows = BTreeMap::new();
    for policy in confining {
        let (rules, peers) = match end {
            End::Egress => ("egress", "to"),
            End::Ingress => ("ingress", "from"),
        };
        for rule in list(&policy.spec()[rules]) {
            for (peer, other) in peers_of(list(&rule[peers]), pods) {
                let connected_to = if end == End::Egress { other } else { Some(pod) };
                for port in ports_of(list(&rule["ports"]), connected_to) {
                    flows
                        .entry(Flow {
                            end,
                            pod: pod.name.clone(),
                            peer: peer.clone(),
                            port,
                        })
                        .or_insert(*policy);
                }
            }
        }
    }
    Some(flows)
}

fn has_type(policy: &Object, end: End) -> bool {
    let name = if end == End::Egress {
        "Egress"
    } else {
        "Ingress"
    };
    list(&policy.spec()["policyTypes"])
        .iter()
        .any(|kind| kind == name)
}

/// Those a rule names: pods of ours, or names for what is none.
fn peers_of<'a, 'b>(peers: &[Value], pods: &'a [Pod<'b>]) -> Vec<(String, Option<&'a Pod<'b>>)> {
    if peers.is_empty() {
        return vec![(ANYBODY.into(), None)];
    }
    let mut found = Vec::new();
    for peer in peers {
        if let Some(block) = peer.get("ipBlock") {
            found.push((block_of(block), None));
        } else if let Some(selector) = peer.get("namespaceSelector") {
            found.push((namespace_of(selector), None));
        } else {
            let selected = pods
                .iter()
                .filter(|pod| selects(&peer["podSelector"], &pod.labels));
            found.extend(selected.map(|pod| (pod.name.clone(), Some(pod))));
        }
    }
    found
}

fn block_of(block: &Value) -> String {
    let excepted = list(&block["except"]);
    let has_all = PRIVATE
        .iter()
        .all(|private| excepted.iter().any(|except| except == private));
    match block["cidr"].as_str() {
        Some("0.0.0.0/0") if has_all => INTERNET.into(),
        cidr => format!(
            "all of {} (without {} it is not just the internet)",
            cidr.unwrap_or("?"),
            PRIVATE.join(", ")
        ),
    }
}

fn namespace_of(selector: &Value) -> String {
    match describe(selector).as_str() {
        "kubernetes.io/metadata.name=kube-system" => DNS.into(),
        "souk-ingress=true" => INGRESS.into(),
        other => format!("the namespace with {other}"),
    }
}

fn ports_of(ports: &[Value], connected_to: Option<&Pod<'_>>) -> BTreeSet<Option<u16>> {
    if ports.is_empty() {
        return BTreeSet::from([None]);
    }
    let number = |port: &Value| match connected_to {
        Some(pod) => pod.port(&port["port"]),
        None => port["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok()),
    };
    // A port that the pod does not have allows nothing; a range allows too much.
    let ranges = ports
        .iter()
        .filter(|port| port.get("endPort").is_some() || port.get("port").is_none())
        .map(|_| None);
    ports
        .iter()
        .filter_map(number)
        .map(Some)
        .chain(ranges)
        .collect()
}

fn compare(
    pod: &Pod<'_>,
    end: End,
    allowed: &Option<BTreeMap<Flow, &Object>>,
    needed: &BTreeMap<Flow, String>,
) -> Vec<Problem> {
    let field = if end == End::Egress {
        "spec.egress"
    } else {
        "spec.ingress"
    };
    let Some(allowed) = allowed else {
        return vec![pod.object.problem(
            field,
            "add a NetworkPolicy that selects its pods, for none does",
        )];
    };
    let mut problems = Vec::new();
    for (flow, reason) in needed
        .iter()
        .filter(|(flow, _)| flow.end == end && flow.pod == pod.name)
    {
        if !allowed.contains_key(flow) {
            problems.push(Problem {
                object: format!("NetworkPolicy/{}", pod.name),
                ..pod
                    .object
                    .problem(field, format!("allow {}, for {reason}", sentence(flow)))
            });
        }
    }
    for (flow, policy) in allowed {
        // Names are told to all pods alike.
        let is_dns = flow.peer == DNS && flow.port == Some(DNS_PORT);
        if !is_dns && !needed.contains_key(flow) {
            problems.push(policy.problem(
                field,
                format!("do not allow {}, for nothing needs it", sentence(flow)),
            ));
        }
    }
    problems
}

fn sentence(
    Flow {
        end,
        pod,
        peer,
        port,
    }: &Flow,
) -> String {
    let (from, to) = match end {
        End::Egress => (pod, peer),
        End::Ingress => (peer, pod),
    };
    match port {
        Some(port) => format!("{from} to reach {to} on port {port}"),
        None => format!("{from} to reach {to} on any port"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use crate::objects;
    use crate::problem::assert_one;
    use crate::shop::Stores;
    use serde_json::json;

    /// A shop of two services: orders calls carts and a mail API, and has a database; both have a key-value store.
    pub fn shop() -> Shop {
        let service = |name: &str, text: &str| {
            (
                name.to_owned(),
                Service::parse(format!("components/{name}/spin.toml"), text).unwrap(),
            )
        };
        let stores: Stores = toml::from_str(
            r#"
            [sqlite_database.orders]
            url = "http://souk-orders-db.souk:8080"
            [key_value_store.carts]
            url = "redis://:password@souk-redis.souk:6379/1"
            [key_value_store.orders-calls]
            url = "redis://:password@souk-redis.souk:6379/2""#,
        )
        .unwrap();
        let orders = r#"
            [variables]
            service_key = { default = "", secret = true }
            discovery = { default = "http://{service}.spin.internal" }
            namespace = { default = "souk" }
            mail_api_origin = { default = "https://mail.invalid" }
            registry_url = { default = "http://registry.invalid" }
            [component.orders]
            allowed_outbound_hosts = ["http://souk-carts.{{ namespace }}", "{{ mail_api_origin }}", "{{ registry_url }}"]
            sqlite_databases = ["orders"]
            key_value_stores = ["orders-calls"]"#;
        let carts = "component.carts.key_value_stores = [\"carts\"]";
        Shop {
            services: [service("orders", orders), service("carts", carts)].into(),
            stores,
        }
    }

    /// What is rendered for it.
    pub fn objects() -> Vec<Object> {
        objects::parse("overlay", include_str!("../tests/shop.yaml")).unwrap()
    }

    /// The `spec` of one of the objects.
    pub fn spec<'a>(objects: &'a mut [Object], kind: &str, name: &str) -> &'a mut Value {
        let object = objects
            .iter_mut()
            .find(|object| object.kind() == kind && object.name() == name);
        &mut object.unwrap().value["spec"]
    }

    fn changed(policy: &str, change: impl FnOnce(&mut Value)) -> Vec<Problem> {
        let mut objects = objects();
        change(spec(&mut objects, "NetworkPolicy", policy));
        check(&objects, &shop())
    }

    #[test]
    fn policies_that_agree_are_right() {
        let problems = check(&objects(), &shop());
        assert!(problems.is_empty(), "{problems:#?}");
    }

    #[test]
    fn a_caller_that_may_reach_too_much_is_found() {
        let rule = json!({"to": [{"podSelector": {"matchLabels": {"name": "souk-orders"}}}], "ports": [{"port": 80}]});
        let problems = changed("souk-carts", |spec| {
            spec["egress"].as_array_mut().unwrap().push(rule)
        });
        assert_one(
            &problems,
            &[
                "NetworkPolicy/souk-carts: spec.egress",
                "do not allow souk-carts to reach souk-orders on port 80",
            ],
        );
    }

    #[test]
    fn a_service_that_is_reached_by_too_many_is_found() {
        let problems = changed("souk-orders-db", |spec| {
            spec["ingress"][0]["from"][0]["podSelector"] = json!({})
        });
        assert_eq!(problems.len(), 4, "{problems:#?}");
        assert!(problems.iter().any(|problem| {
            problem
                .advice
                .contains("souk-carts to reach souk-orders-db on port 8080")
        }));
    }

    #[test]
    fn a_rule_for_anybody_and_one_for_any_port_are_found() {
        let problems = changed("souk-orders-db", |spec| {
            spec["ingress"].as_array_mut().unwrap().push(json!({}))
        });
        assert_one(
            &problems,
            &["do not allow anybody to reach souk-orders-db on any port"],
        );
        let problems = changed("souk-redis", |spec| {
            _ = spec["ingress"][0].as_object_mut().unwrap().remove("ports")
        });
        assert!(
            problems
                .iter()
                .any(|problem| problem.advice.contains("on any port")),
            "{problems:#?}"
        );
    }

    #[test]
    fn a_policy_that_allows_too_little_is_found_at_the_end_it_is_at() {
        let problems = changed("souk-carts", |spec| spec["ingress"] = json!([]));
        let allow = "allow souk-orders to reach souk-carts on port 80, for components/orders/spin.toml grants";
        assert!(
            problems.iter().any(|problem| problem
                .to_string()
                .contains(&format!("NetworkPolicy/souk-carts: spec.ingress: {allow}"))),
            "{problems:#?}"
        );
        let problems = changed("souk-orders", |spec| {
            spec["egress"][0]["to"] = json!([{"podSelector": {"matchLabels": {"name": "nobody"}}}])
        });
        assert_one(
            &problems,
            &["NetworkPolicy/souk-orders: spec.egress", allow],
        );
    }

    #[test]
    fn a_grant_without_a_policy_is_found_at_both_ends() {
        let mut shop = shop();
        shop.services
            .get_mut("carts")
            .unwrap()
            .hosts
            .push("http://souk-orders.souk".into());
        let problems = check(&objects(), &shop);
        let said: Vec<_> = problems
            .iter()
            .map(|problem| format!("{}: {}", problem.object, problem.field))
            .collect();
        assert_eq!(
            said,
            [
                "NetworkPolicy/souk-orders: spec.ingress",
                "NetworkPolicy/souk-carts: spec.egress"
            ]
        );
    }

    #[test]
    fn a_grant_that_leads_to_nothing_is_found() {
        let mut shop = shop();
        shop.services
            .get_mut("carts")
            .unwrap()
            .hosts
            .push("http://souk-users.souk".into());
        assert_one(
            &check(&objects(), &shop),
            &[
                "SpinApp/souk-carts",
                "add the Service souk-users with port 80",
            ],
        );
    }

    #[test]
    fn the_internet_is_for_those_who_were_granted_an_address_there() {
        let mut shop = shop();
        shop.services
            .get_mut("orders")
            .unwrap()
            .hosts
            .retain(|host| !host.contains("mail_api_origin"));
        assert_one(
            &check(&objects(), &shop),
            &["do not allow souk-orders to reach the internet on port 443"],
        );
        let problems = changed("souk-orders", |spec| {
            spec["egress"][2]["to"][0]["ipBlock"]["except"] = json!([])
        });
        assert!(
            problems
                .iter()
                .any(|problem| problem.advice.contains("it is not just the internet")),
            "{problems:#?}"
        );
    }

    #[test]
    fn a_store_without_a_policy_is_found() {
        let mut shop = shop();
        shop.services
            .get_mut("carts")
            .unwrap()
            .databases
            .insert("orders".into());
        let problems = check(&objects(), &shop);
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.advice.contains("allow souk-carts to reach souk-orders-db on port 8080, for components/carts/spin.toml grants the store orders")));
    }

    #[test]
    fn a_pod_that_nothing_confines_is_found() {
        let mut objects = objects();
        objects.retain(|object| {
            object.name() != "souk-deny" && object.name() != "souk-redis"
                || object.kind() != "NetworkPolicy"
        });
        let problems = check(&objects, &shop());
        assert!(
            problems.iter().any(|problem| problem
                .to_string()
                .contains("StatefulSet/souk-redis: spec.ingress: add a NetworkPolicy")),
            "{problems:#?}"
        );
    }

    #[test]
    fn a_policy_for_nobody_is_found() {
        let problems = changed("souk-ticker", |spec| {
            spec["podSelector"]["matchLabels"]["name"] = json!("ticker")
        });
        assert!(
            problems.iter().any(|problem| problem
                .to_string()
                .contains("NetworkPolicy/souk-ticker: spec.podSelector: mend it")),
            "{problems:#?}"
        );
    }

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
