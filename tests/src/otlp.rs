//! A receiver of OTLP over HTTP, which keeps what it was sent.

use crate::server::{Request, header, listen, respond};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A span as it came.
#[derive(Debug, Clone)]
pub struct Span {
    /// The service it is of.
    pub service: String,
    /// Its name.
    pub name: String,
    /// `Server`, `Client` or `Internal`.
    pub kind: SpanKind,
    /// Its trace, in hex.
    pub trace: String,
    /// Its id, in hex.
    pub id: String,
    /// Its parent's id, in hex; empty where there is none.
    pub parent: String,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// What is known of it, as text.
    pub attributes: BTreeMap<String, String>,
    /// The traces it is linked to.
    pub links: Vec<String>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Span {
    /// What is known of it under a name; empty where nothing is.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A log record as it came.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// The service it is of.
    pub service: String,
    /// Its message.
    pub message: String,
    /// How bad it is.
    pub severity: String,
    /// The trace it was written for, in hex; empty where that is not known.
    pub trace: String,
    /// What else is known, as text.
    pub attributes: BTreeMap<String, String>,
}

/// A point of a metric as it came.
#[derive(Debug, Clone, Default)]
pub struct Point {
    /// The service it is of.
    pub service: String,
    /// Which instance of it.
    pub instance: String,
    /// The metric's name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// `histogram`, `counter`, `sum` or `gauge`.
    pub kind: &'static str,
    /// What is known of it, as text.
    pub attributes: BTreeMap<String, String>,
    /// Its value; of a histogram the sum.
    pub value: f64,
    /// Of a histogram, how many values it has.
    pub count: u64,
    /// What the buckets of a histogram end with.
    pub bounds: Vec<f64>,
    /// How many values are in each bucket.
    pub buckets: Vec<u64>,
}

impl Point {
    /// Whether it is of this metric, service, and these attributes among others.
    pub fn is(&self, name: &str, service: &str, attributes: &[(&str, &str)]) -> bool {
        let has =
            |(name, value): &(&str, &str)| self.attributes.get(*name).is_some_and(|it| it == value);
        self.name == name && self.service == service && attributes.iter().all(has)
    }

    /// What tells its series from others.
    fn series(&self) -> String {
        let (service, instance, name) = (&self.service, &self.instance, &self.name);
        format!("{service} {instance} {name} {:?}", self.attributes)
    }
}

/// The server.
pub struct Otlp {
    /// Where it is.
    pub url: String,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    logs: Vec<LogLine>,
    /// The newest of each series.
    points: BTreeMap<String, Point>,
    requests: usize,
    heads: Vec<String>,
}

impl Otlp {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::with_limit(usize::MAX)
    }

    /// The same, to which a request with more bytes than that is too large.
    pub fn with_limit(most_bytes: usize) -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let receiving = received.clone();
        let url = listen(move |stream| receive(&stream, &receiving, most_bytes));
        Self { url, received }
    }

    /// What has come so far.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().expect("no panic").spans.clone()
    }

    /// The log records that have come so far.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn logs(&self) -> Vec<LogLine> {
        self.received.lock().expect("no panic").logs.clone()
    }

    /// The newest point of each series.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn points(&self) -> Vec<Point> {
        let received = self.received.lock().expect("no panic");
        received.points.values().cloned().collect()
    }

    /// The newest points of a metric of a service with these attributes among others.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn points_of(&self, name: &str, service: &str, attributes: &[(&str, &str)]) -> Vec<Point> {
        let mut points = self.points();
        points.retain(|point| point.is(name, service, attributes));
        points
    }

    /// How many requests have come, and the head of the last one.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn requests(&self) -> (usize, String) {
        let received = self.received.lock().expect("no panic");
        let last = received.heads.last().cloned();
        (received.requests, last.unwrap_or_default())
    }

    /// The spans of the trace that has one like this, once they are all there.
    ///
    /// # Panics
    /// When there is none for 30 seconds.
    pub fn trace_with(&self, is_it: impl Fn(&Span) -> bool) -> Vec<Span> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let spans = self.spans();
            if let Some(found) = spans.iter().find(|span| is_it(span)) {
                let whole = |span: &&Span| span.trace == found.trace;
                return spans.iter().filter(whole).cloned().collect();
            }
            assert!(Instant::now() < deadline, "there is only {spans:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn receive(stream: &TcpStream, received: &Mutex<Received>, most_bytes: usize) {
    let Some(request) = Request::read_bytes(stream) else {
        return;
    };
    if request.body.len() > most_bytes {
        return respond(stream, 413, &serde_json::json!({}));
    }
    {
        let mut received = received.lock().expect("no panic");
        received.requests += 1;
        received.heads.push(request.head.clone());
        match request.path.as_str() {
            "/v1/traces" => received.spans.extend(spans(decode(&request))),
            "/v1/logs" => received.logs.extend(logs(decode(&request))),
            "/v1/metrics" => {
                let points = points(decode(&request)).into_iter();
                let keyed = points.map(|point| (point.series(), point));
                received.points.extend(keyed);
            }
            path => panic!("nothing is received at {path}"),
        }
    }
    respond(stream, 200, &serde_json::json!({}));
}

fn decode<M: Message + Default + DeserializeOwned>(request: &Request<Vec<u8>>) -> M {
    match header(&request.head, "content-type") {
        "application/x-protobuf" => M::decode(&request.body[..]).expect("OTLP"),
        "application/json" => serde_json::from_slice(&request.body).expect("OTLP in JSON"),
        other => panic!("{other} is no form of OTLP"),
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let service = service(of_resource.resource);
        for span in of_resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            spans.push(Span {
                service: service.clone(),
                kind: span.kind(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                attributes: words(span.attributes),
                links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
                error: span
                    .status
                    .filter(|status| status.code == 2)
                    .map(|status| status.message),
            });
        }
    }
    spans
}

fn logs(request: ExportLogsServiceRequest) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for of_resource in request.resource_logs {
        let service = service(of_resource.resource);
        for record in of_resource
            .scope_logs
            .into_iter()
            .flat_map(|scope| scope.log_records)
        {
            lines.push(LogLine {
                service: service.clone(),
                message: word(record.body),
                severity: record.severity_text,
                trace: hex(&record.trace_id),
                attributes: words(record.attributes),
            });
        }
    }
    lines
}

fn points(request: ExportMetricsServiceRequest) -> Vec<Point> {
    let mut all = Vec::new();
    for of_resource in request.resource_metrics {
        let mut resource = words(of_resource.resource.unwrap_or_default().attributes);
        let mut said = |name| resource.remove(name).unwrap_or_default();
        let (service, instance) = (said("service.name"), said("service.instance.id"));
        let scopes = of_resource.scope_metrics.into_iter();
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let points = match metric.data {
                Some(Data::Gauge(gauge)) => numbers("gauge", gauge.data_points),
                Some(Data::Sum(sum)) => {
                    assert_eq!(sum.aggregation_temporality, CUMULATIVE);
                    let kind = if sum.is_monotonic { "counter" } else { "sum" };
                    numbers(kind, sum.data_points)
                }
                Some(Data::Histogram(histogram)) => {
                    assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
                    let points = histogram.data_points.into_iter().map(|point| Point {
                        kind: "histogram",
                        attributes: words(point.attributes),
                        value: point.sum.unwrap_or_default(),
                        count: point.count,
                        bounds: point.explicit_bounds,
                        buckets: point.bucket_counts,
                        ..Point::default()
                    });
                    points.collect()
                }
                other => panic!("{other:?} is not understood"),
            };
            all.extend(points.into_iter().map(|point| Point {
                service: service.clone(),
                instance: instance.clone(),
                name: metric.name.clone(),
                unit: metric.unit.clone(),
                ..point
            }));
        }
    }
    all
}

/// The temporality whose points are of all time.
const CUMULATIVE: i32 = 2;

fn numbers(kind: &'static str, points: Vec<NumberDataPoint>) -> Vec<Point> {
    let point = |point: NumberDataPoint| Point {
        kind,
        attributes: words(point.attributes),
        value: match point.value {
            Some(Number::AsDouble(number)) => number,
            Some(Number::AsInt(number)) => number as f64,
            None => f64::NAN,
        },
        ..Point::default()
    };
    points.into_iter().map(point).collect()
}

fn service(resource: Option<Resource>) -> String {
    let attributes = resource.map_or(Vec::new(), |resource| resource.attributes);
    words(attributes).remove("service.name").unwrap_or_default()
}

fn words(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let attributes = attributes.into_iter();
    attributes.map(|it| (it.key, word(it.value))).collect()
}

fn word(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
