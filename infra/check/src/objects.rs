//! What Kustomize renders.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::problem::Problem;

/// An object as it would be sent to a cluster.
#[derive(Clone)]
pub struct Object {
    /// The file it comes from, relative to the root of the repository.
    pub file: String,
    /// What it says.
    pub value: Value,
}

impl Object {
    /// Its kind, such as `SpinApp`.
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// The version of its kind, such as `apps/v1`.
    pub fn version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.value["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    /// The arguments of the programs of a CronJob.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let containers =
            list(&self.spec()["jobTemplate"]["spec"]["template"]["spec"]["containers"]);
        let arguments = containers
            .iter()
            .flat_map(|container| list(&container["args"]));
        arguments.filter_map(Value::as_str)
    }

    /// What it asks for.
    pub fn spec(&self) -> &Value {
        &self.value["spec"]
    }

    /// Something that is wrong with it.
    pub fn problem(&self, field: impl Into<String>, advice: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            object: format!("{}/{}", self.kind(), self.name()),
            field: field.into(),
            advice: advice.into(),
        }
    }
}

/// Those of one kind.
pub fn of_kind<'a>(objects: &'a [Object], kind: &str) -> impl Iterator<Item = &'a Object> {
    objects.iter().filter(move |object| object.kind() == kind)
}

/// The elements of a list; none where there is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text; an empty one where there is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

/// The number of a port, if it is one.
pub fn number(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok()
}

/// The names of the overlays there are.
pub fn overlays(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut overlays = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        overlays.push(entry?.file_name().to_string_lossy().into_owned());
    }
    overlays.sort();
    Ok(overlays)
}

/// Renders an overlay with `kustomize`, or with the one that is in `kubectl`.
pub fn render(kustomize: &Path, root: &Path, overlay: &str) -> anyhow::Result<Vec<Object>> {
    let verb = if kustomize.ends_with("kubectl") {
        "kustomize"
    } else {
        "build"
    };
    let output = Command::new(kustomize)
        .current_dir(root)
        .args([verb, overlay])
        .output();
    let output = output.with_context(|| format!("cannot start {}", kustomize.display()))?;
    if !output.status.success() {
        bail!(
            "{overlay} cannot be rendered: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    parse(overlay, &String::from_utf8(output.stdout)?)
}

/// Reads what was rendered.
pub fn parse(overlay: &str, yaml: &str) -> anyhow::Result<Vec<Object>> {
    let values: Vec<Value> =
        serde_saphyr::from_multiple(yaml).context("what was rendered is no YAML")?;
    let object = |value: Value| Object {
        file: origin(overlay, &value),
        value,
    };
    Ok(values.into_iter().map(object).collect())
}

/// The file that Kustomize says an object comes from, which is relative to the overlay.
fn origin(overlay: &str, value: &Value) -> String {
    let origin = value["metadata"]["annotations"]["config.kubernetes.io/origin"].as_str();
    let Some(path) =
        origin.and_then(|origin| origin.lines().find_map(|line| line.strip_prefix("path: ")))
    else {
        return overlay.to_owned();
    };
    let mut file = PathBuf::new();
    for part in Path::new(overlay)
        .components()
        .chain(Path::new(path).components())
    {
        match part {
            Component::ParentDir => _ = file.pop(),
            part => file.push(part),
        }
    }
    file.display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_object_knows_its_file() {
        let yaml = "kind: A\nmetadata:\n  name: a\n  annotations:\n    config.kubernetes.io/origin: |\n      path: ../../base/a.yaml\n---\nkind: B\n";
        let objects = parse("infra/spinkube/overlays/small", yaml).unwrap();
        assert_eq!(objects[0].file, "infra/spinkube/base/a.yaml");
        assert_eq!(objects[1].file, "infra/spinkube/overlays/small");
    }
}
