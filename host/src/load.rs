//! How much there is to do, which only the host sees as a whole.
//!
//! With each request from outside goes what is known, in a header: how many requests are being worked on, and how many are good ([`Limit`]). A component that
//! knows what its requests matter can then refuse some of them, before it does anything for them. That there is such a header, a
//! variable of the environment says, because anybody can send a header to a host that does not know it.

use http::{HeaderName, HeaderValue};
use souk_resilience::limit::Limit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// `<being worked on>/<limit>`, without the request that has it.
pub const HEADER: HeaderName = HeaderName::from_static("x-souk-load");
/// The name of the variable, and what is in it: the header's name.
pub const ENVIRONMENT: (&str, &str) = ("SOUK_LOAD_HEADER", "x-souk-load");

/// How often it is looked how long work waits.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What there is to do.
pub struct Load {
    running: AtomicU32,
    limit: Mutex<Limit>,
    /// There is something to do again.
    begun: Notify,
}

/// A request that is being worked on; dropped when its answer begins.
pub struct Running(Arc<Load>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    /// Nothing to do yet. What there is to come is watched until the runtime ends.
    pub fn watched() -> Arc<Self> {
        let load = Arc::new(Self {
            running: AtomicU32::new(0),
            limit: Mutex::new(Limit::NEW),
            begun: Notify::new(),
        });
        tokio::spawn(load.clone().watch());
        load
    }

    /// Counts a request in, and says how much there was to do before.
    pub fn begin(self: &Arc<Self>) -> (Running, HeaderValue) {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            self.begun.notify_one();
        }
        let told = format!("{before}/{:.0}", self.limit().size().floor());
        let told = HeaderValue::try_from(told).expect("digits");
        (Running(self.clone()), told)
    }

    /// Sees how long work waits by how late a timer comes: it has to wait for everything else that is ready.
    async fn watch(self: Arc<Self>) {
        let start = Instant::now();
        let now = || i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
        loop {
            let running = self.running.load(Ordering::Relaxed);
            if running == 0 {
                self.begun.notified().await;
                self.limit().begin(now());
            }
            let due = Instant::now() + LOOK_EVERY;
            tokio::time::sleep_until(due).await;
            let late = due.elapsed().as_secs_f64() * 1_000.0;
            self.limit()
                .observe(late, self.running.load(Ordering::Relaxed), now());
        }
    }

    fn limit(&self) -> std::sync::MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
