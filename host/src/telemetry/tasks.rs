//! Which of the requests that an instance works on at once something is done for.

use super::trace::Scope;
use crate::instance::InstanceState;
use opentelemetry::{SpanId, TraceId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::AsContextMut;
use wasmtime::component::{Access, Accessor, GuestTaskId, HasSelf, Linker, Resource};
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::http::{client, types};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

tokio::task_local! {
    /// The place of the request that a component is about to send.
    pub static SENDER: Scope;
}

/// The requests of one instance.
#[derive(Default)]
pub struct Tasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// By task; those that have been answered too, since they may go on. An instance takes a bounded number of requests, and
    /// Wasmtime gives numbers again.
    places: BTreeMap<GuestTaskId, Scope>,
    /// Those that have not been answered.
    running: Vec<GuestTaskId>,
}

/// A request that has not been answered; it has when this is dropped.
pub struct RunningTask(Arc<Tasks>, GuestTaskId);

impl Tasks {
    /// A request comes in.
    pub fn begin(self: &Arc<Self>, task: GuestTaskId, place: Scope) -> RunningTask {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.places.insert(task, place);
        known.running.push(task);
        RunningTask(self.clone(), task)
    }

    /// The place of a task, or where that is not known of the only request there is.
    fn place(&self, task: Option<GuestTaskId>) -> Scope {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let only = || match known.running[..] {
            [only] => Some(only),
            _ => None,
        };
        let place = task
            .and_then(|task| known.places.get(&task))
            .or_else(|| known.places.get(&only()?));
        place.cloned().unwrap_or_default()
    }

    /// The place of the request that the instance was told is this one.
    pub fn told(&self, trace: TraceId, span: SpanId) -> Option<Scope> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places = known.places.values();
        places.find(|place| place.is_told(trace, span)).cloned()
    }

    /// The place of the only request there is.
    pub fn only(&self) -> Scope {
        self.place(None)
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let mut known = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.running.retain(|task| *task != self.1);
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
