//! `cargo xtask cluster scale SERVICE N`: more instances of a service, or fewer.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::ports;
use super::settings::Settings;
use super::state::{Cluster, Instance, State};
use super::up::{SERVICES, is_single};

/// Runs the subcommand.
pub fn run(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let (cluster, values) = super::cluster_and_values(own)?;
    let [service, wanted] = &values[..] else {
        bail!("say of which service there are to be how many, such as `scale products 3`");
    };
    let wanted = wanted.parse().ok();
    let wanted = wanted.with_context(|| format!("{:?} is no number of instances", values[1]))?;
    check(service, wanted)?;
    let now = cluster.state()?.of(service).count();
    match wanted.checked_sub(now) {
        Some(more) => start(&cluster, service, more)?,
        None => end(&cluster, service, now - wanted)?,
    }
    println!("{service} has {wanted} instances");
    Ok(ExitCode::SUCCESS)
}

/// Fails where there cannot be so many of a service.
pub fn check(service: &str, wanted: usize) -> anyhow::Result<()> {
    if !SERVICES.iter().any(|(known, _)| *known == service) {
        let known: Vec<_> = SERVICES.iter().map(|(service, _)| *service).collect();
        bail!("there is no service {service:?}, but {}", known.join(", "));
    }
    if wanted == 0 {
        bail!("a service has at least one instance; `kill` shows the shop without it");
    }
    if wanted > 1 && is_single(service) {
        bail!("there is one {service} at one address, and cannot be more");
    }
    Ok(())
}

/// Starts so many more, at the same time.
fn start(cluster: &Cluster, service: &str, more: usize) -> anyhow::Result<()> {
    let settings = Settings::of(cluster)?;
    let mut names = Vec::new();
    for _ in 0..more {
        let instance = another(&cluster.state()?, service)?;
        names.push(instance.name.clone());
        cluster.start(&settings, instance, None)?;
    }
    for name in &names {
        cluster.wait_until_it_serves(name, || false)?;
        cluster.wait_until_listed(settings.service_key(), name, None)?;
    }
    Ok(())
}

/// One with the first name and a port that no other has.
fn another(state: &State, service: &str) -> anyhow::Result<Instance> {
    let numbers: Vec<_> = state.of(service).map(Instance::number).collect();
    let number = (1..).find(|number| !numbers.contains(number));
    let taken: Vec<_> = state.instances.iter().map(|it| it.listen.port()).collect();
    let listen = ports::free(&taken)?.local_addr()?;
    Ok(Instance {
        name: format!("{service}-{}", number.context("there is always one more")?),
        service: service.to_owned(),
        pid: 0,
        listen,
        url: format!("http://{listen}"),
        leaving: false,
    })
}

/// Ends so many, those with the highest numbers first.
fn end(cluster: &Cluster, service: &str, fewer: usize) -> anyhow::Result<()> {
    let mut last: Vec<_> = cluster.state()?.of(service).cloned().collect();
    last.sort_by_key(|it| std::cmp::Reverse(it.number()));
    last.truncate(fewer);
    cluster.drain(&last)?;
    cluster.change(|state| {
        state
            .instances
            .retain(|it| !last.iter().any(|gone| gone.name == it.name));
        Ok(())
    })
}
