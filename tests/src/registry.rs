//! A stand-in of the registry of services, which takes everything and remembers it.

use crate::server::{Request, header, listen, respond};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The stand-in. Its threads end with the test's process.
pub struct Registry {
    /// Where it is.
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    status: u16,
    calls: Vec<RegistryCall>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct RegistryCall {
    /// When.
    pub at: Instant,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its service token.
    pub token: String,
    /// Its body; null where there is none.
    pub body: Value,
}

impl Registry {
    /// One that answers with 200.
    pub fn start() -> Self {
        let calls = Vec::new();
        let state = Arc::new(Mutex::new(State { status: 200, calls }));
        let remembered = state.clone();
        let url = listen(move |stream| {
            let Some(request) = Request::read(&stream) else {
                return;
            };
            let mut state = lock(&remembered);
            state.calls.push(RegistryCall {
                at: Instant::now(),
                token: header(&request.head, "x-souk-token").to_owned(),
                body: serde_json::from_str(&request.body).unwrap_or_default(),
                method: request.method,
                path: request.path,
            });
            respond(&stream, state.status, &Value::Null);
        });
        Self { url, state }
    }

    /// Answers with another status from now on.
    pub fn answer(&self, status: u16) {
        lock(&self.state).status = status;
    }

    /// What came with this method so far.
    pub fn calls(&self, method: &str) -> Vec<RegistryCall> {
        let state = lock(&self.state);
        let fitting = state.calls.iter().filter(|call| call.method == method);
        fitting.cloned().collect()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
