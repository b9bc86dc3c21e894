//! Who may talk to whom, as the network policies have it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{APP_PORT, Allowed, DNS, End, Flow, INGRESS, INTERNET, MONITORS};
use crate::objects::{Object, list, number, text};
use crate::problem::Problem;

/// Addresses that are not on the internet: a policy that lets somebody out must except them.
const PRIVATE: [&str; 5] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
];

type Labels = BTreeMap<String, String>;

/// The pods of one kind: those of a SpinApp, a StatefulSet or a CronJob.
pub struct Pod<'a> {
    /// The name of the object they are of.
    pub name: String,
    /// That object.
    pub object: &'a Object,
    labels: Labels,
    ports: Vec<(String, u16)>,
}

/// All pods there will be.
pub fn pods(objects: &[Object]) -> Vec<Pod<'_>> {
    objects.iter().filter_map(Pod::of).collect()
}

impl<'a> Pod<'a> {
    fn of(object: &'a Object) -> Option<Self> {
        let spec = object.spec();
        match object.kind() {
            "SpinApp" => Some(Self::of_app(object)),
            "CronJob" => Some(Self::of_template(
                object,
                &spec["jobTemplate"]["spec"]["template"],
            )),
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
                Some(Self::of_template(object, &spec["template"]))
            }
            _ => None,
        }
    }

    fn of_template(object: &'a Object, template: &Value) -> Self {
        let containers = list(&template["spec"]["containers"]).iter();
        let ports = containers.flat_map(|container| list(&container["ports"]));
        let ports =
            ports.filter_map(|port| Some((text(&port["name"]), number(&port["containerPort"])?)));
        let labels = labels(&template["metadata"]["labels"]);
        Self {
            name: object.name().into(),
            object,
            labels,
            ports: ports.collect(),
        }
    }

    /// The operator adds a label of its own to those of the SpinApp, and names the port.
    fn of_app(object: &'a Object) -> Self {
        let mut labels = labels(&object.spec()["podLabels"]);
        labels.insert("core.spinkube.dev/app-name".into(), object.name().into());
        Self {
            name: object.name().into(),
            object,
            labels,
            ports: vec![("http-app".into(), APP_PORT)],
        }
    }

    /// The number of a port that is given as a number or by its name.
    pub fn port(&self, port: &Value) -> Option<u16> {
        let named = || self.ports.iter().find(|(name, _)| port == name.as_str());
        number(port).or_else(|| Some(named()?.1))
    }

    /// Whether a Service with this selector leads to it.
    pub fn is_behind(&self, selector: &Value) -> bool {
        labels(selector)
            .iter()
            .all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

fn labels(value: &Value) -> Labels {
    let labels = value.as_object().into_iter().flatten();
    labels
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

/// Whether a selector selects what has these labels.
fn selects(selector: &Value, labels: &Labels) -> bool {
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    equal.all(|(key, value)| labels.get(key).is_some_and(|is| value == is.as_str()))
        && list(&selector["matchExpressions"])
            .iter()
            .all(|expression| meets(expression, labels))
}

fn meets(expression: &Value, labels: &Labels) -> bool {
    let label = labels.get(&text(&expression["key"]));
    let is_listed = || {
        label.is_some_and(|label| {
            list(&expression["values"])
                .iter()
                .any(|value| value == label.as_str())
        })
    };
    match expression["operator"].as_str() {
        Some("In") => is_listed(),
        Some("NotIn") => !is_listed(),
        Some("Exists") => label.is_some(),
        _ => label.is_none(),
    }
}

/// What policies allow a pod. Nothing is said of a pod that none confines: it may do everything.
pub fn allowed<'a>(
    pod: &Pod<'_>,
    end: End,
    policies: &[&'a Object],
    pods: &[Pod<'_>],
) -> Option<Allowed<'a>> {
    let mut flows = None;
    for policy in policies {
        if confines(policy, end) && selects(&policy.spec()["podSelector"], &pod.labels) {
            let flows = flows.get_or_insert_with(Allowed::new);
            for flow in allowed_by(policy, pod, end, pods) {
                flows.entry(flow).or_insert(*policy);
            }
        }
    }
    flows
}

fn confines(policy: &Object, end: End) -> bool {
    let name = match end {
        End::Egress => "Egress",
        End::Ingress => "Ingress",
    };
    list(&policy.spec()["policyTypes"])
        .iter()
        .any(|kind| kind == name)
}

fn allowed_by(policy: &Object, pod: &Pod<'_>, end: End, pods: &[Pod<'_>]) -> Vec<Flow> {
    let (rules, peers) = match end {
        End::Egress => ("egress", "to"),
        End::Ingress => ("ingress", "from"),
    };
    let mut flows = Vec::new();
    for rule in list(&policy.spec()[rules]) {
        for (peer, other) in peers_of(list(&rule[peers]), pods) {
            let connected_to = match end {
                End::Egress => other,
                End::Ingress => Some(pod),
            };
            let ports = ports_of(list(&rule["ports"]), connected_to);
            flows.extend(ports.into_iter().map(|port| Flow {
                end,
                pod: pod.name.clone(),
                peer: peer.clone(),
                port,
            }));
        }
    }
    flows
}

/// Those a rule names: pods of ours, or names for what is none.
fn peers_of<'a, 'b>(peers: &[Value], pods: &'a [Pod<'b>]) -> Vec<(String, Option<&'a Pod<'b>>)> {
    if peers.is_empty() {
        return vec![("anybody".into(), None)];
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
            "{} (which is not just the internet, unless without {})",
            cidr.unwrap_or("?"),
            PRIVATE.join(", ")
        ),
    }
}

fn namespace_of(selector: &Value) -> String {
    let pairs: Vec<_> = labels(&selector["matchLabels"]).into_iter().collect();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    match pairs[..] {
        [("kubernetes.io/metadata.name", "kube-system")] => DNS.into(),
        [("kubernetes.io/metadata.name", namespace)] => other_namespace(namespace),
        [("souk-ingress", "true")] => INGRESS.into(),
        [("souk-metrics", "true")] => MONITORS.into(),
        _ => format!("the namespace with {selector}"),
    }
}

/// Whoever is in a namespace that is not ours.
pub fn other_namespace(name: &str) -> String {
    format!("the namespace {name}")
}

/// The ports a rule names; none is any. A port that the pod does not have allows nothing, and a range is as good as any.
fn ports_of(ports: &[Value], connected_to: Option<&Pod<'_>>) -> BTreeSet<Option<u16>> {
    if ports.is_empty() {
        return [None].into();
    }
    let mut numbers = BTreeSet::new();
    for port in ports {
        let is_one = port.get("port").is_some() && port.get("endPort").is_none();
        let named = || connected_to.and_then(|pod| pod.port(&port["port"]));
        match number(&port["port"]).or_else(named) {
            _ if !is_one => _ = numbers.insert(None),
            Some(number) => _ = numbers.insert(Some(number)),
            None => {}
        }
    }
    numbers
}

/// Policies that select no pod.
pub fn for_nobody(policies: &[&Object], pods: &[Pod<'_>]) -> Vec<Problem> {
    let selected = |policy: &Object| {
        pods.iter()
            .any(|pod| selects(&policy.spec()["podSelector"], &pod.labels))
    };
    let unused = policies.iter().filter(|policy| !selected(policy));
    unused
        .map(|policy| policy.problem("spec.podSelector", "mend it, for it selects no pod"))
        .collect()
}
