//! Which of the requests that an instance works on at once something is done for.

use super::trace::Scope;
use crate::instance::InstanceState;
use opentelemetry::{SpanId, TraceId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wasmtime::AsContextMut;
use wasmtime::component::{Access, Accessor, GuestTaskId, HasSelf, Linker, Resource};
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::http::{client, types};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

tokio::task_local! {
    /// The place of the request that a component is about to send.
    pub static SENDER: Scope;
}

/// The requests of one instance. It takes a bounded number of them, and Wasmtime gives task numbers again.
#[derive(Default)]
pub struct Tasks(Mutex<Vec<Task>>);

/// A request that has been answered may go on, so it is known until its number is given again.
struct Task {
    id: GuestTaskId,
    place: Scope,
    running: Weak<()>,
}

/// A request that has not been answered; it has when this is dropped.
pub struct RunningTask {
    _running: Arc<()>,
}

impl Tasks {
    /// A request comes in.
    pub fn begin(&self, id: GuestTaskId, place: Scope) -> RunningTask {
        let running = Arc::default();
        let task = Task {
            id,
            place,
            running: Arc::downgrade(&running),
        };
        let mut tasks = self.lock();
        match tasks.iter_mut().find(|task| task.id == id) {
            Some(before) => *before = task,
            None => tasks.push(task),
        }
        RunningTask { _running: running }
    }

    /// The place of a task, or where that is not known of the only request there is.
    fn place(&self, id: Option<GuestTaskId>) -> Scope {
        let tasks = self.lock();
        let known = tasks.iter().find(|task| Some(task.id) == id);
        let only = || {
            let is_running = |task: &&Task| task.running.strong_count() > 0;
            let mut running = tasks.iter().filter(is_running);
            running.next().filter(|_| running.next().is_none())
        };
        let task = known.or_else(only);
        task.map(|task| task.place.clone()).unwrap_or_default()
    }

    /// The place of the request that the instance was told is this one.
    pub fn told(&self, trace: TraceId, span: SpanId) -> Option<Scope> {
        let tasks = self.lock();
        let mut places = tasks.iter().map(|task| &task.place);
        places.find(|place| place.is_told(trace, span)).cloned()
    }

    /// The place of the only request there is.
    pub fn only(&self) -> Scope {
        self.place(None)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of the request for which a component calls the host.
pub fn caller<T>(access: &mut Access<'_, T, HasSelf<InstanceState>>) -> Scope {
    let Some(tasks) = access.get().tasks.clone() else {
        return Scope::default();
    };
    // The last one of the stack is what the host itself has called.
    let mut store = access.as_context_mut();
    let task = store.async_call_stack().ok().and_then(Iterator::last);
    tasks.place(task)
}

/// The same.
pub fn caller_of<T: Send>(accessor: &Accessor<T, HasSelf<InstanceState>>) -> Scope {
    accessor.with(|mut access| caller(&mut access))
}

/// Puts a function in place of `wasi:http/client.send` that does the same, and knows for which request it does: what sends
/// requests for a component is not told.
///
/// # Errors
/// Never in practice: when there is no such interface.
pub fn add_sender_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut interface = linker.instance("wasi:http/client@0.3.0")?;
    interface.func_wrap_concurrent("send", |accessor, (request,): (Resource<Request>,)| {
        Box::pin(async move {
            let place = caller_of(accessor);
            let http = accessor.with_getter::<WasiHttp>(InstanceState::http);
            let send = client::HostWithStore::send(&http, request);
            let sent = match SENDER.scope(place, send).await {
                Ok(response) => Ok(response),
                Err(error) => Err(http.with(|mut access| {
                    types::Host::convert_error_code(&mut access.get(), error)
                })?),
            };
            Ok((sent,))
        })
    })?;
    linker.allow_shadowing(false);
    Ok(())
}
