//! What drives the browser in tests: Playwright and axe, installed from npm into a folder of their own under the target directory.

use std::path::PathBuf;

use anyhow::bail;

use crate::workspace::Workspace;
use crate::{npm, process};

/// What is installed: what steers Chromium, and the rules of accessibility. Other versions know other rules, so they are not changed in
/// passing.
const PACKAGES: [(&str, &str); 2] = [("playwright-core", "1.65.1"), ("axe-core", "4.14.1")];

/// The program that runs them.
const NODE: &str = "node";

/// The folder with the packages, installed if they are not there yet.
pub fn modules(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    if process::on_path(&[NODE]).is_none() {
        bail!("{NODE} is not on the PATH");
    }
    let name = PACKAGES.map(|(package, version)| format!("{package}-{version}"));
    let folder = workspace.target_dir.join(name.join("-"));
    let modules = folder.join("node_modules");
    // npm writes this file last.
    if modules.join(".package-lock.json").is_file() {
        return Ok(modules);
    }
    let packages = PACKAGES.map(|(package, version)| format!("{package}@{version}"));
    npm::install("Playwright and axe", &folder, &packages)?;
    Ok(modules)
}
