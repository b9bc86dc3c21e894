//! What operators ask for.

use serde_json::{Map, Value as Data};
use souk_chassis::background::now;
use souk_store::{Column, Error, FromRow, Json, Row, Value};

use super::DATABASE;
use crate::domain::asked::{
    Count, Log, LogFilter, MeasureFilter, Point, PointFilter, Span, Summary, TraceFilter, ms,
};
use crate::domain::{STALE_MS, level_word, rfc3339};

/// How many spans and log records of a trace are shown.
pub const MOST_OF_A_TRACE: i64 = 2_000;

/// How many rows are read of what is measured.
const MOST_MEASURED: i64 = 100_000;

/// The columns of a [`Summary`].
macro_rules! summary {
    () => {
        "trace_id, service, name, start_ns, end_ns - start_ns, spans, errors, request_id, \
         (SELECT json_group_array(DISTINCT spans.service) FROM spans WHERE spans.trace_id = traces.trace_id)"
    };
}

impl FromRow for Summary {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let (trace_id, service, name) = (row.take()?, row.take()?, row.take()?);
        let start_ns = row.take()?;
        Ok(Self {
            trace_id,
            service,
            name,
            start_ns,
            started_at: rfc3339(start_ns),
            duration_ms: ms(row.take()?),
            spans: row.take()?,
            errors: row.take()?,
            request_id: row.take()?,
            services: row.take::<Json<_>>()?.0,
        })
    }
}

/// Traces, newest first; one more than asked for where more follow.
pub async fn traces(filter: &TraceFilter) -> Result<Vec<Summary>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        summary!(),
        " FROM traces WHERE start_ns BETWEEN ?1 AND ?2 AND end_ns >= ?17 AND (start_ns, trace_id) < (?3, ?4) ",
        "AND (?5 IS NULL OR trace_id IN (SELECT trace_id FROM spans WHERE request_id = ?5 ",
        "UNION ALL SELECT trace_id FROM logs WHERE request_id = ?5)) ",
        "AND iif(?6, EXISTS (SELECT 1 FROM spans WHERE spans.trace_id = traces.trace_id ",
        "AND spans.start_ns BETWEEN ?17 AND ?2 ",
        "AND (?7 IS NULL OR spans.service = ?7) AND (?8 IS NULL OR spans.route = ?8) ",
        "AND (?9 IS NULL OR spans.failed = (?9 = 'error')) AND spans.duration_ns BETWEEN ?10 AND ?11 ",
        "AND (?15 IS NULL OR spans.kind = ?15) AND (?16 IS NULL OR spans.route IS NOT NULL AND EXISTS (SELECT 1 FROM spans AS caller ",
        "WHERE caller.trace_id = spans.trace_id AND caller.span_id = spans.parent_id AND caller.service = ?16)) ",
        "AND (?12 IS NULL OR EXISTS (SELECT 1 FROM json_each(spans.attributes) WHERE key = ?12 ",
        "AND iif(type IN ('true', 'false'), type, CAST(value AS TEXT)) = ?13))), ",
        "(?9 IS NULL OR (errors > 0) = (?9 = 'error')) AND end_ns - start_ns BETWEEN ?10 AND ?11) ",
        "ORDER BY start_ns DESC, trace_id DESC LIMIT ?14"
    );
    let (before_ns, before_id) = filter.before.clone().unwrap_or((i64::MAX, String::new()));
    let (name, value) = filter.attribute.clone().unzip();
    let from_ns = filter.time.from_ns.unwrap_or(0);
    // A trace may have begun long before the span: events are delivered, and checkouts taken up, in the trace they are of.
    let begun_ns = if filter.is_of_a_span() { 0 } else { from_ns };
    let parameters: [Value; 17] = [
        begun_ns.into(),
        filter.time.to_ns.unwrap_or(i64::MAX).into(),
        before_ns.into(),
        before_id.into(),
        filter.request_id.as_deref().into(),
        i64::from(filter.is_of_a_span()).into(),
        filter.service.as_deref().into(),
        filter.route.as_deref().into(),
        filter.status.as_deref().into(),
        (filter.min_ms * 1_000_000).into(),
        (filter.max_ms * 1_000_000).into(),
        name.as_deref().into(),
        value.as_deref().into(),
        (filter.limit + 1).into(),
        filter.kind.as_deref().into(),
        filter.caller.as_deref().into(),
        from_ns.into(),
    ];
    DATABASE.read(SQL, parameters).await
}

/// What a trace is, without its spans.
pub async fn trace(trace_id: &str) -> Result<Option<Summary>, Error> {
    const SQL: &str = concat!("SELECT ", summary!(), " FROM traces WHERE trace_id = ?1");
    DATABASE.read_one(SQL, [trace_id.into()]).await
}

impl FromRow for Span {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            span_id: row.take()?,
            parent_id: row.take()?,
            service: row.take()?,
            name: row.take()?,
            kind: row.take()?,
            route: row.take()?,
            offset_ms: ms(row.take()?),
            duration_ms: ms(row.take()?),
            status: row.take()?,
            message: row.take()?,
            attributes: row.take::<Json<_>>()?.0,
            events: row.take::<Json<_>>()?.0,
            links: row.take::<Json<_>>()?.0,
        })
    }
}

/// The spans of a trace, in the order they began.
pub async fn spans(trace: &Summary) -> Result<Vec<Span>, Error> {
    const SQL: &str = "SELECT span_id, parent_id, service, name, kind, route, start_ns - ?2, duration_ns, \
                       iif(failed, 'error', 'ok'), message, attributes, events, links \
                       FROM spans WHERE trace_id = ?1 ORDER BY start_ns, duration_ns DESC LIMIT ?3";
    let parameters = [
        trace.trace_id.as_str().into(),
        trace.start_ns.into(),
        MOST_OF_A_TRACE.into(),
    ];
    DATABASE.read(SQL, parameters).await
}

/// The columns of a [`Log`].
macro_rules! log {
    () => {
        "SELECT id, time_ns, service, level, message, trace_id, span_id, request_id, attributes FROM logs "
    };
}

impl FromRow for Log {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            at: rfc3339(row.take()?),
            service: row.take()?,
            level: level_word(row.take()?).into(),
            message: row.take()?,
            trace_id: row.take()?,
            span_id: row.take()?,
            request_id: row.take()?,
            attributes: row.take::<Json<Map<String, Data>>>()?.0,
        })
    }
}

/// What was logged during a trace, in order.
pub async fn logs_of(trace_id: &str) -> Result<Vec<Log>, Error> {
    const SQL: &str = concat!(log!(), "WHERE trace_id = ?1 ORDER BY time_ns, id LIMIT ?2");
    DATABASE
        .read(SQL, [trace_id.into(), MOST_OF_A_TRACE.into()])
        .await
}

/// Which records are asked for.
macro_rules! fits {
    () => {
        "WHERE id > ?1 AND id < ?2 AND (?3 IS NULL OR service = ?3) AND level >= ?4 \
         AND (?5 IS NULL OR instr(lower(message), lower(?5))) AND (?6 IS NULL OR trace_id = ?6) \
         AND (?7 IS NULL OR request_id = ?7) AND time_ns BETWEEN ?8 AND ?9 \
         AND (?11 IS NULL OR EXISTS (SELECT 1 FROM json_each(logs.attributes) WHERE key = ?11 \
         AND iif(type IN ('true', 'false'), type, CAST(value AS TEXT)) = ?12)) "
    };
}

/// Log records, newest first, or for who follows oldest first; one more than asked for where more follow.
pub async fn logs(filter: &LogFilter) -> Result<Vec<Log>, Error> {
    const LIST: &str = concat!(log!(), fits!(), "ORDER BY id DESC LIMIT ?10");
    const FOLLOW: &str = concat!(log!(), fits!(), "ORDER BY id LIMIT ?10");
    let (name, value) = filter.attribute.clone().unzip();
    let parameters: [Value; 12] = [
        filter.after.unwrap_or(0).into(),
        filter.before.unwrap_or(i64::MAX).into(),
        filter.service.as_deref().into(),
        filter.severity.into(),
        filter.text.as_deref().into(),
        filter.trace_id.as_deref().into(),
        filter.request_id.as_deref().into(),
        filter.time.from_ns.unwrap_or(0).into(),
        filter.time.to_ns.unwrap_or(i64::MAX).into(),
        (filter.limit + 1).into(),
        name.as_deref().into(),
        value.as_deref().into(),
    ];
    let sql = match filter.after {
        Some(_) => FOLLOW,
        None => LIST,
    };
    DATABASE.read(sql, parameters).await
}

/// The id of the newest record of all; 0 where there is none.
pub async fn newest_log() -> Result<i64, Error> {
    let newest: Option<Column<i64>> = DATABASE
        .read_one("SELECT coalesce(max(id), 0) FROM logs", [])
        .await?;
    Ok(newest.map_or(0, |Column(newest)| newest))
}

impl<A: FromRow> FromRow for Count<A> {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            of: A::from_row(row)?,
            bucket: row.take()?,
            calls: row.take()?,
            errors: row.take()?,
            sum_ns: row.take()?,
        })
    }
}

/// A service's route in some minutes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measured {
    pub minute: i64,
    pub service: String,
    pub route: String,
}

impl FromRow for Measured {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            minute: row.take()?,
            service: row.take()?,
            route: row.take()?,
        })
    }
}

/// What was measured of services and routes in these minutes, step by step; in which bucket how many were.
pub async fn measures(
    filter: &MeasureFilter,
    from: i64,
    to: i64,
) -> Result<Vec<Count<Measured>>, Error> {
    const SQL: &str = "SELECT minute / ?3 * ?3 AS step, service, iif(?4, route, '') AS part, bucket, sum(calls), sum(errors), sum(sum_ns) \
                       FROM minutes JOIN series ON series.id = minutes.series \
                       WHERE minute BETWEEN ?1 AND ?2 AND caller = '' AND (?5 IS NULL OR service = ?5) AND (?6 IS NULL OR route = ?6) \
                       GROUP BY step, service, part, bucket ORDER BY step, service, part, bucket LIMIT ?7";
    let parameters: [Value; 7] = [
        from.into(),
        to.into(),
        filter.step.into(),
        i64::from(filter.by_route).into(),
        filter.service.as_deref().into(),
        filter.route.as_deref().into(),
        MOST_MEASURED.into(),
    ];
    DATABASE.read(SQL, parameters).await
}

/// The same of all requests to services, where their hosts count them.
pub async fn all_requests(
    filter: &MeasureFilter,
    from: i64,
    to: i64,
) -> Result<Vec<Count<Measured>>, Error> {
    const SQL: &str = "SELECT minute / ?3 * ?3 AS step, service, '', bucket, sum(calls), sum(errors), sum(sum_ns) FROM all_requests \
                       WHERE minute BETWEEN ?1 AND ?2 AND (?4 IS NULL OR service = ?4) \
                       GROUP BY step, service, bucket ORDER BY step, service, bucket LIMIT ?5";
    let parameters = [
        from.into(),
        to.into(),
        filter.step.into(),
        filter.service.as_deref().into(),
        MOST_MEASURED.into(),
    ];
    DATABASE.read(SQL, parameters).await
}

/// Who calls whom.
#[derive(Debug, PartialEq)]
pub struct Call {
    pub caller: String,
    pub callee: String,
}

impl FromRow for Call {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            caller: row.take()?,
            callee: row.take()?,
        })
    }
}

/// The calls between services in these minutes; in which bucket how many were.
pub async fn calls(from: i64, to: i64) -> Result<Vec<Count<Call>>, Error> {
    const SQL: &str = "SELECT caller, service, bucket, sum(calls), sum(errors), sum(sum_ns) \
                       FROM minutes JOIN series ON series.id = minutes.series WHERE minute BETWEEN ?1 AND ?2 AND caller <> '' \
                       GROUP BY caller, service, bucket ORDER BY caller, service, bucket LIMIT ?3";
    let parameters = [from.into(), to.into(), MOST_MEASURED.into()];
    DATABASE.read(SQL, parameters).await
}

/// A bucket of a series, since ever, and the newest that was counted in it.
#[derive(Debug)]
pub struct Total {
    pub caller: String,
    pub service: String,
    pub route: String,
    pub bucket: i64,
    pub calls: i64,
    pub errors: i64,
    pub sum_ns: i64,
    pub trace_id: String,
    pub traced_ns: i64,
    pub traced_at: i64,
}

impl FromRow for Total {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            caller: row.take()?,
            service: row.take()?,
            route: row.take()?,
            bucket: row.take()?,
            calls: row.take()?,
            errors: row.take()?,
            sum_ns: row.take()?,
            trace_id: row.take()?,
            traced_ns: row.take()?,
            traced_at: row.take()?,
        })
    }
}

/// All that is measured, since ever.
pub async fn totals() -> Result<Vec<Total>, Error> {
    const SQL: &str = "SELECT caller, service, route, bucket, calls, errors, sum_ns, trace_id, traced_ns, traced_at \
                       FROM totals JOIN series ON series.id = totals.series ORDER BY caller, service, route, bucket";
    DATABASE.read(SQL, []).await
}

impl FromRow for Point {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let (service, instance): (String, String) = (row.take()?, row.take()?);
        let (name, attributes): (String, String) = (row.take()?, row.take()?);
        Ok(Self {
            key: (
                service.clone(),
                instance.clone(),
                name.clone(),
                attributes.clone(),
            ),
            service,
            instance,
            name,
            attributes: serde_json::from_str(&attributes).unwrap_or_default(),
            kind: row.take()?,
            unit: row.take()?,
            at: rfc3339(row.take()?),
            value: row.take::<Real>()?.0,
            count: row.take()?,
        })
    }
}

/// A number that is none of our integers.
struct Real(Option<f64>);

impl souk_store::FromValue for Real {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Real(real) => Ok(Self(Some(real))),
            Value::Null => Ok(Self(None)),
            _ => Err("a real number"),
        }
    }
}

/// The newest points, by service, instance and name; one more than asked for where more follow.
pub async fn points(filter: &PointFilter) -> Result<Vec<Point>, Error> {
    const SQL: &str = "SELECT service, instance, name, attributes, kind, unit, time_ns, value, count FROM exported \
                       WHERE (service, instance, name, attributes) > (?1, ?2, ?3, ?4) AND (?5 IS NULL OR service = ?5) \
                       AND (?6 IS NULL OR name = ?6) ORDER BY service, instance, name, attributes LIMIT ?7";
    let (service, instance, name, attributes) = filter.after.clone().unwrap_or_default();
    let parameters: [Value; 7] = [
        service.into(),
        instance.into(),
        name.into(),
        attributes.into(),
        filter.service.as_deref().into(),
        filter.name.as_deref().into(),
        (filter.limit + 1).into(),
    ];
    DATABASE.read(SQL, parameters).await
}

/// A series that somebody exports, as Prometheus is shown it.
#[derive(Debug)]
pub struct Series {
    pub service: String,
    pub instance: String,
    pub name: String,
    pub attributes: Map<String, Data>,
    pub kind: String,
    pub unit: String,
    pub description: String,
    pub value: Option<f64>,
    pub count: Option<i64>,
    /// What the buckets of a histogram end with, where it says that; the last has no end.
    pub bounds: Vec<f64>,
    /// How many values are in each bucket.
    pub buckets: Vec<i64>,
}

impl FromRow for Series {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            service: row.take()?,
            instance: row.take()?,
            name: row.take()?,
            attributes: row.take::<Json<_>>()?.0,
            kind: row.take()?,
            unit: row.take()?,
            description: row.take()?,
            value: row.take::<Real>()?.0,
            count: row.take()?,
            bounds: row.take::<Option<Json<_>>>()?.map_or(Vec::new(), |it| it.0),
            buckets: row.take::<Option<Json<_>>>()?.map_or(Vec::new(), |it| it.0),
        })
    }
}

/// The series that are still exported. What is told about one may not be long: it is written for each of its buckets.
pub async fn exported() -> Result<Vec<Series>, Error> {
    const SQL: &str = "SELECT service, instance, name, attributes, kind, unit, description, value, count, bounds, buckets FROM exported \
                       WHERE received_at >= ?1 AND length(attributes) <= 2048 ORDER BY name, service, instance, attributes";
    DATABASE.read(SQL, [(now() - STALE_MS).into()]).await
}
