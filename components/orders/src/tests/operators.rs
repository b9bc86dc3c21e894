//! What operators see, and what they can do about it.

use futures::executor::block_on;

use super::crashes::recover;
use super::neighbours::Fault::Status;
use super::*;
use crate::store;

fn ask(method: &str, path: &str) -> Answer {
    Ask::of(&SERVICE).admin().send(method, path)
}

/// An order that waits for inventory.
fn stuck() -> String {
    open_shop();
    neighbours::fail_always("PUT /internal/reservations", Status(503));
    let id = id(&place("k", body()));
    simulation::finish();
    id
}

#[test]
fn a_saga_that_is_stuck_is_seen_and_goes_on_when_told() {
    let id = stuck();
    let sagas = ask("GET", "/api/ops/sagas").body;
    let saga = &sagas["items"][0];
    assert_eq!(
        (&saga["order_id"], &saga["step"], &saga["state"]),
        (&json!(id), &json!("reserve"), &json!("waiting"))
    );
    assert!(
        saga["last_error"]
            .as_str()
            .is_some_and(|why| !why.is_empty())
    );

    neighbours::heal();
    let retry = format!("/api/ops/sagas/{id}/retry");
    assert_eq!(ask("POST", &retry).status, 202);
    recover();
    let saga = ask("GET", &format!("/api/ops/sagas/{id}")).body;
    assert_eq!(
        (&saga["state"], &saga["status"], &saga["due_at"]),
        (&json!("done"), &json!("confirmed"), &json!(null))
    );
    let last = saga["log"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["step"], &last["event"]),
        (&json!("commit"), &json!("done"))
    );
    assert_eq!(ask("GET", "/api/ops/sagas").body["items"], json!([]));
    assert_eq!(
        ask("POST", &retry).status,
        202,
        "there is nothing left to do"
    );
}

#[test]
fn sales_are_counted_when_they_are_confirmed() {
    open_shop();
    place("k", body());
    place("k2", paid_with(DECLINED));
    let sales = block_on(store::ops::sales("")).unwrap();
    let orders: i64 = sales.iter().map(|it| it.orders).sum();
    let confirmed: i64 = sales.iter().map(|it| it.confirmed).sum();
    let taken = sales.iter().filter_map(|it| it.taken.as_ref());
    let taken: i64 = taken.map(|money| money.amount).sum();
    assert_eq!((orders, confirmed, taken), (2, 1, TOTAL));
}

#[test]
fn an_order_is_found_by_its_number_and_says_which_request_placed_it() {
    open_shop();
    let id = id(&place("k", body()));
    place("k2", body());
    let number = id[24..].to_ascii_uppercase();
    let found = ask("GET", &format!("/api/orders?number={number}")).body;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["id"], json!(id));
    assert!(found["items"][0]["request_id"].is_string());
    assert_eq!(ask("GET", "/api/orders?number=1").status, 400);
}

#[test]
fn orders_are_found_by_several_statuses_and_since_when() {
    open_shop();
    let bought = id(&place("k", body()));
    place("k2", paid_with(DECLINED));
    let found = |query: &str| ask("GET", &format!("/api/orders?{query}")).body["items"].clone();
    let several = found("status=confirmed,shipped,delivered");
    assert_eq!(several.as_array().unwrap().len(), 1);
    assert_eq!(several[0]["id"], json!(bought));
    assert_eq!(
        found("status=confirmed,rejected").as_array().unwrap().len(),
        2
    );
    assert_eq!(found("status=shipped,delivered"), json!([]));
    assert_eq!(
        found("from=2020-01-01T00:00:00Z").as_array().unwrap().len(),
        2
    );
    assert_eq!(found("from=2099-01-01T00:00:00Z"), json!([]));
    for wrong in ["status=confirmed,", "status=sold", "from=today"] {
        assert_eq!(
            ask("GET", &format!("/api/orders?{wrong}")).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn operators_alone_may_ask() {
    let id = stuck();
    for (method, path) in [
        ("GET", "/api/ops/sales"),
        ("GET", "/api/ops/sagas"),
        ("GET", &format!("/api/ops/sagas/{id}")),
        ("POST", &format!("/api/ops/sagas/{id}/retry")),
    ] {
        assert_eq!(Ask::of(&SERVICE).send(method, path).status, 401, "{path}");
        let customer = Ask::of(&SERVICE).user(ADA).send(method, path);
        assert_eq!(customer.status, 403, "{path}");
    }
    assert_eq!(ask("GET", &format!("/api/ops/sagas/{ADA}")).status, 404);
}
