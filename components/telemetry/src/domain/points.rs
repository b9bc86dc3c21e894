//! Points of the metrics that others export, as they are kept: the newest of each series.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, ExponentialHistogramDataPoint, HistogramDataPoint,
    Metric, NumberDataPoint, SummaryDataPoint, metric::Data,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::spans::{said, service_of};
use super::values::{self, Budget};
use super::{Batch, NS_PER_MS, Refusal, SELF, within_keeping};

/// How many bounds a histogram may have.
const MOST_BOUNDS: usize = 200;

/// What was added since the last point, and not in all, would have to be added up here, where the same point may come twice.
const DELTA: Refusal = Refusal(
    "sums and histograms are to be cumulative (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative)",
);

/// A point, as the store takes it.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    service: String,
    instance: String,
    name: String,
    description: String,
    kind: &'static str,
    unit: String,
    attributes: Map<String, Value>,
    start_ns: i64,
    time_ns: i64,
    value: Option<f64>,
    count: Option<i64>,
    buckets: Option<Buckets>,
}

/// How many values of a histogram are up to each bound, and how many beyond the last.
#[derive(Debug, PartialEq, Serialize)]
struct Buckets {
    bounds: Vec<f64>,
    counts: Vec<i64>,
}

/// Whose metrics they are.
struct Source {
    service: String,
    instance: String,
}

/// What the points of a metric have in common.
struct About {
    name: String,
    description: String,
    unit: String,
}

/// What the kinds of points have in common.
#[derive(Default)]
struct Point {
    attributes: Vec<KeyValue>,
    start_ns: u64,
    time_ns: u64,
    flags: u32,
    value: Option<f64>,
    count: Option<u64>,
    buckets: Option<Buckets>,
}

impl Point {
    /// A point may say that there is no value any more.
    fn has_value(&self) -> bool {
        self.flags & DataPointFlags::NoRecordedValueMask as u32 == 0
    }
}

/// The points of a request that are kept, as of now (milliseconds since 1970).
pub fn points(request: ExportMetricsServiceRequest, now_ms: i64) -> Batch {
    let mut batch = Batch::new();
    for resource in request.resource_metrics {
        let source = Source {
            service: service_of(resource.resource.as_ref()),
            instance: said(resource.resource.as_ref(), "service.instance.id").unwrap_or_default(),
        };
        if source.service == SELF {
            continue;
        }
        for metric in resource.scope_metrics.into_iter().flat_map(|it| it.metrics) {
            let about = About {
                name: values::name(&metric.name),
                description: values::name(&metric.description),
                unit: values::name(&metric.unit),
            };
            let is_delta = is_delta(&metric);
            let (kind, points) = points_of(metric);
            for point in points {
                batch.add(match is_delta {
                    true => Err(DELTA),
                    false => row(&source, &about, kind, point, now_ms),
                });
            }
        }
    }
    batch
}

fn is_delta(metric: &Metric) -> bool {
    let temporality = match &metric.data {
        Some(Data::Sum(sum)) => sum.aggregation_temporality(),
        Some(Data::Histogram(histogram)) => histogram.aggregation_temporality(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.aggregation_temporality(),
        _ => return false,
    };
    temporality == AggregationTemporality::Delta
}

fn row(
    source: &Source,
    about: &About,
    kind: &'static str,
    point: Point,
    now_ms: i64,
) -> Result<Row, Refusal> {
    if about.name.is_empty() {
        return Err(Refusal("a metric has a name"));
    }
    if point.buckets.as_ref().is_some_and(|it| !it.are_sound()) {
        return Err(Refusal(
            "a histogram has bounds that ascend, 200 at most, and one more bucket than these",
        ));
    }
    let has_value = point.has_value();
    Ok(Row {
        service: source.service.clone(),
        instance: source.instance.clone(),
        name: about.name.clone(),
        description: about.description.clone(),
        kind,
        unit: about.unit.clone(),
        attributes: Budget::new().attributes(point.attributes),
        start_ns: whole(point.start_ns),
        time_ns: within_keeping(point.time_ns, now_ms).unwrap_or(now_ms * NS_PER_MS),
        value: point.value.filter(|value| has_value && value.is_finite()),
        count: point.count.filter(|_| has_value).map(whole),
        buckets: point.buckets,
    })
}

impl Buckets {
    fn are_sound(&self) -> bool {
        self.bounds.len() <= MOST_BOUNDS
            && self.counts.len() == self.bounds.len() + 1
            && self.bounds.iter().all(|bound| bound.is_finite())
            && self.bounds.is_sorted_by(|one, next| one < next)
    }
}

fn points_of(metric: Metric) -> (&'static str, Vec<Point>) {
    fn all<P>(points: Vec<P>, point: fn(P) -> Point) -> Vec<Point> {
        points.into_iter().map(point).collect()
    }
    match metric.data {
        Some(Data::Gauge(gauge)) => ("gauge", all(gauge.data_points, number)),
        Some(Data::Sum(sum)) if sum.is_monotonic => ("counter", all(sum.data_points, number)),
        Some(Data::Sum(sum)) => ("sum", all(sum.data_points, number)),
        Some(Data::Histogram(it)) => ("histogram", all(it.data_points, histogram)),
        Some(Data::ExponentialHistogram(it)) => ("histogram", all(it.data_points, exponential)),
        Some(Data::Summary(it)) => ("summary", all(it.data_points, summary)),
        None => ("gauge", Vec::new()),
    }
}

fn number(it: NumberDataPoint) -> Point {
    Point {
        attributes: it.attributes,
        start_ns: it.start_time_unix_nano,
        time_ns: it.time_unix_nano,
        flags: it.flags,
        value: it.value.map(|value| match value {
            Number::AsDouble(number) => number,
            Number::AsInt(number) => number as f64,
        }),
        ..Point::default()
    }
}

fn histogram(it: HistogramDataPoint) -> Point {
    Point {
        attributes: it.attributes,
        start_ns: it.start_time_unix_nano,
        time_ns: it.time_unix_nano,
        flags: it.flags,
        value: it.sum,
        count: Some(it.count),
        buckets: (!it.explicit_bounds.is_empty()).then_some(Buckets {
            bounds: it.explicit_bounds,
            counts: it.bucket_counts.into_iter().map(whole).collect(),
        }),
    }
}

fn exponential(it: ExponentialHistogramDataPoint) -> Point {
    Point {
        attributes: it.attributes,
        start_ns: it.start_time_unix_nano,
        time_ns: it.time_unix_nano,
        flags: it.flags,
        value: it.sum,
        count: Some(it.count),
        buckets: None,
    }
}

fn summary(it: SummaryDataPoint) -> Point {
    Point {
        attributes: it.attributes,
        start_ns: it.start_time_unix_nano,
        time_ns: it.time_unix_nano,
        flags: it.flags,
        value: Some(it.sum),
        count: Some(it.count),
        buckets: None,
    }
}

/// A number as the database has it.
fn whole(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
