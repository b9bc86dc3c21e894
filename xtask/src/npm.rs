//! Packages from npm, each set installed into a folder of its own under the target directory.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::process;

/// The program that installs them.
pub const NPM: &str = "npm";

/// Installs packages (`name@version`) into a folder, without running what they bring along; `what` they are is said.
pub fn install(what: &str, folder: &Path, packages: &[String]) -> anyhow::Result<()> {
    if process::on_path(&[NPM]).is_none() {
        bail!("{NPM}, which installs {what}, is not on the PATH");
    }
    std::fs::create_dir_all(folder)?;
    let mut npm = Command::new(NPM);
    npm.args([
        "install",
        "--silent",
        "--no-save",
        "--ignore-scripts",
        "--prefix",
    ])
    .arg(folder)
    .args(packages);
    process::run(&format!("installing {what}"), &mut npm)
}
