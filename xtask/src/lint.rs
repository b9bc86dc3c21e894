//! `cargo xtask lint`: formatting, clippy, and the checks of the project itself.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use crate::build::HOST_PROFILE;
use crate::libtest::Tally;
use crate::workspace::{HOST, Package, WASM, Workspace};
use crate::{docs, process};

/// Larger binary files do not belong into the repository.
const LARGE: u64 = 1_000_000;

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    args.expect_none()?;
    let tally = check(&Workspace::load()?);
    tally
        .skips
        .iter()
        .for_each(|skip| println!("skipped: {skip}"));
    tally
        .failures
        .iter()
        .for_each(|failure| println!("FAILED: {failure}"));
    println!(
        "{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.skipped
    );
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Makes every check, also after one that failed.
pub fn check(workspace: &Workspace) -> Tally {
    let mut tally = Tally::default();
    for (name, check) in CHECKS {
        match check(workspace) {
            Ok(()) => tally.passed += 1,
            Err(error) => tally.fail(format!("{name}: {error:#}")),
        }
    }
    tally
}

type Check = fn(&Workspace) -> anyhow::Result<()>;

const CHECKS: [(&str, Check); 6] = [
    ("format", format),
    ("clippy", clippy),
    ("clippy of the host", clippy_of_the_host),
    ("large files", large_files),
    ("manifests", manifests),
    ("generated documentation", docs::check),
];

fn format(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = process::cargo();
    process::run(
        "cargo fmt",
        cargo
            .current_dir(&workspace.root)
            .args(["fmt", "--all", "--", "--check"]),
    )
}

fn clippy(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["clippy", "--workspace", "--exclude", HOST]);
    process::run(
        "cargo clippy",
        cargo.args(["--all-targets", "--", "-D", "warnings"]),
    )
}

/// In the host's profile, so that the C libraries inside (SQLite, ...) are compiled once for clippy and the build.
fn clippy_of_the_host(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["clippy", "--profile", HOST_PROFILE, "-p", HOST]);
    process::run(
        "cargo clippy of the host",
        cargo.args(["--all-targets", "--", "-D", "warnings"]),
    )
}

/// No large binary files in the repository.
fn large_files(workspace: &Workspace) -> anyhow::Result<()> {
    let mut git = Command::new("git");
    let tracked = process::output(git.current_dir(&workspace.root).args(["ls-files", "-z"]))?;
    let mut large = Vec::new();
    for name in tracked.split_terminator('\0') {
        let path = workspace.root.join(name);
        // A file that is gone from the disk is no concern here.
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > LARGE) && is_binary(&path)? {
            large.push(name);
        }
    }
    if !large.is_empty() {
        bail!("binary files over 1 MB: {}", large.join(", "));
    }
    Ok(())
}

/// As git has it: a zero byte in the first 8 kB.
fn is_binary(path: &Path) -> anyhow::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(8000).read_to_end(&mut start)?;
    Ok(start.contains(&0))
}

/// The root spin.toml has every service there is, and each has a manifest of its own; payment providers run as part of
/// `payments` only, and which of them does is up to the manifest.
fn manifests(workspace: &Workspace) -> anyhow::Result<()> {
    let (providers, services): (Vec<_>, Vec<_>) = workspace
        .components()
        .into_iter()
        .partition(|package| package.dir.starts_with("components/providers"));
    let names = |packages: &[&Package]| -> BTreeSet<String> {
        packages
            .iter()
            .map(|package| package.name.clone())
            .collect()
    };
    let providers = names(&providers);
    let mut wrong = Vec::new();
    let mut check = |manifest: &Path, expected: BTreeSet<String>| {
        let listed: BTreeSet<_> = components_listed(manifest)?;
        let listed: BTreeSet<_> = listed.difference(&providers).cloned().collect();
        if listed != expected {
            let manifest = manifest.display();
            wrong.push(format!(
                "{manifest} lists {listed:?}, but components/ has {expected:?}"
            ));
        }
        anyhow::Ok(())
    };
    check(&workspace.root.join("spin.toml"), names(&services))?;
    for service in &services {
        let manifest = workspace.root.join(&service.dir).join("spin.toml");
        check(&manifest, names(&[service]))?;
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    Ok(())
}

fn components_listed(manifest: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    components_in(&text)
}

/// The components of a manifest; each must be built from the module of its own name. Reading lines is enough for
/// manifests that we write ourselves, and saves a TOML parser.
fn components_in(manifest: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut components = BTreeSet::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name;
        }
        let Some(component) = section.strip_prefix("component.") else {
            continue;
        };
        if let Some(source) = line.strip_prefix("source = ") {
            let module = format!("target/{WASM}/release/{}.wasm", component.replace('-', "_"));
            if !source.trim_matches('"').ends_with(&module) {
                bail!("component {component} is built from {source}, not {module}");
            }
            components.insert(component.to_owned());
        }
    }
    Ok(components)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn components_are_read_from_a_manifest() {
        let manifest = r#"
            [[trigger.http]]
            component = "gateway"
            [component.gateway]
            source = "target/wasm32-wasip1/release/gateway.wasm"
            [component.gateway.build]
            command = "cargo build"
            [component.products]
            source = "target/wasm32-wasip1/release/products.wasm""#;
        assert_eq!(
            components_in(manifest).unwrap(),
            BTreeSet::from(["gateway".into(), "products".into()])
        );
    }

    #[test]
    fn a_component_built_from_another_module_is_wrong() {
        let manifest = "[component.a]\nsource = \"target/wasm32-wasip1/release/b.wasm\"";
        assert!(
            components_in(manifest)
                .unwrap_err()
                .to_string()
                .contains("component a")
        );
    }
}
