//! HTTP in and out.

use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde_json::Value;
use souk_chassis::fields::{self, Fields, FromFields};
use souk_chassis::gauges::Gauge;
use souk_chassis::page::Part;
use souk_chassis::{Admin, Context, FieldError, Json, Page, Path, Problem, Query, json_body, page};
use souk_events::{EVENT_LIMIT, Event, source};

use crate::delivery;
use crate::domain::{DeadLetter, HeldBack, Logged, Standing};
use crate::settings;
use crate::store::{self, Appended};

/// How many events a batch can have.
const MOST_EVENTS: usize = 500;

/// No log comes to a position beyond this one, up to which Redis, too, counts without rounding.
const LAST: i64 = (1 << 53) - 1;

/// One event, or a list of them.
pub struct Batch(Vec<Event>);

impl<S: Sync> FromRequest<S> for Batch {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let events = match json_body(request, EVENT_LIMIT).await? {
            Value::Array(events) if events.len() > MOST_EVENTS => {
                return Err(Problem::bad_request(format!(
                    "a batch has {MOST_EVENTS} events at most"
                )));
            }
            Value::Array(events) => events,
            event => vec![event],
        };
        let mut read = Vec::with_capacity(events.len());
        let mut wrong = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            match fields::from_json(event) {
                Ok(event) => read.push(event),
                Err(errors) => wrong.extend(errors.into_iter().map(|error| at(index, error))),
            }
        }
        match wrong.is_empty() {
            true => Ok(Self(read)),
            false => Err(Problem::validation(wrong)),
        }
    }
}

fn at(index: usize, error: FieldError) -> FieldError {
    FieldError {
        field: format!("[{index}].{}", error.field),
        ..error
    }
}

/// `POST /events`
///
/// A service publishes what happened in itself, and nothing else.
pub async fn publish(context: Context, Batch(events): Batch) -> Result<Json<Appended>, Problem> {
    let caller = context.caller.clone().and_then(|caller| caller.service);
    let caller = caller.ok_or_else(|| Problem::unauthorized("this is for services"))?;
    let own = source(&caller);
    if events.iter().any(|event| event.source != own) {
        return Err(Problem::forbidden(format!(
            "{caller} publishes events of the source {own} alone"
        )));
    }
    let appended = store::append(&events).await?;
    delivery::wake(&context, &events).await?;
    Ok(Json(appended))
}

/// Which events of the log are asked for.
pub struct EventFilter {
    pub kind: Option<String>,
    pub subject: Option<String>,
    pub source: Option<String>,
    /// The one at this position.
    pub position: Option<i64>,
    /// Those that come after this position.
    pub after: Option<i64>,
    pub before: Option<i64>,
    pub limit: i64,
}

impl FromFields for EventFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            kind: fields.optional("type", fields::line(1..=100)),
            subject: fields.optional("subject", fields::line(1..=200)),
            source: fields.optional("source", fields::line(1..=200)),
            position: fields.optional("position", fields::whole_number(0..=LAST)),
            after: fields.optional("after", fields::whole_number(0..=LAST)),
            before: fields.optional("cursor", page::cursor()),
            limit: fields
                .optional("limit", page::limit())
                .unwrap_or(page::DEFAULT_LIMIT),
        }
    }
}

impl EventFilter {
    /// The positions between which they are, without these two.
    pub fn between(&self) -> (i64, i64) {
        let (from, to) = match self.position {
            Some(position) => (position, position),
            None => (0, LAST),
        };
        let after = self.after.map_or(from - 1, |after| after.max(from - 1));
        let before = self.before.map_or(to + 1, |before| before.min(to + 1));
        (after, before)
    }

    /// Whether an event is one of those; where it is in the log aside.
    pub fn fits(&self, event: &Event) -> bool {
        let fits =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        fits(&self.kind, &event.kind)
            && fits(&self.subject, &event.subject)
            && fits(&self.source, &event.source)
    }
}

/// `GET /api/ops/events`
pub async fn list(
    _: Admin,
    Query(filter): Query<EventFilter>,
) -> Result<Json<Page<Logged>>, Problem> {
    let listed = store::list(&filter).await?;
    let mut page = Page::new(listed.events, filter.limit, |last| last.position);
    // A list that ends early for other reasons goes on where it was left.
    page.next_cursor = page
        .next_cursor
        .or(listed.read_to.map(|position| page::encode(&position)));
    Ok(Json(page))
}

/// `GET /api/ops/subscriptions`
pub async fn subscriptions(_: Admin) -> Result<Json<Page<Standing>>, Problem> {
    Ok(Json(Page::whole(store::standings().await?)))
}

/// `GET /api/ops/subscriptions/{consumer}/held`
pub async fn held(
    _: Admin,
    Path(consumer): Path<String>,
    Query(part): Query<Part<i64>>,
) -> Result<Json<Page<HeldBack>>, Problem> {
    let mut subscriptions = settings::subscriptions()?.iter();
    if !subscriptions.any(|it| it.consumer == consumer) {
        return Err(nobody(&consumer));
    }
    let held = store::held(&consumer, &part).await?;
    Ok(Json(Page::new(held, part.limit, |last| last.position)))
}

fn nobody(consumer: &str) -> Problem {
    Problem::not_found(format!("nobody called {consumer} listens"))
}

/// Where in the log a consumer is to go on.
pub struct Replay {
    from: i64,
}

impl FromFields for Replay {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            from: fields.required("from", fields::whole_number(0..=i64::MAX)),
        }
    }
}

/// `POST /api/ops/subscriptions/{consumer}/replay`
pub async fn replay(
    _: Admin,
    Path(consumer): Path<String>,
    Json(Replay { from }): Json<Replay>,
) -> Result<Json<Standing>, Problem> {
    if !store::replay(&consumer, from).await? {
        return Err(nobody(&consumer));
    }
    let standings = store::standings().await?.into_iter();
    let mut standings = standings.filter(|standing| standing.consumer == consumer);
    standings.next().map(Json).ok_or_else(|| nobody(&consumer))
}

/// Which dead letters are asked for.
pub struct LetterFilter {
    pub consumer: Option<String>,
    pub after: Option<(i64, String)>,
    pub limit: i64,
}

impl FromFields for LetterFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            consumer: fields.optional("consumer", fields::line(1..=100)),
            after: fields.optional("cursor", page::cursor()),
            limit: fields
                .optional("limit", page::limit())
                .unwrap_or(page::DEFAULT_LIMIT),
        }
    }
}

/// `GET /api/ops/dead-letters`
pub async fn dead_letters(
    _: Admin,
    Query(filter): Query<LetterFilter>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    let letters = store::dead_letters(&filter).await?;
    let key = |last: &DeadLetter| (last.position, last.consumer.clone());
    Ok(Json(Page::new(letters, filter.limit, key)))
}

/// `POST /api/ops/dead-letters/{letter}/redeliver`
pub async fn redeliver(_: Admin, Path(letter): Path<String>) -> Result<StatusCode, Problem> {
    let named = letter.rsplit_once('-');
    let named = named.and_then(|(consumer, position)| Some((consumer, position.parse().ok()?)));
    match named {
        Some((consumer, position)) if store::redeliver(consumer, position).await? => {
            Ok(StatusCode::ACCEPTED)
        }
        _ => Err(Problem::not_found(format!(
            "there is no dead letter {letter}"
        ))),
    }
}

/// What it states about itself in numbers.
pub async fn gauges() -> Result<Vec<Gauge>, store::Error> {
    let standings = store::standings().await?;
    Ok(standings.iter().flat_map(gauges_of).collect())
}

/// Events that a consumer does not want count as well until it has come past them, as it does whenever somebody asks.
fn gauges_of(standing: &Standing) -> [Gauge; 3] {
    [
        Gauge::number(
            "souk_dead_letters",
            "Events that a consumer did not take, and that are not tried any more.",
            standing.dead,
        ),
        Gauge::number(
            "souk_subscription_lag",
            "Events that a consumer is still to get.",
            standing.behind + standing.held,
        ),
        Gauge::seconds(
            "souk_subscription_lag_seconds",
            "How long the oldest event has been in the log that a consumer is still to get.",
            standing.waiting_ms,
        ),
    ]
    .map(|gauge| gauge.of("consumer", &standing.consumer))
}

/// `POST /internal/tick`
pub async fn tick(context: Context) -> Result<StatusCode, Problem> {
    delivery::tick(&context).await?;
    Ok(StatusCode::NO_CONTENT)
}
