//! `cargo xtask cluster status`: a table of the instances.

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

use anyhow::bail;

use super::process::Condition;
use super::registry::{self, Listed};
use super::settings::Settings;
use super::state::Instance;

/// Runs the subcommand.
pub fn run(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let (cluster, values) = super::cluster_and_values(own)?;
    if let Some(value) = values.first() {
        bail!("unexpected argument {value:?}: `status` shows all instances");
    }
    let (state, settings) = (cluster.state()?, Settings::of(&cluster)?);
    let listed = registry::instances(state.url("registry")?, settings.service_key());
    println!("instance             pid  url                      process  registry    memory");
    let mut sum = 0;
    for instance in &state.instances {
        let condition = cluster.condition(instance);
        let memory = match condition {
            Condition::Dead => None,
            _ => memory(instance.pid),
        };
        sum += memory.unwrap_or(0);
        println!(
            "{:<16} {:>7}  {:<24} {:<8} {:<8} {:>9}",
            instance.name,
            instance.pid,
            instance.url,
            word(condition),
            registered(instance, listed.as_deref().unwrap_or_default()),
            memory.map_or("-".into(), megabytes),
        );
    }
    println!("{:>77}", megabytes(sum));
    if let Err(error) = listed {
        println!("the registry does not answer: {error:#}");
    }
    Ok(ExitCode::SUCCESS)
}

fn word(condition: Condition) -> &'static str {
    match condition {
        Condition::Running => "running",
        Condition::Stopped => "stopped",
        Condition::Dead => "dead",
    }
}

fn registered<'a>(instance: &Instance, listed: &'a [Listed]) -> &'a str {
    let listed = listed.iter().find(|it| it.address == instance.url);
    listed.map_or("-", |it| &it.state)
}

/// The memory of a process in kB: its own, and its part of what it shares with others.
fn memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn megabytes(kilobytes: u64) -> String {
    format!("{:.1} MB", kilobytes as f64 / 1024.0)
}
