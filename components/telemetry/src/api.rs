//! HTTP in and out.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderMap};
use souk_chassis::background::{Every, now};
use souk_chassis::{Admin, Json, Page, Path, Problem, Query, page};
use souk_exposition::Format;

use crate::domain::asked::{
    Between, Edge, Edges, LogFilter, Logs, Measure, MeasureFilter, Measures, Point, PointFilter,
    Summary, Trace, TraceFilter, bounds_ms, by_thing, fuller,
};
use crate::domain::rfc3339;
use crate::exposition;
use crate::otlp::{Encoding, Place, Received, Signal};
use crate::store;

const NS_PER_MINUTE: i64 = 60_000_000_000;

/// How many steps of time are shown at once; of more the last.
const MOST_STEPS: i64 = 1_440;

/// `POST /v1/traces`, `/v1/logs`, `/v1/metrics`
pub async fn export<S: Signal>(request: Request) -> Response {
    let encoding = match Encoding::of(request.headers()) {
        Ok(encoding) => encoding,
        Err(problem) => return problem.into_response(),
    };
    match keep::<S>(request, encoding).await {
        Ok(answer) => answer,
        Err(problem) => encoding.refuse(problem),
    }
}

async fn keep<S: Signal>(request: Request, encoding: Encoding) -> Result<Response, Problem> {
    let received = Received::read(request).await?;
    let _place = Place::take()?;
    let batch = received.decode::<S>(encoding, now())?;
    let answer = encoding.answer::<S>(batch.rejected, batch.why);
    if batch.accepted > 0 {
        S::keep(batch.into_json()).await?;
    }
    forget_now_and_then().await?;
    Ok(answer)
}

/// What is old goes with what is new, so nothing has to tick.
async fn forget_now_and_then() -> Result<(), Problem> {
    static FORGET: Every = Every::new(60_000);
    match FORGET.is_due() {
        true => Ok(store::forget_old().await?),
        false => Ok(()),
    }
}

/// `GET /api/ops/traces`
pub async fn traces(
    _: Admin,
    Query(filter): Query<TraceFilter>,
) -> Result<Json<Page<Summary>>, Problem> {
    let traces = store::traces(&filter).await?;
    let key = |last: &Summary| (last.start_ns, last.trace_id.clone());
    Ok(Json(Page::new(traces, filter.limit, key)))
}

/// `GET /api/ops/traces/{trace}`
pub async fn trace(_: Admin, Path(trace_id): Path<String>) -> Result<Json<Trace>, Problem> {
    let missing = || Problem::not_found("there is no such trace, or none any more");
    let summary = store::trace(&trace_id).await?.ok_or_else(missing)?;
    let (items, logs) = (
        store::spans(&summary).await?,
        store::logs_of(&trace_id).await?,
    );
    let is_full =
        |length: usize| i64::try_from(length).is_ok_and(|it| it >= store::MOST_OF_A_TRACE);
    Ok(Json(Trace {
        truncated: is_full(items.len()) || is_full(logs.len()),
        summary,
        items,
        logs,
    }))
}

/// `GET /api/ops/logs`
pub async fn logs(_: Admin, Query(filter): Query<LogFilter>) -> Result<Json<Logs>, Problem> {
    // Read first: what comes in between is then shown twice rather than missed.
    let newest = store::newest_log().await?;
    let page = Page::new(store::logs(&filter).await?, filter.limit, |last| last.id);
    let followed = filter
        .after
        .map(|after| page.items.last().map_or(after, |last| last.id));
    Ok(Json(Logs {
        newest: page::encode(&followed.unwrap_or(newest)),
        // Who follows goes on with `after`.
        next_cursor: page.next_cursor.filter(|_| filter.after.is_none()),
        items: page.items,
    }))
}

/// `GET /api/ops/metrics`
pub async fn measures(
    _: Admin,
    Query(filter): Query<MeasureFilter>,
) -> Result<Json<Measures>, Problem> {
    let (from, to) = minutes(filter.time, filter.step);
    let mut numbers = by_thing(store::measures(&filter, from, to).await?);
    // Hosts know no routes of services.
    if !filter.by_route && filter.route.is_none() {
        let of_hosts = store::all_requests(&filter, from, to).await?;
        numbers = fuller(numbers, by_thing(of_hosts));
    }
    let items = numbers.into_iter().map(|(of, numbers)| Measure {
        at: rfc3339(of.minute * NS_PER_MINUTE),
        service: of.service,
        route: of.route,
        numbers,
    });
    Ok(Json(Measures {
        bounds_ms: bounds_ms(),
        items: items.collect(),
    }))
}

/// `GET /api/ops/metrics/edges`
pub async fn edges(_: Admin, Query(filter): Query<MeasureFilter>) -> Result<Json<Edges>, Problem> {
    let (from, to) = minutes(filter.time, filter.step);
    let items = by_thing(store::calls(from, to).await?).into_iter();
    let items = items.map(|(of, numbers)| Edge {
        caller: of.caller,
        callee: of.callee,
        numbers,
    });
    Ok(Json(Edges {
        bounds_ms: bounds_ms(),
        items: items.collect(),
    }))
}

/// The first and the last minute asked for: the last hour's unless told, and no more than so many steps.
fn minutes(time: Between, step: i64) -> (i64, i64) {
    let to = time.to_ns.map_or(now() / 60_000, |ns| ns / NS_PER_MINUTE);
    let from = time.from_ns.map_or(to - 59, |ns| ns / NS_PER_MINUTE);
    (from.max(to - MOST_STEPS * step), to)
}

/// `GET /api/ops/metrics/points`
pub async fn points(
    _: Admin,
    Query(filter): Query<PointFilter>,
) -> Result<Json<Page<Point>>, Problem> {
    let points = store::points(&filter).await?;
    let key = |last: &Point| last.key.clone();
    Ok(Json(Page::new(points, filter.limit, key)))
}

/// `GET /metrics`
pub async fn expose(headers: HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let (totals, exported) = (store::totals().await?, store::exported().await?);
    let text = exposition::write(format, &totals, &exported, store::bytes_in_use().await?);
    Ok((
        [
            (header::CONTENT_TYPE, format.media_type()),
            (header::VARY, "accept"),
        ],
        text,
    )
        .into_response())
}

/// `POST /internal/tick`
pub async fn tick() -> Result<StatusCode, Problem> {
    store::forget_old().await?;
    Ok(StatusCode::NO_CONTENT)
}
