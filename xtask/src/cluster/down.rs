//! `cargo xtask cluster down`: ends a cluster, also one whose `up` is gone.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::bail;

/// Runs the subcommand.
pub fn run(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let (cluster, values) = super::cluster_and_values(own)?;
    if let Some(value) = values.first() {
        bail!("unexpected argument {value:?}: `down` ends the whole cluster");
    }
    cluster.close(|| false)?;
    cluster.wait_until_free()?;
    println!("the cluster is closed");
    Ok(ExitCode::SUCCESS)
}
