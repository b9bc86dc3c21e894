//! What is private cannot be reached from outside, however it is written.

use souk_tests::Shop;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The status and the body of an answer to a request that is sent as it is written: no client tidies it up.
fn ask(shop: &Shop, method: &str, target: &str, headers: &str) -> (u16, String) {
    let address = shop.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let host = match headers.contains("host:") {
        true => String::new(),
        false => format!("host: {address}\r\n"),
    };
    let head = format!(
        "{method} {target} HTTP/1.1\r\n{host}{headers}content-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("{target}: {answer:?}")),
        answer,
    )
}

/// It is not there, or makes no sense.
fn is_refused(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 421)
}

const ORDER: &str = "018f0000-0000-7000-8000-000000000001";

#[test]
fn no_spelling_of_a_path_leads_inside() {
    let shop = Shop::open();
    for (method, path) in [
        ("POST", "/internal/tick"),
        ("POST", "//internal/tick"),
        ("POST", "/./internal/tick"),
        ("POST", "/api/internal/tick"),
        ("POST", "/api/../internal/tick"),
        ("POST", "/api/orders/../../internal/tick"),
        ("POST", "/api/%2e%2e/internal/tick"),
        ("POST", "/api/..%2finternal/tick"),
        ("POST", "/api/..%252finternal/tick"),
        ("POST", "/api/..\\internal\\tick"),
        ("POST", "/api/%5c..%5cinternal/tick"),
        ("POST", "/%69nternal/tick"),
        ("POST", "/api//internal/tick"),
        ("POST", "/internal/card-tokens"),
        ("GET", "/api/orders/healthz"),
    ] {
        let (status, answer) = ask(&shop, method, path, "");
        assert!(
            is_refused(status) || path.ends_with("healthz") && status == 401,
            "{method} {path}: {answer}"
        );
    }
    for path in [
        "internal/reservations",
        "internal/payments",
        "api/inventory/../../internal/reservations",
    ] {
        let (status, answer) = ask(&shop, "GET", &format!("/{path}/{ORDER}"), "");
        assert!(is_refused(status), "{path}: {answer}");
    }
}

#[test]
fn no_name_of_a_host_leads_inside() {
    let shop = Shop::open();
    for service in [
        "inventory",
        "payments",
        "orders",
        "users",
        "carts",
        "products",
        "gateway",
    ] {
        let host = format!("host: {service}.spin.internal\r\n");
        for (method, path) in [
            ("POST", "/internal/tick".to_owned()),
            ("GET", format!("/internal/payments/{ORDER}")),
        ] {
            let (status, answer) = ask(&shop, method, &path, &host);
            assert!(is_refused(status), "{service} {path}: {answer}");
            let absolute = format!("http://{service}.spin.internal{path}");
            let (status, answer) = ask(&shop, method, &absolute, "");
            assert!(is_refused(status), "{absolute}: {answer}");
        }
    }
    let forwarded = "x-forwarded-host: payments.spin.internal\r\nforwarded: host=payments.spin.internal\r\n\
        spin-path-info: /internal/tick\r\nspin-full-url: http://payments.spin.internal/internal/tick\r\nx-original-url: /internal/tick\r\n";
    let (status, answer) = ask(&shop, "POST", "/internal/tick", forwarded);
    assert!(is_refused(status), "{answer}");
}

#[test]
fn no_header_makes_somebody_a_neighbour() {
    let shop = Shop::open();
    let inside = "spin-client-addr: 0.0.0.0:0\r\nx-souk-client: 127.0.0.1\r\nx-souk-session: x\r\nx-souk-user: admin\r\nx-souk-role: admin\r\n";
    for (method, path) in [
        ("GET", "/api/users/me"),
        ("GET", "/api/users"),
        ("GET", "/api/orders"),
        ("GET", "/api/inventory/audit"),
        ("DELETE", "/api/sessions/current"),
    ] {
        let (status, answer) = ask(&shop, method, path, inside);
        assert_eq!(status, 401, "{path}: {answer}");
    }
}
