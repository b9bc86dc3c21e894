//! Whether exactly those may talk to each other who have to: what the network policies allow is what the manifests grant, the stores
//! need, the ticker calls, the Ingress shows and Prometheus scrapes, neither more nor less, at both ends.
//!
//! [`needs`] knows who has to, [`policies`] who may; here they are compared.

use std::collections::BTreeMap;

use crate::objects::{Object, of_kind};
use crate::problem::Problem;
use crate::shop::Shop;

mod needs;
mod policies;

use policies::Pod;

/// Where SpinKube has services listen, in their pods and in front of them.
const APP_PORT: u16 = 80;
const DNS_PORT: u16 = 53;

/// Peers that are no pods of ours.
const INTERNET: &str = "the internet";
const INGRESS: &str = "the controller of the Ingress";
const MONITORS: &str = "Prometheus";
const DNS: &str = "DNS";

/// Checks all policies.
pub fn check(objects: &[Object], shop: &Shop) -> Vec<Problem> {
    let pods = policies::pods(objects);
    let policies: Vec<_> = of_kind(objects, "NetworkPolicy").collect();
    let (needed, mut problems) = needs::all(objects, &pods, shop);
    for pod in &pods {
        for end in [End::Egress, End::Ingress] {
            let allowed = policies::allowed(pod, end, &policies, &pods);
            problems.extend(compare(pod, end, allowed.as_ref(), &needed));
        }
    }
    problems.extend(policies::for_nobody(&policies, &pods));
    problems
}

/// An end of a connection, from which a policy looks at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Egress,
    Ingress,
}

impl End {
    fn field(self) -> &'static str {
        match self {
            Self::Egress => "spec.egress",
            Self::Ingress => "spec.ingress",
        }
    }
}

/// That a pod may connect to a peer (egress) or a peer to it (ingress). The port is that of whoever is connected to; none is any.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    end: End,
    pod: String,
    peer: String,
    port: Option<u16>,
}

impl Flow {
    fn describe(&self) -> String {
        let (from, to) = match self.end {
            End::Egress => (&self.pod, &self.peer),
            End::Ingress => (&self.peer, &self.pod),
        };
        match self.port {
            Some(port) => format!("{from} to reach {to} on port {port}"),
            None => format!("{from} to reach {to} on any port"),
        }
    }

    /// Names are told to all pods alike.
    fn is_dns(&self) -> bool {
        self.end == End::Egress && self.peer == DNS && self.port == Some(DNS_PORT)
    }
}

/// Flows that are needed, each with the reason.
type Needed = BTreeMap<Flow, String>;

/// Flows that are allowed, each with the policy that does.
type Allowed<'a> = BTreeMap<Flow, &'a Object>;

fn compare(
    pod: &Pod<'_>,
    end: End,
    allowed: Option<&Allowed<'_>>,
    needed: &Needed,
) -> Vec<Problem> {
    let Some(allowed) = allowed else {
        return vec![pod.object.problem(
            end.field(),
            "add a NetworkPolicy that selects its pods, for none does",
        )];
    };
    let mut problems = Vec::new();
    for (flow, reason) in needed {
        let is_here = flow.end == end && flow.pod == pod.name;
        if is_here && !allowed.contains_key(flow) {
            problems.push(Problem {
                object: format!("NetworkPolicy/{}", pod.name),
                ..pod.object.problem(
                    end.field(),
                    format!("allow {}, for {reason}", flow.describe()),
                )
            });
        }
    }
    for (flow, policy) in allowed {
        if !flow.is_dns() && !needed.contains_key(flow) {
            problems.push(policy.problem(
                end.field(),
                format!("do not allow {}, for nothing needs it", flow.describe()),
            ));
        }
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::objects;
    use crate::problem::assert_one;
    use crate::shop::{Service, Stores};

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
            public: ["carts".to_owned()].into(),
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
                .any(|problem| problem.advice.contains("which is not just the internet")),
            "{problems:#?}"
        );
    }

    #[test]
    fn an_ingress_that_shows_what_is_private_is_found() {
        let mut shop = shop();
        shop.public = ["orders".to_owned()].into();
        let problems = check(&objects(), &shop);
        for advice in [
            "do not show souk-carts",
            "show souk-orders",
            "do not allow the controller of the Ingress to reach souk-carts",
        ] {
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.advice.starts_with(advice)),
                "{advice}: {problems:#?}"
            );
        }
    }

    #[test]
    fn whoever_takes_a_token_of_metrics_is_to_be_scraped() {
        let mut objects = objects();
        let token = json!({"name": "metrics_token", "valueFrom": {"secretKeyRef": {"name": "souk-settings", "key": "metrics_token"}}});
        spec(&mut objects, "SpinApp", "souk-carts")["variables"] = json!([token]);
        assert_one(
            &check(&objects, &shop()),
            &[
                "NetworkPolicy/souk-carts: spec.ingress",
                "allow Prometheus to reach souk-carts on port 80, for it takes a metrics_token",
            ],
        );
        let rule = json!({"from": [{"namespaceSelector": {"matchLabels": {"souk-metrics": "true"}}}], "ports": [{"port": 80}]});
        let ingress = &mut spec(&mut objects, "NetworkPolicy", "souk-carts")["ingress"];
        ingress.as_array_mut().unwrap().push(rule.clone());
        assert!(check(&objects, &shop()).is_empty());
        let problems = changed("souk-orders", |spec| {
            spec["ingress"].as_array_mut().unwrap().push(rule)
        });
        assert_one(
            &problems,
            &["do not allow Prometheus to reach souk-orders on port 80"],
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
    fn who_is_to_send_telemetry_may_reach_the_collector_and_nobody_else_does() {
        let executor = json!({"kind": "SpinAppExecutor", "metadata": {"name": "containerd-shim-spin", "namespace": "souk"},
            "spec": {"deploymentConfig": {"otel": {"exporter_otlp_endpoint": "http://collector.observability:4318"}}}});
        let policy = json!({"kind": "NetworkPolicy", "metadata": {"name": "souk-collector", "namespace": "souk"}, "spec": {
            "podSelector": {"matchExpressions": [{"key": "core.spinkube.dev/app-name", "operator": "Exists"}]}, "policyTypes": ["Egress"],
            "egress": [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}], "ports": [{"port": 4318}]}]}});
        let found = |more: &[&Value]| {
            let mut objects = objects();
            objects.extend(more.iter().map(|value| Object {
                file: "parts/observability".into(),
                value: (*value).clone(),
            }));
            check(&objects, &shop())
        };
        let right = found(&[&executor, &policy]);
        assert!(right.is_empty(), "{right:#?}");
        let unreached = found(&[&executor]);
        assert_eq!(unreached.len(), 2, "{unreached:#?}");
        assert!(unreached.iter().all(|it| it.advice.contains(
            "to reach the namespace observability on port 4318, for containerd-shim-spin names"
        )));
        assert_eq!(found(&[&policy]).len(), 2, "nothing needs it");
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
}
