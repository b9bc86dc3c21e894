//! `cargo xtask cluster restart INSTANCE|SERVICE`: one instance after the other, so that nobody notices.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use lexopt::ValueExt;

use super::settings::Settings;
use super::state::{Cluster, Instance};

/// Runs the subcommand.
pub fn run(own: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let (mut state_dir, mut manifest, mut names) = (None, None, Vec::new());
    let mut parser = lexopt::Parser::from_args(own);
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("state-dir") => state_dir = Some(parser.value()?),
            lexopt::Arg::Long("manifest") => manifest = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Value(name) => names.push(name.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let [name] = &names[..] else {
        bail!("name one instance, such as products-2, or one service, such as products");
    };
    let cluster = Cluster::find(state_dir)?;
    let instances = cluster.state()?.named(name)?;
    let manifest = manifest.map(|file| {
        let found = file.canonicalize();
        found.with_context(|| format!("--manifest {}", file.display()))
    });
    let (manifest, settings) = (manifest.transpose()?, Settings::of(&cluster)?);
    for instance in instances {
        restart(&cluster, &settings, instance, manifest.as_deref())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends an instance if it runs, starts it, and waits until others call it.
fn restart(
    cluster: &Cluster,
    settings: &Settings,
    instance: Instance,
    manifest: Option<&Path>,
) -> anyhow::Result<()> {
    let (name, key) = (instance.name.clone(), settings.service_key());
    // The registry lists the last run of it until its lease is over. A registry that does not answer has nothing to say.
    let last_run = cluster.listed(key, &instance).ok().flatten();
    let last_run = last_run.map(|listed| listed.incarnation);
    cluster.drain(std::slice::from_ref(&instance))?;
    let child = cluster.start(settings, instance, manifest)?;
    cluster.wait_until_it_serves(&name, || false)?;
    cluster.wait_until_listed(key, &name, last_run.as_deref())?;
    println!("{name} serves: process {}", child.id());
    Ok(())
}
