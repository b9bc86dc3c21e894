//! A cluster under steady load, in which each service in turn is killed, hung, slowed down and made to fail; and what its customers notice.
//!
//! `SOUK_RESILIENCE_REPORT` names a file that the table of results is written to; docs/resilience.md is one.
#![allow(clippy::unwrap_used)]

mod load;
mod report;

use load::{Load, Sample};
use report::{Row, Table};
use serde_json::{Value, json};
use souk_tests::{Cluster, Reply, Shop, souk_only};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The services, and who calls each.
const SERVICES: [(&str, &[&str]); 8] = [
    ("products", &["gateway", "carts", "orders", "events"]),
    ("inventory", &["gateway", "carts", "orders", "events"]),
    ("carts", &["gateway", "orders", "events"]),
    ("users", &["gateway", "notifications"]),
    ("orders", &["gateway", "events"]),
    ("payments", &["gateway", "orders"]),
    ("notifications", &["gateway", "events"]),
    (
        "events",
        &[
            "gateway",
            "users",
            "products",
            "inventory",
            "payments",
            "orders",
            "notifications",
        ],
    ),
];

/// What happens to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Killed,
    Hung,
    Slow,
    Failing,
}

const MISHAPS: [Mishap; 4] = [Mishap::Killed, Mishap::Hung, Mishap::Slow, Mishap::Failing];

/// How long each lasts, at most where a breaker has to open (it cannot before calls have timed out), and how long it was quiet before.
const LASTS: Duration = Duration::from_secs(8);
const AT_MOST: Duration = Duration::from_secs(16);
const BEFORE: Duration = Duration::from_secs(4);
/// How long the shop has to get back to its pace.
const RECOVERY: Duration = Duration::from_secs(10);
/// The longest any request may take: the deadline of an order, and its way.
const DEADLINE: Duration = Duration::from_millis(15_500);

impl Mishap {
    fn begin(self, cluster: &Cluster, shop: &Shop, service: &str, callers: &[&str]) {
        match self {
            Self::Killed => _ = cluster.run(&format!("kill {service}")),
            Self::Hung => _ = cluster.run(&format!("hang {service}")),
            Self::Slow => order(shop, service, callers, &json!({"latency_ms": 2_000})),
            Self::Failing => order(shop, service, callers, &json!({"error_percent": 50})),
        }
    }

    /// Whether somebody's breaker has to open: whoever is called all the time is missed. An order is waited for as long as a
    /// mishap lasts, so that they hang is not noticed before it is over; and a broker is called too seldom.
    fn has_to_open(self, service: &str) -> bool {
        match self {
            Self::Killed => service != "events",
            Self::Hung => !matches!(service, "events" | "orders"),
            Self::Slow | Self::Failing => false,
        }
    }

    fn end(self, cluster: &Cluster, shop: &Shop, service: &str) {
        match self {
            Self::Killed => _ = cluster.run(&format!("restart {service}")),
            Self::Hung => _ = cluster.run(&format!("resume {service}")),
            Self::Slow | Self::Failing => order(shop, service, &[], &json!({})),
        }
    }
}

/// Has calls of the callers to a service go wrong.
fn order(shop: &Shop, service: &str, callers: &[&str], how: &Value) {
    let fault = |from: &&str| {
        let mut fault = json!({"from": from, "to": service, "seconds": 120});
        fault
            .as_object_mut()
            .unwrap()
            .extend(how.as_object().unwrap().clone());
        fault
    };
    let faults: Vec<_> = callers.iter().map(fault).collect();
    let told = Reply::to(
        shop.admin("PUT", "/api/ops/faults")
            .json(&json!({"faults": faults})),
    );
    assert_eq!(told.status, 200, "{}", told.text);
}

/// The callers whose breakers toward a service are not closed.
fn open_breakers(shop: &Shop, service: &str) -> Vec<String> {
    let all = Reply::to(shop.admin("GET", "/api/ops/breakers"));
    let items = all.json()["items"].as_array().cloned().unwrap_or_default();
    let open = items
        .iter()
        .filter(|it| it["to"] == service && it["state"] != "closed");
    open.map(|it| it["from"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn whatever_fails_fails_alone() {
    souk_only!();
    let cluster = Cluster::start_with(&["--variable", "fault_injection=on"]);
    let shop = &cluster.shop;
    let catalogue = load::Catalogue::of(shop);
    let (over, samples) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let load = Load {
        shop,
        catalogue: &catalogue,
        over: &over,
        samples: &samples,
    };
    let mut table = Table::default();
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| load.run(64));
        let _closing = Closing(&over);
        // Everybody signs in, and the gateway sees everything that it is to have copies of.
        std::thread::sleep(Duration::from_secs(15));
        for (service, callers) in SERVICES {
            for mishap in MISHAPS {
                table.add(endure(&cluster, shop, &samples, service, callers, mishap));
            }
        }
        over.store(true, Ordering::Relaxed);
        clients.join().unwrap();
    });
    table.finish();
}

/// Ends the load, also when a test ends early.
struct Closing<'a>(&'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One service in one kind of trouble, from a quiet moment to the next.
fn endure(
    cluster: &Cluster,
    shop: &Shop,
    samples: &Mutex<Vec<Sample>>,
    service: &'static str,
    callers: &[&str],
    mishap: Mishap,
) -> Row {
    let quiet = Instant::now();
    std::thread::sleep(BEFORE);
    let begun = Instant::now();
    mishap.begin(cluster, shop, service, callers);
    let mut opened: Vec<String> = Vec::new();
    let has_to_open = mishap.has_to_open(service);
    while begun.elapsed() < LASTS || has_to_open && opened.is_empty() && begun.elapsed() < AT_MOST {
        std::thread::sleep(Duration::from_millis(500));
        for caller in open_breakers(shop, service) {
            if !opened.contains(&caller) {
                opened.push(caller);
            }
        }
    }
    mishap.end(cluster, shop, service);
    let healed = Instant::now();
    let pace = load::pace(&samples.lock().unwrap(), quiet, begun);
    let recovered = loop {
        std::thread::sleep(Duration::from_millis(250));
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let is_back = now >= healed + second
            && load::pace(&samples.lock().unwrap(), now - second, now) >= pace * 0.8
            && open_breakers(shop, service).is_empty();
        if is_back {
            // It was so from the beginning of that second on.
            break Some(now - second - healed);
        }
        if now > healed + RECOVERY + second {
            break None;
        }
    };
    // What began during the mishap is over, and belongs to it.
    let mut all = samples.lock().unwrap();
    let row = Row::of(service, mishap, &all, (begun, healed), opened, recovered);
    all.retain(|sample| sample.at > healed);
    row
}
