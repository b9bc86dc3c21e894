//! The runtime configuration: what stands behind the labels a manifest grants.
//!
//! Paths are resolved as Spin does: those of SQLite databases against the working directory,
//! those of key-value stores against the folder of the configuration file, and the two
//! `default` labels to files in the state directory.

use crate::capabilities::redis::Address;
use crate::capabilities::sqlite::libsql::Endpoint;
use crate::manifest::toml_problem;
use crate::problems::Problems;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// File of the `default` key-value store in the state directory, as Spin names it.
const DEFAULT_KEY_VALUE_FILE: &str = "sqlite_key_value.db";
/// File of the `default` SQLite database in the state directory, as Spin names it.
const DEFAULT_SQLITE_FILE: &str = "sqlite_db.db";

/// Where state lives, by kind and label.
pub struct RuntimeConfig {
    /// The folder for state, logs and the default stores.
    pub state_dir: PathBuf,
    /// SQLite databases, by label.
    pub sqlite: BTreeMap<String, SqliteBackend>,
    /// Key-value stores, by label.
    pub key_value: BTreeMap<String, KeyValueBackend>,
}

/// Where a SQLite database is.
pub enum SqliteBackend {
    /// In a file.
    File(PathBuf),
    /// On a libSQL server.
    Libsql(Endpoint),
}

/// Where a key-value store is.
pub enum KeyValueBackend {
    /// In a SQLite file.
    File(PathBuf),
    /// In a database of a Redis server.
    Redis(Address),
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

/// A backend table: the fields that its `type` has.
#[derive(Deserialize)]
struct Backend {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    fields: toml::Table,
}

/// Fields of the type `spin`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpinFields {
    path: PathBuf,
}

/// Fields of the type `redis`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisFields {
    url: String,
}

/// Fields of the type `libsql`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibsqlFields {
    url: String,
    token: String,
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
        let mut sqlite = BTreeMap::new();
        for (label, backend) in parsed.sqlite_database {
            match backend.sqlite() {
                Ok(backend) => _ = sqlite.insert(label, backend),
                Err(why) => problems.push(format!(
                    "{}: sqlite_database.{label}: {why}",
                    shown.display()
                )),
            }
        }
        let mut key_value = BTreeMap::new();
        for (label, backend) in parsed.key_value_store {
            match backend.key_value(config_dir) {
                Ok(backend) => _ = key_value.insert(label, backend),
                Err(why) => problems.push(format!(
                    "{}: key_value_store.{label}: {why}",
                    shown.display()
                )),
            }
        }
        sqlite
            .entry("default".into())
            .or_insert_with(|| SqliteBackend::File(state_dir.join(DEFAULT_SQLITE_FILE)));
        key_value
            .entry("default".into())
            .or_insert_with(|| KeyValueBackend::File(state_dir.join(DEFAULT_KEY_VALUE_FILE)));
        problems.into_result(Self {
            state_dir,
            sqlite,
            key_value,
        })
    }
}

impl Backend {
    fn sqlite(self) -> Result<SqliteBackend, String> {
        match self.kind.as_str() {
            "spin" => Ok(SqliteBackend::File(self.read::<SpinFields>()?.path)),
            "libsql" => {
                let LibsqlFields { url, token } = self.read()?;
                Endpoint::parse(&url, &token).map(SqliteBackend::Libsql)
            }
            _ => Err(self.unsupported("\"spin\" with a path, or \"libsql\" with url and token")),
        }
    }

    fn key_value(self, base: &Path) -> Result<KeyValueBackend, String> {
        match self.kind.as_str() {
            "spin" => {
                let SpinFields { path } = self.read()?;
                Ok(KeyValueBackend::File(base.join(path)))
            }
            "redis" => {
                let RedisFields { url } = self.read()?;
                // It may have a password, so it is not shown.
                Address::parse(&url).map(KeyValueBackend::Redis).ok_or_else(|| {
                    "url is no address of a Redis server; write redis://[user:password@]host[:port][/database]".into()
                })
            }
            _ => Err(self.unsupported("\"spin\" with a path, or \"redis\" with a url")),
        }
    }

    fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        let fields = self.fields.try_into::<T>();
        fields.map_err(|error| format!("type = {:?}: {}", self.kind, error.message()))
    }

    fn unsupported(&self, supported: &str) -> String {
        let kind = &self.kind;
        format!("type = {kind:?} is not supported by this host; use type = {supported}")
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
        let SqliteBackend::File(sqlite) = &config.sqlite["default"] else {
            panic!("no file");
        };
        assert_eq!(sqlite, Path::new("app/.spin/sqlite_db.db"));
        let KeyValueBackend::File(key_value) = &config.key_value["default"] else {
            panic!("no file");
        };
        assert_eq!(key_value, Path::new("app/.spin/sqlite_key_value.db"));
    }

    #[test]
    fn servers_have_the_fields_that_spin_gives_them() {
        let config = load(
            "[sqlite_database.a]\ntype = \"libsql\"\nurl = \"http://a:1\"\ntoken = \"\"\n[key_value_store.b]\ntype = \"redis\"\nurl = \"redis://:secret@b/1\"\n",
        )
        .unwrap();
        assert!(matches!(config.sqlite["a"], SqliteBackend::Libsql(_)));
        assert!(matches!(config.key_value["b"], KeyValueBackend::Redis(_)));
    }

    /// The one line about one table.
    fn problem(table: &str) -> String {
        let problem = load(table).err().unwrap().to_string();
        assert_eq!(problem.lines().count(), 1, "{problem}");
        problem
    }

    #[test]
    fn what_is_wrong_with_a_server_is_said_and_secrets_are_not() {
        let wrong = problem("[key_value_store.b]\ntype = \"redis\"\nurl = \"http://:secret@b\"\n");
        assert!(
            wrong.contains("key_value_store.b: url is no address"),
            "{wrong}"
        );
        assert!(!wrong.contains("secret"), "{wrong}");
        let missing = problem("[sqlite_database.a]\ntype = \"libsql\"\nurl = \"http://a\"\n");
        assert!(missing.contains("missing field `token`"), "{missing}");
        let unknown = problem("[sqlite_database.a]\ntype = \"spin\"\npath = \"p\"\nurl = \"u\"\n");
        assert!(unknown.contains("unknown field `url`"), "{unknown}");
        let wrong =
            problem("[sqlite_database.a]\ntype = \"libsql\"\nurl = \"libsql://a\"\ntoken = \"\"\n");
        assert!(
            wrong.contains("sqlite_database.a: url is no address"),
            "{wrong}"
        );
    }

    #[test]
    fn unsupported_types_are_refused_by_name_together() {
        let error = load(
            "[sqlite_database.a]\ntype = \"redis\"\nurl = \"u\"\n[key_value_store.b]\ntype = \"azure_cosmos\"\nkey = \"k\"\n",
        )
        .err()
        .unwrap()
        .to_string();
        assert!(
            error.contains("sqlite_database.a: type = \"redis\""),
            "{error}"
        );
        assert!(
            error.contains("key_value_store.b: type = \"azure_cosmos\""),
            "{error}"
        );
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let config = RuntimeConfig::load(None, Some(Path::new("state")), Path::new("app")).unwrap();
        assert_eq!(config.state_dir, Path::new("state"));
    }
}
