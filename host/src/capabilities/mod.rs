//! What the host lets a component do, one module per capability.
//!
//! Each goes through the same three phases: what the manifest *grants* (checked at start),
//! what the runtime configuration *provides* (opened at start, shared by all instances), and
//! what an *instance* sees (its own handles, and nothing it was not granted).

pub mod allowed_hosts;
pub mod faults;
pub mod files;
pub mod key_value;
pub mod outbound_http;
pub mod redis;
pub mod sqlite;
pub mod stdio;
pub mod variables;

use crate::problems::Problems;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The labels a component may open.
pub type Labels = Arc<BTreeSet<String>>;

/// Phase one for labelled stores: every label the manifest grants must have a backend.
fn grant_labels<B>(
    field: &str,
    table: &str,
    granted: &[String],
    backends: &BTreeMap<String, B>,
) -> Result<Labels, Problems> {
    let mut problems = Problems::default();
    for label in granted
        .iter()
        .filter(|label| !backends.contains_key(*label))
    {
        problems.push(format!(
            "{field}: no backend for the label {label:?}; add [{table}.{label}] to the runtime config file and name that file with --runtime-config-file"
        ));
    }
    problems.into_result(Arc::new(granted.iter().cloned().collect()))
}

/// Phase two for labelled stores: opens those that some component may use.
fn open_used<B, T>(
    used: &[&Labels],
    config: &BTreeMap<String, B>,
    open: impl Fn(&str, &B) -> Result<T, Problems>,
) -> Result<BTreeMap<String, T>, Problems> {
    let mut problems = Problems::default();
    let mut opened = BTreeMap::new();
    for (label, backend) in config {
        if !used.iter().any(|labels| labels.contains(label)) {
            continue;
        }
        if let Some(store) = problems.collect(open(label, backend)) {
            opened.insert(label.clone(), store);
        }
    }
    problems.into_result(opened)
}

/// Makes the folder a database file goes into.
fn ensure_parent(path: &Path) -> Result<(), Problems> {
    let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(parent).map_err(|e| {
        Problems::one(format!(
            "cannot create the folder {}: {e}",
            parent.display()
        ))
    })
}
