//! `cargo xtask cluster kill|hang|resume INSTANCE`: what can happen to a process.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::bail;
use nix::sys::signal::Signal;

use super::state::{Cluster, Instance};

/// Ends an instance as a crash would.
pub fn kill(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let (cluster, killed) = send(own, Signal::SIGKILL)?;
    cluster.wait_until_gone(&killed, || false)?;
    Ok(ExitCode::SUCCESS)
}

/// Has an instance do nothing any more, with its connections open.
pub fn hang(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    send(own, Signal::SIGSTOP)?;
    Ok(ExitCode::SUCCESS)
}

/// Has it go on.
pub fn resume(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    send(own, Signal::SIGCONT)?;
    Ok(ExitCode::SUCCESS)
}

fn send(own: Vec<OsString>, signal: Signal) -> anyhow::Result<(Cluster, Vec<Instance>)> {
    let (cluster, names) = super::cluster_and_values(own)?;
    let [name] = &names[..] else {
        bail!("name one instance, such as products-2, or one service, such as products");
    };
    let instances = cluster.state()?.named(name)?;
    let mut reached = Vec::new();
    for instance in instances {
        if cluster.signal(&instance, signal)? {
            println!("{} (process {}): {signal}", instance.name, instance.pid);
            reached.push(instance);
        }
    }
    if reached.is_empty() {
        bail!("{name} does not run: `cargo xtask cluster restart {name}` starts it");
    }
    Ok((cluster, reached))
}
