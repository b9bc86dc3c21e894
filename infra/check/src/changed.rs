//! Which services a change concerns: those whose packages, or packages they are made of, have a file that changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use lexopt::ValueExt;
use serde::Deserialize;

use crate::shop;

/// What every component is built with.
const EVERYBODYS: [&str; 3] = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"];

/// Prints the services as a JSON list.
pub fn run(root: &Path, args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let mut since = None;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("since") => since = Some(parser.value()?.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let files = changed_files(root, &since.context("--since REF is missing")?)?;
    let packages = Packages::read(root)?;
    let mut changed = BTreeSet::new();
    for name in shop::service_names(root)? {
        let build = Build::read(root, &name)?;
        if files
            .as_ref()
            .is_none_or(|files| build.is_concerned(&packages, files))
        {
            changed.insert(name);
        }
    }
    println!("{}", serde_json::to_string(&changed)?);
    Ok(ExitCode::SUCCESS)
}

/// The files that differ from a commit. A commit that is not there, as before the first push of a branch, is no base to compare with.
fn changed_files(root: &Path, since: &str) -> anyhow::Result<Option<Vec<String>>> {
    let commit = format!("{since}^{{commit}}");
    let known = git(
        root,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ],
    )?
    .status
    .success();
    if !known {
        eprintln!("{since} is no commit that is here: everything counts as changed");
        return Ok(None);
    }
    let output = git(
        root,
        &[
            "diff",
            "--name-only",
            "-z",
            "--no-renames",
            "--end-of-options",
            &commit,
            "HEAD",
        ],
    )?;
    if !output.status.success() {
        bail!(
            "git diff failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(Some(
        names.split_terminator('\0').map(str::to_owned).collect(),
    ))
}

fn git(root: &Path, args: &[&str]) -> anyhow::Result<std::process::Output> {
    Command::new("git")
        .current_dir(root)
        .args(args)
        .output()
        .context("cannot start git")
}

/// What a service is built from, as its manifest says.
struct Build {
    packages: BTreeSet<String>,
    /// Beginnings of the paths whose change has `spin watch` build it again. Of crates/ the packages say it more exactly.
    watched: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Manifest {
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Component {
    build: Option<ComponentBuild>,
}

#[derive(Deserialize)]
struct ComponentBuild {
    command: String,
    #[serde(default)]
    watch: Vec<String>,
}

impl Build {
    fn read(root: &Path, service: &str) -> anyhow::Result<Self> {
        let manifest = root.join("components").join(service).join("spin.toml");
        let text =
            std::fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        let mut build = Self::parse(&text).with_context(|| manifest.display().to_string())?;
        build.watched.insert(format!("components/{service}/"));
        Ok(build)
    }

    fn parse(manifest: &str) -> anyhow::Result<Self> {
        let manifest: Manifest = toml::from_str(manifest)?;
        let mut build = Self {
            packages: BTreeSet::new(),
            watched: EVERYBODYS.map(str::to_owned).into(),
        };
        for component in manifest
            .component
            .into_values()
            .filter_map(|component| component.build)
        {
            let mut words = component
                .command
                .split_whitespace()
                .skip_while(|word| *word != "-p");
            build.packages.insert(
                words
                    .nth(1)
                    .context("a build command has no -p")?
                    .to_owned(),
            );
            let beginnings = component
                .watch
                .iter()
                .map(|pattern| pattern.split('*').next().unwrap_or_default().to_owned());
            build
                .watched
                .extend(beginnings.filter(|beginning| beginning != "crates/"));
        }
        Ok(build)
    }

    fn is_concerned(&self, packages: &Packages, files: &[String]) -> bool {
        let folders = packages.folders_behind(&self.packages);
        files.iter().any(|file| {
            self.watched
                .iter()
                .any(|beginning| file.starts_with(beginning.as_str()))
                || folders
                    .iter()
                    .any(|folder| Path::new(file).starts_with(folder))
        })
    }
}

/// The packages of the workspace, and which of each other they are made of.
struct Packages(BTreeMap<String, Package>);

struct Package {
    folder: PathBuf,
    made_of: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    /// `dev`, `build` or nothing.
    kind: Option<String>,
    /// Where it is, if it is in the workspace.
    path: Option<PathBuf>,
}

impl Packages {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .current_dir(root)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output();
        let output = output.context("cannot start cargo")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Self::parse(&output.stdout)
    }

    fn parse(metadata: &[u8]) -> anyhow::Result<Self> {
        let metadata: Metadata = serde_json::from_slice(metadata)?;
        let mut packages = BTreeMap::new();
        for package in metadata.packages {
            let folder = package
                .manifest_path
                .parent()
                .context("a manifest without a folder")?;
            let folder = folder.strip_prefix(&metadata.workspace_root)?.to_owned();
            // What its tests need is not in what it gives.
            let inside = package.dependencies.into_iter().filter(|dependency| {
                dependency.path.is_some() && dependency.kind.as_deref() != Some("dev")
            });
            let made_of = inside.map(|dependency| dependency.name).collect();
            packages.insert(package.name, Package { folder, made_of });
        }
        Ok(Self(packages))
    }

    /// The folders of packages and of all that they are made of.
    fn folders_behind(&self, names: &BTreeSet<String>) -> BTreeSet<&Path> {
        let mut seen = BTreeSet::new();
        let mut folders = BTreeSet::new();
        let mut open: Vec<_> = names.iter().collect();
        while let Some(name) = open.pop() {
            let Some(package) = self.0.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            folders.insert(package.folder.as_path());
            open.extend(&package.made_of);
        }
        folders
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"workspace_root": "/souk", "packages": [
        {"name": "payments", "manifest_path": "/souk/components/payments/Cargo.toml", "dependencies": [
            {"name": "souk-chassis", "kind": null, "path": "/souk/crates/chassis"},
            {"name": "souk-contracts", "kind": "dev", "path": "/souk/crates/contracts"},
            {"name": "serde", "kind": null}]},
        {"name": "provider-sandbox", "manifest_path": "/souk/components/providers/sandbox/Cargo.toml", "dependencies": []},
        {"name": "souk-chassis", "manifest_path": "/souk/crates/chassis/Cargo.toml", "dependencies": [
            {"name": "souk-tokens", "kind": null, "path": "/souk/crates/tokens"}]},
        {"name": "souk-contracts", "manifest_path": "/souk/crates/contracts/Cargo.toml", "dependencies": []},
        {"name": "souk-tokens", "manifest_path": "/souk/crates/tokens/Cargo.toml", "dependencies": []}]}"#;

    const MANIFEST: &str = r#"
        [component.payments.build]
        command = "cargo build --release --target wasm32-wasip1 -p payments"
        watch = ["Cargo.toml", "components/payments/**/*", "crates/**/*", "wit/payment/*"]
        [component.provider-sandbox.build]
        command = "cargo build --release --target wasm32-wasip1 -p provider-sandbox""#;

    fn concerns(file: &str) -> bool {
        let packages = Packages::parse(METADATA.as_bytes()).unwrap();
        Build::parse(MANIFEST)
            .unwrap()
            .is_concerned(&packages, &["README.md".into(), file.into()])
    }

    #[test]
    fn a_service_is_concerned_by_its_own_files() {
        assert!(concerns("components/payments/src/api.rs"));
        assert!(!concerns("components/users/src/api.rs"));
        assert!(!concerns("components/payments-2/src/lib.rs"));
    }

    #[test]
    fn a_service_is_concerned_by_what_it_is_made_of_and_no_other_crate() {
        assert!(concerns("crates/chassis/src/lib.rs"));
        assert!(concerns("crates/tokens/src/lib.rs"), "through the chassis");
        assert!(!concerns("crates/store/src/lib.rs"));
        assert!(
            !concerns("crates/contracts/src/lib.rs"),
            "only its tests use that"
        );
    }

    #[test]
    fn a_service_is_concerned_by_what_is_joined_to_it() {
        assert!(concerns("components/providers/sandbox/src/lib.rs"));
        assert!(concerns("wit/payment/provider.wit"));
        assert!(!concerns("components/providers/http/src/lib.rs"));
    }

    #[test]
    fn everybody_is_concerned_by_the_lock_file() {
        assert!(concerns("Cargo.lock"));
        assert!(!concerns("docs/operations.md"));
    }

    #[test]
    fn every_manifest_says_what_it_is_built_from() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for service in shop::service_names(&root).unwrap() {
            let build = Build::read(&root, &service).unwrap();
            assert!(build.packages.contains(&service), "{service}");
        }
    }
}
