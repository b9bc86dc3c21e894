//! The Spin manifest, version 2, as far as this host runs it.
//!
//! Unknown fields are errors, as in Spin. Fields of Spin that this host does not support are
//! known here so that they can be refused by name (see [`Manifest::check`]).

use crate::problems::Problems;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A whole `spin.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always 2.
    pub spin_manifest_version: u32,
    /// Who this is.
    pub application: Application,
    /// Settings an operator may give, by name.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// What starts components.
    #[serde(default)]
    pub trigger: Triggers,
    /// The components, by id.
    #[serde(default)]
    pub component: BTreeMap<String, Component>,
}

/// The `[application]` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The application's name.
    pub name: String,
    #[serde(default, rename = "version")]
    _version: IgnoredAny,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    #[serde(default, rename = "authors")]
    _authors: IgnoredAny,
    #[serde(default, rename = "trigger")]
    _trigger: IgnoredAny,
    #[serde(default, rename = "targets")]
    _targets: IgnoredAny,
    #[serde(default, rename = "tool")]
    _tool: IgnoredAny,
}

/// A variable the application defines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The value when the operator gives none.
    pub default: Option<String>,
    /// Whether the operator must give one.
    #[serde(default)]
    pub required: bool,
    /// Whether the value must not be shown; this host shows none.
    #[serde(default, rename = "secret")]
    _secret: bool,
}

/// The triggers, by type; this host has HTTP alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triggers {
    /// HTTP routes.
    #[serde(default)]
    pub http: Vec<HttpTrigger>,
}

/// One `[[trigger.http]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    /// The component that answers.
    pub component: String,
    /// Where.
    pub route: Route,
    /// How; only `{ type = "http" }` is supported.
    pub executor: Option<Executor>,
}

/// A trigger's route.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Route {
    /// A path pattern: `/exact`, `/prefix/...`, `/x/:name`.
    Public(String),
    /// Reachable by service chaining only.
    Private {
        /// Must be true.
        private: bool,
    },
}

/// A trigger's executor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Executor {
    /// `http` or (unsupported) `wagi`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One `[component.<id>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Where the Wasm is.
    pub source: Source,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    /// The component's settings: name to template.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Read-only directories.
    #[serde(default)]
    pub files: Vec<FileMount>,
    #[serde(default)]
    exclude_files: Vec<String>,
    #[serde(default)]
    allowed_http_hosts: Vec<String>,
    /// Where it may send requests.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// Key-value stores it may open, by label.
    #[serde(default)]
    pub key_value_stores: Vec<String>,
    /// SQLite databases it may open, by label.
    #[serde(default)]
    pub sqlite_databases: Vec<String>,
    #[serde(default)]
    ai_models: Vec<String>,
    #[serde(default, rename = "targets")]
    _targets: IgnoredAny,
    #[serde(default, rename = "build")]
    _build: IgnoredAny,
    #[serde(default, rename = "tool")]
    _tool: IgnoredAny,
    #[serde(default, rename = "profile")]
    _profile: IgnoredAny,
    /// Whether its dependencies may use what it was granted.
    #[serde(default)]
    pub dependencies_inherit_configuration: bool,
    /// Components that satisfy its imports.
    #[serde(default)]
    pub dependencies: BTreeMap<String, Dependency>,
}

/// Where a component's Wasm comes from.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A file, relative to the manifest.
    Path(PathBuf),
    /// A download or registry reference (unsupported).
    Remote(IgnoredAny),
}

/// One entry of `files`.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum FileMount {
    /// A directory mounted at a path.
    Mount {
        /// On the host, relative to the manifest.
        source: PathBuf,
        /// In the guest.
        destination: PathBuf,
    },
    /// A glob pattern (unsupported).
    Pattern(String),
}

/// One entry of `dependencies`.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Dependency {
    /// Another component of this application.
    Component {
        /// Its id.
        component: String,
        /// The export to use, when its name is not the import's.
        export: Option<String>,
        /// Whether it may use what its user was granted.
        #[serde(default)]
        inherit_configuration: bool,
    },
    /// A file, relative to the manifest.
    Local {
        /// The Wasm file.
        path: PathBuf,
        /// The export to use, when its name is not the import's.
        export: Option<String>,
        /// Whether it may use what its user was granted.
        #[serde(default)]
        inherit_configuration: bool,
    },
    /// From a registry or URL (unsupported).
    Remote(IgnoredAny),
}

impl Manifest {
    /// Reads a manifest file. What is in it is to be [checked](Self::check).
    ///
    /// # Errors
    /// When it cannot be read or is no manifest.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Problems::one(format!("cannot read the manifest {}: {e}", path.display()))
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Problems> {
        toml::from_str(text).map_err(|e| Problems::one(toml_problem(path, text, &e)))
    }

    /// Notes what is wrong and what this host does not support, by name.
    pub fn check(&self, path: &Path, problems: &mut Problems) {
        let file = path.display();
        if self.spin_manifest_version != 2 {
            problems.push(format!(
                "{file}: spin_manifest_version: {} is not supported; this host reads version 2",
                self.spin_manifest_version
            ));
        }
        for trigger in &self.trigger.http {
            if let Some(executor) = &trigger.executor
                && executor.kind != "http"
            {
                problems.push(format!(
                    "{file}: trigger.http of component {}: executor `{}` is not supported; only `http` is",
                    trigger.component, executor.kind
                ));
            }
            if matches!(trigger.route, Route::Private { private: false }) {
                problems.push(format!(
                    "{file}: trigger.http of component {}: route must be a path or {{ private = true }}",
                    trigger.component
                ));
            }
        }
        for (name, variable) in &self.variables {
            if variable.default.is_none() && !variable.required {
                problems.push(format!(
                    "{file}: variables.{name}: needs a default, or required = true"
                ));
            }
        }
        for (id, component) in &self.component {
            if !is_kebab_case(id) {
                problems.push(format!(
                    "{file}: component.{id:?}: an id is lower-case words joined by hyphens"
                ));
            }
            for refusal in component.unsupported() {
                problems.push(format!("{file}: component.{id}.{refusal}"));
            }
        }
    }
}

fn is_kebab_case(id: &str) -> bool {
    id.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

impl Component {
    fn unsupported(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        let mut refuse = |field: &str, why: &str| refusals.push(format!("{field}: {why}"));
        if matches!(self.source, Source::Remote(_)) {
            refuse(
                "source",
                "only a file path is supported; download the Wasm and name the file",
            );
        }
        if !self.allowed_http_hosts.is_empty() {
            refuse(
                "allowed_http_hosts",
                "not supported; use allowed_outbound_hosts",
            );
        }
        if !self.ai_models.is_empty() {
            refuse("ai_models", "not supported by this host");
        }
        if !self.exclude_files.is_empty() {
            refuse("exclude_files", "not supported by this host");
        }
        for mount in &self.files {
            if let FileMount::Pattern(pattern) = mount {
                refuse(
                    "files",
                    &format!(
                        "the pattern {pattern:?} is not supported; use {{ source, destination }}"
                    ),
                );
            }
        }
        for (name, dependency) in &self.dependencies {
            if matches!(dependency, Dependency::Remote(_)) {
                refuse(
                    &format!("dependencies.{name:?}"),
                    "only { component = ... } and { path = ... } are supported, each with export and inherit_configuration",
                );
            }
        }
        refusals
    }
}

/// A TOML error as one line that names the file and the line.
pub fn toml_problem(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let line = error
        .span()
        .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    match line {
        Some(line) => format!("{}:{line}: {}", path.display(), error.message()),
        None => format!("{}: {}", path.display(), error.message()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"x\"\n";

    fn load(body: &str) -> Result<Manifest, Problems> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spin.toml");
        std::fs::write(&file, format!("{HEAD}{body}")).unwrap();
        let manifest = Manifest::load(&file)?;
        let mut problems = Problems::default();
        manifest.check(&file, &mut problems);
        problems.into_result(manifest)
    }

    #[test]
    fn unknown_fields_are_refused_in_nested_tables_too() {
        for body in [
            "files = [{ source = \"a\", destination = \"/\", exclude = [] }]",
            "[component.a.dependencies]\n\"x:y/z\" = { path = \"p\", inherit = true }",
        ] {
            load(&format!("[component.a]\nsource = \"a.wasm\"\n{body}\n")).unwrap_err();
        }
        let route = "[[trigger.http]]\nroute = { private = true, extra = 1 }\ncomponent = \"a\"\n";
        load(&format!("{route}[component.a]\nsource = \"a.wasm\"\n")).unwrap_err();
    }

    #[test]
    fn an_id_is_kebab_case() {
        assert!(is_kebab_case("key-value2"));
        for id in ["", "A", "a_b", "a--b", "-a", "2a", "a b/../x"] {
            assert!(!is_kebab_case(id), "{id}");
        }
    }

    #[test]
    fn an_unknown_field_names_file_and_line() {
        let error = load("[component.a]\nsource = \"a.wasm\"\nfilez = []\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("spin.toml:6:"), "{text}");
        assert!(text.contains("unknown field `filez`"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name_all_at_once() {
        let error = load(
            "[component.a]\nsource = { url = \"x\", digest = \"y\" }\nai_models = [\"llama\"]\nfiles = [\"*.txt\"]\n",
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("component.a.source"), "{error}");
        assert!(error.contains("component.a.ai_models"), "{error}");
        assert!(error.contains("component.a.files"), "{error}");
        assert_eq!(error.lines().count(), 3);
    }

    #[test]
    fn other_triggers_are_refused_by_name() {
        let error = load("[[trigger.redis]]\ncomponent = \"a\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("unknown field `redis`"), "{error}");
    }

    #[test]
    fn routes_come_as_paths_or_private() {
        let manifest = load(
            "[[trigger.http]]\nroute = \"/a/...\"\ncomponent = \"a\"\n[[trigger.http]]\nroute = { private = true }\ncomponent = \"a\"\n[component.a]\nsource = \"a.wasm\"\n",
        )
        .unwrap();
        assert!(matches!(&manifest.trigger.http[0].route, Route::Public(r) if r == "/a/..."));
        assert!(matches!(
            manifest.trigger.http[1].route,
            Route::Private { private: true }
        ));
    }
}
