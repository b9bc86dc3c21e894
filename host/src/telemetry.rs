//! OpenTelemetry: what happens to requests, as traces and as metrics, and what components write, as logs, sent by OTLP over HTTP.
//!
//! It goes through the phases of a capability: the [settings] are what the standard environment variables say, the [exporter]
//! is what all share, and a [`Scope`](trace::Scope) is where an instance's request is in its [trace]. Where no
//! variable names a receiver there is none of it, and nothing is done for it.

mod batch;
pub mod context;
pub mod data;
mod details;
pub mod exporter;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod settings;
pub mod spans;
pub mod tasks;
pub mod trace;

use exporter::Exporter;
use metrics::Metrics;
use settings::Settings;
use std::sync::Arc;
use trace::Tracing;

/// What is recorded.
pub struct Telemetry {
    /// The way out.
    pub exporter: Arc<Exporter>,
    /// Traces, if they are wanted.
    pub tracing: Option<Arc<Tracing>>,
    /// Metrics, if they are wanted.
    pub metrics: Option<Arc<Metrics>>,
    /// Whether logs are wanted.
    pub logs: bool,
}

impl Telemetry {
    /// Begins to export what is recorded from now on of these components.
    pub fn start(settings: Settings, components: &[&'static str]) -> Arc<Self> {
        let sampler = settings.sampler;
        let interval = settings.metric_interval;
        let has_metrics = settings.metrics.is_some();
        let (traces, logs) = (settings.traces.is_some(), settings.logs.is_some());
        let exporter = Exporter::start(settings);
        let tracing = traces.then(|| Tracing::new(sampler, exporter.clone()));
        let metrics = has_metrics.then(|| Metrics::new(interval, exporter.clone(), components));
        Arc::new(Self {
            exporter,
            tracing: tracing.flatten(),
            metrics,
            logs,
        })
    }

    /// Sends what is left, for two seconds at most.
    pub async fn finish(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.finish();
        }
        self.exporter.finish().await;
    }
}
