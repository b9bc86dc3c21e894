//! Drives Souk from outside: starts a host on a free loopback port and talks to it over HTTP.
//!
//! `cargo xtask test` sets what the suites need: `SOUK_BIN`, the host's binary; `SOUK_REPO`, the
//! checkout; `SOUK_TEST_HOST`, `souk` or `spin`; `SOUK_BASE_URL`, `SOUK_ADMIN_EMAIL` and
//! `SOUK_ADMIN_PASSWORD`, a shop that runs already, for the suites that need nothing else;
//! `SOUK_SCHEMATHESIS`, the program that makes up requests; `SOUK_OTEL_PYTHON`, a Python with OpenTelemetry's SDK; `SOUK_NODE_MODULES`, where Playwright and axe are; `SOUK_NO_REDIS`, why there is no
//! redis-server; `SOUK_SQLD`, the server of libSQL databases, and `SOUK_NO_SQLD`, why there is none; `SOUK_CHAOS_SEED` and `SOUK_CHAOS_MINUTES`, which run of the chaos suite and how
//! long; `SOUK_XTASK`, the program that starts clusters. Whatever a test starts, it stops.

pub mod audit;
mod caller;
mod cluster;
mod customer;
mod host;
mod http;
mod lossy;
mod mailbox;
mod neighbour;
mod otlp;
mod processor;
mod prometheus;
mod redis;
mod registry;
mod server;
mod shop;
mod sqld;
mod visitor;

pub use caller::{Account, Caller};
pub use cluster::Cluster;
pub use customer::{Customer, Session, address, cards, order, payment_method};
pub use host::{Exit, Host, Launch};
pub use http::{Reply, at_once, client, eventually};
pub use lossy::Lossy;
pub use mailbox::{Mailbox, Posted};
pub use neighbour::{Manner, Neighbour};
pub use otlp::{LogLine, Otlp, Point, Span};
pub use processor::{Asked, Books, Mishap, PROCESSOR_KEY, Processor};
pub use prometheus::{Metric, NO_PROMETHEUS, Prometheus, known_metrics, promtool, promtool_in};
pub use redis::Redis;
pub use registry::{Registry, RegistryCall};
pub use shop::{ADMIN_EMAIL, ADMIN_PASSWORD, METRICS_TOKEN, Shop, unique};
pub use sqld::Sqld;
pub use visitor::{Form, Page, Visitor};

use std::path::PathBuf;

/// The checkout the tests run in.
pub fn repo() -> PathBuf {
    match std::env::var_os("SOUK_REPO") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."),
    }
}

/// Whether the host under test is stock Spin rather than ours.
pub fn on_spin() -> bool {
    std::env::var("SOUK_TEST_HOST").is_ok_and(|host| host == "spin")
}

/// Says on the test's output that it did not run, in the words `cargo xtask test` looks for.
pub fn skipped(reason: &str) {
    println!("SKIPPED: {reason}");
}

/// Leaves a test that starts our own host, where another one or a running shop is under test.
#[macro_export]
macro_rules! souk_only {
    () => {
        if $crate::on_spin() || std::env::var_os("SOUK_BIN").is_none() {
            return $crate::skipped("needs our own host, which is not under test here");
        }
    };
}

/// A Redis server of the test's own; leaves the test where there is none to be had.
#[macro_export]
macro_rules! redis_server {
    () => {
        match $crate::Redis::start() {
            Some(redis) => redis,
            None => return $crate::skipped(&$crate::Redis::why_none()),
        }
    };
}

/// A libSQL server of the test's own; leaves the test where there is none to be had.
#[macro_export]
macro_rules! libsql_server {
    () => {
        match $crate::Sqld::start() {
            Some(sqld) => sqld,
            None => return $crate::skipped(&$crate::Sqld::why_none()),
        }
    };
}
