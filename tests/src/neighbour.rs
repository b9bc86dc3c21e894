//! A stand-in of products and inventory over the network, which can be told how to behave and counts what it is asked.

use crate::server::{Request, header, listen, respond};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What it does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers them.
    Answers,
    /// Answers 503 as a host does whose service has broken down: so many of ten.
    Fails(u32),
    /// Never answers.
    Hangs,
}

/// The stand-in. Its threads end with the test's process.
pub struct Neighbour {
    /// Where it is.
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    manner: Manner,
    calls: u32,
    timeouts: Vec<u32>,
}

impl Neighbour {
    /// One that answers, and sells every product at one cent.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            manner: Manner::Answers,
            calls: 0,
            timeouts: Vec::new(),
        }));
        let shared = state.clone();
        let url = listen(move |stream| {
            let Some(request) = Request::read(&stream) else {
                return;
            };
            // One that hangs is not to hold the lock meanwhile.
            let manner = lock(&shared).take(&request);
            match manner {
                Manner::Hangs => std::thread::sleep(Duration::from_secs(30)),
                Manner::Fails(_) => respond(&stream, 503, &json!(null)),
                Manner::Answers => respond(&stream, 200, &answer(&request.path)),
            }
        });
        Self { url, state }
    }

    /// Behaves like this from now on, and begins to count anew.
    pub fn behave(&self, manner: Manner) {
        *lock(&self.state) = State {
            manner,
            calls: 0,
            timeouts: Vec::new(),
        };
    }

    /// How many requests came since.
    pub fn calls(&self) -> u32 {
        lock(&self.state).calls
    }

    /// How long those who asked said that they would wait, in milliseconds.
    pub fn timeouts(&self) -> Vec<u32> {
        lock(&self.state).timeouts.clone()
    }
}

impl State {
    /// Counts a request, and says what is to be done with it.
    fn take(&mut self, request: &Request) -> Manner {
        self.calls += 1;
        self.timeouts
            .extend(header(&request.head, "x-souk-timeout-ms").parse::<u32>());
        match self.manner {
            // Spread evenly, so that no run of failures is longer than the share says.
            Manner::Fails(share) if (self.calls * share) % 10 >= share => Manner::Answers,
            manner => manner,
        }
    }
}

fn answer(path: &str) -> serde_json::Value {
    let ids = path
        .split_once("ids=")
        .map_or("", |(_, ids)| ids)
        .split(',');
    let items: Vec<_> = ids
        .map(|id| match path.contains("/inventory") {
            true => json!({"product_id": id, "on_hand": 10, "reserved": 0, "available": 10}),
            false => json!({"id": id, "name": "Tea", "price": {"amount": 1, "currency": "EUR"}}),
        })
        .collect();
    json!({"items": items, "next_cursor": null})
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
