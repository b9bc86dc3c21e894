//! How much there is to do, which only the host sees as a whole, and what follows when that is too much.
//!
//! Whoever only looks around matters least, and is mostly most of what there is: the host refuses them itself, at a small part of what a component would
//! need for it. They have a part of the [`Limit`] for themselves, so that neither they nor the others starve. What is known goes with
//! each request, in a header: how many of these others are being worked on, and how many are good. A component that
//! knows what its requests matter can then refuse some before it does anything for them. That there is such a header, a
//! variable of the environment says, because anybody can send a header to a host that does not know it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use souk_resilience::limit::Limit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// `<being worked on>/<limit>`: of those who do not only look around, the request that has it among them. Whoever only looks around is not one of
/// them, was let in already, and is told of none.
pub const HEADER: HeaderName = HeaderName::from_static("x-souk-load");
/// The variable of the environment with the header's name.
pub const VARIABLE: &str = "SOUK_LOAD_HEADER";

/// The part of the limit for those who only look around; the rest is for the others.
const BROWSING_SHARE: f64 = 0.5;

/// How often it is looked how long work waits.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What there is to do.
pub struct Load {
    browsing: AtomicU32,
    others: AtomicU32,
    limit: Mutex<Limit>,
    /// There is something to do again.
    begun: Notify,
}

/// A request that is being worked on; dropped when its answer begins.
pub struct Running {
    load: Arc<Load>,
    is_browsing: bool,
}

/// How much there is to do for some, and how much is good.
pub struct Level {
    /// For whom.
    pub of: &'static str,
    /// How many requests are good at once.
    pub limit: u64,
    /// How many are being worked on.
    pub active: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.load
            .count(self.is_browsing)
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    /// Nothing to do yet. What there is to come is watched until the runtime ends.
    pub fn watched() -> Arc<Self> {
        let load = Arc::new(Self {
            browsing: AtomicU32::new(0),
            others: AtomicU32::new(0),
            limit: Mutex::new(Limit::NONE),
            begun: Notify::new(),
        });
        tokio::spawn(load.clone().watch());
        load
    }

    /// Counts a request in; none where it is to be refused.
    pub fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> Option<Running> {
        let is_browsing = is_browsing(request);
        if is_browsing && !self.has_room_for_browsing() {
            return None;
        }
        let was_idle = self.running() == 0;
        self.count(is_browsing).fetch_add(1, Ordering::Relaxed);
        if was_idle {
            self.begun.notify_one();
        }
        Some(Running {
            load: self.clone(),
            is_browsing,
        })
    }

    /// How many are let in, and how many are being worked on, of whoever only looks around and of the others.
    pub fn levels(&self) -> [Level; 2] {
        let level = |of, share, active: &AtomicU32| Level {
            of,
            limit: self.share(share) as u64,
            active: active.load(Ordering::Relaxed).into(),
        };
        [
            level("browsing", BROWSING_SHARE, &self.browsing),
            level("others", 1.0 - BROWSING_SHARE, &self.others),
        ]
    }

    /// Tells whoever gets a request how much there is to do. `outside` is the request from outside, none for a call between components.
    pub fn tell(&self, outside: Option<&Running>, headers: &mut HeaderMap) {
        let others = match outside {
            Some(request) if request.is_browsing => 0,
            _ => self.others.load(Ordering::Relaxed),
        };
        let told = format!("{others}/{:.0}", self.share(1.0 - BROWSING_SHARE));
        headers.insert(HEADER, HeaderValue::try_from(told).expect("digits"));
    }

    fn has_room_for_browsing(&self) -> bool {
        f64::from(self.browsing.load(Ordering::Relaxed)) < self.share(BROWSING_SHARE)
    }

    /// A part of the limit; all of it where it keeps nobody out.
    fn share(&self, part: f64) -> f64 {
        let limit = *self.limit();
        match limit.is_in_force() {
            true => (limit.size() * part).floor(),
            false => limit.size(),
        }
    }

    fn count(&self, is_browsing: bool) -> &AtomicU32 {
        match is_browsing {
            true => &self.browsing,
            false => &self.others,
        }
    }

    fn running(&self) -> u32 {
        self.browsing.load(Ordering::Relaxed) + self.others.load(Ordering::Relaxed)
    }

    /// Sees how long work waits by how late a timer comes: it has to wait for everything else that is ready.
    async fn watch(self: Arc<Self>) {
        let start = Instant::now();
        let now = || i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
        loop {
            if self.running() == 0 {
                self.begun.notified().await;
                self.limit().begin(now());
            }
            let due = Instant::now() + LOOK_EVERY;
            tokio::time::sleep_until(due).await;
            let late = due.elapsed().as_secs_f64() * 1_000.0;
            self.limit().observe(late, self.running(), now());
        }
    }

    fn limit(&self) -> std::sync::MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last parts of paths at which applications are asked how they are.
const HEALTH: [&str; 4] = ["health", "healthz", "livez", "readyz"];

/// Whether a request is nobody's in particular, changes nothing, and is no question about health: somebody looks around.
fn is_browsing<B>(request: &Request<B>) -> bool {
    const CREDENTIALS: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !CREDENTIALS
            .iter()
            .any(|name| request.headers().contains_key(name))
        && !request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .is_some_and(|part| HEALTH.contains(&part))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str) -> Request<()> {
        Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap()
    }

    #[tokio::test]
    async fn who_only_looks_around_is_refused_by_the_host() {
        let load = Load::watched();
        *load.limit() = Limit::of(40.0);
        let page = request(Method::GET, "/api/products");
        let mut running: Vec<_> = std::iter::from_fn(|| load.begin(&page))
            .take(1_000)
            .collect();
        assert_eq!(running.len(), 20, "half of the limit");
        let order = request(Method::POST, "/api/orders");
        running.extend((0..200).map(|_| load.begin(&order).unwrap()));
        for path in ["/healthz", "/api/health"] {
            running.push(load.begin(&request(Method::GET, path)).unwrap());
        }
        for credentials in [header::AUTHORIZATION, header::COOKIE] {
            let mut own = request(Method::GET, "/api/ops/services");
            own.headers_mut()
                .insert(credentials, HeaderValue::from_static("x"));
            running.push(load.begin(&own).unwrap());
        }
        let told = |outside: Option<&Running>| {
            let mut headers = HeaderMap::new();
            load.tell(outside, &mut headers);
            headers[HEADER].to_str().unwrap().to_owned()
        };
        assert_eq!(told(running.last()), "204/20");
        assert_eq!(told(None), "204/20", "a call between components");
        assert_eq!(told(running.first()), "0/20", "it is not one of them");
        *load.limit() = Limit::NONE;
        assert_eq!(told(None), "204/512");
        assert!(load.begin(&page).is_some());
        *load.limit() = Limit::of(40.0);
        drop(running);
        assert!(load.begin(&page).is_some());
    }
}
