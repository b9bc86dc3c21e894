//! A stand-in for a mail API and for whoever gets webhooks: it keeps what is posted to it, and fails when told to.

use crate::server::{Request, header, listen, respond};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Something that was posted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The path it was posted to.
    pub path: String,
    /// The head of the request.
    pub head: String,
    /// The body as it came.
    pub text: String,
}

impl Posted {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        header(&self.head, name)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// The server.
pub struct Mailbox {
    /// Where it is.
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    taken: Vec<Posted>,
    fails: usize,
}

impl Mailbox {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let served = state.clone();
        let url = listen(move |stream| {
            let Some(request) = Request::read(&stream) else {
                return;
            };
            let mut state = served.lock().expect("no panic");
            if state.fails > 0 {
                state.fails -= 1;
                return respond(&stream, 503, &json!({}));
            }
            state.taken.push(Posted {
                path: request.path,
                head: request.head,
                text: request.body,
            });
            respond(&stream, 200, &json!({}));
        });
        Self { url, state }
    }

    /// Takes nothing the next so many times.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn fail(&self, times: usize) {
        self.state.lock().expect("no panic").fails = times;
    }

    /// What was taken so far.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn taken(&self) -> Vec<Posted> {
        self.state.lock().expect("no panic").taken.clone()
    }

    /// What was taken, once there is so much of it.
    ///
    /// # Panics
    /// When there is less for 30 seconds.
    pub fn wait_for(&self, count: usize) -> Vec<Posted> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.taken().len() < count {
            assert!(
                Instant::now() < deadline,
                "there is only {:?}",
                self.taken()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        self.taken()
    }
}
