//! Each service on its own: from its own manifest, and among stand-ins of its neighbours that answer as its contracts say.
#![allow(clippy::unwrap_used)]

mod alone;
mod backends;
mod carts;
mod dashboards;
mod events;
mod gateway;
mod orders;
mod prometheus;
mod registry;
mod resilience;
mod storefront;
mod telemetry;

use serde_json::Value;
use souk_tests::{Host, Launch, Reply, client};
use souk_tokens::{Claims, Key, Role};
use std::time::{SystemTime, UNIX_EPOCH};

/// The key that the services here know each other by.
const SERVICE_KEY: &str = "the key of this test";

const USER: &str = "018f0000-0000-7000-8000-000000000001";

/// A service that runs on its own.
struct Service {
    name: &'static str,
    host: Host,
}

impl Service {
    /// From its own manifest.
    fn alone(name: &'static str) -> Self {
        Self::start(name, &format!("components/{name}/spin.toml"), "")
    }

    /// Among stand-ins in these states.
    fn among_stand_ins(name: &'static str, given: &str) -> Self {
        Self::start(name, &format!("tests/standalone/{name}.toml"), given)
    }

    fn start(name: &'static str, manifest: &str, given: &str) -> Self {
        let host = Launch::of(manifest)
            .runtime_config("runtime-config.toml")
            .variable("service_key", SERVICE_KEY)
            .variable("given", given)
            .start();
        Self { name, host }
    }

    /// The answer to a request with these headers; null is no body.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let url = format!("{}{path}", self.host.url);
        let request = client().request(method.parse().unwrap(), url);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Reply::to(match body {
            Value::Null => request,
            body => request.json(body),
        })
    }

    /// The answer to what the gateway passes on of a customer.
    fn by_customer(&self, method: &str, path: &str, body: &Value) -> Reply {
        let token = service_token(SERVICE_KEY, self.name, now(), Some(Role::Customer));
        let headers = [
            ("x-souk-token", &*token),
            ("idempotency-key", "the key of this order"),
        ];
        self.ask(method, path, &headers, body)
    }

    /// Fails if it has asked a stand-in for something that is not in its contract.
    fn keeps_to_its_contracts(&self) {
        let output = self.host.output();
        assert!(!output.contains("NOT IN THE CONTRACT"), "{output}");
        for log in files(&self.host.dir) {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(
                !text.contains("NOT IN THE CONTRACT"),
                "{}: {text}",
                log.display()
            );
        }
    }
}

/// The logs below a folder.
fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    below
        .filter(|path| path.extension().is_some_and(|it| it == "txt"))
        .collect()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A service token of the gateway, as it was made at some time, for somebody of this role.
fn service_token(key: &str, audience: &str, made: u64, role: Option<Role>) -> String {
    let claims = Claims::new("gateway", audience, made);
    Key::new(key).sign(&claims.acting_as(role.map(|_| USER.to_owned()), role))
}
