//! `cargo xtask build`: the components, the fixtures of the tests, the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use lexopt::ValueExt;

use crate::process;
use crate::toolchain::Toolchain;
use crate::workspace::{HOST, Package, Workspace};

/// The Cargo profile of the host that people use; see the root Cargo.toml.
pub const HOST_PROFILE: &str = "host";

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let mut named = Vec::new();
    let mut parser = lexopt::Parser::from_args(args.own);
    while let Some(arg) = parser.next()? {
        let lexopt::Arg::Value(what) = arg else {
            return Err(arg.unexpected().into());
        };
        named.push(what.string()?);
    }
    if let Some(unknown) = named
        .iter()
        .find(|name| !["components", "fixtures", "host"].contains(&name.as_str()))
    {
        bail!("build knows components, fixtures and host, not {unknown:?}");
    }
    let wanted = |what: &str| named.is_empty() || named.iter().any(|name| name == what);

    let workspace = Workspace::load()?;
    if wanted("components") {
        components(&workspace)?;
    }
    if wanted("fixtures") {
        fixtures(&workspace)?;
    }
    if wanted("host") {
        host(&workspace, HOST_PROFILE)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the components of the shop.
pub fn components(workspace: &Workspace) -> anyhow::Result<()> {
    modules(workspace, "components", &workspace.components(), "--lib")
}

/// Builds the fixtures of the tests. Not in one call with the components: examples are built with the
/// dev-dependencies of every package in the call, and those of the components are for native tests only.
pub fn fixtures(workspace: &Workspace) -> anyhow::Result<()> {
    modules(workspace, "fixtures", &workspace.fixtures(), "--examples")
}

/// Builds the host and says where its binary is.
pub fn host(workspace: &Workspace, profile: &str) -> anyhow::Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["build", "--profile", profile, "-p", HOST]);
    process::run("building the host", &mut cargo)?;
    Ok(workspace.host_binary(profile))
}

/// Builds Wasm packages in one call of Cargo and puts them where the manifests expect them.
fn modules(
    workspace: &Workspace,
    what: &str,
    packages: &[&Package],
    targets: &str,
) -> anyhow::Result<()> {
    // Without a -p, Cargo would build everything.
    if packages.is_empty() {
        return Ok(());
    }
    let mut cargo = Toolchain::provide()?.cargo();
    cargo.current_dir(&workspace.root).arg(targets);
    for package in packages {
        cargo.args(["-p", &package.name]);
    }
    process::run(&format!("building the {what}"), &mut cargo)?;

    let (built, expected) = (workspace.built_modules(), workspace.expected_modules());
    if built != expected {
        for module in packages.iter().flat_map(|package| &package.modules) {
            copy_if_changed(&built.join(module), &expected.join(module))?;
        }
    }
    Ok(())
}

/// Copies in one step, so that a host which starts meanwhile reads the old module or the new one.
fn copy_if_changed(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = fs::read(from).with_context(|| format!("{} was not built", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().context("a module has a folder")?)?;
    let unfinished = to.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&unfinished, new)?;
    fs::rename(&unfinished, to)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_copied() {
        let dir = std::env::temp_dir().join(format!("souk-xtask-copy-{}", std::process::id()));
        let (from, to) = (dir.join("a.wasm"), dir.join("deep/a.wasm"));
        fs::create_dir_all(&dir).unwrap();

        fs::write(&from, "one").unwrap();
        copy_if_changed(&from, &to).unwrap();
        let copied = fs::metadata(&to).unwrap().modified().unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), copied);

        fs::write(&from, "two").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
        assert_eq!(
            fs::read_dir(dir.join("deep")).unwrap().count(),
            1,
            "no unfinished file stays"
        );
        fs::remove_dir_all(&dir).unwrap();
    }
}
