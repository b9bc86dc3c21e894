//! OpenTelemetry: what happens to requests, as traces, and what components write, as logs, sent by OTLP over HTTP.
//!
//! It goes through the phases of a capability: the [settings] are what the standard environment variables say, the [exporter]
//! is what all share, and a [`Scope`](trace::Scope) is where an instance's request is in its [trace]. Where no
//! variable names a receiver there is none of it, and nothing is done for it.

pub mod context;
pub mod data;
pub mod exporter;
pub mod http;
pub mod logs;
pub mod settings;
pub mod tasks;
pub mod trace;

use exporter::Exporter;
use settings::Settings;
use std::sync::Arc;
use trace::Tracing;

/// What is recorded.
pub struct Telemetry {
    /// The way out.
    pub exporter: Arc<Exporter>,
    /// Traces, if they are wanted.
    pub tracing: Option<Arc<Tracing>>,
    /// Whether logs are wanted.
    pub logs: bool,
}

impl Telemetry {
    /// Begins to export what is recorded from now on.
    pub fn start(settings: Settings) -> Arc<Self> {
        let sampler = settings.sampler;
        let (traces, logs) = (settings.traces.is_some(), settings.logs.is_some());
        let exporter = Exporter::start(settings);
        let tracing = traces.then(|| Tracing::new(sampler, exporter.clone()));
        Arc::new(Self {
            exporter,
            tracing: tracing.flatten(),
            logs,
        })
    }
}
