//! Metrics of requests and of the process, by OpenTelemetry's semantic conventions. They are of all requests, whichever of
//! their traces are exported.
//!
//! The SDK adds up, and hands over to the [exporter](super::exporter) every so often what it comes to. Each component has a meter of
//! its own, of which the exporter makes a service; what is not of a component is of the process.

use super::details::{MAX_TEXT, beginning};
use super::exporter::Exporter;
use super::http::known;
use crate::load::Load;
use crate::problem_response::Problem;
use http::{Method, Response, StatusCode};
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider, UpDownCounter};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{
    Instrument, PeriodicReader, SdkMeterProvider, Stream, Temporality,
};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime_wasi_http::Error;

/// What the buckets of a duration end with, in seconds: the same as those in which `telemetry` counts spans.
const BOUNDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Series of one instrument of one component; what comes after is counted together.
const MAX_SERIES: usize = 500;
/// The attribute of a meter that names its component.
pub const COMPONENT: &str = "component";

/// Metrics, for the whole process.
pub struct Metrics {
    provider: SdkMeterProvider,
    process: Meter,
    components: BTreeMap<&'static str, Arc<Requests>>,
    refused: Counter<u64>,
}

impl Metrics {
    /// Metrics of the process and of these components, handed over once an interval.
    pub fn new(
        interval: Duration,
        exporter: Arc<Exporter>,
        components: &[&'static str],
    ) -> Arc<Self> {
        let reader = PeriodicReader::builder(HandOver(exporter)).with_interval(interval);
        let bounded = |_: &Instrument| {
            let bounded = Stream::builder().with_cardinality_limit(MAX_SERIES);
            bounded.build().ok()
        };
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.build())
            .with_view(bounded)
            .build();
        let process = provider.meter("souk");
        watch_process(&process);
        let of = |id: &&'static str| (*id, Arc::new(Requests::of(id, &provider)));
        Arc::new(Self {
            components: components.iter().map(of).collect(),
            refused: process
                .u64_counter("souk.requests.refused")
                .with_description("Requests from outside that the host refused itself.")
                .with_unit("{request}")
                .build(),
            process,
            provider,
        })
    }

    /// The requests of a component.
    pub fn of(&self, component: &str) -> Option<Arc<Requests>> {
        self.components.get(component).cloned()
    }

    /// Counts a request that no component gets to see.
    pub fn refused(&self, problem: Problem) {
        self.refused
            .add(1, &[KeyValue::new("reason", problem.kind())]);
    }

    /// Tells from now on how much there is to do.
    pub fn watch(&self, load: &Arc<Load>) {
        let watched = load.clone();
        self.process
            .u64_observable_gauge("souk.load.limit")
            .with_description("Requests from outside that are good at once.")
            .with_unit("{request}")
            .with_callback(move |limit| {
                for level in watched.levels() {
                    limit.observe(level.limit, &[KeyValue::new("for", level.of)]);
                }
            })
            .build();
        let watched = load.clone();
        self.process
            .u64_observable_gauge("souk.load.active")
            .with_description("Requests from outside that are being worked on.")
            .with_unit("{request}")
            .with_callback(move |active| {
                for level in watched.levels() {
                    active.observe(level.active, &[KeyValue::new("for", level.of)]);
                }
            })
            .build();
    }

    /// Hands over what there is, for the last time.
    pub fn finish(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last metrics are lost");
        }
    }
}

/// Tells what the process needs, as far as the system says.
fn watch_process(meter: &Meter) {
    let start = Instant::now();
    meter
        .f64_observable_gauge("process.uptime")
        .with_description("The time since the host started.")
        .with_unit("s")
        .with_callback(move |uptime| uptime.observe(start.elapsed().as_secs_f64(), &[]))
        .build();
    meter
        .f64_observable_counter("process.cpu.time")
        .with_description("The processors' time that the host took.")
        .with_unit("s")
        .with_callback(|time| {
            let spent = clock_gettime(ClockId::ProcessCPUTime);
            time.observe(spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9, &[]);
        })
        .build();
    meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_description("The memory that the host has in use.")
        .with_unit("By")
        .with_callback(|usage| {
            let status = std::fs::read_to_string("/proc/self/status");
            if let Some(bytes) = status.ok().and_then(|status| resident(&status)) {
                usage.observe(bytes, &[]);
            }
        })
        .build();
}

/// Bytes of memory, from what Linux says of a process.
fn resident(status: &str) -> Option<i64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Requests to one component, and those that it sends.
pub struct Requests {
    answered: Histogram<f64>,
    active: UpDownCounter<i64>,
    sent: Histogram<f64>,
}

impl Requests {
    fn of(component: &'static str, provider: &SdkMeterProvider) -> Self {
        let component = KeyValue::new(COMPONENT, component);
        let scope = InstrumentationScope::builder("souk").with_attributes([component]);
        let meter = provider.meter_with_scope(scope.build());
        let durations = |name, description| {
            let histogram = meter.f64_histogram(name).with_description(description);
            histogram
                .with_unit("s")
                .with_boundaries(BOUNDS.to_vec())
                .build()
        };
        Self {
            answered: durations(
                "http.server.request.duration",
                "How long requests took to be answered.",
            ),
            active: meter
                .i64_up_down_counter("http.server.active_requests")
                .with_description("Requests that are being answered.")
                .with_unit("{request}")
                .build(),
            sent: durations(
                "http.client.request.duration",
                "How long requests that were sent took to be answered.",
            ),
        }
    }

    /// A request comes in.
    pub fn answering(self: &Arc<Self>, method: &Method, route: &Arc<str>) -> Answering {
        self.active.add(1, &[]);
        Answering {
            requests: self.clone(),
            begun: Instant::now(),
            method: known(method),
            route: route.clone(),
            outcome: cancelled(),
        }
    }

    /// A request is sent.
    pub fn asking(self: &Arc<Self>, server: &str) -> Asking {
        Asking {
            requests: self.clone(),
            begun: Instant::now(),
            server: KeyValue::new("server.address", beginning(server, MAX_TEXT).to_owned()),
            outcome: cancelled(),
        }
    }
}

/// A request that comes in; it counts when this is dropped.
pub struct Answering {
    requests: Arc<Requests>,
    begun: Instant,
    method: &'static str,
    route: Arc<str>,
    outcome: KeyValue,
}

impl Answering {
    /// Notes how it was answered.
    pub fn answered(&mut self, status: StatusCode) {
        self.outcome = answered(status);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.requests.active.add(-1, &[]);
        let attributes = [
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("http.route", StringValue::from(self.route.clone())),
            self.outcome.clone(),
        ];
        let took = self.begun.elapsed().as_secs_f64();
        self.requests.answered.record(took, &attributes);
    }
}

/// A request that is sent; it counts when this is dropped.
pub struct Asking {
    requests: Arc<Requests>,
    begun: Instant,
    server: KeyValue,
    outcome: KeyValue,
}

impl Asking {
    /// Notes what came of it.
    pub fn ended<B>(&mut self, sent: &Result<Response<B>, Error>) {
        self.outcome = match sent {
            Ok(response) => answered(response.status()),
            Err(error) => KeyValue::new("error.type", kind(error)),
        };
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let attributes = [self.server.clone(), self.outcome.clone()];
        let took = self.begun.elapsed().as_secs_f64();
        self.requests.sent.record(took, &attributes);
    }
}

fn answered(status: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

/// What comes of a request whose answer nobody waits for any more.
fn cancelled() -> KeyValue {
    KeyValue::new("error.type", "cancelled")
}

/// A word for an error; some have more in them than can be counted by.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::HttpRequestDenied => "denied",
        Error::HttpRequestUriInvalid => "uri_invalid",
        Error::ConnectionRefused => "connection_refused",
        Error::ConnectionReadTimeout => "timeout",
        Error::HttpProtocolError => "protocol_error",
        _ => "_OTHER",
    }
}

/// The end of the SDK's pipeline.
struct HandOver(Arc<Exporter>);

impl PushMetricExporter for HandOver {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let request = ExportMetricsServiceRequest::from(metrics);
        let mut resources = request.resource_metrics.into_iter();
        let scopes = resources.next().map(|resource| resource.scope_metrics);
        self.0.metrics(scopes.unwrap_or_default());
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_off_what_linux_says() {
        let status = "Name:\tsouk\nVmHWM:\t  99 kB\nVmRSS:\t   20 kB\nThreads:\t4\n";
        assert_eq!(resident(status), Some(20 * 1024));
        assert_eq!(resident("Name:\tsouk\n"), None);
    }
}
