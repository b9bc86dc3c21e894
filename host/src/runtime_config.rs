//! The runtime configuration: what stands behind the labels a manifest grants.
//!
//! Paths are resolved as Spin does: those of SQLite databases against the working directory,
//! those of key-value stores against the folder of the configuration file, and the two
//! `default` labels to files in the state directory.

use crate::manifest::toml_problem;
use crate::problems::Problems;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// File of the `default` key-value store in the state directory, as Spin names it.
const DEFAULT_KEY_VALUE_FILE: &str = "sqlite_key_value.db";
/// File of the `default` SQLite database in the state directory, as Spin names it.
const DEFAULT_SQLITE_FILE: &str = "sqlite_db.db";

/// Where state lives, by kind and label.
#[derive(Debug)]
pub struct RuntimeConfig {
    /// The folder for state, logs and the default stores.
    pub state_dir: PathBuf,
    /// SQLite database files, by label.
    pub sqlite: BTreeMap<String, PathBuf>,
    /// Key-value store files, by label.
    pub key_value: BTreeMap<String, PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    state_dir: Option<PathBuf>,
    #[serde(default)]
    sqlite_database: BTreeMap<String, Backend>,
    #[serde(default)]
    key_value_store: BTreeMap<String, Backend>,
}

/// A backend table; fields of other types are kept only to be refused with their type.
#[derive(Deserialize)]
struct Backend {
    #[serde(rename = "type")]
    kind: String,
    path: Option<PathBuf>,
    #[serde(flatten)]
    other: BTreeMap<String, toml::Value>,
}

impl RuntimeConfig {
    /// Reads `file` (or nothing), with `state_dir` of the command line over the file's, else
    /// `.spin` beside the manifest.
    ///
    /// # Errors
    /// Every table that cannot be used, by name.
    pub fn load(
        file: Option<&Path>,
        state_dir: Option<&Path>,
        manifest_dir: &Path,
    ) -> Result<Self, Problems> {
        let (parsed, shown) = match file {
            None => (File::default(), PathBuf::new()),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    Problems::one(format!(
                        "cannot read the runtime config file {}: {e}",
                        path.display()
                    ))
                })?;
                let parsed = toml::from_str(&text)
                    .map_err(|e| Problems::one(toml_problem(path, &text, &e)))?;
                (parsed, path.to_owned())
            }
        };
        let state_dir = state_dir
            .map(Path::to_owned)
            .or_else(|| parsed.state_dir.clone())
            .unwrap_or_else(|| manifest_dir.join(".spin"));
        let config_dir = shown.parent().unwrap_or(Path::new(""));

        let mut problems = Problems::default();
        let mut paths = |table: &str, backends: BTreeMap<String, Backend>, base: &Path| {
            let mut paths = BTreeMap::new();
            for (label, backend) in backends {
                match backend.path(base) {
                    Ok(path) => {
                        paths.insert(label, path);
                    }
                    Err(why) => {
                        problems.push(format!("{}: {table}.{label}: {why}", shown.display()));
                    }
                }
            }
            paths
        };
        let mut sqlite = paths("sqlite_database", parsed.sqlite_database, Path::new(""));
        let mut key_value = paths("key_value_store", parsed.key_value_store, config_dir);
        sqlite
            .entry("default".into())
            .or_insert_with(|| state_dir.join(DEFAULT_SQLITE_FILE));
        key_value
            .entry("default".into())
            .or_insert_with(|| state_dir.join(DEFAULT_KEY_VALUE_FILE));
        problems.into_result(Self {
            state_dir,
            sqlite,
            key_value,
        })
    }
}

impl Backend {
    fn path(self, base: &Path) -> Result<PathBuf, String> {
        if self.kind != "spin" {
            return Err(format!(
                "type = {:?} is not supported by this host; use type = \"spin\" with a path",
                self.kind
            ));
        }
        if let Some(field) = self.other.keys().next() {
            return Err(format!("unknown field `{field}`, expected `path`"));
        }
        match self.path {
            Some(path) => Ok(base.join(path)),
            None => Err("needs a path".into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<RuntimeConfig, Problems> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("runtime-config.toml");
        std::fs::write(&file, text).unwrap();
        RuntimeConfig::load(Some(&file), None, Path::new("app"))
    }

    #[test]
    fn default_labels_live_in_the_state_dir() {
        let config = RuntimeConfig::load(None, None, Path::new("app")).unwrap();
        assert_eq!(
            config.sqlite["default"],
            Path::new("app/.spin/sqlite_db.db")
        );
        assert_eq!(
            config.key_value["default"],
            Path::new("app/.spin/sqlite_key_value.db")
        );
    }

    #[test]
    fn unsupported_types_are_refused_by_name_together() {
        let error = load(
            "[sqlite_database.a]\ntype = \"libsql\"\nurl = \"u\"\n[key_value_store.b]\ntype = \"redis\"\nurl = \"u\"\n",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("sqlite_database.a: type = \"libsql\""),
            "{error}"
        );
        assert!(
            error.contains("key_value_store.b: type = \"redis\""),
            "{error}"
        );
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let config = RuntimeConfig::load(None, Some(Path::new("state")), Path::new("app")).unwrap();
        assert_eq!(config.state_dir, Path::new("state"));
    }
}
