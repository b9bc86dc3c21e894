//! `files`: read-only directories of the manifest, mounted into the guest.

use crate::manifest::FileMount;
use crate::problems::Problems;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// A directory and where the guest sees it.
#[derive(Debug)]
pub struct Mount {
    source: PathBuf,
    destination: String,
}

/// A component's mounts; shared by its instances.
pub type Mounts = Arc<[Mount]>;

/// Phase one: every source must be a directory.
///
/// # Errors
/// Each source that is not.
pub fn grant(mounts: &[FileMount], manifest_dir: &Path) -> Result<Mounts, Problems> {
    let mut problems = Problems::default();
    let mut granted = Vec::new();
    for mount in mounts {
        let FileMount::Mount {
            source,
            destination,
        } = mount
        else {
            continue; // patterns were refused when the manifest was read
        };
        let source = manifest_dir.join(source);
        if !source.is_dir() {
            problems.push(format!("files: {} is not a directory", source.display()));
        }
        granted.push(Mount {
            source,
            destination: destination.to_string_lossy().into_owned(),
        });
    }
    problems.into_result(granted.into())
}

/// Phase three: opens the mounts for one instance.
///
/// # Errors
/// When a directory has gone since the start.
pub fn mount(mounts: &Mounts, wasi: &mut WasiCtxBuilder) -> wasmtime::Result<()> {
    for mount in mounts.iter() {
        wasi.preopened_dir(&mount.source, &mount.destination, FsPerms::ReadOnly)?;
    }
    Ok(())
}
