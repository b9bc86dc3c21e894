//! `cargo xtask clean-state`: forgets all data of the local shop.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    args.expect_none()?;
    let state = Workspace::load()?.state_dir();
    if !state.exists() {
        println!("there is no {}, nothing to remove", state.display());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(pid) = user_of(&state) {
        bail!(
            "process {pid} has files open in {}: close the shop first",
            state.display()
        );
    }
    let (files, bytes) = size(&state)?;
    fs::remove_dir_all(&state).with_context(|| state.display().to_string())?;
    println!(
        "removed {}: {files} files, {} kB",
        state.display(),
        bytes.div_ceil(1000)
    );
    Ok(ExitCode::SUCCESS)
}

/// A process with an open file in a folder. Found where there is /proc; elsewhere nobody is known to use it.
fn user_of(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let uses_it = |process: &PathBuf| {
        let Ok(files) = fs::read_dir(process.join("fd")) else {
            return false;
        };
        files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|open| open.starts_with(&dir)))
    };
    let user = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(uses_it)?;
    Some(user.file_name()?.to_string_lossy().into_owned())
}

/// The number of files and bytes in a folder.
fn size(dir: &Path) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            let inside = size(&entry.path())?;
            files += inside.0;
            bytes += inside.1;
        } else {
            files += 1;
            bytes += meta.len();
        }
    }
    Ok((files, bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_known() {
        let dir = std::env::temp_dir().join(format!("souk-xtask-state-{}", std::process::id()));
        fs::create_dir_all(dir.join("logs")).unwrap();
        fs::write(dir.join("logs/gateway_stdout.txt"), "hello").unwrap();
        assert_eq!(size(&dir).unwrap(), (1, 5));
        assert_eq!(user_of(&dir), None);
        let open = fs::File::open(dir.join("logs/gateway_stdout.txt")).unwrap();
        if Path::new("/proc/self/fd").exists() {
            assert!(user_of(&dir).is_some());
        }
        drop(open);
        fs::remove_dir_all(&dir).unwrap();
    }
}
