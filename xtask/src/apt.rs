//! Installing what is missing where that is allowed: Debian, and root or a sudo that asks no password.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::process;

/// Installs packages, saying so.
pub fn install(packages: &[&str]) -> anyhow::Result<()> {
    eprintln!("installing with apt-get: {}", packages.join(" "));
    process::run("apt-get update", apt_get()?.args(["-qq", "update"]))?;
    let mut install = apt_get()?;
    install
        .args(["-qq", "install", "-y", "--no-install-recommends"])
        .args(packages);
    process::run("apt-get install", &mut install)
}

/// Stops the service that a package brought, now and for later, whatever it is run by.
pub fn stop_service(name: &str) -> anyhow::Result<()> {
    let stop = as_root("service")?.args([name, "stop"]).output();
    stop.context("cannot run service")?;
    let mut disable = as_root("update-rc.d")?;
    process::run("update-rc.d disable", disable.args([name, "disable"]))
}

fn apt_get() -> anyhow::Result<Command> {
    if !Path::new("/etc/debian_version").exists() {
        bail!("this is not Debian");
    }
    let mut apt = as_root("apt-get")?;
    process::on_path(&["apt-get"]).context("there is no apt-get")?;
    // Another apt-get may be at work; waiting is better than failing.
    apt.args(["-o", "DPkg::Lock::Timeout=120"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    Ok(apt)
}

fn as_root(program: &str) -> anyhow::Result<Command> {
    if nix::unistd::geteuid().is_root() {
        Ok(Command::new(program))
    } else if process::succeeds("sudo", &["-n", "true"]) {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", program]);
        Ok(sudo)
    } else {
        bail!("{program} needs root");
    }
}
