//! What one instance of a component holds on the host's side: the third phase of every capability.

use crate::capabilities::Labels;
use crate::capabilities::allowed_hosts::AllowedHosts;
use crate::capabilities::files::{self, Mounts};
use crate::capabilities::key_value::Stores;
use crate::capabilities::outbound_http::{Hooks, Outbound};
use crate::capabilities::redis::Servers;
use crate::capabilities::sqlite::Databases;
use crate::capabilities::stdio::{Channel, Logs};
use crate::capabilities::variables::Settings;
use crate::dispatch::Busy;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans;
use crate::telemetry::tasks::Tasks;
use crate::telemetry::trace::Tracing;
use std::sync::Arc;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Linear memory one instance may have, in bytes, all its parts together. A service of ours uses a few megabytes; this
/// stops a runaway before it takes the host with it.
const MAX_MEMORY: usize = 256 << 20;

/// What a component was granted.
pub struct ComponentGrants {
    /// The component's id. It lasts as long as the process, since it goes with each span: to count who has it would take as long as that.
    pub id: &'static str,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Read-only directories.
    pub files: Mounts,
    /// Key-value stores, by label.
    pub key_value: Labels,
    /// SQLite databases, by label.
    pub sqlite: Labels,
    /// Settings, resolved.
    pub settings: Settings,
    /// Where it may go.
    pub allowed_hosts: AllowedHosts,
}

/// What all instances of the application share.
pub struct Shared {
    /// Key-value stores.
    pub key_value: Stores,
    /// SQLite databases.
    pub sqlite: Databases,
    /// Redis servers.
    pub redis: Servers,
    /// The way out.
    pub outbound: Arc<Outbound>,
    /// The way into the logs.
    pub logs: Logs,
    /// Traces, if they are wanted.
    pub tracing: Option<Arc<Tracing>>,
    /// Metrics, if they are wanted.
    pub metrics: Option<Arc<Metrics>>,
}

/// The data of an instance's store.
pub struct InstanceState {
    /// Host resources the guest has handles to.
    pub table: ResourceTable,
    /// Memory the guest may have.
    pub limits: MemoryLimit,
    /// The component's grants.
    pub component: Arc<ComponentGrants>,
    /// The application's backends.
    pub shared: Arc<Shared>,
    /// Key-value handles open now.
    pub open_stores: usize,
    /// Compare-and-swap handles open now.
    pub open_swaps: usize,
    /// SQLite connections open now.
    pub open_connections: usize,
    /// Handles of Redis servers open now.
    pub open_servers: usize,
    /// Its requests, where they are traced.
    pub tasks: Option<Arc<Tasks>>,
    /// How busy the guest is.
    pub busy: Arc<Busy>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
}

impl InstanceState {
    /// State for a fresh instance.
    ///
    /// # Errors
    /// When a mounted directory cannot be opened any more.
    pub fn new(component: Arc<ComponentGrants>, shared: Arc<Shared>) -> wasmtime::Result<Self> {
        let tasks = shared.tracing.as_ref().map(|_| Arc::<Tasks>::default());
        let requests = shared.metrics.as_ref().and_then(|it| it.of(component.id));
        let output = |channel| shared.logs.stream(component.id, channel, &tasks);
        let mut wasi = WasiCtxBuilder::new();
        wasi.envs(&component.environment)
            .stdout(output(Channel::Out))
            .stderr(output(Channel::Err))
            .allow_tcp(false)
            .allow_udp(false);
        if tasks.is_some() {
            wasi.env(spans::VARIABLE, "1");
        }
        files::mount(&component.files, &mut wasi)?;
        Ok(Self {
            table: ResourceTable::new(),
            limits: MemoryLimit::default(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks {
                outbound: shared.outbound.clone(),
                component: component.id,
                allowed: component.allowed_hosts.clone(),
                tasks: tasks.clone(),
                requests,
            },
            tasks,
            component,
            shared,
            open_stores: 0,
            open_swaps: 0,
            open_connections: 0,
            open_servers: 0,
            busy: Arc::default(),
        })
    }
}

/// Counts the linear memories of an instance, of which a composed component has several.
#[derive(Default)]
pub struct MemoryLimit {
    used: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        let allowed = used <= MAX_MEMORY;
        if allowed {
            self.used = used;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The instance pool bounds tables.
        Ok(true)
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
