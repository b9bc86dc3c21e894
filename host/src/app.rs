//! From a command line to an application that is ready to serve.

use crate::capabilities::{
    allowed_hosts, faults, files, key_value, outbound_http, redis, sqlite, stdio, variables,
};
use crate::cli::Up;
use crate::code_cache::CodeCache;
use crate::component::{self, Sources};
use crate::dispatch::{Dispatcher, Loaded, Reuse};
use crate::engine;
use crate::instance::{ComponentGrants, Shared};
use crate::load;
use crate::manifest::Manifest;
use crate::problems::Problems;
use crate::router::Router;
use crate::runtime_config::RuntimeConfig;
use crate::telemetry::Telemetry;
use crate::telemetry::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// An application, loaded.
pub struct App {
    /// Its name.
    pub name: String,
    /// Its public routes.
    pub router: Router,
    /// Its components.
    pub dispatcher: Arc<Dispatcher>,
    /// The way out; to be told the address once it is known.
    pub outbound: Arc<outbound_http::Outbound>,
    /// What services sign their calls to each other with: the variable `service_key`, which the environment may also say where
    /// the application declares none, having no calls to sign but its host's to the registry.
    pub service_key: Option<String>,
    /// Guests' logs; to be flushed at the end.
    pub logs: stdio::Logs,
    /// What is told of it, if anything is; to be finished after that.
    pub telemetry: Option<Arc<Telemetry>>,
}

impl App {
    /// Reads, checks, grants, opens, compiles.
    ///
    /// # Errors
    /// Everything that stops the start, together.
    pub fn load(up: &Up) -> Result<Self, Problems> {
        let path = match up.from.is_dir() {
            true => up.from.join("spin.toml"),
            false => up.from.clone(),
        };
        let dir = path.parent().unwrap_or(Path::new(""));
        let manifest = Manifest::load(&path)?;
        let mut problems = Problems::default();
        manifest.check(&path, &mut problems);
        let config_file = up.runtime_config_file.as_deref();
        let config = problems.collect(RuntimeConfig::load(
            config_file,
            up.state_dir.as_deref(),
            dir,
        ));
        let file = format!("{}: ", path.display());
        let running = problems
            .collect_in(&file, select(&manifest, &up.components))
            .unwrap_or_default();
        let triggers = manifest.trigger.http.iter();
        let selected = triggers.filter(|t| running.contains(t.component.as_str()));
        let router = problems.collect_in(&file, Router::new(selected));

        let env = |name: &str| std::env::var(name).ok();
        let values = variables::Variables::resolve(&manifest.variables, &up.variables, env);
        // With a variable missing, every template that uses it would be a problem too.
        let values = problems.collect_in(&file, values);
        let own = running
            .contains(RECEIVER)
            .then(|| format!("http://{RECEIVER}{}", allowed_hosts::CHAINING_SUFFIX));
        let telemetry = problems
            .collect(Settings::read(env, own.as_deref()))
            .flatten();

        let no_engine = |error: wasmtime::Error| {
            Problems::one(format!("cannot start the Wasm engine: {error:#}"))
        };
        let engine = engine::new().map_err(no_engine)?;
        let linker = engine::linker(&engine, telemetry.is_some()).map_err(no_engine)?;
        let state_dir = config.as_ref().map_or(dir, |config| &config.state_dir);
        let cache = CodeCache::new(up.disable_cache, state_dir);
        let mut loaded = Vec::new();
        for id in &running {
            let place = format!("{file}component.{id}.");
            let sources = problems.collect_in(&file, Sources::of(id, &manifest, dir));
            let pre = sources.and_then(|sources| {
                let pre = sources
                    .load(&engine, &cache)
                    .and_then(|component| component::prepare(&component, &linker))
                    .map_err(|error| Problems::one(format!("source: {error:#}")));
                problems.collect_in(&place, pre)
            });
            let (Some(config), Some(values)) = (&config, &values) else {
                continue;
            };
            let granted = grant(id, &manifest, dir, config, values, &running, &up.env);
            if let (Some(grants), Some(pre)) = (problems.collect_in(&place, granted), pre) {
                let grants = Arc::new(grants);
                loaded.push(Loaded { grants, pre });
            }
        }
        // Databases are opened only for an application that is sound.
        let (Some(router), Some(config), Some(values)) = (router, config, values) else {
            return Err(problems);
        };
        problems.into_result(())?;

        let mut problems = Problems::default();
        let terminal = (!up.quiet).then_some(up.format);
        let grants = || loaded.iter().map(|component| &component.grants);
        let used: Vec<_> = grants().map(|grants| &grants.key_value).collect();
        let stores = problems.collect(key_value::Stores::open(&used, &config.key_value));
        let used: Vec<_> = grants().map(|grants| &grants.sqlite).collect();
        let databases = problems.collect(sqlite::Databases::open(&used, &config.sqlite));
        let ids: Vec<_> = grants().map(|grants| grants.id).collect();
        let telemetry = telemetry.map(|settings| Telemetry::start(settings, &ids));
        let log_dir = config.state_dir.join("logs");
        let exported = telemetry.clone().filter(|telemetry| telemetry.logs);
        let logs = problems.collect(stdio::Logs::start(&log_dir, terminal, exported));
        let (Some(key_value), Some(sqlite), Some(logs)) = (stores, databases, logs) else {
            return Err(problems);
        };

        let reuse = Reuse {
            count: up.max_instance_reuse_count,
            concurrent: up.max_instance_concurrent_reuse_count,
            request_timeout: up.request_timeout,
            idle_timeout: up.idle_instance_timeout,
        };
        let faults = up.faults.clone().map(faults::Faults::new);
        let mut outbound = None;
        let dispatcher = Arc::new_cyclic(|dispatcher| {
            let way_out = Arc::new(outbound_http::Outbound::new(dispatcher.clone(), faults));
            outbound = Some(way_out.clone());
            let shared = Arc::new(Shared {
                key_value,
                sqlite,
                redis: redis::Servers::new(),
                outbound: way_out,
                logs: logs.clone(),
                tracing: telemetry.as_ref().and_then(|told| told.tracing.clone()),
                metrics: telemetry.as_ref().and_then(|told| told.metrics.clone()),
            });
            Dispatcher::new(loaded, &engine, &shared, reuse)
        });
        if let Some(telemetry) = &telemetry {
            telemetry.exporter.serve_from(&dispatcher);
        }
        Ok(Self {
            name: manifest.application.name,
            router,
            dispatcher,
            service_key: values
                .get("service_key")
                .map(str::to_owned)
                .or_else(|| std::env::var("SPIN_VARIABLE_SERVICE_KEY").ok()),
            outbound: outbound.expect("made with the dispatcher"),
            logs,
            telemetry,
        })
    }
}

/// A component of this name receives the telemetry of its application.
const RECEIVER: &str = "telemetry";

/// The components that run: those with a trigger, of which `-c` may choose some.
fn select<'a>(manifest: &'a Manifest, chosen: &[String]) -> Result<BTreeSet<&'a str>, Problems> {
    let mut problems = Problems::default();
    let mut triggered = BTreeSet::new();
    for trigger in &manifest.trigger.http {
        if !manifest.component.contains_key(&trigger.component) {
            problems.push(format!(
                "trigger.http: there is no component {:?}; add [component.{}]",
                trigger.component, trigger.component
            ));
        }
        triggered.insert(trigger.component.as_str());
    }
    for id in chosen {
        if !triggered.contains(id.as_str()) {
            problems.push(format!(
                "-c {id}: no trigger starts a component of this name"
            ));
        }
    }
    if triggered.is_empty() {
        problems.push("there is nothing to serve; add a [[trigger.http]]");
    }
    if !chosen.is_empty() {
        triggered.retain(|id| chosen.iter().any(|c| c == id));
    }
    problems.into_result(triggered)
}

/// Phase one of every capability, for one component.
fn grant(
    id: &str,
    manifest: &Manifest,
    dir: &Path,
    config: &RuntimeConfig,
    values: &variables::Variables,
    running: &BTreeSet<&str>,
    env: &[(String, String)],
) -> Result<ComponentGrants, Problems> {
    let component = &manifest.component[id];
    let mut problems = Problems::default();
    let mut hosts = Vec::new();
    for entry in &component.allowed_outbound_hosts {
        match values.expand(entry) {
            Ok(entry) => hosts.push(entry),
            Err(why) => problems.push(format!("allowed_outbound_hosts: {why}")),
        }
    }
    let allowed_hosts = problems.collect(allowed_hosts::grant(&hosts, running));
    let settings = problems.collect(values.grant(&component.variables));
    let key_value = problems.collect(key_value::grant(
        &component.key_value_stores,
        &config.key_value,
    ));
    let sqlite = problems.collect(sqlite::grant(&component.sqlite_databases, &config.sqlite));
    let files = problems.collect(files::grant(&component.files, dir));
    let (Some(allowed_hosts), Some(settings), Some(key_value), Some(sqlite), Some(files)) =
        (allowed_hosts, settings, key_value, sqlite, files)
    else {
        return Err(problems);
    };
    let load_header = (load::VARIABLE.to_owned(), load::HEADER.to_string());
    let mut environment = BTreeMap::from([load_header]);
    environment.extend(component.environment.clone());
    environment.extend(env.iter().cloned());
    problems.into_result(ComponentGrants {
        id: String::from(id).leak(),
        environment: environment.into_iter().collect(),
        files,
        key_value,
        sqlite,
        settings,
        allowed_hosts,
    })
}
