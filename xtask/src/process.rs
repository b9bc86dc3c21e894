//! Running other programs: Cargo with a clean environment, steps that say they are alive, steps with a time limit.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, bail};

/// The Cargo that runs this program, so that its toolchain (`cargo +nightly xtask ...`) is used throughout.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_this_package(&mut cargo);
    cargo
}

/// Removes what `cargo run` says about *this* package. Build scripts that watch these variables (ring's does) would
/// otherwise run again at each change between `cargo build` and `cargo xtask build`.
pub fn forget_this_package(command: &mut Command) {
    const OURS: [&str; 5] = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ];
    for (name, _) in env::vars_os() {
        if OURS
            .iter()
            .any(|ours| name.to_string_lossy().starts_with(ours))
        {
            command.env_remove(name);
        }
    }
}

/// Runs a step to its end; `what` names it in messages ("building the host").
pub fn run(what: &str, command: &mut Command) -> anyhow::Result<()> {
    let _alive = Heartbeat::start(what);
    let status = command
        .status()
        .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

/// Runs a program for its standard output.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {program:?}"))?;
    if !output.status.success() {
        bail!(
            "{program:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits for a child at most `limit`; then it is killed, and there is no status.
pub fn wait_at_most(child: &mut Child, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The first of these programs that is on the PATH.
pub fn on_path(programs: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    programs
        .iter()
        .flat_map(|program| dirs.iter().map(move |dir| dir.join(program)))
        .find(|file| is_executable(file))
}

fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether a command succeeds; what it prints does not matter.
pub fn succeeds(program: impl AsRef<OsStr>, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Prints a line every 30 s while a long step runs and nobody watches a progress bar (a log of CI).
pub struct Heartbeat {
    _stopped_when_dropped: Option<mpsc::Sender<()>>,
}

impl Heartbeat {
    /// Starts it; dropping it is its end.
    pub fn start(what: &str) -> Self {
        if std::io::stderr().is_terminal() {
            return Self {
                _stopped_when_dropped: None,
            };
        }
        let (stop, stopped) = mpsc::channel::<()>();
        let (what, started) = (what.to_owned(), Instant::now());
        thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(30)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("... {what}, {} s so far", started.elapsed().as_secs());
            }
        });
        Self {
            _stopped_when_dropped: Some(stop),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(
            wait_at_most(&mut child, Duration::from_millis(200)).unwrap(),
            None
        );
        assert!(child.try_wait().unwrap().is_some());
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(on_path(&["no-such-program", "sh"]).unwrap().ends_with("sh"));
        assert_eq!(on_path(&["no-such-program"]), None);
    }

    #[test]
    fn failures_name_the_step() {
        let error = run("testing failure", &mut Command::new("false")).unwrap_err();
        assert!(
            error.to_string().starts_with("testing failure failed"),
            "{error}"
        );
    }
}
