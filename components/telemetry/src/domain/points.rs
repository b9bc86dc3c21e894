//! Points of the metrics that others export, as they are kept: the newest of each series.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric::Data};
use serde::Serialize;
use serde_json::{Map, Value};

use super::spans::service_of;
use super::values::{self, Budget};
use super::{Batch, NS_PER_MS, Refusal, SELF, within_keeping};

/// A point, as the store takes it.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    service: String,
    name: String,
    kind: &'static str,
    unit: String,
    attributes: Map<String, Value>,
    time_ns: i64,
    value: Option<f64>,
    count: Option<i64>,
}

/// What the kinds of points have in common.
struct Point {
    attributes: Vec<KeyValue>,
    time_ns: u64,
    value: Option<f64>,
    count: Option<u64>,
}

/// The points of a request that are kept, as of now (milliseconds since 1970).
pub fn points(request: ExportMetricsServiceRequest, now_ms: i64) -> Batch {
    let mut batch = Batch::new();
    for resource in request.resource_metrics {
        let service = service_of(resource.resource.as_ref());
        if service == SELF {
            continue;
        }
        for metric in resource.scope_metrics.into_iter().flat_map(|it| it.metrics) {
            let (name, unit) = (values::name(&metric.name), values::name(&metric.unit));
            let (kind, points) = points_of(metric);
            for point in points {
                batch.add(row(&service, &name, &unit, kind, point, now_ms));
            }
        }
    }
    batch
}

fn row(
    service: &str,
    name: &str,
    unit: &str,
    kind: &'static str,
    point: Point,
    now_ms: i64,
) -> Result<Row, Refusal> {
    if name.is_empty() {
        return Err(Refusal("a metric has a name"));
    }
    let time_ns = within_keeping(point.time_ns, now_ms).unwrap_or(now_ms * NS_PER_MS);
    Ok(Row {
        service: service.to_owned(),
        name: name.to_owned(),
        kind,
        unit: unit.to_owned(),
        attributes: Budget::new().attributes(point.attributes),
        time_ns,
        value: point.value.filter(|value| value.is_finite()),
        count: point
            .count
            .map(|count| count.try_into().unwrap_or(i64::MAX)),
    })
}

fn points_of(metric: Metric) -> (&'static str, Box<dyn Iterator<Item = Point>>) {
    match metric.data {
        Some(Data::Gauge(gauge)) => ("gauge", numbers(gauge.data_points)),
        Some(Data::Sum(sum)) if sum.is_monotonic => ("counter", numbers(sum.data_points)),
        Some(Data::Sum(sum)) => ("sum", numbers(sum.data_points)),
        Some(Data::Histogram(histogram)) => {
            let points = histogram.data_points.into_iter();
            let points =
                points.map(|it| counted(it.attributes, it.time_unix_nano, it.sum, it.count));
            ("histogram", Box::new(points))
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let points = histogram.data_points.into_iter();
            let points =
                points.map(|it| counted(it.attributes, it.time_unix_nano, it.sum, it.count));
            ("histogram", Box::new(points))
        }
        Some(Data::Summary(summary)) => {
            let points = summary.data_points.into_iter();
            let points =
                points.map(|it| counted(it.attributes, it.time_unix_nano, Some(it.sum), it.count));
            ("summary", Box::new(points))
        }
        None => ("gauge", numbers(Vec::new())),
    }
}

fn numbers(points: Vec<NumberDataPoint>) -> Box<dyn Iterator<Item = Point>> {
    let point = |it: NumberDataPoint| Point {
        attributes: it.attributes,
        time_ns: it.time_unix_nano,
        value: it.value.map(|value| match value {
            Number::AsDouble(number) => number,
            Number::AsInt(number) => number as f64,
        }),
        count: None,
    };
    Box::new(points.into_iter().map(point))
}

fn counted(attributes: Vec<KeyValue>, time_ns: u64, sum: Option<f64>, count: u64) -> Point {
    Point {
        attributes,
        time_ns,
        value: sum,
        count: Some(count),
    }
}
