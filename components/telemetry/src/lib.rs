//! Observability: what services, hosts and whoever else speaks OTLP say of what they do, and what operators ask of it.
//!
//! Exporters post spans, log records and metrics ([otlp]). They are kept for [`domain::KEEP_HOURS`], and only as much as
//! [`domain::MOST_BYTES`] of the database; the oldest goes first. Of the spans the rate, errors and duration of requests are counted as they
//! come, for each route and for each service that calls another; operators see these by minute. Prometheus scrapes them, and the metrics that
//! others export ([exposition]).
//!
//! Exporters and Prometheus sign nothing, so `/v1/...` and `/metrics` are for whoever reaches the service, which is on a private route.
//!
//! It never traces itself in circles: it exports nothing, and keeps nothing that says of itself that it is of this service, or of a
//! request to `/v1/...`, nor the rest of such a request's trace.

mod api;
mod domain;
mod exposition;
mod otlp;
mod store;

use souk_chassis::{Routes, Service, get, post};

use domain::asked::{
    Edges, LogFilter, Logs, MeasureFilter, Measures, Point, PointFilter, Summary, Trace,
    TraceFilter,
};
use otlp::Exported;
use souk_chassis::Page;

/// The service.
pub static SERVICE: Service = Service::private("telemetry", routes);

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Traces, logs and metrics: taken by OTLP, searched by operators, scraped by Prometheus.")
        .route(
            post("/v1/traces", api::export::<otlp::Traces>)
                .summary("Take spans: OTLP/HTTP in protobuf or JSON, gzipped or not")
                .returns::<Exported>(200)
                .fails([400, 413, 415]),
        )
        .route(
            post("/v1/logs", api::export::<otlp::Logs>)
                .summary("Take log records: OTLP/HTTP in protobuf or JSON, gzipped or not")
                .returns::<Exported>(200)
                .fails([400, 413, 415]),
        )
        .route(
            post("/v1/metrics", api::export::<otlp::Metrics>)
                .summary("Take metrics: OTLP/HTTP in protobuf or JSON, gzipped or not")
                .returns::<Exported>(200)
                .fails([400, 413, 415]),
        )
        .route(
            get("/api/ops/traces", api::traces)
                .summary("Traces, newest first. Where a service, caller, kind, route or attribute is asked for, one span is as asked; else the trace")
                .for_admins()
                .query::<TraceFilter>()
                .returns::<Page<Summary>>(200),
        )
        .route(
            get("/api/ops/traces/{trace}", api::trace)
                .summary("A trace with its spans and logs")
                .for_admins()
                .returns::<Trace>(200),
        )
        .route(
            get("/api/ops/logs", api::logs)
                .summary("The log, newest first; what is new since `after`, oldest first")
                .for_admins()
                .query::<LogFilter>()
                .returns::<Logs>(200),
        )
        .route(
            get("/api/ops/metrics", api::measures)
                .summary("Rate, errors and duration of requests, by minutes")
                .for_admins()
                .query::<MeasureFilter>()
                .returns::<Measures>(200),
        )
        .route(
            get("/api/ops/metrics/edges", api::edges)
                .summary("Rate, errors and duration of the calls between services")
                .for_admins()
                .query::<MeasureFilter>()
                .returns::<Edges>(200),
        )
        .route(
            get("/api/ops/metrics/points", api::points)
                .summary("The newest points of the metrics that others export")
                .for_admins()
                .query::<PointFilter>()
                .returns::<Page<Point>>(200),
        )
        .route(
            get("/metrics", api::expose)
                .summary("What Prometheus scrapes, of traces and of what others export: its own text format, or OpenMetrics with exemplars for who accepts it")
                .returns_stream(200, souk_exposition::TEXT),
        )
        .route(
            post("/internal/tick", api::tick)
                .summary("Forgets what has been kept long enough")
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
