//! Schemathesis, the program that makes up requests from an OpenAPI document. It is written in Python, and is installed from
//! PyPI into a virtual environment of its own under the target directory.

use std::path::PathBuf;
use std::process::Command;

use crate::workspace::Workspace;
use crate::{apt, process};

/// What is installed. Another version generates other requests and has other checks, so it is not changed in passing.
const SCHEMATHESIS: &str = "4.32.5";

/// The program, installed if it is not there yet.
pub fn schemathesis(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let environment = workspace
        .target_dir
        .join(format!("schemathesis-{SCHEMATHESIS}"));
    let program = environment.join("bin/schemathesis");
    if program.is_file() {
        return Ok(program);
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
        .arg(format!("schemathesis=={SCHEMATHESIS}"));
    process::run("installing schemathesis", &mut pip)?;
    Ok(program)
}
