//! The way out: bounded queues, the newest metrics, and one task that sends what is in them.
//!
//! A receiver that is away, slow or full holds up nothing. What does not fit is counted and dropped; that it happens is said
//! once, and so is that it is over. The requests made here are not traced. A receiver that is a component of the application is called as
//! components call each other.

use super::batch::Batch;
use super::metrics::COMPONENT;
use super::settings::{Protocol, Receiver, Settings};
use super::trace::{Ended, Scope, SpanList};
use crate::body::full;
use crate::capabilities::allowed_hosts::CHAINING_SUFFIX;
use crate::dispatch::Dispatcher;
use crate::http_client::HttpClient;
use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use opentelemetry::trace::SpanKind;
use opentelemetry::{SpanId, TraceId};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind as ProtoKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as ProtoCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Who sends it, as the standard has exporters say.
pub const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Souk/", env!("CARGO_PKG_VERSION"));
/// How long what is left may take when the host stops.
const LAST_FLUSH: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;
/// When nothing has been lost for so long, it is over.
const OVER: Duration = Duration::from_secs(60);

/// The attribute by which the instances of a service are told apart.
const INSTANCE: &str = "service.instance.id";
/// What the service is called that is the process itself.
const PROCESS: &str = "souk";

/// The flags of a span whose trace is sampled, and of one whose parent may be elsewhere.
const SAMPLED: u32 = 1;

/// What is to be sent.
pub struct Exporter {
    settings: Settings,
    spans: Queue<Box<Ended>>,
    logs: Queue<(&'static str, LogRecord)>,
    /// The newest metrics, until they are sent.
    metrics: Mutex<Option<Vec<ScopeMetrics>>>,
    /// There are new ones.
    fresh: Notify,
    /// What tells this process from others, part of what its instances are called.
    identity: OnceLock<String>,
    dropped: AtomicU64,
    health: Mutex<Health>,
    client: HttpClient,
    /// The application, once it serves.
    dispatcher: OnceLock<Weak<Dispatcher>>,
    stopping: CancellationToken,
    sending: Mutex<Option<JoinHandle<()>>>,
}

/// What something is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// There is enough for a request.
    Enough,
    /// It has waited long enough.
    Due,
    /// The host stops.
    Last,
}

/// What waits.
struct Queue<T> {
    waiting: Mutex<Vec<T>>,
    /// There is enough for a request.
    enough: Notify,
}

impl<T> Queue<T> {
    fn new() -> Self {
        Self {
            waiting: Mutex::new(Vec::new()),
            enough: Notify::new(),
        }
    }

    /// Adds as many as there is room for; says how many that are not.
    fn push(&self, more: impl IntoIterator<Item = T>, settings: &Settings) -> usize {
        let mut queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut more = more.into_iter();
        let left = settings.max_queue_size.saturating_sub(queue.len());
        queue.extend(more.by_ref().take(left));
        if queue.len() >= settings.max_export_batch_size {
            self.enough.notify_one();
        }
        more.count()
    }

    fn len(&self) -> usize {
        let queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        queue.len()
    }

    /// Takes the oldest.
    fn take(&self, count: usize) -> Vec<T> {
        let mut queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(queue.len());
        queue.drain(..count).collect()
    }
}

impl Exporter {
    /// An exporter that has begun to send.
    pub fn start(settings: Settings) -> Arc<Self> {
        let exporter = Arc::new(Self {
            settings,
            spans: Queue::new(),
            logs: Queue::new(),
            metrics: Mutex::new(None),
            fresh: Notify::new(),
            identity: OnceLock::new(),
            dropped: AtomicU64::new(0),
            health: Mutex::default(),
            client: HttpClient::new(),
            dispatcher: OnceLock::new(),
            stopping: CancellationToken::new(),
            sending: Mutex::new(None),
        });
        let sending = tokio::spawn(exporter.clone().run());
        *exporter
            .sending
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(sending);
        exporter
    }

    /// Calls a receiver that is a component of this application from now on.
    pub fn serve_from(&self, dispatcher: &Arc<Dispatcher>) {
        let _ = self.dispatcher.set(Arc::downgrade(dispatcher));
    }

    /// Says what tells this process from others, before there is anything to send.
    pub fn identify(&self, identity: String) {
        let _ = self.identity.set(identity);
    }

    /// Takes spans.
    pub fn spans(&self, spans: SpanList) {
        self.dropped(self.spans.push(spans, &self.settings));
    }

    /// Takes a record of a component's log.
    pub fn log(&self, component: &'static str, record: LogRecord) {
        let more = [(component, record)];
        self.dropped(self.logs.push(more, &self.settings));
    }

    /// Takes metrics, one scope of each component and one of the process. They are of all time, so they take the place of older ones.
    pub fn metrics(&self, scopes: Vec<ScopeMetrics>) {
        *self.newest_metrics() = Some(scopes);
        self.fresh.notify_one();
    }

    fn newest_metrics(&self) -> MutexGuard<'_, Option<Vec<ScopeMetrics>>> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what is lost.
    pub fn dropped(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Sends what is left, for two seconds at most.
    pub async fn finish(&self) {
        self.stopping.cancel();
        let sending = self
            .sending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(sending) = sending {
            let _ = tokio::time::timeout(LAST_FLUSH, sending).await;
        }
    }

    /// Each kind may have a receiver of its own, which holds up none of the others.
    async fn run(self: Arc<Self>) {
        tokio::join!(
            self.keep_sending("metrics", &self.fresh, |_| self.send_metrics()),
            self.keep_sending("traces", &self.spans.enough, |when| self.send_spans(when)),
            self.keep_sending("logs", &self.logs.enough, |when| self.send_logs(when)),
        );
    }

    /// Sends what there is of a kind, and once more when the host stops. The first thing that cannot be sent ends it until the next time.
    async fn keep_sending<S: Future<Output = anyhow::Result<bool>>>(
        &self,
        kind: &'static str,
        enough: &Notify,
        send: impl Fn(When) -> S,
    ) {
        let mut when = When::Due;
        while when != When::Last {
            when = tokio::select! {
                () = self.stopping.cancelled() => When::Last,
                () = enough.notified() => When::Enough,
                () = tokio::time::sleep(self.settings.schedule_delay) => When::Due,
            };
            self.report(kind, send(when).await);
        }
    }

    fn report(&self, kind: &'static str, sent: anyhow::Result<bool>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.report(kind, sent);
        health.report_loss(self.dropped.swap(0, Ordering::Relaxed), Instant::now());
    }

    /// Whether there was something to send. What cannot be sent is in the next metrics too.
    async fn send_metrics(&self) -> anyhow::Result<bool> {
        let metrics = self.newest_metrics().take();
        let (Some(receiver), Some(metrics)) = (&self.settings.metrics, metrics) else {
            return Ok(false);
        };
        let request = self.metrics_request(metrics);
        taken(receiver, self.post(receiver, &request).await?)?;
        Ok(true)
    }

    async fn send_spans(&self, when: When) -> anyhow::Result<bool> {
        let receiver = self.settings.traces.as_ref();
        let request = |spans| self.trace_request(spans);
        self.send_waiting(receiver, &self.spans, when, request)
            .await
    }

    async fn send_logs(&self, when: When) -> anyhow::Result<bool> {
        let receiver = self.settings.logs.as_ref();
        let request = |records| self.logs_request(records);
        self.send_waiting(receiver, &self.logs, when, request).await
    }

    /// Sends what waits in full requests, and at most one that is not: what is left is better sent together with what is to come, for each request
    /// costs its receiver as much again. What is last is sent to its end.
    async fn send_waiting<T, B: Batch>(
        &self,
        receiver: Option<&Receiver>,
        queue: &Queue<T>,
        when: When,
        batch: impl Fn(Vec<T>) -> B,
    ) -> anyhow::Result<bool> {
        let Some(receiver) = receiver else {
            return Ok(false);
        };
        let full = self.settings.max_export_batch_size;
        let mut least = if when == When::Enough { full } else { 1 };
        let mut any = false;
        while queue.len() >= least {
            self.send(receiver, batch(queue.take(full))).await?;
            any = true;
            if when != When::Last {
                least = full;
            }
        }
        Ok(any)
    }

    /// Sends a batch, in halves and halves of these where it is too large for the receiver. One that does not even take the first item by itself takes
    /// none.
    async fn send<B: Batch>(&self, receiver: &Receiver, batch: B) -> anyhow::Result<()> {
        let mut batches = vec![batch];
        let mut any = false;
        while let Some(batch) = batches.pop() {
            let sent = match self.post(receiver, &batch).await {
                Ok(StatusCode::PAYLOAD_TOO_LARGE) if batch.count() > 1 => {
                    let [first, second] = batch.halves();
                    batches.extend([second, first]);
                    continue;
                }
                Ok(StatusCode::PAYLOAD_TOO_LARGE) if any => {
                    self.dropped(1);
                    continue;
                }
                Ok(status) => taken(receiver, status),
                Err(error) => Err(error),
            };
            if sent.is_err() {
                let waiting = batches.iter().map(B::count);
                self.dropped(batch.count() + waiting.sum::<usize>());
                return sent;
            }
            any = true;
        }
        Ok(())
    }

    /// What a receiver answers.
    async fn post<M: Message + Serialize>(
        &self,
        receiver: &Receiver,
        message: &M,
    ) -> anyhow::Result<StatusCode> {
        let (media_type, body) = match receiver.protocol {
            Protocol::Protobuf => ("application/x-protobuf", message.encode_to_vec()),
            Protocol::Json => ("application/json", serde_json::to_vec(message)?),
        };
        let mut request = Request::post(receiver.uri.clone())
            .header(header::CONTENT_TYPE, media_type)
            .header(header::USER_AGENT, USER_AGENT)
            .body(Bytes::from(body))?;
        request.headers_mut().extend(receiver.headers.clone());
        let host = receiver.uri.host().unwrap_or_default();
        match host.strip_suffix(CHAINING_SUFFIX) {
            Some(component) => self.call(component, request, receiver.timeout).await,
            None => {
                let answer = self
                    .client
                    .send(request.map(Full::new), receiver.timeout, MAX_ANSWER);
                Ok(answer.await?.status())
            }
        }
    }

    /// How a component of the application answers.
    async fn call(
        &self,
        component: &str,
        request: Request<Bytes>,
        limit: Duration,
    ) -> anyhow::Result<StatusCode> {
        let dispatcher = self.dispatcher.get().and_then(Weak::upgrade);
        let dispatcher = dispatcher.context("the application does not serve")?;
        let answer = async {
            // Its caller has no place in a trace, so it gets none.
            let caller = Some(Scope::default());
            let request = request.map(full);
            let answer = dispatcher.chained(component, request, caller).await;
            let (head, mut body) = answer.into_parts();
            // An instance counts as busy until its body is read.
            while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
            head.status
        };
        let answer = tokio::time::timeout(limit, answer).await;
        answer.with_context(|| format!("no answer within {limit:?}"))
    }

    fn trace_request(&self, spans: SpanList) -> ExportTraceServiceRequest {
        let mut by_component: BTreeMap<&'static str, Vec<Span>> = BTreeMap::new();
        for span in spans {
            let component = span.component;
            by_component
                .entry(component)
                .or_default()
                .push(to_proto(*span));
        }
        let resource_spans = by_component
            .into_iter()
            .map(|(component, spans)| ResourceSpans {
                resource: Some(self.resource(Some(component))),
                scope_spans: vec![ScopeSpans {
                    scope: Some(instrumentation()),
                    spans,
                    ..Default::default()
                }],
                ..Default::default()
            });
        ExportTraceServiceRequest {
            resource_spans: resource_spans.collect(),
        }
    }

    fn logs_request(&self, records: Vec<(&'static str, LogRecord)>) -> ExportLogsServiceRequest {
        let mut by_component: BTreeMap<&'static str, Vec<LogRecord>> = BTreeMap::new();
        for (component, record) in records {
            by_component.entry(component).or_default().push(record);
        }
        let resource_logs = by_component
            .into_iter()
            .map(|(component, log_records)| ResourceLogs {
                resource: Some(self.resource(Some(component))),
                scope_logs: vec![ScopeLogs {
                    scope: Some(instrumentation()),
                    log_records,
                    ..Default::default()
                }],
                ..Default::default()
            });
        ExportLogsServiceRequest {
            resource_logs: resource_logs.collect(),
        }
    }

    fn metrics_request(&self, scopes: Vec<ScopeMetrics>) -> ExportMetricsServiceRequest {
        let resource_metrics = scopes.into_iter().map(|scope| ResourceMetrics {
            resource: Some(self.resource(component_of(&scope))),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(instrumentation()),
                ..scope
            }],
            ..Default::default()
        });
        ExportMetricsServiceRequest {
            resource_metrics: resource_metrics.collect(),
        }
    }

    /// A component is a service of its own to whoever receives this, and so is the process.
    fn resource(&self, component: Option<&str>) -> Resource {
        let of = component.unwrap_or(PROCESS);
        let name = self.settings.service_name.as_deref().unwrap_or(of);
        let mut attributes = vec![
            attribute("service.name", name),
            attribute("process.pid", &std::process::id().to_string()),
        ];
        if let Some(component) = component {
            attributes.push(attribute("component_id", component));
        }
        let said = &self.settings.attributes;
        if !said.iter().any(|(name, _)| name == INSTANCE) {
            attributes.push(attribute(INSTANCE, &format!("{of}-{}", self.identity())));
        }
        attributes.extend(said.iter().map(|(name, value)| attribute(name, value)));
        Resource {
            attributes,
            ..Default::default()
        }
    }

    /// What tells this process from others. In containers all of them have the same number.
    fn identity(&self) -> &str {
        let own = || format!("{}-{:06x}", std::process::id(), rand::random::<u32>() >> 8);
        self.identity.get_or_init(own)
    }
}

/// Whether a receiver that has answered so has taken what it got.
fn taken(receiver: &Receiver, status: StatusCode) -> anyhow::Result<()> {
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND => bail!("there is no receiver at {}", receiver.uri.path()),
        status => bail!("it answered {status}"),
    }
}

/// Whether the receivers are well, as far as it was said.
#[derive(Default)]
struct Health {
    /// What cannot be exported.
    failing: BTreeSet<&'static str>,
    /// How much has been lost since all was well, and when the last of it was.
    lost: Option<(u64, Instant)>,
}

impl Health {
    /// `sent` is whether there was something to send of a kind, which is sent more rarely than others.
    fn report(&mut self, kind: &'static str, sent: anyhow::Result<bool>) {
        let was_failing = !self.failing.is_empty();
        match sent {
            Ok(false) => return,
            Ok(true) => _ = self.failing.remove(kind),
            Err(error) => {
                self.failing.insert(kind);
                if !was_failing {
                    tracing::warn!("cannot export telemetry, and goes on trying: {error:#}");
                }
            }
        }
        if was_failing && self.failing.is_empty() {
            tracing::info!("exports telemetry again");
        }
    }

    fn report_loss(&mut self, dropped: u64, now: Instant) {
        match self.lost {
            None if dropped > 0 => {
                tracing::warn!(dropped, "telemetry is lost: there is more than can be sent");
                self.lost = Some((dropped, now));
            }
            Some((lost, _)) if dropped > 0 => self.lost = Some((lost + dropped, now)),
            Some((lost, last)) if now.duration_since(last) >= OVER => {
                tracing::info!(lost, "no more telemetry is lost");
                self.lost = None;
            }
            _ => {}
        }
    }
}

/// The component that metrics are of; none where they are of the process.
fn component_of(metrics: &ScopeMetrics) -> Option<&str> {
    let mut attributes = metrics.scope.iter().flat_map(|scope| &scope.attributes);
    let named = attributes.find(|attribute| attribute.key == COMPONENT)?;
    match named.value.as_ref()?.value.as_ref()? {
        Value::StringValue(component) => Some(component),
        _ => None,
    }
}

fn instrumentation() -> InstrumentationScope {
    InstrumentationScope {
        name: "souk".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Default::default()
    }
}

fn to_proto(span: Ended) -> Span {
    let kind = match span.kind {
        SpanKind::Server => ProtoKind::Server,
        SpanKind::Client => ProtoKind::Client,
        _ => ProtoKind::Internal,
    };
    let status = span.error.map(|message| Status {
        message,
        code: ProtoCode::Error.into(),
    });
    let link = span.link.map(|(trace, span)| Link {
        trace_id: trace.to_bytes().to_vec(),
        span_id: span.to_bytes().to_vec(),
        ..Default::default()
    });
    Span {
        trace_id: span.trace.to_bytes().to_vec(),
        span_id: span.id.to_bytes().to_vec(),
        trace_state: span.state.unwrap_or_default(),
        parent_span_id: parent_id(span.parent),
        flags: if span.sampled { SAMPLED } else { 0 },
        name: span.details.name().to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: span.details.attributes().collect(),
        links: link.into_iter().collect(),
        status,
        ..Default::default()
    }
}

/// Empty where there is none.
fn parent_id(parent: SpanId) -> Vec<u8> {
    match parent {
        SpanId::INVALID => Vec::new(),
        parent => parent.to_bytes().to_vec(),
    }
}

/// A trace's id, as records have it; empty where there is none.
pub fn trace_id(trace: Option<TraceId>) -> Vec<u8> {
    trace.map_or(Vec::new(), |trace| trace.to_bytes().to_vec())
}

/// Nanoseconds since 1970.
pub fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// A word about something.
pub fn attribute(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(text(value)),
        ..Default::default()
    }
}

/// A value that is a text.
pub fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(value.to_owned())),
    }
}
