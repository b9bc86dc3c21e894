//! What the services ask for in their manifests, and what the runtime configuration has for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// The template of the runtime configuration, which the README makes a secret of.
pub const TEMPLATE: &str = "infra/spinkube/runtime-config.toml";

/// Services that run elsewhere and not on Kubernetes, where DNS says where the others are: docs/decisions/0025.
const ELSEWHERE: [&str; 1] = ["registry"];

/// The shop as its own files describe it.
pub struct Shop {
    /// The services, by name.
    pub services: BTreeMap<String, Service>,
    /// Those that the manifest of the whole shop has public routes for.
    pub public: BTreeSet<String>,
    /// What stands behind the labels of stores.
    pub stores: Stores,
}

/// A service as its manifest describes it.
#[derive(Default)]
pub struct Service {
    /// The manifest, relative to the root of the repository.
    pub manifest: String,
    /// The variables there are.
    pub variables: BTreeMap<String, Variable>,
    /// Where it may call, with variables still in it.
    pub hosts: Vec<String>,
    /// The labels of its databases.
    pub databases: BTreeSet<String>,
    /// The labels of its key-value stores.
    pub key_values: BTreeSet<String>,
    /// Whether something becomes due in it, for which somebody has to call its `/internal/tick`.
    pub ticks: bool,
}

/// A variable as a manifest declares it.
#[derive(Default, Deserialize)]
pub struct Variable {
    /// What it is where nothing sets it.
    pub default: Option<String>,
    /// Whether it has to be set.
    #[serde(default)]
    pub required: bool,
    /// Whether nobody may see it.
    #[serde(default)]
    pub secret: bool,
}

/// The runtime configuration.
#[derive(Default, Deserialize)]
pub struct Stores {
    /// Databases by label.
    #[serde(default, rename = "sqlite_database")]
    pub databases: BTreeMap<String, Store>,
    /// Key-value stores by label.
    #[serde(default, rename = "key_value_store")]
    pub key_values: BTreeMap<String, Store>,
}

/// What stands behind a label.
#[derive(Deserialize)]
pub struct Store {
    /// Where it is.
    pub url: String,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    trigger: Triggers,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    component: BTreeMap<String, ManifestComponent>,
}

#[derive(Deserialize)]
struct ManifestComponent {
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    sqlite_databases: BTreeSet<String>,
    #[serde(default)]
    key_value_stores: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
struct Triggers {
    #[serde(default)]
    http: Vec<Trigger>,
}

#[derive(Deserialize)]
struct Trigger {
    /// A text, or a table that says it is private.
    route: toml::Value,
    component: String,
}

impl Shop {
    /// Reads the manifests of all services, and the template.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let mut services = BTreeMap::new();
        for name in service_names(root)? {
            if !ELSEWHERE.contains(&name.as_str()) {
                services.insert(name.clone(), Service::read(root, &name)?);
            }
        }
        let template = read(root, TEMPLATE)?;
        let stores = toml::from_str(&template).context(TEMPLATE)?;
        let whole: Manifest = toml::from_str(&read(root, "spin.toml")?).context("spin.toml")?;
        let public = whole
            .trigger
            .http
            .into_iter()
            .filter(|trigger| trigger.route.is_str());
        Ok(Self {
            services,
            public: public.map(|trigger| trigger.component).collect(),
            stores,
        })
    }
}

fn read(root: &Path, file: &str) -> anyhow::Result<String> {
    fs::read_to_string(root.join(file)).context(file.to_owned())
}

/// The folders of components that have a manifest: providers are part of other services, and have theirs further down.
pub fn service_names(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root.join("components")).context("components")? {
        let entry = entry?;
        if entry.path().join("spin.toml").is_file() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

impl Service {
    fn read(root: &Path, name: &str) -> anyhow::Result<Self> {
        let manifest = format!("components/{name}/spin.toml");
        let mut service =
            Self::parse(manifest.clone(), &read(root, &manifest)?).context(manifest)?;
        // The routes of a service are in this file at a glance.
        service.ticks =
            read(root, &format!("components/{name}/src/lib.rs"))?.contains("\"/internal/tick\"");
        Ok(service)
    }

    /// Reads a manifest. What any of its components may do the service may do.
    pub fn parse(manifest: String, text: &str) -> anyhow::Result<Self> {
        let read: Manifest = toml::from_str(text)?;
        let mut service = Self {
            manifest,
            variables: read.variables,
            ..Self::default()
        };
        for component in read.component.into_values() {
            service.hosts.extend(component.allowed_outbound_hosts);
            service.databases.extend(component.sqlite_databases);
            service.key_values.extend(component.key_value_stores);
        }
        Ok(service)
    }
}
