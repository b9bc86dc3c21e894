//! Instances come and go.

use super::*;

const A: &str = "http://127.0.0.1:4001";
const B: &str = "http://127.0.0.1:4002";

#[test]
fn an_instance_is_registered_and_listed() {
    let first = put("carts/one", A, "i1");
    assert_eq!(first.status, 201);
    assert_eq!(items("")[0], first.body);
    let mut expected = json!({
        "service": "carts", "id": "one", "address": A, "incarnation": "i1", "state": "up", "probed_at": null,
    });
    for time in ["registered_at", "renewed_at", "expires_at"] {
        expected[time] = first.body[time].clone();
    }
    assert_eq!(first.body, expected);
    let lease = "SELECT CAST(round((julianday(expires_at) - julianday(renewed_at)) * 86400) AS INTEGER) || '' FROM instances";
    assert_eq!(run(lease).unwrap().as_deref(), Some("9"));
}

#[test]
fn a_renewal_moves_the_lease_and_changes_nothing_else() {
    let first = put("carts/one", A, "i1").body;
    let before = revision("");
    pass(5);
    let again = put("carts/one", A, "i1");
    assert_eq!(again.status, 200);
    assert_ne!(again.body["registered_at"], again.body["renewed_at"]);
    assert!(again.body["expires_at"].as_str() >= first["expires_at"].as_str());
    assert_eq!(again.body["state"], "up");
    assert_eq!(revision(""), before);
}

#[test]
fn another_incarnation_and_another_address_are_told_of() {
    put("carts/one", A, "i1");
    pass(5);
    let before = revision("");
    let next = put("carts/one", A, "i2");
    assert_eq!(
        (next.status, &next.body["incarnation"]),
        (200, &json!("i2"))
    );
    assert_eq!(next.body["registered_at"], next.body["renewed_at"]);
    let then = revision("");
    assert!(then > before);
    let moved = put("carts/one", B, "i2");
    assert_eq!((moved.status, &moved.body["address"]), (200, &json!(B)));
    assert!(revision("") > then);
}

#[test]
fn an_address_belongs_to_who_registered_it_last() {
    register("carts/one", A);
    register("carts/two", B);
    let (carts, users) = (revision("service=carts"), revision("service=users"));
    register("users/one", A);
    assert_eq!(states(), ["carts/two up", "users/one up"]);
    assert!(revision("service=carts") > carts, "who lost it is told of");
    assert!(revision("service=users") > users);

    assert_eq!(put("users/one", B, "i1").status, 200, "by moving there too");
    assert_eq!(states(), ["users/one up"]);
}

#[test]
fn what_is_taken_out_is_gone_and_can_be_taken_out_again() {
    register("carts/one", A);
    register("carts/two", B);
    let before = revision("");
    deregister("carts/one");
    assert_eq!(states(), ["carts/two up"]);
    let then = revision("");
    assert!(then > before);
    deregister("carts/one");
    assert_eq!(revision(""), then);
    assert_eq!(put("carts/one", A, "i1").status, 201);
}

#[test]
fn what_is_no_instance_is_refused() {
    let path = "/instances/carts/one";
    let wrong = json!({"address": "http://a/b", "lease_seconds": 61, "incarnation": ""});
    let answer = host("PUT", path, wrong);
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.bad_fields(),
        ["address", "lease_seconds", "incarnation"]
    );
    for path in ["/instances/Carts/one", "/instances/carts/o.ne"] {
        assert_eq!(host("DELETE", path, Value::Null).status, 404, "{path}");
        let right = json!({"address": A, "lease_seconds": 9, "incarnation": "i1"});
        assert_eq!(host("PUT", path, right).status, 404, "{path}");
    }
    let ask = Ask::of(&SERVICE).service("orders");
    let answer = ask.send("GET", "/instances?service=A&after=x&wait_ms=20001");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.bad_fields(), ["service", "after", "wait_ms"]);
}

#[test]
fn only_a_host_registers_and_only_services_read() {
    let path = "/instances/carts/one";
    for (method, path) in [("PUT", path), ("DELETE", path), ("GET", "/instances")] {
        let ask = || Ask::of(&SERVICE).json(json!({}));
        assert_eq!(ask().send(method, path).status, 401, "{method}");
        let status = |ask: Ask| ask.send(method, path).status;
        let (others, expected) = match method {
            "GET" => (200, 200),
            "PUT" => (403, 422),
            _ => (403, 204),
        };
        assert_eq!(status(ask().service("orders")), others, "{method}");
        assert_eq!(status(ask().admin()), others, "{method}");
        assert_eq!(status(ask().service("host")), expected, "{method}");
    }
}
