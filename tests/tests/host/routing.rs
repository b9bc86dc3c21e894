//! Which component a path leads to, and what it is told.

use souk_tests::{Launch, Reply, souk_only};

#[test]
fn exact_routes_beat_wildcards_and_names_are_told() {
    let host = Launch::fixtures().start();
    assert_eq!(host.get("/").text, "Hello from Wasm\n");
    assert!(host.get("/hello/a/b?x=1").text.starts_with("GET http://"));
    assert_eq!(host.get("/hello/exact").text, "no such operation: ");
    let named = host.get("/users/ann/orders/9?x").text;
    assert!(named.contains("spin-path-match-user: ann\n"), "{named}");
    assert!(named.contains("spin-path-match-order: 9\n"), "{named}");
}

#[test]
fn nothing_matches_is_404_and_private_means_private() {
    let host = Launch::fixtures().start();
    assert_eq!(host.get("/users/ann").status, 404);
    assert_eq!(host.get("/hidden").status, 404);
    assert_eq!(host.get("/internal/tick").status, 404);
}

#[test]
fn a_component_is_told_of_its_route_and_client() {
    let host = Launch::fixtures().start();
    let told = host.get("/hello/a/b?x=1").text;
    let port = host.address().rsplit(':').next().unwrap();
    for line in [
        "spin-path-info: /a/b",
        &format!("spin-full-url: http://127.0.0.1:{port}/hello/a/b?x=1"),
        "spin-matched-route: /hello/...",
        "spin-base-path: /",
        "spin-component-route: /hello",
        "spin-raw-component-route: /hello/...",
        "spin-client-addr: 127.0.0.1:",
    ] {
        assert!(told.contains(line), "no {line} in:\n{told}");
    }
}

#[test]
fn what_a_client_claims_to_be_told_by_the_host_is_dropped() {
    // Stock Spin appends its own value after the client's.
    souk_only!();
    let host = Launch::fixtures().start();
    let request = host
        .request("/hello/x")
        .header("spin-client-addr", "0.0.0.0:0");
    let told = Reply::to(request.header("spin-anything", "x")).text;
    assert_eq!(told.matches("spin-client-addr").count(), 1, "{told}");
    assert!(!told.contains("0.0.0.0:0"), "{told}");
    assert!(!told.contains("spin-anything"), "{told}");
}

#[test]
fn http2_without_tls_is_served() {
    let host = Launch::fixtures().start();
    let client = reqwest::blocking::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let response = client.get(format!("{}/hello/x", host.url)).send().unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.text().unwrap().contains("spin-path-info: /x"));
}

#[test]
fn components_of_wasi_0_2_and_composed_ones_answer() {
    let host = Launch::fixtures().start();
    assert_eq!(host.get("/preview2/x").text, "preview 2 saw /preview2/x");
    assert_eq!(
        host.get("/greet/?name=Ann").text,
        "Hello, Ann, from a dependency"
    );
}

#[test]
fn the_health_path_of_spin_answers() {
    let host = Launch::fixtures().start();
    assert_eq!(host.get("/.well-known/spin/health").text, "OK");
}

#[test]
fn a_chosen_component_runs_alone() {
    let host = Launch::fixtures().args("-c hello").start();
    assert_eq!(host.get("/hello/x").status, 200);
    assert_eq!(host.get("/kv/get?store=default&key=a").status, 404);
}
