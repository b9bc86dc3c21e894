//! `--register`: a host keeps itself listed while it serves, whatever becomes of the registry.

use nix::sys::signal::Signal::{SIGINT, SIGTERM};
use serde_json::json;
use souk_tests::{Host, Launch, Registry, RegistryCall, eventually, repo, souk_only};
use souk_tokens::{Arrival, Key};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const SERVICE_KEY: &str = "the key of this test";

/// A manifest of a component with two public routes, and one with a private route.
fn manifest() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let wasm = repo().join("target/wasm32-wasip1/release/examples/hello.wasm");
    let wasm = wasm.display();
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"x\"\n\
         [variables]\nservice_key = {{ default = \"\", secret = true }}\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"shown\"\n\
         [[trigger.http]]\nroute = \"/more\"\ncomponent = \"shown\"\n\
         [[trigger.http]]\nroute = {{ private = true }}\ncomponent = \"hidden\"\n\
         [component.shown]\nsource = \"{wasm}\"\n[component.hidden]\nsource = \"{wasm}\"\n"
    );
    std::fs::write(dir.path().join("spin.toml"), manifest).unwrap();
    dir
}

fn launch(manifest: &TempDir, registry: &str) -> Launch {
    Launch::of(&manifest.path().join("spin.toml").display().to_string())
        .variable("service_key", SERVICE_KEY)
        .args(&format!("--register {registry}"))
}

#[test]
fn an_application_that_declares_no_key_is_registered_with_the_one_of_the_environment() {
    souk_only!();
    let (manifest, registry) = (manifest(), Registry::start());
    let file = manifest.path().join("spin.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let declared = "service_key = { default = \"\", secret = true }\n";
    assert!(text.contains(declared), "{text}");
    std::fs::write(file, text.replace(declared, "")).unwrap();
    let _host = launch(&manifest, &registry.url).start();
    assert_eq!(who_asks(&puts(&registry, 1)[0]), "host");
}

fn puts(registry: &Registry, count: usize) -> Vec<RegistryCall> {
    eventually("it registers", || registry.calls("PUT").len() >= count);
    registry.calls("PUT")
}

fn who_asks(call: &RegistryCall) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let key = Key::new(SERVICE_KEY);
    let claims = key.verify(&call.token, "registry", now.as_secs(), Arrival::Network);
    claims.unwrap().iss
}

#[test]
fn a_public_component_is_listed_and_kept_listed() {
    souk_only!();
    let (manifest, registry) = (manifest(), Registry::start());
    let advertised = "http://shop.internal:4001";
    let started = || {
        let advertise = format!("--advertise {advertised}/");
        launch(&manifest, &registry.url).args(&advertise).start()
    };
    let host = started();
    let calls = puts(&registry, 3);
    let first = &calls[0];
    let id = first.path.strip_prefix("/instances/shown/shown-").unwrap();
    assert_eq!(id.len(), 6, "{id}");
    assert!(id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(who_asks(first), "host");
    let incarnation = first.body["incarnation"].as_str().unwrap();
    assert!(incarnation.len() >= 16, "{incarnation}");
    let body = json!({"address": advertised, "lease_seconds": 9, "incarnation": incarnation});
    for call in &calls {
        assert_eq!((&call.path, &call.body), (&first.path, &body));
    }
    let between = calls[2].at - calls[1].at;
    assert!(between < Duration::from_secs(9), "{between:?}");
    host.kill();

    // The same instance, run again.
    let _host = started();
    let again = puts(&registry, calls.len() + 1).pop().unwrap();
    assert_eq!(again.path, first.path);
    assert_ne!(again.body["incarnation"], first.body["incarnation"]);
}

#[test]
fn it_leaves_before_it_stops_and_serves_those_who_do_not_know_yet() {
    souk_only!();
    for signal in [SIGTERM, SIGINT] {
        let (manifest, registry) = (manifest(), Registry::start());
        let host = launch(&manifest, &registry.url).start();
        let listed = puts(&registry, 1).remove(0);
        assert_eq!(listed.body["address"], host.url);
        let begun = Instant::now();
        host.signal(signal);
        eventually("it leaves", || !registry.calls("DELETE").is_empty());
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(host.get("/").status, 200, "no longer serves");
        let address = host.address().to_owned();
        let exit = host.wait(Duration::from_secs(9));
        assert_eq!(exit.code, Some(0), "{}", exit.output);
        assert!(begun.elapsed() >= Duration::from_secs(3));
        assert!(TcpStream::connect(address).is_err());
        let left = registry.calls("DELETE");
        assert_eq!(left.len(), 1);
        assert_eq!(
            (&left[0].path, who_asks(&left[0])),
            (&listed.path, "host".into())
        );
        assert!(registry.calls("PUT").iter().all(|put| put.at < left[0].at));
    }
}

/// How often the host has said something.
fn times(host: &Host, said: &str) -> usize {
    host.output().matches(said).count()
}

#[test]
fn a_registry_that_is_away_is_no_reason_not_to_start_or_stop() {
    souk_only!();
    let manifest = manifest();
    let host = launch(&manifest, "http://127.0.0.1:1").start();
    assert_eq!(host.get("/").status, 200);
    host.says("cannot register");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(times(&host, "cannot register"), 1, "{}", host.output());
    let begun = Instant::now();
    host.signal(SIGTERM);
    let exit = host.wait(Duration::from_secs(5));
    assert_eq!(exit.code, Some(0), "{}", exit.output);
    // Nobody was ever sent here.
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_registry_that_comes_back_is_told_again_and_each_change_is_said_once() {
    souk_only!();
    let (manifest, registry) = (manifest(), Registry::start());
    let host = launch(&manifest, &registry.url).start();
    puts(&registry, 1);
    // One that has forgotten, and then one that is out of order.
    registry.answer(404);
    eventually("it is noticed", || times(&host, "cannot register") == 1);
    registry.answer(503);
    let seen = registry.calls("PUT").len();
    puts(&registry, seen + 2);
    registry.answer(201);
    eventually("it is back", || times(&host, "registered") == 2);
    assert_eq!(times(&host, "cannot register"), 1, "{}", host.output());
}

#[test]
fn what_cannot_be_registered_stops_the_start() {
    souk_only!();
    let manifest = manifest();
    let anywhere = launch(&manifest, "http://127.0.0.1:1").args("--listen 0.0.0.0:0");
    let exit = anywhere.fail();
    assert_eq!(exit.code, Some(1));
    assert!(exit.output.contains("--advertise"), "{}", exit.output);
    let exit = launch(&manifest, "127.0.0.1:1").fail();
    assert!(exit.output.contains("is no address"), "{}", exit.output);
}
