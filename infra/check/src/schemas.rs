//! Which fields objects may have: by the schemas of Kubernetes, and by those of SpinKube's objects that are in the tree.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, anyhow};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::objects::Object;
use crate::problem::Problem;

/// The group of SpinKube's objects, which Kubernetes' own schemas do not know.
const SPINKUBE: &str = "core.spinkube.dev/";

/// All schemas there are.
pub struct Schemas {
    own: PathBuf,
    /// `$defs` with the definition of every object, or nothing where they could not be had.
    kubernetes: Option<Value>,
    compiled: RefCell<BTreeMap<String, Option<Rc<Validator>>>>,
}

impl Schemas {
    /// `own` is the folder with SpinKube's, `kubernetes` the file with all of Kubernetes'.
    pub fn read(own: &Path, kubernetes: Option<&Path>) -> anyhow::Result<Self> {
        let kubernetes = kubernetes.map(read).transpose()?;
        Ok(Self {
            own: own.to_owned(),
            kubernetes,
            compiled: RefCell::default(),
        })
    }

    /// Finds fields of SpinKube's objects that are wrong or unknown.
    pub fn check_spinkube(&self, objects: &[Object]) -> anyhow::Result<Vec<Problem>> {
        self.check(objects.iter().filter(|object| is_spinkubes(object)))
    }

    /// Finds fields of all other objects that are wrong or unknown, where there are schemas.
    pub fn check_kubernetes(&self, objects: &[Object]) -> anyhow::Result<Option<Vec<Problem>>> {
        let checked = self.kubernetes.is_some();
        let check = || self.check(objects.iter().filter(|object| !is_spinkubes(object)));
        checked.then(check).transpose()
    }

    fn check<'a>(
        &self,
        objects: impl IntoIterator<Item = &'a Object>,
    ) -> anyhow::Result<Vec<Problem>> {
        let mut problems = Vec::new();
        for object in objects {
            problems.extend(self.check_one(object)?);
        }
        Ok(problems)
    }

    fn check_one(&self, object: &Object) -> anyhow::Result<Vec<Problem>> {
        let version = object.version();
        let Some(validator) = self.validator(version, object.kind())? else {
            let advice = format!(
                "there is no schema of {} in {version}: mend apiVersion or kind",
                object.kind()
            );
            return Ok(vec![object.problem("kind", advice)]);
        };
        let errors = validator.iter_errors(&object.value);
        let problem = |error: jsonschema::ValidationError<'_>| {
            object.problem(field(&error.instance_path().to_string()), error.to_string())
        };
        Ok(errors.map(problem).collect())
    }

    fn validator(&self, version: &str, kind: &str) -> anyhow::Result<Option<Rc<Validator>>> {
        let key = format!("{version} {kind}");
        if let Some(known) = self.compiled.borrow().get(&key) {
            return Ok(known.clone());
        }
        let schema = if version.starts_with(SPINKUBE) {
            self.of_spinkube(kind)?
        } else {
            self.of_kubernetes(version, kind)
        };
        let compile = |schema: Value| {
            jsonschema::validator_for(&schema)
                .map_err(|error| anyhow!("the schema of {key}: {error}"))
        };
        let validator = schema.map(compile).transpose()?.map(Rc::new);
        self.compiled.borrow_mut().insert(key, validator.clone());
        Ok(validator)
    }

    fn of_spinkube(&self, kind: &str) -> anyhow::Result<Option<Value>> {
        let file = self.own.join(format!("{}.json", kind.to_lowercase()));
        if file.is_file() {
            read(&file).map(Some)
        } else {
            Ok(None)
        }
    }

    fn of_kubernetes(&self, version: &str, kind: &str) -> Option<Value> {
        let definitions = &self.kubernetes.as_ref()?["$defs"];
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let wanted = json!({"group": group, "version": version, "kind": kind});
        let is_it =
            |definition: &Value| definition["x-kubernetes-group-version-kind"] == json!([wanted]);
        let (name, _) = definitions
            .as_object()?
            .iter()
            .find(|(_, definition)| is_it(definition))?;
        Some(json!({"$ref": format!("#/$defs/{name}"), "$defs": definitions}))
    }
}

fn is_spinkubes(object: &Object) -> bool {
    object.version().starts_with(SPINKUBE)
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// A JSON pointer as a path of names.
fn field(pointer: &str) -> String {
    match pointer.trim_start_matches('/') {
        "" => "the object".into(),
        path => path.replace('/', ".").replace("~1", "/"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::problem::assert_one;

    fn check(change: impl FnOnce(&mut Value)) -> Vec<Problem> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spinkube/schemas");
        let mut value = json!({
            "apiVersion": "core.spinkube.dev/v1alpha1", "kind": "SpinApp", "metadata": {"name": "souk-users"},
            "spec": {
                "image": "users:1", "executor": "shim", "replicas": 1,
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                "checks": {"liveness": {"httpGet": {"path": "/healthz"}}},
                "variables": [{"name": "service_key", "valueFrom": {"secretKeyRef": {"name": "souk", "key": "service_key"}}}],
            },
        });
        change(&mut value);
        let object = Object {
            file: "users.yaml".into(),
            value,
        };
        Schemas::read(&own, None).unwrap().check(&[object]).unwrap()
    }

    #[test]
    fn an_object_by_the_schema_is_right() {
        assert!(check(|_| ()).is_empty());
    }

    #[test]
    fn a_field_that_is_not_there_is_found() {
        assert_one(
            &check(|app| app["spec"]["replica"] = json!(1)),
            &["users.yaml: SpinApp/souk-users: spec:", "'replica'"],
        );
    }

    #[test]
    fn a_field_of_another_type_is_found() {
        assert_one(
            &check(|app| app["spec"]["replicas"] = json!("1")),
            &["spec.replicas", "integer"],
        );
        assert_one(
            &check(|app| app["spec"]["resources"]["requests"]["cpu"] = json!("little")),
            &["spec.resources.requests.cpu"],
        );
    }

    #[test]
    fn a_variable_has_one_value() {
        assert_one(
            &check(|app| app["spec"]["variables"][0]["value"] = json!("x")),
            &["spec.variables.0"],
        );
    }

    #[test]
    fn a_kind_without_a_schema_is_found() {
        assert_one(
            &check(|app| app["kind"] = json!("SpinAp")),
            &["no schema of SpinAp"],
        );
    }

    #[test]
    fn definitions_of_kubernetes_are_found_by_group_version_and_kind() {
        let definitions = json!({"$defs": {"a.B": {
            "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "B"}], "type": "object",
            "properties": {"apiVersion": {}, "kind": {}, "spec": {"$ref": "#/$defs/spec"}}, "additionalProperties": false,
        }, "spec": {"type": "object", "properties": {"y": {}}, "additionalProperties": false}}});
        let schemas = Schemas {
            own: PathBuf::new(),
            kubernetes: Some(definitions),
            compiled: RefCell::default(),
        };
        let check = |value| {
            schemas
                .check(&[Object {
                    file: "b.yaml".into(),
                    value,
                }])
                .unwrap()
        };
        assert!(check(json!({"apiVersion": "apps/v1", "kind": "B", "spec": {}})).is_empty());
        assert_one(
            &check(json!({"apiVersion": "apps/v1", "kind": "B", "spec": {"x": 1}})),
            &["spec:", "'x'"],
        );
        assert_one(
            &check(json!({"apiVersion": "apps/v2", "kind": "B"})),
            &["no schema of B in apps/v2"],
        );
    }
}
