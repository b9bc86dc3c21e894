//! The registry, looking after instances that are real services on real ports.

use crate::{SERVICE_KEY, Service, now};
use serde_json::{Value, json};
use souk_tests::{Host, Launch, Reply, client, souk_only};
use souk_tokens::{Claims, Key};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// A registry that may ask whoever is on this machine.
struct Registry(Host);

impl Registry {
    fn launch() -> Launch {
        Launch::of("components/registry/spin.toml")
            .runtime_config("runtime-config.toml")
            .variable("service_key", SERVICE_KEY)
            .variable("instances", "http://127.0.0.1:*")
    }

    fn start() -> Self {
        Self(Self::launch().start())
    }

    /// With its data in this folder.
    fn start_in(dir: &Path) -> Self {
        Self(Self::launch().dir(dir).start())
    }

    /// The answer to what a service asks.
    fn by(&self, caller: &str, method: &str, path: &str, body: &Value) -> Reply {
        let token = Key::new(SERVICE_KEY).sign(&Claims::new(caller, "registry", now()));
        let request = client()
            .request(method.parse().unwrap(), format!("{}{path}", self.0.url))
            .header("x-souk-token", token)
            .timeout(Duration::from_secs(30));
        Reply::to(match body {
            Value::Null => request,
            body => request.json(body),
        })
    }

    fn put(&self, instance: &str, address: &str, lease: i64) -> Reply {
        let body = json!({"address": address, "lease_seconds": lease, "incarnation": "i1"});
        self.by("host", "PUT", &format!("/instances/{instance}"), &body)
    }

    fn get(&self, query: &str) -> Value {
        let path = format!("/instances?{query}");
        let reply = self.by("orders", "GET", &path, &Value::Null);
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    }

    fn revision(&self, service: &str) -> i64 {
        let instances = self.get(&format!("service={service}"));
        instances["revision"].as_i64().unwrap()
    }

    /// The state of the only instance of a service; none where there is no such.
    fn state(&self, service: &str) -> String {
        state(&self.get(&format!("service={service}")))
    }

    /// What a watcher is told next, and how long that took.
    fn watch(&self, service: &str, known: i64) -> (Value, Duration) {
        let begun = Instant::now();
        let query = format!("service={service}&after={known}&wait_ms=20000");
        (self.get(&query), begun.elapsed())
    }

    /// Waits until the only instance of a service is in a state, by nothing but watching it.
    fn comes_to_be(&self, service: &str, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(15);
        let mut seen = self.get(&format!("service={service}"));
        while state(&seen) != expected {
            assert!(Instant::now() < deadline, "{expected}: {seen}");
            let known = seen["revision"].as_i64().unwrap();
            seen = self.get(&format!("service={service}&after={known}&wait_ms=5000"));
        }
    }
}

fn state(instances: &Value) -> String {
    let state = instances["items"][0]["state"].as_str();
    state.unwrap_or_default().to_owned()
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn the_registry_lists_what_registers_for_as_long_as_it_renews() {
    souk_only!();
    let (registry, carts) = (Registry::start(), Service::alone("carts"));
    let address = &carts.host.url;
    assert_eq!(registry.put("carts/one", address, 5).status, 201);
    assert_eq!(registry.put("carts/one", address, 5).status, 200);
    let known = registry.revision("carts");

    for _ in 0..6 {
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(registry.put("carts/one", address, 5).status, 200);
    }
    let instances = registry.get("");
    assert_eq!(instances["items"][0]["address"], json!(address));
    assert_eq!(state(&instances), "up", "it has outlived its first lease");
    assert_ne!(instances["items"][0]["probed_at"], Value::Null);
    assert_eq!(registry.revision("carts"), known, "renewals are no news");

    let (told, waited) = registry.watch("carts", known);
    assert_eq!(state(&told), "expired", "{told}");
    assert!(waited < Duration::from_secs(10), "{waited:?}");

    let gone = registry.by("host", "DELETE", "/instances/carts/one", &Value::Null);
    assert_eq!(gone.status, 204);
    assert_eq!(registry.get("")["items"], json!([]));
}

#[test]
fn the_registry_is_for_services_and_registering_for_hosts() {
    souk_only!();
    let registry = Registry::start();
    let refused = registry.by("orders", "DELETE", "/instances/carts/one", &Value::Null);
    assert_eq!(refused.status, 403);
    assert_eq!(registry.0.get("/instances").status, 401);
    assert_eq!(registry.put("carts/one", "nowhere", 2).status, 422);
}

#[test]
fn the_registry_tells_watchers_within_a_second_however_many_they_are() {
    souk_only!();
    // What the machine does meanwhile makes it later, never sooner: the best of some is judged.
    let mut took = (0..5).map(|_| told_after(&Registry::start()));
    assert!(took.any(|took| took < Duration::from_secs(1)));
}

/// How long it takes from the wish to register until that is done and the last of a hundred watchers has heard of it.
fn told_after(registry: &Registry) -> Duration {
    const WATCHERS: usize = 100;
    let (known, address) = (registry.revision("carts"), &nobody());
    std::thread::scope(|scope| {
        let watch = |_| scope.spawn(move || registry.watch("carts", known).0);
        let watchers: Vec<_> = (0..WATCHERS).map(watch).collect();
        std::thread::sleep(Duration::from_secs(2));
        assert!(
            watchers.iter().all(|it| !it.is_finished()),
            "told of nothing"
        );
        let begun = Instant::now();
        assert_eq!(registry.put("carts/one", address, 60).status, 201);
        for watcher in watchers {
            let told = watcher.join().unwrap();
            assert_eq!(told["items"][0]["address"], json!(address));
        }
        begun.elapsed()
    })
}

#[test]
fn the_registry_forgets_nothing_when_it_is_killed() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::start_in(dir.path());
    for round in 0..3 {
        let id = format!("carts/n{round}");
        assert_eq!(registry.put(&id, &nobody(), 60).status, 201);
    }
    let addresses = |registry: &Registry| {
        let items = registry.get("")["items"].as_array().unwrap().clone();
        let address = |it: Value| it["address"].as_str().unwrap().to_owned();
        items.into_iter().map(address).collect::<Vec<_>>()
    };
    let (before, known) = (addresses(&registry), registry.revision("carts"));
    registry.0.kill();

    let registry = Registry::start_in(dir.path());
    assert_eq!(addresses(&registry), before);
    assert!(registry.revision("carts") >= known);
    assert_eq!(registry.put("carts/n0", &before[0], 60).status, 200);
}

#[test]
fn a_registry_that_may_ask_nobody_goes_by_the_leases() {
    souk_only!();
    let registry = Registry(
        Registry::launch()
            .variable("instances", "http://instances.invalid")
            .start(),
    );
    registry.put("carts/one", &nobody(), 60);
    assert_eq!(registry.0.post("/internal/tick", "").status, 204);
    assert_eq!(registry.get("")["items"][0]["probed_at"], Value::Null);
}

#[test]
fn the_registry_finds_out_who_is_not_there_and_who_is_somebody_else() {
    souk_only!();
    let (registry, products) = (Registry::start(), Service::alone("products"));
    registry.put("carts/one", &products.host.url, 60);
    registry.put("users/one", &nobody(), 60);
    // Connections are taken here, and nothing is ever said.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    registry.put("orders/one", &address, 60);
    registry.comes_to_be("carts", "wrong");
    registry.comes_to_be("users", "down");
    registry.comes_to_be("orders", "down");

    registry.put("products/one", &products.host.url, 60);
    assert_eq!(registry.state("carts"), "", "whose address it is now");
    products.host.kill();
    registry.comes_to_be("products", "down");
}
