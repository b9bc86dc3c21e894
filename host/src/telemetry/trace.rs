//! The spans of requests, and which of them are exported.
//!
//! What happens in this process because of one request from outside is kept until that request has been answered, for only then is
//! known whether it failed or took long. It is exported when it was sampled to begin with, when something in it failed, or when
//! it took longer than [`SLOW`]; else it is forgotten. Work that goes on after the answer shares its fate.

use super::context::TraceContext;
use super::details::{Details, MAX_TEXT, Value, beginning};
use super::exporter::Exporter;
use super::settings::Sampler;
use http::HeaderMap;
use opentelemetry::trace::SpanKind;
use opentelemetry::{SpanId, TraceId};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A request that takes longer is exported, sampled or not.
pub const SLOW: Duration = Duration::from_secs(1);
/// Spans of one request that are kept until it has been answered.
const MAX_WAITING_OF_ONE: usize = 512;
/// The same of all requests together; each takes about a kilobyte, and one with many long texts some more.
const MAX_WAITING: usize = 16_384;
/// Spans of one request that components say, which costs them nothing.
const MAX_SAID_OF_ONE: usize = 256;
/// A sampled request's spans go out in parts of so many.
const PART: usize = 64;
/// Lists of forgotten requests that are kept to be used again, whose memory need not be asked for.
const MAX_SPARE: usize = 64;
/// Spans that are kept with each, which is enough for most requests.
const SPARE_SPANS: usize = 12;

/// Traces, for the whole process.
pub struct Tracing {
    sampler: Sampler,
    exporter: Arc<Exporter>,
    /// When the second began that is counted, and how many traces were taken in it.
    taken: Mutex<(Instant, u32)>,
    /// Spans that are kept until their request has been answered.
    waiting: AtomicUsize,
    spare: Mutex<Vec<Lists>>,
}

/// Spans on their way. They are boxed: from one list to the next, and back to be used again, they are not copied.
pub type SpanList = Vec<Box<Ended>>;

/// The spans of a request that has not been answered yet.
#[derive(Default)]
struct Lists {
    ended: SpanList,
    /// Those of an earlier request, to be used again.
    unused: SpanList,
    /// How many more there were than are kept.
    lost: usize,
}

impl Tracing {
    /// Traces that are exported; none where the sampler never takes one.
    pub fn new(sampler: Sampler, exporter: Arc<Exporter>) -> Option<Arc<Self>> {
        let waiting = AtomicUsize::new(0);
        (!sampler.is_off()).then(|| {
            Arc::new(Self {
                sampler,
                exporter,
                taken: Mutex::new((Instant::now(), 0)),
                waiting,
                spare: Mutex::default(),
            })
        })
    }

    /// The place of a request from outside, which may have asked to be traced: in the trace that its headers name, or in a new one.
    pub fn arrive(
        self: &Arc<Self>,
        component: &'static str,
        headers: &HeaderMap,
        asked: bool,
    ) -> Scope {
        let mut came = TraceContext::of(headers).unwrap_or_else(|| {
            let trace = TraceId::from(rand::random::<u128>().max(1));
            TraceContext {
                trace,
                span: SpanId::INVALID,
                sampled: self.takes(trace),
                state: None,
            }
        });
        let begins_here = came.span == SpanId::INVALID;
        if !begins_here && !self.sampler.parent_based {
            came.sampled = self.takes(came.trace);
        }
        came.sampled |= asked;
        self.enter(component, came)
    }

    /// A place in a trace that somebody else has begun.
    pub fn enter(self: &Arc<Self>, component: &'static str, came: TraceContext) -> Scope {
        let span = came.span;
        let trace = Trace {
            came,
            tracing: self.clone(),
            begun: (Instant::now(), SystemTime::now()),
            said: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            forgotten: AtomicBool::new(false),
            spans: Mutex::new(Spans::Waiting(self.spare())),
        };
        Scope(Some(Place {
            trace: Arc::new(trace),
            component,
            span,
            told: SpanId::INVALID,
        }))
    }

    /// Whether a trace is among those that are exported. Every process that asks so about a trace comes to the same, unless there is a bound on
    /// how many.
    fn takes(&self, trace: TraceId) -> bool {
        let bound = self.sampler.per_second;
        self.is_of_the_share(trace) && bound.is_none_or(|bound| self.count_to(bound))
    }

    /// Counts one more in this second; whether that is within the bound.
    fn count_to(&self, bound: u32) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.0.elapsed() >= Duration::from_secs(1) {
            *taken = (Instant::now(), 0);
        }
        taken.1 = taken.1.saturating_add(1);
        taken.1 <= bound
    }

    fn is_of_the_share(&self, trace: TraceId) -> bool {
        let number = u64::from_be_bytes(trace.to_bytes()[8..].try_into().expect("8 bytes")) >> 1;
        (number as f64) < self.sampler.ratio * (1_u64 << 63) as f64
    }

    /// Lists for another request: those of one that was forgotten, if there are any.
    fn spare(&self) -> Lists {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    /// Keeps the lists of a request that is forgotten to be used again, as far as there is room.
    fn forget(&self, mut lists: Lists) {
        lists.lost = 0;
        lists.unused.append(&mut lists.ended);
        lists.unused.truncate(SPARE_SPANS);
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(lists);
        }
    }

    /// Whether so many more may wait.
    fn make_room(&self, count: usize) -> bool {
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        let there_is = before + count <= MAX_WAITING;
        if !there_is {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
        }
        there_is
    }
}

/// What happens in this process because of one request.
struct Trace {
    came: TraceContext,
    tracing: Arc<Tracing>,
    /// When it came to this process, by two clocks: the second may be set meanwhile.
    begun: (Instant, SystemTime),
    /// How many spans of it components have said.
    said: AtomicUsize,
    failed: AtomicBool,
    /// Whether what still happens in it is not to be recorded either.
    forgotten: AtomicBool,
    spans: Mutex<Spans>,
}

enum Spans {
    /// The request has not been answered yet.
    Waiting(Lists),
    Exported,
    Forgotten,
}

impl Trace {
    /// What the time is, or was.
    fn time(&self, moment: Instant) -> SystemTime {
        self.begun.1 + moment.duration_since(self.begun.0)
    }

    fn end(&self, span: Box<Ended>, is_root: bool) {
        let took = span.end.duration_since(span.start).unwrap_or_default();
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *spans {
            Spans::Forgotten => {}
            Spans::Exported => self.tracing.exporter.spans(vec![span]),
            Spans::Waiting(lists) => {
                let ended = &mut lists.ended;
                let in_full = ended.len() >= MAX_WAITING_OF_ONE;
                // The root says most, and its turn is over at once.
                if is_root || (!in_full && self.tracing.make_room(1)) {
                    ended.push(span);
                } else {
                    lists.lost += 1;
                }
                if is_root {
                    let lists = std::mem::take(lists);
                    self.release(lists.ended.len() - 1);
                    let exported =
                        self.came.sampled || self.failed.load(Ordering::Relaxed) || took >= SLOW;
                    self.forgotten.store(!exported, Ordering::Relaxed);
                    *spans = match exported {
                        true => Spans::Exported,
                        false => Spans::Forgotten,
                    };
                    drop(spans);
                    match exported {
                        true => {
                            self.tracing.exporter.dropped(lists.lost);
                            self.tracing.exporter.spans(lists.ended);
                        }
                        false => self.tracing.forget(lists),
                    }
                } else if self.came.sampled && ended.len() >= PART {
                    let part = std::mem::take(ended);
                    self.release(part.len());
                    self.tracing.exporter.spans(part);
                }
            }
        }
    }

    /// Counts a span that is not kept, which nobody misses where the others are not exported.
    fn lose(&self) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *spans {
            Spans::Waiting(lists) => lists.lost += 1,
            Spans::Exported => self.tracing.exporter.dropped(1),
            Spans::Forgotten => {}
        }
    }

    /// A span to be used again, if there is one.
    fn unused(&self) -> Option<Box<Ended>> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *spans {
            Spans::Waiting(lists) => lists.unused.pop(),
            Spans::Exported | Spans::Forgotten => None,
        }
    }

    fn release(&self, count: usize) {
        self.tracing.waiting.fetch_sub(count, Ordering::Relaxed);
    }
}

/// Where in a trace something happens, if it is traced. Cheap to clone.
#[derive(Clone, Default)]
pub struct Scope(Option<Place>);

#[derive(Clone)]
struct Place {
    trace: Arc<Trace>,
    component: &'static str,
    span: SpanId,
    /// The span of the request that is worked on here, which the component was told with it; none outside of components.
    told: SpanId,
}

impl Place {
    /// A span of the same trace, as it goes to others.
    fn context(&self, span: SpanId) -> TraceContext {
        let came = self.trace.came.clone();
        TraceContext { span, ..came }
    }

    /// Something that begins here.
    fn begin(&self, kind: SpanKind) -> Box<Ended> {
        let came = &self.trace.came;
        let mut begun = self.trace.unused().unwrap_or_else(Ended::blank);
        begun.component = self.component;
        begun.trace = came.trace;
        begun.sampled = came.sampled;
        // Not the header itself, which holds all that was read with it.
        let state = came.state.as_ref();
        begun.state = state.map(|state| String::from_utf8_lossy(state.as_bytes()).into_owned());
        begun.id = SpanId::from(rand::random::<u64>().max(1));
        begun.parent = self.span;
        begun.kind = kind;
        begun.start = self.trace.time(Instant::now());
        begun.end = begun.start;
        begun.error = None;
        begun.link = None;
        begun
    }
}

/// Something that has just ended, of which a component alone knows.
pub struct Happened {
    /// Its id, as the component says with what it sends meanwhile.
    pub id: SpanId,
    /// What it happened for; none where that is the request.
    pub parent: Option<SpanId>,
    /// Its kind.
    pub kind: SpanKind,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Scope {
    /// Something that happens here.
    pub fn span(&self, kind: SpanKind, name: &[&str]) -> Span {
        let Some(place) = &self.0 else {
            return Span(Kept::Nothing);
        };
        if place.trace.forgotten.load(Ordering::Relaxed) {
            return Span(Kept::Place(place.clone()));
        }
        let mut ended = place.begin(kind);
        ended.details.begin(name);
        Span(Kept::Open(Open {
            place: place.clone(),
            is_root: false,
            is_awaited: false,
            ended,
        }))
    }

    /// Something that all else in this process happens for.
    pub fn root(&self, kind: SpanKind, name: &[&str]) -> Span {
        let mut span = self.span(kind, name);
        if let Kept::Open(open) = &mut span.0 {
            open.is_root = true;
        }
        span
    }

    /// What an instance does for the request of this place, which it was told.
    pub fn execution(&self, name: &[&str]) -> Span {
        let mut span = self.span(SpanKind::Internal, name);
        let place = match &mut span.0 {
            Kept::Nothing => return span,
            Kept::Place(place) => place,
            Kept::Open(open) => &mut open.place,
        };
        place.told = place.span;
        span
    }

    /// Whether this is the request that is worked on here.
    pub fn is_told(&self, trace: TraceId, span: SpanId) -> bool {
        let place = self.0.as_ref();
        place.is_some_and(|place| (place.trace.came.trace, place.told) == (trace, span))
    }

    /// Records what a component says has happened for the request that it works on here, and describes; none where that cannot be.
    pub fn happened(&self, happened: Happened, describe: impl FnOnce(&mut Details)) -> Option<()> {
        let place = self.0.as_ref()?;
        let others = [Some(place.span), Some(place.told), happened.parent];
        if others.contains(&Some(happened.id)) {
            return None;
        }
        let trace = &place.trace;
        if trace.forgotten.load(Ordering::Relaxed) {
            return Some(());
        }
        // As with requests; what failed because of one says nothing more.
        if happened.kind == SpanKind::Client && happened.error.is_some() {
            trace.failed.store(true, Ordering::Relaxed);
        }
        if trace.said.fetch_add(1, Ordering::Relaxed) >= MAX_SAID_OF_ONE {
            trace.lose();
            return Some(());
        }
        let mut ended = place.begin(happened.kind);
        describe(&mut ended.details);
        ended.id = happened.id;
        ended.parent = happened.parent.unwrap_or(place.span);
        // Nothing is done for a trace before it is there.
        let since = ended.start.duration_since(trace.begun.1);
        ended.start -= happened.took.min(since.unwrap_or_default());
        ended.error = happened.error;
        trace.end(ended, false);
        Some(())
    }

    /// The same place, as another component sees it.
    pub fn of(&self, component: &'static str) -> Self {
        Self(self.0.clone().map(|place| Place { component, ..place }))
    }

    /// The place of a request that this sends. Where the component has said what it is for, that counts: a span of its own, or any other of
    /// the same trace, or another trace, for work that it was given by somebody else.
    pub fn sending(&self, headers: &HeaderMap) -> Sending {
        let Some(place) = &self.0 else {
            return Sending::Here(Self::default());
        };
        match TraceContext::of(headers) {
            Some(said) if said.trace != place.trace.came.trace => {
                let there = place.trace.tracing.enter(place.component, said);
                Sending::Elsewhere(there, self.clone())
            }
            Some(said) if said.span != place.told => Sending::Here(Self(Some(Place {
                span: said.span,
                ..place.clone()
            }))),
            _ => Sending::Here(self.clone()),
        }
    }

    /// The same as it goes to others.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|place| place.context(place.span))
    }
}

/// Which trace a request that is sent belongs to.
pub enum Sending {
    /// That of the request it is sent for.
    Here(Scope),
    /// Another one, to which that of the second is linked.
    Elsewhere(Scope, Scope),
}

impl Sending {
    /// The span of that request.
    pub fn span(&self, name: &[&str]) -> Span {
        match self {
            Self::Here(scope) => scope.span(SpanKind::Client, name),
            Self::Elsewhere(scope, from) => {
                let mut span = scope.root(SpanKind::Client, name);
                if let (Kept::Open(open), Some(from)) = (&mut span.0, from.context()) {
                    open.ended.link = Some((from.trace, from.span));
                }
                span
            }
        }
    }
}

/// Something that is happening, if it is traced; it ends when dropped.
pub struct Span(Kept);

enum Kept {
    Nothing,
    /// It is of a trace that is forgotten, which goes on all the same.
    Place(Place),
    Open(Open),
}

struct Open {
    place: Place,
    is_root: bool,
    /// Whether it is a request that has not been answered.
    is_awaited: bool,
    ended: Box<Ended>,
}

/// Something that has happened.
pub struct Ended {
    /// What did it.
    pub component: &'static str,
    /// In which trace.
    pub trace: TraceId,
    /// Whether that was sampled to begin with.
    pub sampled: bool,
    /// What tracing systems have added.
    pub state: Option<String>,
    /// Its own id.
    pub id: SpanId,
    /// What it happened for.
    pub parent: SpanId,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Its name, and what else is known.
    pub details: Details,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// A place in another trace that it has to do with.
    pub link: Option<(TraceId, SpanId)>,
}

impl Ended {
    /// One of which nothing is known yet.
    fn blank() -> Box<Self> {
        Box::new(Self {
            component: "",
            trace: TraceId::INVALID,
            sampled: false,
            state: None,
            id: SpanId::INVALID,
            parent: SpanId::INVALID,
            kind: SpanKind::Internal,
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
            details: Details::default(),
            error: None,
            link: None,
        })
    }
}

impl Span {
    /// Whether it is traced.
    pub fn is_traced(&self) -> bool {
        matches!(self.0, Kept::Open(_))
    }

    /// Notes that it is a request, and whether it has not been answered. Where that stays so, whoever made it has given it up.
    pub fn awaits_answer(&mut self, awaits: bool) {
        if let Kept::Open(open) = &mut self.0 {
            open.is_awaited = awaits;
        }
    }

    /// Notes something about it.
    pub fn set<'a>(&mut self, key: &'static str, value: impl Into<Value<&'a str>>) {
        if let Kept::Open(open) = &mut self.0 {
            open.ended.details.set(key, value);
        }
    }

    /// Notes a text about it that has these parts.
    pub fn set_joined(&mut self, key: &'static str, parts: &[&str]) {
        if let Kept::Open(open) = &mut self.0 {
            open.ended.details.set_joined(key, parts);
        }
    }

    /// Notes that it did not succeed.
    pub fn error(&mut self, why: impl FnOnce() -> String) {
        if let Kept::Open(open) = &mut self.0 {
            open.ended.error = Some(beginning(&why(), MAX_TEXT).to_owned());
        }
    }

    /// Notes that it failed, so that its trace is exported.
    pub fn fail(&mut self, why: impl FnOnce() -> String) {
        if let Kept::Open(open) = &self.0 {
            open.place.trace.failed.store(true, Ordering::Relaxed);
        }
        self.error(why);
    }

    /// The place of what happens for it, as it goes to others.
    pub fn context(&self) -> Option<TraceContext> {
        match &self.0 {
            Kept::Nothing => None,
            Kept::Place(place) => Some(place.context(place.span)),
            Kept::Open(open) => Some(open.place.context(open.ended.id)),
        }
    }

    /// The place of what happens for it.
    pub fn scope(&self) -> Scope {
        Scope(match &self.0 {
            Kept::Nothing => None,
            Kept::Place(place) => Some(place.clone()),
            Kept::Open(open) => Some(Place {
                span: open.ended.id,
                ..open.place.clone()
            }),
        })
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Kept::Open(open) = std::mem::replace(&mut self.0, Kept::Nothing) else {
            return;
        };
        let Open {
            place,
            is_root,
            is_awaited,
            mut ended,
        } = open;
        if is_awaited {
            ended.details.set("error.type", "cancelled");
        }
        // Who gives a call up while it is waited for itself has waited in vain. That a visitor leaves is nobody's failure.
        if is_awaited && ended.kind == SpanKind::Client {
            place.trace.failed.store(true, Ordering::Relaxed);
            ended.error = Some("it was given up before there was an answer".into());
        }
        ended.end = place.trace.time(Instant::now());
        place.trace.end(ended, is_root);
    }
}
