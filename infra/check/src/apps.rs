//! Whether each service runs, with probes, resources, and the variables and stores its manifest asks for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::objects::{Object, list, of_kind};
use crate::problem::Problem;
use crate::shop::{Service, Shop, Store, TEMPLATE};

/// The name of a service's objects, and its address inside the cluster.
pub fn app_name(service: &str) -> String {
    format!("souk-{service}")
}

/// Every label has a store of its own in the template of the runtime configuration, and nothing else is there.
pub fn check_template(shop: &Shop) -> Vec<Problem> {
    let databases = |service: &'_ Service| service.databases.clone();
    let key_values = |service: &'_ Service| service.key_values.clone();
    let mut problems = check_stores("sqlite_database", &shop.stores.databases, shop, databases);
    problems.extend(check_stores(
        "key_value_store",
        &shop.stores.key_values,
        shop,
        key_values,
    ));
    problems
}

fn check_stores(
    section: &str,
    stores: &BTreeMap<String, Store>,
    shop: &Shop,
    labels: impl Fn(&Service) -> BTreeSet<String>,
) -> Vec<Problem> {
    let problem = |label: &str, advice: String| Problem {
        file: TEMPLATE.into(),
        object: section.into(),
        field: label.into(),
        advice,
    };
    let mut problems = Vec::new();
    let mut asked_for = BTreeSet::new();
    for service in shop.services.values() {
        for label in labels(service) {
            if !stores.contains_key(&label) {
                problems.push(problem(
                    &label,
                    format!("add the section, for {} grants the label", service.manifest),
                ));
            }
            asked_for.insert(label);
        }
    }
    let mut places: BTreeMap<&str, &str> = BTreeMap::new();
    for (label, store) in stores {
        if !asked_for.contains(label) {
            problems.push(problem(
                label,
                "remove the section, for no manifest grants the label".into(),
            ));
        }
        if let Some(other) = places.insert(&store.url, label) {
            problems.push(problem(
                label,
                format!("give it a place of its own, for {other} is at the same url"),
            ));
        }
    }
    problems
}

/// Checks every SpinApp, and that there is one for each service.
pub fn check(objects: &[Object], shop: &Shop) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut missing: BTreeMap<_, _> = shop
        .services
        .iter()
        .map(|(name, service)| (app_name(name), service))
        .collect();
    for app in of_kind(objects, "SpinApp") {
        match missing.remove(app.name()) {
            Some(service) => problems.extend(check_app(app, service, objects)),
            None => problems.push(app.problem(
                "metadata.name",
                "rename or remove it: no folder of components/ goes with it",
            )),
        }
    }
    for (name, service) in missing {
        problems.push(Problem {
            file: "infra/spinkube/base/kustomization.yaml".into(),
            object: format!("SpinApp/{name}"),
            field: "resources".into(),
            advice: format!("add one, for there is {}", service.manifest),
        });
    }
    problems
}

fn check_app(app: &Object, service: &Service, objects: &[Object]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for probe in ["liveness", "readiness"] {
        if app.spec()["checks"][probe]["httpGet"]["path"]
            .as_str()
            .is_none()
        {
            problems.push(app.problem(
                format!("spec.checks.{probe}"),
                "add a probe, such as httpGet of /healthz",
            ));
        }
    }
    for resource in ["requests.cpu", "requests.memory", "limits.memory"] {
        if app.spec()["resources"]
            .pointer(&format!("/{}", resource.replace('.', "/")))
            .is_none()
        {
            problems.push(app.problem(
                format!("spec.resources.{resource}"),
                "say how much it takes",
            ));
        }
    }
    problems.extend(check_replicas(app, objects));
    problems.extend(check_variables(app, service));
    problems.extend(check_discovery(app, service));
    problems.extend(check_proxies(app, service, objects));
    problems.extend(check_tick(app, service, objects));
    let has_stores = !service.databases.is_empty() || !service.key_values.is_empty();
    if has_stores
        && app.spec()["runtimeConfig"]["loadFromSecret"]
            .as_str()
            .is_none()
    {
        problems.push(app.problem(
            "spec.runtimeConfig.loadFromSecret",
            format!("name the secret, for {} grants stores", service.manifest),
        ));
    }
    problems
}

/// Either it has a number of replicas, or an autoscaler has.
fn check_replicas(app: &Object, objects: &[Object]) -> Option<Problem> {
    let scaled = app.spec()["enableAutoscaling"]
        .as_bool()
        .unwrap_or_default();
    let scaler = of_kind(objects, "HorizontalPodAutoscaler")
        .find(|scaler| scaler.spec()["scaleTargetRef"]["name"] == app.name());
    match (app.spec()["replicas"].as_u64(), scaled, scaler) {
        (Some(_), false, None) | (None, true, Some(_)) => None,
        (_, true, Some(_)) => {
            Some(app.problem("spec.replicas", "remove it, for an autoscaler decides"))
        }
        (_, true, None) => Some(app.problem(
            "spec.enableAutoscaling",
            "add a HorizontalPodAutoscaler, or remove this",
        )),
        (_, false, Some(scaler)) => Some(app.problem(
            "spec.enableAutoscaling",
            format!("set it, for {} scales this", scaler.name()),
        )),
        (None, false, None) => Some(app.problem("spec.replicas", "say how many")),
    }
}

fn check_variables(app: &Object, service: &Service) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut set = BTreeSet::new();
    for (place, variable) in list(&app.spec()["variables"]).iter().enumerate() {
        let name = variable["name"].as_str().unwrap_or_default();
        let field = format!("spec.variables.{place} ({name})");
        let Some(declared) = service.variables.get(name) else {
            problems.push(app.problem(
                field,
                format!("remove it, for {} has no such variable", service.manifest),
            ));
            continue;
        };
        if !set.insert(name) {
            problems.push(app.problem(field, "remove it, for it is there already"));
        } else if declared.secret && variable.get("value").is_some() {
            problems.push(app.problem(
                field,
                format!(
                    "take it from a secret, for {} says it is one",
                    service.manifest
                ),
            ));
        }
    }
    for (name, variable) in &service.variables {
        // The manifests give every key an empty default, with which a service believes only its own process.
        let needed = variable.required || name == "service_key";
        if needed && !set.contains(name.as_str()) {
            problems.push(app.problem(
                "spec.variables",
                format!("set {name}, for {} needs it", service.manifest),
            ));
        }
    }
    problems
}

/// Where something becomes due a CronJob has it done.
fn check_tick(app: &Object, service: &Service, objects: &[Object]) -> Option<Problem> {
    let url = format!("http://{}.{}/internal/tick", app.name(), app.namespace());
    let ticked =
        of_kind(objects, "CronJob").any(|job| job.arguments().any(|argument| argument == url));
    (service.ticks && !ticked)
        .then(|| app.problem("/internal/tick", format!("have a CronJob call {url}")))
}

/// What the service asks for its neighbours must be what its manifest lets it call.
fn check_discovery(app: &Object, service: &Service) -> Option<Problem> {
    let discovery = literal(app, "discovery").unwrap_or_default();
    let namespace = app.namespace();
    let wanted = format!("http://souk-{{service}}.{namespace}");
    let granted = service
        .hosts
        .iter()
        .any(|host| host.contains("{{ namespace }}"));
    (granted && discovery != wanted).then(|| {
        app.problem(
            "spec.variables (discovery)",
            format!(
                "set it to {wanted}, for there {} lets it call",
                service.manifest
            ),
        )
    })
}

/// A service that counts what each client does must know of the Ingress before it, or all clients are one.
fn check_proxies(app: &Object, service: &Service, objects: &[Object]) -> Option<Problem> {
    let counts = service.variables.contains_key("trusted_proxies");
    let is_shown = of_kind(objects, "Ingress").any(|ingress| {
        let rules = list(&ingress.spec()["rules"]).iter();
        let mut paths = rules.flat_map(|rule| list(&rule["http"]["paths"]));
        paths.any(|path| path["backend"]["service"]["name"] == app.name())
    });
    let knows = literal(app, "trusted_proxies")
        .is_some_and(|proxies| matches!(proxies.as_bytes(), [b'1'..=b'9']));
    (counts && is_shown && !knows).then(|| {
        app.problem(
            "spec.variables (trusted_proxies)",
            "set it to 1, or more where more proxies add to X-Forwarded-For, for an Ingress is in front",
        )
    })
}

/// The value of a variable that the object itself sets.
pub fn literal<'a>(app: &'a Object, name: &str) -> Option<&'a str> {
    variable(app, name)?["value"].as_str()
}

/// A variable that the object sets, to whatever it is.
pub fn variable<'a>(app: &'a Object, name: &str) -> Option<&'a Value> {
    list(&app.spec()["variables"])
        .iter()
        .find(|variable| variable["name"] == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::{objects, shop, spec};
    use crate::problem::assert_one;
    use serde_json::json;

    fn changed(change: impl FnOnce(&mut Value)) -> Vec<Problem> {
        let mut objects = objects();
        change(spec(&mut objects, "SpinApp", "souk-orders"));
        check(&objects, &shop())
    }

    #[test]
    fn the_small_shop_of_the_tests_is_right() {
        assert!(changed(|_| ()).is_empty());
        assert!(check_template(&shop()).is_empty());
    }

    #[test]
    fn a_missing_probe_is_found() {
        let problems = changed(|spec| spec["checks"]["readiness"] = Value::Null);
        assert_one(
            &problems,
            &["SpinApp/souk-orders: spec.checks.readiness: add a probe"],
        );
    }

    #[test]
    fn missing_resources_are_found() {
        let problems = changed(|spec| spec["resources"]["limits"] = json!({}));
        assert_one(&problems, &["spec.resources.limits.memory"]);
    }

    #[test]
    fn a_variable_nobody_knows_is_found() {
        let problems = changed(|spec| spec["variables"][0]["name"] = json!("discover"));
        assert!(
            problems
                .iter()
                .any(|problem| problem.to_string().contains("(discover): remove it")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_required_variable_that_is_not_set_is_found() {
        let mut shop = shop();
        let orders = shop.services.get_mut("orders").expect("orders");
        orders.variables.insert(
            "must".into(),
            crate::shop::Variable {
                required: true,
                ..Default::default()
            },
        );
        assert_one(&check(&objects(), &shop), &["set must"]);
    }

    #[test]
    fn a_secret_in_the_tree_is_found() {
        let problems = changed(|spec| {
            spec["variables"][1] = json!({"name": "service_key", "value": "hunter2"})
        });
        assert_one(&problems, &["(service_key): take it from a secret"]);
    }

    #[test]
    fn another_discovery_than_the_manifest_grants_is_found() {
        let problems =
            changed(|spec| spec["variables"][0]["value"] = json!("http://{service}.spin.internal"));
        assert_one(&problems, &["set it to http://souk-{service}.souk"]);
    }

    #[test]
    fn a_service_that_takes_the_ingress_for_every_client_is_found() {
        let mut shop = shop();
        let carts = shop.services.get_mut("carts").expect("carts");
        let variable = crate::shop::Variable::default();
        carts.variables.insert("trusted_proxies".into(), variable);
        let with = |variables: Value| {
            let mut objects = objects();
            spec(&mut objects, "SpinApp", "souk-carts")["variables"] = variables;
            check(&objects, &shop)
        };
        let set = |value: &str| json!([{"name": "trusted_proxies", "value": value}]);
        for unset in [json!([]), set("0"), set("one")] {
            assert_one(
                &with(unset),
                &["SpinApp/souk-carts: spec.variables (trusted_proxies): set it to 1"],
            );
        }
        assert!(with(set("1")).is_empty() && with(set("2")).is_empty());
    }

    #[test]
    fn a_service_that_nobody_ticks_is_found() {
        let mut shop = shop();
        shop.services.get_mut("carts").expect("carts").ticks = true;
        assert_one(
            &check(&objects(), &shop),
            &[
                "SpinApp/souk-carts: /internal/tick",
                "http://souk-carts.souk/internal/tick",
            ],
        );
    }

    #[test]
    fn an_autoscaler_and_replicas_do_not_go_together() {
        assert_one(
            &changed(|spec| spec["enableAutoscaling"] = json!(true)),
            &["add a HorizontalPodAutoscaler"],
        );
    }

    #[test]
    fn a_service_that_does_not_run_is_found() {
        let mut objects = objects();
        objects.retain(|object| object.kind() != "SpinApp" || object.name() != "souk-orders");
        assert_one(
            &check(&objects, &shop()),
            &["SpinApp/souk-orders", "components/orders/spin.toml"],
        );
    }

    #[test]
    fn a_label_without_a_store_is_found() {
        let mut shop = shop();
        shop.stores.databases.clear();
        assert_one(
            &check_template(&shop),
            &[TEMPLATE, "sqlite_database: orders: add the section"],
        );
    }

    #[test]
    fn two_labels_in_one_place_are_found() {
        let mut shop = shop();
        for store in shop.stores.key_values.values_mut() {
            store.url = "redis://souk-redis.souk:6379".into();
        }
        assert_one(
            &check_template(&shop),
            &["key_value_store: orders-calls", "carts is at the same url"],
        );
    }
}
