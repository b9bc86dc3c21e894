//! The Rust toolchain that builds for wasm32-wasip1: found, or else provided.
//!
//! Normally that is the active toolchain with the target added by rustup. Where rustup cannot reach its server, Debian's
//! packages do as well: their compiler, the standard library built from their source, and lld as the linker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::bail;

use crate::workspace::WASM;
use crate::{apt, process};

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";
const DEBIAN_PACKAGES: [&str; 6] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "libstd-rust-web-dev",
    "lld-22",
    "wasi-libc",
];

/// How long rustup may take: without a network it waits for ever.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// A way to build for Wasm.
#[derive(Debug)]
pub enum Toolchain {
    /// The active toolchain has the target.
    Active,
    /// Debian's packages, with this linker.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// What is there already. Debian's is asked for second, so that an installed target always wins.
    pub fn find() -> Option<Self> {
        if active_has_target() {
            Some(Self::Active)
        } else {
            debian_linker().map(|linker| Self::Debian { linker })
        }
    }

    /// What is there, or what can be installed: by rustup, else by apt-get.
    pub fn provide() -> anyhow::Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        if let Err(error) = add_target_with_rustup() {
            eprintln!("rustup could not add {WASM}: {error:#}");
            if let Err(error) = apt::install(&DEBIAN_PACKAGES) {
                eprintln!("apt-get could not install Debian's toolchain: {error:#}");
            }
        }
        match Self::find() {
            Some(found) => Ok(found),
            None => bail!("no toolchain for {WASM}: {}", Self::by_hand()),
        }
    }

    /// What to do where neither rustup nor apt-get helped.
    pub fn by_hand() -> String {
        format!(
            "run `rustup target add {WASM}`, or as root on Debian 12 `apt-get install {}`",
            DEBIAN_PACKAGES.join(" ")
        )
    }

    /// Cargo, set up to build for Wasm.
    pub fn cargo(&self) -> Command {
        let mut cargo = match self {
            Self::Active => process::cargo(),
            Self::Debian { linker } => debian_cargo(linker),
        };
        cargo.args(["build", "--release", "--target", WASM]);
        if matches!(self, Self::Debian { .. }) {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        cargo
    }

    /// For `doctor`.
    pub fn describe(&self) -> String {
        match self {
            Self::Active => format!("the active toolchain has {WASM}"),
            Self::Debian { linker } => {
                format!("Debian's packages, linking with {}", linker.display())
            }
        }
    }
}

fn active_has_target() -> bool {
    let sysroot =
        process::output(Command::new("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    has_std(
        &Path::new(sysroot.trim())
            .join("lib/rustlib")
            .join(WASM)
            .join("lib"),
    )
}

fn has_std(lib: &Path) -> bool {
    let Ok(files) = fs::read_dir(lib) else {
        return false;
    };
    files
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

/// The linker, if all the rest is there too.
fn debian_linker() -> Option<PathBuf> {
    let sysroot = process::output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"])).ok()?;
    let std_source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std");
    let wasi_libc = Path::new(DEBIAN_WASI_LIBC).join("libc.a");
    let there = Path::new(DEBIAN_CARGO).exists() && wasi_libc.exists() && std_source.exists();
    if !there || !new_enough(&rust_version(DEBIAN_RUSTC)?) {
        return None;
    }
    let llvms = fs::read_dir("/usr/lib").ok()?.flatten();
    newest_llvm(
        llvms
            .map(|dir| dir.path())
            .filter(|dir| dir.join("bin/wasm-ld").exists()),
    )
    .map(|dir| dir.join("bin/wasm-ld"))
}

fn newest_llvm(dirs: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let version = |dir: &PathBuf| {
        dir.file_name()?
            .to_str()?
            .strip_prefix("llvm-")?
            .parse::<u32>()
            .ok()
    };
    dirs.filter(|dir| version(dir).is_some())
        .max_by_key(version)
}

/// Debian's Cargo calls Debian's rustc, and hears nothing of the toolchain that runs us.
fn debian_cargo(linker: &Path) -> Command {
    let mut cargo = Command::new(DEBIAN_CARGO);
    process::forget_this_package(&mut cargo);
    for name in [
        "CARGO",
        "CARGO_ENCODED_RUSTFLAGS",
        "LD_LIBRARY_PATH",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
    ] {
        cargo.env_remove(name);
    }
    // Its compiler calls itself stable; -Zbuild-std needs this.
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", DEBIAN_RUSTC)
        .env(
            "RUSTFLAGS",
            format!(
                "-L native={DEBIAN_WASI_LIBC} -C link-self-contained=no -C linker={}",
                linker.display()
            ),
        );
    cargo
}

fn add_target_with_rustup() -> anyhow::Result<()> {
    if process::on_path(&["rustup"]).is_none() {
        bail!("there is no rustup");
    }
    eprintln!(
        "rustup target add {WASM} (at most {} s)",
        RUSTUP_LIMIT.as_secs()
    );
    let mut rustup = Command::new("rustup")
        .args(["target", "add", WASM])
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .spawn()?;
    match process::wait_at_most(&mut rustup, RUSTUP_LIMIT)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("it failed ({status})"),
        None => bail!("it did not finish in {} s", RUSTUP_LIMIT.as_secs()),
    }
}

/// `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`.
pub fn rust_version(rustc: &str) -> Option<String> {
    let version = process::output(Command::new(rustc).arg("--version")).ok()?;
    version.split_whitespace().nth(1).map(str::to_owned)
}

/// Whether a compiler satisfies the `rust-version` of the workspace.
pub fn new_enough(version: &str) -> bool {
    numbers(version) >= numbers(env!("CARGO_PKG_RUST_VERSION"))
}

fn numbers(version: &str) -> Vec<u32> {
    // A pre-release (1.97.0-nightly) counts as its release.
    version
        .split('-')
        .next()
        .unwrap_or_default()
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("1.100.0") > numbers("1.95"));
        assert!(numbers("1.95.0") >= numbers("1.95"));
        assert!(numbers("1.63.0") < numbers("1.95"));
        assert_eq!(numbers("1.97.0-nightly"), [1, 97, 0]);
    }

    #[test]
    fn the_newest_linker_is_taken() {
        let dirs = [
            "/usr/lib/llvm-9",
            "/usr/lib/llvm-22",
            "/usr/lib/llvm-14",
            "/usr/lib/llvm",
        ]
        .map(PathBuf::from);
        assert_eq!(
            newest_llvm(dirs.into_iter()).unwrap(),
            Path::new("/usr/lib/llvm-22")
        );
    }

    #[test]
    fn debian_is_called_without_the_outer_toolchain() {
        let cargo = debian_cargo(Path::new("/usr/lib/llvm-22/bin/wasm-ld"));
        let removed: Vec<_> = cargo
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name)
            .collect();
        for name in [
            "CARGO",
            "RUSTUP_TOOLCHAIN",
            "LD_LIBRARY_PATH",
            "CARGO_PKG_NAME",
        ] {
            assert!(
                removed.iter().any(|removed| *removed == name),
                "{name} is passed on"
            );
        }
        assert!(
            cargo
                .get_envs()
                .any(|(name, value)| name == "RUSTC" && value == Some(DEBIAN_RUSTC.as_ref()))
        );
    }
}
