//! What is in the workspace, as Cargo sees it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::process;

/// The target our components are built for.
pub const WASM: &str = "wasm32-wasip1";
/// The package of the host; its binary is `souk`.
pub const HOST: &str = "souk-host";
/// The package that drives the shop from outside.
pub const TESTS: &str = "souk-tests";
/// The package of the benchmarks.
pub const BENCH: &str = "souk-bench";
/// The package that checks `infra/`.
pub const INFRA: &str = "souk-infra";

/// The workspace around the current directory.
pub struct Workspace {
    /// The root of the repository.
    pub root: PathBuf,
    /// Where Cargo and we put what is made.
    pub target_dir: PathBuf,
    packages: Vec<Package>,
}

/// A package of the workspace.
pub struct Package {
    pub name: String,
    /// Its folder, relative to the root.
    pub dir: PathBuf,
    /// File names of the Wasm modules it gives, relative to `target/wasm32-wasip1/release`.
    pub modules: Vec<PathBuf>,
}

impl Workspace {
    /// Asks `cargo metadata`, which only reads manifests here: nothing is built or downloaded.
    pub fn load() -> anyhow::Result<Self> {
        let text = process::output(process::cargo().args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
        ]))?;
        Self::parse(&text)
    }

    fn parse(metadata: &str) -> anyhow::Result<Self> {
        let metadata: Value =
            serde_json::from_str(metadata).context("`cargo metadata` gave no JSON")?;
        let root = PathBuf::from(text(&metadata["workspace_root"])?);
        let packages = list(&metadata["packages"])?;
        let packages = packages
            .iter()
            .map(|package| Package::parse(&root, package))
            .collect::<anyhow::Result<_>>()?;
        let target_dir = PathBuf::from(text(&metadata["target_directory"])?);
        Ok(Self {
            root,
            target_dir,
            packages,
        })
    }

    /// The microservices, and what is joined to them: packages under `components/` that give a Wasm module.
    pub fn components(&self) -> Vec<&Package> {
        self.modules_under("components")
    }

    /// The small components the host is tested with.
    pub fn fixtures(&self) -> Vec<&Package> {
        self.modules_under("tests/fixtures")
    }

    fn modules_under(&self, dir: &str) -> Vec<&Package> {
        self.packages
            .iter()
            .filter(|package| package.dir.starts_with(dir) && !package.modules.is_empty())
            .collect()
    }

    /// Where Cargo puts Wasm modules.
    pub fn built_modules(&self) -> PathBuf {
        self.target_dir.join(WASM).join("release")
    }

    /// Where the manifests expect them; elsewhere than Cargo puts them if the target directory is set.
    pub fn expected_modules(&self) -> PathBuf {
        self.root.join("target").join(WASM).join("release")
    }

    /// The host's binary when built with this Cargo profile.
    pub fn host_binary(&self, profile: &str) -> PathBuf {
        let dir = if profile == "dev" { "debug" } else { profile };
        self.target_dir.join(dir).join("souk")
    }

    /// The data of the local shop.
    pub fn state_dir(&self) -> PathBuf {
        self.root.join(".spin")
    }
}

impl Package {
    fn parse(root: &Path, package: &Value) -> anyhow::Result<Self> {
        let manifest = Path::new(text(&package["manifest_path"])?);
        let dir = manifest.parent().unwrap_or(root);
        let mut modules = Vec::new();
        for target in list(&package["targets"])? {
            if list(&target["crate_types"])?
                .iter()
                .any(|kind| kind == "cdylib")
            {
                modules.push(module_file(target)?);
            }
        }
        Ok(Self {
            name: text(&package["name"])?.to_owned(),
            dir: dir.strip_prefix(root).unwrap_or(dir).to_owned(),
            modules,
        })
    }
}

/// Cargo names the file of a library, also of one that is an example, with underscores.
fn module_file(target: &Value) -> anyhow::Result<PathBuf> {
    let file = format!("{}.wasm", text(&target["name"])?.replace('-', "_"));
    let is_example = list(&target["kind"])?.iter().any(|kind| kind == "example");
    Ok(if is_example {
        Path::new("examples").join(file)
    } else {
        file.into()
    })
}

fn text(value: &Value) -> anyhow::Result<&str> {
    value.as_str().context("`cargo metadata` lacks a field")
}

fn list(value: &Value) -> anyhow::Result<&Vec<Value>> {
    match value.as_array() {
        Some(list) => Ok(list),
        None => bail!("`cargo metadata` lacks a list"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "workspace_root": "/souk", "target_directory": "/elsewhere", "packages": [
          {"name": "products", "manifest_path": "/souk/components/products/Cargo.toml", "targets": [
            {"name": "products", "kind": ["cdylib", "rlib"], "crate_types": ["cdylib", "rlib"]}]},
          {"name": "fixtures", "manifest_path": "/souk/tests/fixtures/Cargo.toml", "targets": [
            {"name": "key-value", "kind": ["example"], "crate_types": ["cdylib"]}]},
          {"name": "souk-store", "manifest_path": "/souk/crates/store/Cargo.toml", "targets": [
            {"name": "souk_store", "kind": ["lib"], "crate_types": ["lib"]}]}]}"#;

    #[test]
    fn wasm_packages_are_told_from_the_rest() {
        let workspace = Workspace::parse(METADATA).unwrap();
        let [products] = workspace.components()[..] else {
            panic!("one component")
        };
        assert_eq!(products.modules, [Path::new("products.wasm")]);
        let [fixtures] = workspace.fixtures()[..] else {
            panic!("one package of fixtures")
        };
        assert_eq!(fixtures.modules, [Path::new("examples/key_value.wasm")]);
    }

    #[test]
    fn modules_are_expected_under_the_root_wherever_cargo_puts_them() {
        let workspace = Workspace::parse(METADATA).unwrap();
        assert_eq!(
            workspace.built_modules(),
            Path::new("/elsewhere/wasm32-wasip1/release")
        );
        assert_eq!(
            workspace.expected_modules(),
            Path::new("/souk/target/wasm32-wasip1/release")
        );
        assert_eq!(
            workspace.host_binary("dev"),
            Path::new("/elsewhere/debug/souk")
        );
    }
}
