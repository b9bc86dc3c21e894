//! `cargo xtask cluster`: the shop as one process per service, of some services several, on this machine.
//!
//! One subcommand per file. What they share: [`state`], which instances there are; [`process`], how one is started, asked for
//! and signalled; [`settings`], what every process is started with; [`registry`], what the registry of services says; [`ports`].
//!
//! `up` stays there to watch and to end everything, but it commands nothing: every subcommand does its work itself, on the
//! state that all of them read and change under a lock.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::bail;

mod down;
mod ports;
mod process;
mod registry;
mod restart;
mod scale;
mod settings;
mod signal;
mod state;
mod status;
mod up;

use state::Cluster;

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let mut own = args.own;
    if own.is_empty() || !args.passed_on.is_empty() {
        bail!("write `cargo xtask cluster up` or another subcommand, see `cargo xtask --help`");
    }
    let subcommand = own.remove(0);
    match &*subcommand.to_string_lossy() {
        "up" => up::run(own),
        "status" => status::run(own),
        "kill" => signal::kill(own),
        "hang" => signal::hang(own),
        "resume" => signal::resume(own),
        "restart" => restart::run(own),
        "scale" => scale::run(own),
        "down" => down::run(own),
        _ => bail!("cluster has no subcommand {subcommand:?}, see `cargo xtask --help`"),
    }
}

/// The arguments of a subcommand that has `--state-dir` and values: the cluster that runs there, and the values.
fn cluster_and_values(own: Vec<OsString>) -> anyhow::Result<(Cluster, Vec<String>)> {
    use lexopt::ValueExt;
    let (mut state_dir, mut values) = (None, Vec::new());
    let mut parser = lexopt::Parser::from_args(own);
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("state-dir") => state_dir = Some(parser.value()?),
            lexopt::Arg::Value(value) => values.push(value.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok((Cluster::find(state_dir)?, values))
}
