//! From a request to an instance that answers it.
//!
//! Each component has its own handler, which keeps instances between requests as Spin does: an
//! instance takes up to `--max-instance-concurrent-reuse-count` requests at once and
//! `--max-instance-reuse-count` in all, and goes after `--idle-instance-timeout` without any.

use crate::body::{EventStream, hold};
use crate::cli::{Interval, Span};
use crate::instance::{ComponentGrants, InstanceState, Shared};
use crate::load::{Load, Running};
use crate::problem_response::Problem;
use crate::router::Match;
use crate::telemetry::http as spans;
use crate::telemetry::metrics::{Answering, Metrics, Requests};
use crate::telemetry::trace::{Scope, Span as TraceSpan, Tracing};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wasmtime::component::GuestTaskId;
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi_http::handler::{
    ExpirationError, HandlerState, Instance, InstantiationError, Proxy, ProxyHandler, ProxyPre,
    ShouldAccept, TrapOrPanicError, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

/// The client address a chained request shows, as in Spin.
const CHAINED_CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Longest time an instance may go on after its last response has begun: streams and tasks that
/// were spawned beside a response. (After a request that ran out of time it is that time again.)
const AFTER_RESPONSE: Duration = Duration::from_secs(600);
/// The same once the host stops, for an instance of which an event stream was cut short, then or before: it may be long before
/// it notices that nobody reads any more.
const AFTER_CUT: Duration = Duration::from_secs(2);
/// How much longer than its timeout a request is waited for before its instance is ended with all
/// that others do in it: it must be in a loop, or it would have been given up by itself.
const LAST_RESORT: Duration = Duration::from_millis(500);
/// Epochs (10 ms each) a guest may be busy without waiting for anything before it has to pause.
const POLITE_EPOCHS: u32 = 3;
/// Such a pause.
const BREATHER: Duration = Duration::from_millis(1);
/// Epochs a guest may be busy without waiting for anything; more is an endless loop.
const MAX_BUSY_EPOCHS: u32 = 6000;

/// How instances are reused.
#[derive(Clone, Copy)]
pub struct Reuse {
    /// Requests in all.
    pub count: Span<usize>,
    /// Requests at once.
    pub concurrent: Span<usize>,
    /// Time to begin an answer.
    pub request_timeout: Span<Interval>,
    /// Time without a request.
    pub idle_timeout: Span<Interval>,
}

/// A place among the requests that are worked on at once. A client that leaves does not free it:
/// its request holds it until the guest has answered.
pub type Place = Arc<OwnedSemaphorePermit>;

/// What the host and the instance that serves a request share about it.
pub struct Ticket {
    /// Of one from outside.
    held: Option<(Place, Running)>,
    instance: Arc<OnceLock<Arc<AtomicBool>>>,
    /// Where in its trace it is.
    place: Scope,
}

impl Ticket {
    fn new(held: Option<(Place, Running)>, place: Scope) -> Self {
        Self {
            held,
            instance: Arc::default(),
            place,
        }
    }
}

/// All components of the application, ready to answer.
pub struct Dispatcher {
    components: HashMap<String, ProxyHandler<Handler>>,
    load: Arc<Load>,
    tracing: Option<Arc<Tracing>>,
    metrics: Option<Arc<Metrics>>,
    reuse: Reuse,
    /// Streams of events end.
    stopping: CancellationToken,
    /// Instances that had some of those go.
    lapsing: CancellationToken,
    /// Instances with nothing to do go.
    draining: CancellationToken,
    workers: TaskTracker,
}

/// A component that has been loaded.
pub struct Loaded {
    /// What it was granted.
    pub grants: Arc<ComponentGrants>,
    /// Ready to be instantiated.
    pub pre: ProxyPre<InstanceState>,
}

impl Dispatcher {
    /// Handlers for the loaded components.
    pub fn new(loaded: Vec<Loaded>, engine: &Engine, shared: &Arc<Shared>, reuse: Reuse) -> Self {
        let stopping = CancellationToken::new();
        let lapsing = CancellationToken::new();
        let draining = CancellationToken::new();
        let workers = TaskTracker::new();
        let components = loaded
            .into_iter()
            .map(|component| {
                let id = component.grants.id.to_string();
                let metrics = shared.metrics.as_ref();
                let handler = Handler {
                    requests: metrics.and_then(|metrics| metrics.of(&id)),
                    engine: engine.clone(),
                    component,
                    shared: shared.clone(),
                    reuse,
                    lapsing: lapsing.clone(),
                    draining: draining.clone(),
                    workers: workers.clone(),
                };
                (id, ProxyHandler::new(handler))
            })
            .collect();
        let load = Load::watched();
        if let Some(metrics) = &shared.metrics {
            metrics.watch(&load);
        }
        Self {
            components,
            load,
            tracing: shared.tracing.clone(),
            metrics: shared.metrics.clone(),
            reuse,
            stopping,
            lapsing,
            draining,
            workers,
        }
    }

    /// The ids of the components.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.components.keys().map(String::as_str)
    }

    /// Answers a request from outside. The URI must have scheme and authority.
    pub async fn serve(
        &self,
        route: &Match,
        mut request: Request<WasiBody>,
        client: SocketAddr,
        place: Place,
    ) -> Response<WasiBody> {
        let Some(running) = self.load.begin(&request) else {
            return self.refuse(Problem::Overloaded);
        };
        describe(route, client, &mut request);
        self.call(route, request, Some((place, running)), None)
            .await
    }

    /// Refuses a request from outside. It has no span: under overload that would be one more thing to do for each, and all of them would be
    /// exported, having failed.
    pub fn refuse(&self, problem: Problem) -> Response<WasiBody> {
        if let Some(metrics) = &self.metrics {
            metrics.refused(problem);
        }
        problem.response()
    }

    /// Answers a request of another component, whose place it is, or of the host itself.
    pub async fn chained(
        &self,
        component: &str,
        mut request: Request<WasiBody>,
        caller: Option<Scope>,
    ) -> Response<WasiBody> {
        let route = Match::chained(component, request.uri().path());
        describe(&route, CHAINED_CLIENT, &mut request);
        self.call(&route, request, None, caller).await
    }

    async fn call(
        &self,
        route: &Match,
        mut request: Request<WasiBody>,
        held: Option<(Place, Running)>,
        caller: Option<Scope>,
    ) -> Response<WasiBody> {
        let component = route.target.component.as_str();
        let Some(handler) = self.components.get(component) else {
            return Problem::NoRoute.response();
        };
        let outside = held.as_ref().map(|(_, running)| running);
        self.load.tell(outside, request.headers_mut());
        let id = handler.state().component.grants.id;
        let tracing = self.tracing.as_ref();
        let span = tracing.map(|it| spans::server(it, id, route, caller.as_ref(), &mut request));
        let requests = handler.state().requests.as_ref();
        let counted = requests.map(|it| it.answering(request.method(), &route.target.route));
        let begun = Instant::now();
        let ticket = Ticket::new(
            held,
            span.as_ref().map(TraceSpan::scope).unwrap_or_default(),
        );
        let instance = ticket.instance.clone();
        let response = match handler.handle(ticket, request).await {
            Ok(response) => response,
            Err(error) => {
                let problem = self.problem(&error, begun.elapsed());
                tracing::error!(component, %error, ?problem, "request failed");
                problem.response()
            }
        };
        let is_events = EventStream::is(&response);
        let response = answered(span, counted, response, is_events);
        if !is_events {
            return response;
        }
        let cut = instance.get().cloned().unwrap_or_default();
        let stopping = self.stopping.clone();
        response.map(|body| EventStream::new(body, stopping, cut).boxed_unsync())
    }

    fn problem(&self, error: &wasmtime::Error, elapsed: Duration) -> Problem {
        let out_of_time = elapsed >= self.reuse.request_timeout.shortest();
        if let Some(failed) = error.downcast_ref::<InstantiationError<Ticket>>() {
            return match failed.error.is::<PoolConcurrencyLimitError>() {
                true => Problem::Overloaded,
                false => Problem::Crashed,
            };
        }
        match error.is::<ExpirationError>() || error.is::<TrapOrPanicError>() && out_of_time {
            true => Problem::TimedOut,
            false => Problem::Crashed,
        }
    }

    /// Ends streams of events, and soon the instances that do nothing but write them.
    pub fn end_streams(&self) {
        self.stopping.cancel();
        let lapsing = self.lapsing.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_CUT).await;
            lapsing.cancel();
        });
    }

    /// Lets instances with nothing to do go, and waits until all others have finished too.
    pub async fn drain(&self) {
        self.draining.cancel();
        self.workers.close();
        self.workers.wait().await;
    }
}

/// Ends a request's span, and counts it, with its answer's body. A stream of events goes on for as long as somebody listens, which is
/// nothing to wait for.
fn answered(
    mut span: Option<TraceSpan>,
    mut counted: Option<Answering>,
    response: Response<WasiBody>,
    is_events: bool,
) -> Response<WasiBody> {
    if let Some(span) = &mut span {
        spans::answered(span, &response);
    }
    if let Some(counted) = &mut counted {
        counted.answered(response.status());
    }
    let is_traced = span.as_ref().is_some_and(TraceSpan::is_traced);
    match (is_traced || counted.is_some()) && !is_events {
        true => response.map(|body| hold(body, (span, counted))),
        false => response,
    }
}

/// Sets Spin's request headers, in place of any the client sent.
fn describe(route: &Match, client: SocketAddr, request: &mut Request<WasiBody>) {
    let uri = request.uri().clone();
    let headers = request.headers_mut();
    let forged: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("spin-"))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);

    let raw_route = &route.target.route;
    let prefix = raw_route.strip_suffix("/...").unwrap_or(raw_route);
    set(headers, "spin-path-info", &route.path_info);
    set(headers, "spin-full-url", &uri.to_string());
    set(headers, "spin-matched-route", raw_route);
    set(headers, "spin-base-path", "/");
    set(headers, "spin-raw-component-route", raw_route);
    set(headers, "spin-component-route", prefix);
    set(headers, "spin-client-addr", &client.to_string());
    for (name, value) in &route.named {
        let name = format!("spin-path-match-{}", name.to_ascii_lowercase());
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            headers.insert(name, value);
        }
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Paths may have bytes beyond ASCII.
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Makes instances of one component.
struct Handler {
    engine: Engine,
    component: Loaded,
    /// Its requests, where they are counted.
    requests: Option<Arc<Requests>>,
    shared: Arc<Shared>,
    reuse: Reuse,
    lapsing: CancellationToken,
    draining: CancellationToken,
    workers: TaskTracker,
}

impl HandlerState for Handler {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let request_timeout = self.reuse.request_timeout.draw();
        let (store, proxy) = tokio::time::timeout(request_timeout, self.make())
            .await
            .map_err(|_| wasmtime::format_err!("the instance took too long to begin"))??;
        let busy = store.data().busy.clone();
        // A WASI 0.2 instance cannot take a second request.
        let (count, concurrent) = match self.component.pre {
            ProxyPre::P3(_) => (self.reuse.count.draw(), self.reuse.concurrent.draw()),
            ProxyPre::P2(_) => (1, 1),
        };
        let timed_out = Arc::new(AtomicBool::new(false));
        let cut = Arc::new(AtomicBool::new(false));
        Ok(Instance {
            store,
            proxy,
            view: InstanceState::http,
            expiration: Expiration {
                idle_timeout: self.reuse.idle_timeout.draw(),
                request_timeout,
                timed_out: timed_out.clone(),
                busy,
                sleep: Box::pin(tokio::time::sleep(request_timeout)),
                cut: cut.clone(),
                lapsing: Box::pin(self.lapsing.clone().cancelled_owned()),
                draining: Box::pin(self.draining.clone().cancelled_owned()),
            },
            state: Worker {
                component: self.component.grants.id,
                count,
                concurrent,
                request_timeout,
                timed_out,
                cut,
                _alive: self.workers.token(),
            },
        })
    }
}

impl Handler {
    /// A fresh instance, which lets others run now and then.
    async fn make(&self) -> wasmtime::Result<(Store<InstanceState>, Proxy)> {
        let state = InstanceState::new(self.component.grants.clone(), self.shared.clone())?;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let epochs = store.data().busy.another_epoch();
            if epochs > MAX_BUSY_EPOCHS {
                return Err(wasmtime::format_err!("the guest is in an endless loop"));
            }
            if epochs <= POLITE_EPOCHS {
                return Ok(UpdateDeadline::Yield(1));
            }
            // A thread that always has a guest to run never looks at its sockets.
            let breather = Box::pin(tokio::time::sleep(BREATHER));
            Ok(UpdateDeadline::YieldCustom(1, breather))
        });
        let proxy = self.component.pre.instantiate_async(&mut store).await?;
        Ok((store, proxy))
    }
}

/// How long a guest has computed without waiting for anything, in epochs.
#[derive(Default)]
pub struct Busy {
    epochs: AtomicU32,
    /// Whether the guest stopped running because an epoch ended.
    interrupted: AtomicBool,
}

impl Busy {
    fn another_epoch(&self) -> u32 {
        self.interrupted.store(true, Ordering::Relaxed);
        self.epochs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// To be called when the guest does not run.
    fn stopped(&self) {
        if !self.interrupted.swap(false, Ordering::Relaxed) {
            self.epochs.store(0, Ordering::Relaxed);
        }
    }
}

/// Decides when an instance goes.
struct Expiration {
    idle_timeout: Duration,
    request_timeout: Duration,
    /// Set when a request ran out of time: its part of the guest may run on for nobody.
    timed_out: Arc<AtomicBool>,
    busy: Arc<Busy>,
    sleep: Pin<Box<Sleep>>,
    /// Set when an event stream was cut short.
    cut: Arc<AtomicBool>,
    lapsing: Pin<Box<WaitForCancellationFutureOwned>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        self.busy.stopped();
        let limit = match status {
            WorkerStatus::Idle => self.idle_timeout,
            WorkerStatus::Requests => self.request_timeout + LAST_RESORT,
            WorkerStatus::PostReturn if self.timed_out.load(Ordering::Relaxed) => {
                self.request_timeout
            }
            WorkerStatus::PostReturn => AFTER_RESPONSE,
        };
        if status == WorkerStatus::Idle && self.draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if status == WorkerStatus::PostReturn
            && self.lapsing.as_mut().poll(cx).is_ready()
            && self.cut.load(Ordering::Relaxed)
        {
            return Poll::Ready(());
        }
        let deadline = (since + limit).into();
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Decides what an instance takes on.
struct Worker {
    component: &'static str,
    count: usize,
    concurrent: usize,
    request_timeout: Duration,
    timed_out: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
    _alive: TaskTrackerToken,
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    type RequestData = Ticket;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.count {
            ShouldAccept::Never
        } else if concurrent >= self.concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        store: StoreContextMut<'_, InstanceState>,
        ticket: Ticket,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let (timeout, timed_out) = (self.request_timeout, self.timed_out.clone());
        let _ = ticket.instance.set(self.cut.clone());
        let held = ticket.held;
        let execution = ticket
            .place
            .execution(&["execute_wasm_component ", self.component]);
        let tasks = store.data().tasks.as_ref();
        let running = tasks.map(|tasks| tasks.begin(task, execution.scope()));
        Box::pin(async move {
            let _traced = (execution, running);
            tokio::time::sleep(timeout).await;
            timed_out.store(true, Ordering::Relaxed);
            drop(held);
        })
    }

    fn drop(&self, store: Store<InstanceState>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            tracing::error!(component = %self.component, error = %format!("{error:#}").replace('\n', " | "), "instance ended");
        }
        drop(store);
    }
}
