//! `cargo xtask bench`: builds what is measured and runs the benchmarks.

use std::process::ExitCode;

use crate::build::{self, HOST_PROFILE};
use crate::process;
use crate::workspace::{BENCH, Workspace};

/// Runs the command. All arguments are those of the benchmarks.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::load()?;
    build::components(&workspace)?;
    build::fixtures(&workspace)?;
    let souk = build::host(&workspace, HOST_PROFILE)?;
    let mut bench = process::cargo();
    bench
        .current_dir(&workspace.root)
        .args(["run", "--profile", HOST_PROFILE, "-p", BENCH, "--"])
        .args(args.own)
        .args(args.passed_on)
        .env("SOUK_BIN", souk)
        .env("SOUK_REPO", &workspace.root);
    process::run("the benchmarks", &mut bench)?;
    Ok(ExitCode::SUCCESS)
}
