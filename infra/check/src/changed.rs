//! Which services a change concerns: those who are made of a file that changed, or of a package that is another one in `Cargo.lock` now.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use lexopt::ValueExt;
use serde::Deserialize;

use crate::shop;

/// What every component is built with.
const EVERYBODYS: [&str; 2] = ["Cargo.toml", ".cargo/config.toml"];

const LOCK: &str = "Cargo.lock";

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
    let change = Change::read(root, &since.context("--since REF is missing")?)?;
    let packages = Packages::read(root)?;
    let mut changed = BTreeSet::new();
    for name in shop::service_names(root)? {
        let build = Build::read(root, &name)?;
        if change
            .as_ref()
            .is_none_or(|change| build.is_concerned(&packages, change))
        {
            changed.insert(name);
        }
    }
    println!("{}", serde_json::to_string(&changed)?);
    Ok(ExitCode::SUCCESS)
}

/// What differs from a commit.
struct Change {
    files: Vec<String>,
    lock_before: Lock,
    lock_now: Lock,
}

impl Change {
    /// A commit that is not there is no base to compare with.
    fn read(root: &Path, since: &str) -> anyhow::Result<Option<Self>> {
        let commit = format!("{since}^{{commit}}");
        if git(
            root,
            &[
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &commit,
            ],
        )
        .is_err()
        {
            eprintln!("{since} is no commit that is here: everything counts as changed");
            return Ok(None);
        }
        let names = git(
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
        let lock = |commit: &str| -> anyhow::Result<Lock> {
            Ok(toml::from_str(&git(
                root,
                &["show", &format!("{commit}:{LOCK}")],
            )?)?)
        };
        Ok(Some(Self {
            files: names.split_terminator('\0').map(str::to_owned).collect(),
            lock_before: lock(since)?,
            lock_now: lock("HEAD")?,
        }))
    }
}

fn git(root: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .current_dir(root)
        .args(args)
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!(
            "git {} failed: {}",
            args[0],
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The packages that Cargo resolved everything to.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
    /// Names, with a version where there are several.
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Lock {
    /// What packages are made of, down to the last.
    fn behind(
        &self,
        roots: &BTreeSet<String>,
        packages: &Packages,
    ) -> BTreeSet<(&str, &str, Option<&str>)> {
        let mut open: Vec<_> = roots.iter().filter_map(|name| self.find(name)).collect();
        let mut found = BTreeSet::new();
        while let Some(locked) = open.pop() {
            if found.insert((&*locked.name, &*locked.version, locked.checksum.as_deref())) {
                let made_of = locked
                    .dependencies
                    .iter()
                    .filter(|name| packages.is_made_of(&locked.name, name));
                open.extend(made_of.filter_map(|name| self.find(name)));
            }
        }
        found
    }

    fn find(&self, dependency: &str) -> Option<&Locked> {
        let mut words = dependency.split(' ');
        let (name, version) = (words.next()?, words.next());
        self.package.iter().find(|locked| {
            locked.name == name && version.is_none_or(|version| locked.version == version)
        })
    }
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

    fn is_concerned(&self, packages: &Packages, change: &Change) -> bool {
        let folders = packages.folders_behind(&self.packages);
        let is_inside = |file: &String| {
            folders
                .iter()
                .any(|folder| Path::new(file).starts_with(folder))
        };
        let is_watched = |file: &String| {
            self.watched
                .iter()
                .any(|beginning| file.starts_with(beginning.as_str()))
        };
        change
            .files
            .iter()
            .any(|file| is_inside(file) || is_watched(file))
            || change.lock_before.behind(&self.packages, packages)
                != change.lock_now.behind(&self.packages, packages)
    }
}

/// The packages of the workspace, and what they are made of.
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
            let built_in = package
                .dependencies
                .into_iter()
                .filter(|dependency| dependency.kind.as_deref() != Some("dev"));
            let made_of = built_in.map(|dependency| dependency.name).collect();
            packages.insert(package.name, Package { folder, made_of });
        }
        Ok(Self(packages))
    }

    /// Whether a package needs another for what it gives. Of those outside the workspace the lock file says just that.
    fn is_made_of(&self, name: &str, dependency: &str) -> bool {
        let dependency = dependency.split(' ').next().unwrap_or_default();
        self.0
            .get(name)
            .is_none_or(|package| package.made_of.iter().any(|part| part == dependency))
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
            {"name": "souk-chassis", "kind": null},
            {"name": "souk-contracts", "kind": "dev"},
            {"name": "serde", "kind": null}]},
        {"name": "provider-sandbox", "manifest_path": "/souk/components/providers/sandbox/Cargo.toml", "dependencies": []},
        {"name": "souk-chassis", "manifest_path": "/souk/crates/chassis/Cargo.toml", "dependencies": [
            {"name": "souk-tokens", "kind": null}]},
        {"name": "souk-contracts", "manifest_path": "/souk/crates/contracts/Cargo.toml", "dependencies": []},
        {"name": "souk-tokens", "manifest_path": "/souk/crates/tokens/Cargo.toml", "dependencies": [{"name": "hmac", "kind": null}]}]}"#;

    const MANIFEST: &str = r#"
        [component.payments.build]
        command = "cargo build --release --target wasm32-wasip1 -p payments"
        watch = ["Cargo.toml", "components/payments/**/*", "crates/**/*", "wit/payment/*"]
        [component.provider-sandbox.build]
        command = "cargo build --release --target wasm32-wasip1 -p provider-sandbox""#;

    const LOCKED: &str = r#"
        [[package]]
        name = "payments"
        version = "0.1.0"
        dependencies = ["serde 1.0.0", "souk-chassis", "souk-contracts"]
        [[package]]
        name = "souk-chassis"
        version = "0.1.0"
        dependencies = ["souk-tokens"]
        [[package]]
        name = "souk-tokens"
        version = "0.1.0"
        dependencies = ["hmac"]
        [[package]]
        name = "souk-contracts"
        version = "0.1.0"
        dependencies = ["jsonschema"]
        [[package]]
        name = "serde"
        version = "0.9.0"
        checksum = "a"
        [[package]]
        name = "serde"
        version = "1.0.0"
        checksum = "b"
        [[package]]
        name = "hmac"
        version = "0.12.0"
        checksum = "c"
        [[package]]
        name = "jsonschema"
        version = "0.61.0"
        checksum = "d""#;

    fn is_concerned(file: &str, lock_now: &str) -> bool {
        let change = Change {
            files: vec!["README.md".into(), file.into()],
            lock_before: toml::from_str(LOCKED).unwrap(),
            lock_now: toml::from_str(lock_now).unwrap(),
        };
        let packages = Packages::parse(METADATA.as_bytes()).unwrap();
        Build::parse(MANIFEST)
            .unwrap()
            .is_concerned(&packages, &change)
    }

    fn concerns(file: &str) -> bool {
        is_concerned(file, LOCKED)
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
    fn everybody_is_concerned_by_what_everything_is_built_with() {
        assert!(concerns("Cargo.toml"));
        assert!(!concerns("docs/operations.md"));
    }

    #[test]
    fn a_service_is_concerned_by_another_version_of_what_it_is_made_of() {
        let update = |from: &str, to: &str| is_concerned(LOCK, &LOCKED.replace(from, to));
        assert!(update("\"b\"", "\"other\""), "serde, as another package");
        assert!(
            update("0.12.0", "0.12.1"),
            "hmac, through the chassis and the tokens"
        );
        assert!(!update("\"a\"", "\"other\""), "another serde");
        assert!(!update("0.61.0", "0.61.1"), "only its tests use that");
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
