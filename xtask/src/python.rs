//! Programs and data from PyPI, each installed into a virtual environment of its own under the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::workspace::Workspace;
use crate::{apt, process};

/// Makes up requests from an OpenAPI document. Another version generates other requests and has other checks, so it is not changed in
/// passing.
const SCHEMATHESIS: (&str, &str) = ("schemathesis", "4.32.5");

/// Brings the JSON Schemas of Kubernetes' objects, for many versions of it; the strict ones refuse fields that are not there.
const KUBERNETES_VALIDATE: (&str, &str) = ("kubernetes-validate", "1.37.0");
const KUBERNETES: &str =
    "kubernetes_validate/kubernetes-json-schema/v1.35.0-local-strict/_definitions.json";

/// OpenTelemetry's SDK, to see that others' exporters are understood.
const OPENTELEMETRY: (&str, &str) = ("opentelemetry-exporter-otlp-proto-http", "1.45.2");

/// A Python with OpenTelemetry's SDK, installed if it is not there yet.
pub fn opentelemetry(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    Ok(environment(workspace, OPENTELEMETRY)?.join("bin/python"))
}

/// The program, installed if it is not there yet.
pub fn schemathesis(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    Ok(environment(workspace, SCHEMATHESIS)?.join("bin/schemathesis"))
}

/// The file with the definitions of all objects of Kubernetes, installed if it is not there yet.
pub fn kubernetes_schemas(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let environment = environment(workspace, KUBERNETES_VALIDATE)?;
    for entry in fs::read_dir(environment.join("lib"))? {
        let file = entry?.path().join("site-packages").join(KUBERNETES);
        if file.is_file() {
            return Ok(file);
        }
    }
    anyhow::bail!("{} does not have {KUBERNETES}", KUBERNETES_VALIDATE.0)
}

/// The environment with a package in it. A file says that it is complete, so that one whose installation was cut off is made anew.
fn environment(workspace: &Workspace, (package, version): (&str, &str)) -> anyhow::Result<PathBuf> {
    let environment = workspace.target_dir.join(format!("{package}-{version}"));
    let complete = environment.join("complete");
    if complete.is_file() {
        return Ok(environment);
    }
    let make = || {
        let mut python = Command::new("python3");
        python.args(["-m", "venv", "--clear"]).arg(&environment);
        process::run("making a Python environment", &mut python)
    };
    if make().is_err() {
        apt::install(&["python3-venv"])?;
        make()?;
    }
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"])
        .arg(format!("{package}=={version}"));
    process::run(&format!("installing {package}"), &mut pip)?;
    fs::write(&complete, "").context("cannot mark the Python environment")?;
    Ok(environment)
}
