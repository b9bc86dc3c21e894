//! From the .wasm files a manifest names to a component that can be instantiated.
//!
//! A core module (`wasm32-wasip1`) is wrapped into a component with the preview 1 adapter;
//! dependencies are plugged into the imports they satisfy. Both only when the result is not in
//! the [code cache](crate::code_cache).

use crate::code_cache::CodeCache;
use crate::instance::InstanceState;
use crate::manifest;
use crate::problems::Problems;
use anyhow::{Context, anyhow, bail};
use std::path::{Path, PathBuf};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, types::ItemKind};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

/// The files of a component.
pub struct Sources {
    /// Its own Wasm.
    pub main: PathBuf,
    /// What satisfies its imports.
    pub dependencies: Vec<DependencySource>,
}

/// One dependency.
pub struct DependencySource {
    /// The import it satisfies: `ns:pkg/iface@version`, or `ns:pkg` for all interfaces of one.
    pub import: String,
    /// The export to use, where its name differs from the import's.
    pub export: Option<String>,
    /// Its Wasm.
    pub path: PathBuf,
    /// Whether it may use what the component that uses it was granted.
    pub inherits: bool,
}

impl Sources {
    /// Finds the files in the manifest.
    ///
    /// # Errors
    /// A dependency on a component that is not in the manifest.
    pub fn of(
        id: &str,
        manifest: &manifest::Manifest,
        manifest_dir: &Path,
    ) -> Result<Self, Problems> {
        let component = &manifest.component[id];
        let mut problems = Problems::default();
        let mut dependencies = Vec::new();
        for (import, dependency) in &component.dependencies {
            let inherit_all = component.dependencies_inherit_configuration;
            let (path, export, inherits) = match dependency {
                manifest::Dependency::Component {
                    component: other,
                    export,
                    inherit_configuration,
                } => match manifest.component.get(other) {
                    Some(found) => (found.wasm(manifest_dir), export, *inherit_configuration),
                    None => {
                        problems.push(format!(
                            "component.{id}.dependencies: there is no component {other:?} to satisfy {import:?}"
                        ));
                        continue;
                    }
                },
                manifest::Dependency::Local {
                    path,
                    export,
                    inherit_configuration,
                } => (manifest_dir.join(path), export, *inherit_configuration),
                // Refused when the manifest was read.
                manifest::Dependency::Remote(_) => continue,
            };
            dependencies.push(DependencySource {
                import: import.clone(),
                export: export.clone(),
                path,
                inherits: inherits || inherit_all,
            });
        }
        problems.into_result(Self {
            main: component.wasm(manifest_dir),
            dependencies,
        })
    }

    /// Loads, and where needed wraps, composes and compiles.
    ///
    /// # Errors
    /// In one line, without the component's name: a missing file with what builds it, a file
    /// that is no Wasm, a dependency that does not fit.
    pub fn load(&self, engine: &Engine, cache: &CodeCache) -> anyhow::Result<Component> {
        let main = read(&self.main)?;
        let dependencies = self
            .dependencies
            .iter()
            .map(|dependency| read(&dependency.path))
            .collect::<anyhow::Result<Vec<_>>>()?;
        // Everything that decides what the composed component looks like.
        let wiring: String = self
            .dependencies
            .iter()
            .map(|d| format!("{} {:?} {}\n", d.import, d.export, d.inherits))
            .collect();
        let mut parts: Vec<&[u8]> = vec![
            wiring.as_bytes(),
            WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            &main,
        ];
        parts.extend(dependencies.iter().map(Vec::as_slice));
        cache.load(engine, &parts, || {
            let main = componentize(&main, &self.main)?;
            if self.dependencies.is_empty() {
                return Ok(main);
            }
            let plugs = self
                .dependencies
                .iter()
                .zip(&dependencies)
                .map(|(source, wasm)| Ok((source, componentize(wasm, &source.path)?)))
                .collect::<anyhow::Result<Vec<_>>>()?;
            compose(&main, &plugs)
        })
    }
}

impl manifest::Component {
    fn wasm(&self, manifest_dir: &Path) -> PathBuf {
        match &self.source {
            manifest::Source::Path(path) => manifest_dir.join(path),
            // Refused when the manifest was read.
            manifest::Source::Remote(_) => PathBuf::new(),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow!(
            "{} is not there; build it with `cargo xtask build` (or `spin build`)",
            path.display()
        ),
        _ => anyhow!("cannot read {}: {error}", path.display()),
    })
}

/// A component out of a core module; a component stays as it is.
fn componentize(wasm: &[u8], path: &Path) -> anyhow::Result<Vec<u8>> {
    if wasmparser::Parser::is_component(wasm) {
        return Ok(wasm.to_vec());
    }
    if !wasmparser::Parser::is_core_wasm(wasm) {
        bail!("{} is not WebAssembly", path.display());
    }
    wit_component::ComponentEncoder::default()
        .module(wasm)
        .and_then(|encoder| {
            encoder.adapter(
                WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("{} cannot be made into a component", path.display()))
}

/// What a dependency may import without being given its user's grants.
fn is_harmless(import: &str) -> bool {
    const HARMLESS: &[&str] = &[
        "wasi:cli/",
        "wasi:clocks/",
        "wasi:io/",
        "wasi:random/",
        // The preview 1 adapter always imports it; a directory is there only if one is mounted.
        "wasi:filesystem/",
        // Types alone.
        "wasi:http/types@",
    ];
    HARMLESS.iter().any(|prefix| import.starts_with(prefix))
}

/// Plugs each dependency into the imports of `main` that it satisfies.
fn compose(main: &[u8], plugs: &[(&DependencySource, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let socket = Package::from_bytes("main", None, main.to_vec(), graph.types_mut())?;
    let socket = graph.register_package(socket)?;
    let imports: Vec<String> = graph.types()[graph[socket].ty()]
        .imports
        .keys()
        .cloned()
        .collect();
    let main_instance = graph.instantiate(socket);

    for (index, (source, wasm)) in plugs.iter().enumerate() {
        let name = format!("souk:dependency{index}");
        let package = Package::from_bytes(&name, None, wasm.clone(), graph.types_mut())?;
        let package = graph.register_package(package)?;
        let world = &graph.types()[graph[package].ty()];
        if let Some(import) = world
            .imports
            .keys()
            .find(|i| !source.inherits && !is_harmless(i))
        {
            bail!(
                "dependency {} ({}) imports {import}, but inherits no configuration; set `inherit_configuration = true` on it if it may use this component's grants",
                source.import,
                source.path.display()
            );
        }
        let exports: Vec<String> = world
            .exports
            .iter()
            .filter(|(_, kind)| matches!(kind, ItemKind::Instance(_) | ItemKind::Func(_)))
            .map(|(name, _)| name.clone())
            .collect();
        let pairs = source.matches(&imports, &exports);
        if pairs.is_empty() {
            bail!(
                "dependency {} satisfies no import: {} exports {}",
                source.import,
                source.path.display(),
                exports.join(", ")
            );
        }
        let instance = graph.instantiate(package);
        for (import, export) in pairs {
            let alias = graph.alias_instance_export(instance, export)?;
            graph
                .set_instantiation_argument(main_instance, import, alias)
                .with_context(|| format!("dependency {} does not fit", source.import))?;
        }
    }

    let exports: Vec<String> = graph.types()[graph[socket].ty()]
        .exports
        .keys()
        .cloned()
        .collect();
    for name in exports {
        let alias = graph.alias_instance_export(main_instance, &name)?;
        graph.export(alias, &name)?;
    }
    Ok(graph.encode(EncodeOptions::default())?)
}

impl DependencySource {
    /// Pairs of import and export that belong together: `ns:pkg` stands for every interface of the
    /// package, and a name without a version for any.
    fn matches<'a>(&self, imports: &'a [String], exports: &'a [String]) -> Vec<(&'a str, &'a str)> {
        let (name, version) = match self.import.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (self.import.as_str(), None),
        };
        let fits = |import: &str| {
            let (full, found) = import.split_once('@').unwrap_or((import, ""));
            let named = match name.contains('/') {
                true => full == name,
                false => full
                    .split_once('/')
                    .is_some_and(|(package, _)| package == name),
            };
            named && version.is_none_or(|version| version == found)
        };
        imports
            .iter()
            .filter(|import| fits(import))
            .filter_map(|import| {
                let wanted = self.export.as_deref().unwrap_or(import);
                let export = exports.iter().find(|export| *export == wanted)?;
                Some((import.as_str(), export.as_str()))
            })
            .collect()
    }
}

/// Checks that the host offers everything the component imports, and that it serves HTTP.
///
/// # Errors
/// In one line: the import that is missing, or that no HTTP handler is exported.
pub fn prepare(
    component: &Component,
    linker: &Linker<InstanceState>,
) -> anyhow::Result<ProxyPre<InstanceState>> {
    let engine = linker.engine();
    let component_type = component.component_type();
    let mut exports = component_type
        .exports(engine)
        .map(|(name, _)| name.to_owned());
    let handler = exports
        .find(|name| name.starts_with("wasi:http/handler@0.3.") || name.starts_with("wasi:http/incoming-handler@0.2."))
        .ok_or_else(|| anyhow!("exports neither wasi:http/handler@0.3 nor wasi:http/incoming-handler@0.2: it serves no HTTP"))?;
    let pre = linker
        .instantiate_pre(component)
        .map_err(|error| anyhow!("needs something this host does not provide: {error:#}"))?;
    Ok(match handler.starts_with("wasi:http/handler@") {
        true => ProxyPre::P3(p3::bindings::ServicePre::new(pre)?),
        false => ProxyPre::P2(p2::bindings::ProxyPre::new(pre)?),
    })
}
