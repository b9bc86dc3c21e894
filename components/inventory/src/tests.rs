//! The service as its callers see it, on a real SQLite.
#![allow(clippy::unwrap_used)]

mod books;
mod contracts;
mod events;
mod expiry;
mod walk;

use serde_json::{Value, json};
use souk_contracts::{Answer, Ask};
use souk_tokens::Role;
use uuid::Uuid;

use crate::SERVICE;
use crate::store::tests::run;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn get(path: &str) -> Answer {
    Ask::of(&SERVICE).send("GET", path)
}

fn admin(method: &str, path: &str, body: Value) -> Answer {
    Ask::of(&SERVICE).admin().json(body).send(method, path)
}

fn stocked(product: u128, on_hand: i64) -> Uuid {
    let product = id(product);
    let answer = admin(
        "PUT",
        &format!("/api/inventory/{product}"),
        json!({"on_hand": on_hand}),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
    product
}

/// What is on hand and what is reserved.
fn level(product: Uuid) -> (i64, i64) {
    let level = get(&format!("/api/inventory/{product}")).body;
    let number = |field: &str| level[field].as_i64().unwrap();
    assert_eq!(number("available"), number("on_hand") - number("reserved"));
    (number("on_hand"), number("reserved"))
}

fn adjust(product: Uuid, body: Value, key: Option<&str>) -> Answer {
    let mut ask = Ask::of(&SERVICE).admin().json(body);
    if let Some(key) = key {
        ask = ask.header("idempotency-key", key);
    }
    ask.send("POST", &format!("/api/inventory/{product}/adjustments"))
}

fn ledger(product: Uuid) -> Vec<Value> {
    let path = format!("/api/inventory/{product}/ledger?limit=100");
    let answer = Ask::of(&SERVICE).admin().send("GET", &path);
    answer.body["items"].as_array().unwrap().clone()
}

fn orders(method: &str, order: u128, step: &str) -> Answer {
    let path = format!("/internal/reservations/{}{step}", id(order));
    Ask::of(&SERVICE).service("orders").send(method, &path)
}

fn reserve(order: u128, lines: &[(Uuid, i64)]) -> Answer {
    let line =
        |(product, quantity): &(Uuid, i64)| json!({"product_id": product, "quantity": quantity});
    let lines: Vec<_> = lines.iter().map(line).collect();
    Ask::of(&SERVICE)
        .service("orders")
        .json(json!({"lines": lines}))
        .send("PUT", &format!("/internal/reservations/{}", id(order)))
}

fn commit(order: u128) -> Answer {
    orders("POST", order, "/commit")
}

fn release(order: u128) -> Answer {
    orders("POST", order, "/release")
}

/// Lets the time of an order's reservation be over.
fn let_expire(order: u128) {
    let past = "UPDATE reservations SET expires_at = '2020-01-01T00:00:00.000Z'";
    let sql = format!("{past} WHERE order_id = '{}' RETURNING order_id", id(order));
    run(&sql).unwrap().unwrap();
}

/// The status, and the state or the kind of problem.
fn outcome(answer: &Answer) -> (u16, &str) {
    let kind = answer.body["type"]
        .as_str()
        .and_then(|kind| kind.rsplit(':').next());
    (
        answer.status,
        kind.or(answer.body["state"].as_str()).unwrap_or_default(),
    )
}

#[test]
fn stock_is_set_and_read() {
    let (chair, desk) = (stocked(1, 10), stocked(2, 0));
    assert_eq!(
        get(&format!("/api/inventory/{chair}")).body,
        json!({"product_id": chair, "on_hand": 10, "reserved": 0, "available": 10})
    );
    stocked(1, 7);
    let list = get(&format!(
        "/api/inventory?product_ids={desk},{},{chair}",
        id(9)
    ));
    assert_eq!(
        list.body,
        json!({"items": [
            {"product_id": chair, "on_hand": 7, "reserved": 0, "available": 7},
            {"product_id": desk, "on_hand": 0, "reserved": 0, "available": 0},
        ], "next_cursor": null})
    );
}

#[test]
fn what_is_not_kept_is_not_found() {
    let unknown = format!("/api/inventory/{}", id(9));
    assert_eq!(get(&unknown).status, 404);
    assert_eq!(get("/api/inventory/x").status, 404);
    assert_eq!(
        adjust(id(9), json!({"delta": 1, "reason": "found"}), None).status,
        404
    );
    assert_eq!(
        adjust(id(9), json!({"delta": 1, "reason": "found"}), Some("k")).status,
        404
    );
    let ledger = Ask::of(&SERVICE)
        .admin()
        .send("GET", &format!("{unknown}/ledger"));
    assert_eq!(ledger.status, 404);
    assert_eq!(orders("GET", 9, "").status, 404);
    assert_eq!(commit(9).status, 404);
}

#[test]
fn administrators_list_all_stock_and_what_runs_low() {
    for (product, on_hand) in [(1, 5), (2, 0), (3, 9), (4, 3)] {
        stocked(product, on_hand);
    }
    assert_eq!(reserve(1, &[(id(1), 3)]).status, 201);
    let list = |query: &str| {
        let answer = Ask::of(&SERVICE)
            .admin()
            .send("GET", &format!("/api/inventory?{query}"));
        let items = answer.body["items"].as_array().unwrap().clone();
        let products: Vec<_> = items
            .iter()
            .map(|item| item["product_id"].as_str().unwrap().to_owned())
            .collect();
        (
            products,
            answer.body["next_cursor"].as_str().map(str::to_owned),
        )
    };
    let ids = |numbers: &[u128]| {
        numbers
            .iter()
            .map(|number| id(*number).to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(""), (ids(&[1, 2, 3, 4]), None));
    assert_eq!(
        list("below=3"),
        (ids(&[1, 2]), None),
        "by what is available"
    );

    let (first, cursor) = list("below=4&limit=2");
    assert_eq!(first, ids(&[1, 2]));
    assert_eq!(
        list(&format!("below=4&limit=2&cursor={}", cursor.unwrap())),
        (ids(&[4]), None)
    );

    assert_eq!(get("/api/inventory").status, 401);
    assert_eq!(
        Ask::of(&SERVICE)
            .user("u")
            .send("GET", "/api/inventory?below=3")
            .status,
        403
    );
    assert_eq!(
        get("/api/inventory?product_ids=x&limit=0").body["errors"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn only_administrators_keep_stock() {
    let path = format!("/api/inventory/{}", stocked(1, 5));
    let adjustments = format!("{path}/adjustments");
    let ledger = format!("{path}/ledger");
    for (method, path) in [
        ("PUT", &*path),
        ("POST", &adjustments),
        ("GET", &ledger),
        ("GET", "/api/inventory/audit"),
    ] {
        assert_eq!(
            Ask::of(&SERVICE).json(json!({})).send(method, path).status,
            401,
            "{method} {path}"
        );
        let customer = Ask::of(&SERVICE).user("u").json(json!({}));
        assert_eq!(customer.send(method, path).status, 403, "{method} {path}");
    }
}

#[test]
fn only_orders_reserves() {
    stocked(1, 5);
    let path = format!("/internal/reservations/{}", id(1));
    let (commit, release) = (format!("{path}/commit"), format!("{path}/release"));
    for (method, path) in [
        ("GET", &path),
        ("PUT", &path),
        ("POST", &commit),
        ("POST", &release),
    ] {
        let ask = || Ask::of(&SERVICE).json(json!({}));
        assert_eq!(ask().send(method, path).status, 401, "{method} {path}");
        assert_eq!(
            ask().service("carts").send(method, path).status,
            403,
            "{method} {path}"
        );
        assert_eq!(
            ask().admin().send(method, path).status,
            403,
            "{method} {path}"
        );
    }
    let for_a_user = Ask::of(&SERVICE).by(Some("orders"), Some("u"), Some(Role::Customer));
    assert_eq!(for_a_user.send("POST", &release).status, 200);
}

#[test]
fn an_adjustment_is_made_once_for_its_key() {
    let chair = stocked(1, 10);
    let broken = || json!({"delta": -3, "reason": "broken"});
    let adjusted = adjust(chair, broken(), Some("k1"));
    assert_eq!(
        (adjusted.status, &adjusted.body["on_hand"]),
        (200, &json!(7))
    );
    stocked(1, 20);
    let again = adjust(chair, broken(), Some("k1"));
    assert_eq!(
        (again.status, &again.body["on_hand"]),
        (200, &json!(20)),
        "the present level"
    );
    assert_eq!(adjust(chair, broken(), Some("k2")).body["on_hand"], 17);
    assert_eq!(adjust(chair, broken(), None).body["on_hand"], 14);
    assert_eq!(adjust(chair, broken(), None).body["on_hand"], 11);
    let other = adjust(chair, json!({"delta": -2, "reason": "broken"}), Some("k1"));
    assert_eq!(outcome(&other), (422, "idempotency-key-reused"));
    assert_eq!(
        adjust(stocked(2, 5), broken(), Some("k1")).body["on_hand"],
        2,
        "another product's"
    );
    assert_eq!(adjust(chair, broken(), Some("")).status, 400);
    assert_eq!(adjust(chair, broken(), Some(&"k".repeat(201))).status, 400);
}

#[test]
fn what_is_reserved_stays_on_hand() {
    let chair = stocked(1, 10);
    reserve(1, &[(chair, 4)]);
    let set = |on_hand: i64| {
        admin(
            "PUT",
            &format!("/api/inventory/{chair}"),
            json!({"on_hand": on_hand}),
        )
    };
    let refused = set(3);
    assert_eq!(outcome(&refused), (409, "conflict"));
    assert_eq!(
        (&refused.body["on_hand"], &refused.body["reserved"]),
        (&json!(10), &json!(4))
    );
    let refused = adjust(chair, json!({"delta": -7, "reason": "stolen"}), None);
    assert_eq!(
        (refused.status, &refused.body["reserved"]),
        (409, &json!(4))
    );
    assert_eq!(level(chair), (10, 4));
    assert_eq!(set(4).status, 200);
    assert_eq!(level(chair), (4, 4));
}

#[test]
fn all_lines_are_reserved_or_none() {
    let (chair, desk) = (stocked(1, 5), stocked(2, 1));
    let refused = reserve(1, &[(chair, 2), (desk, 2), (id(9), 1)]);
    assert_eq!(outcome(&refused), (409, "out-of-stock"));
    assert_eq!(
        refused.body["lines"],
        json!([
            {"product_id": desk, "requested": 2, "available": 1},
            {"product_id": id(9), "requested": 1, "available": 0},
        ])
    );
    assert_eq!(
        reserve(1, &[(chair, 2), (id(9), 1)]).body["lines"][0]["product_id"],
        json!(id(9))
    );
    assert_eq!((level(chair), level(desk)), ((5, 0), (1, 0)));
    assert_eq!((ledger(chair).len(), orders("GET", 1, "").status), (1, 404));

    let reserved = reserve(1, &[(desk, 1), (chair, 2)]);
    assert_eq!(outcome(&reserved), (201, "open"));
    assert_eq!(
        reserved.body["lines"],
        json!([{"product_id": chair, "quantity": 2}, {"product_id": desk, "quantity": 1}])
    );
    assert_eq!((level(chair), level(desk)), ((5, 2), (1, 1)));
    assert_eq!(orders("GET", 1, "").body, reserved.body);
}

#[test]
fn a_reservation_is_made_once() {
    let (chair, desk) = (stocked(1, 5), stocked(2, 5));
    let first = reserve(1, &[(chair, 1), (desk, 1), (chair, 1)]);
    assert_eq!(first.status, 201);
    let again = reserve(1, &[(desk, 1), (chair, 2)]);
    assert_eq!((again.status, again.body), (200, first.body));
    assert_eq!((level(chair), level(desk)), ((5, 2), (5, 1)));
    assert_eq!(outcome(&reserve(1, &[(chair, 2)])), (409, "conflict"));
    assert_eq!(
        outcome(&reserve(1, &[(chair, 3), (desk, 1)])),
        (409, "conflict")
    );
    commit(1);
    assert_eq!(
        outcome(&reserve(1, &[(chair, 2), (desk, 1)])),
        (200, "committed")
    );
    assert_eq!(outcome(&reserve(1, &[(chair, 2)])), (409, "conflict"));
    assert_eq!((level(chair), level(desk)), ((3, 0), (4, 0)));
}

#[test]
fn a_commit_takes_stock_once_and_a_release_gives_it_back_once() {
    let chair = stocked(1, 5);
    reserve(1, &[(chair, 2)]);
    for _ in 0..2 {
        assert_eq!(outcome(&commit(1)), (200, "committed"));
        assert_eq!(level(chair), (3, 0));
    }
    for _ in 0..2 {
        assert_eq!(outcome(&release(1)), (200, "released"));
        assert_eq!(level(chair), (5, 0));
    }
    assert_eq!(outcome(&commit(1)), (409, "conflict"));
    assert_eq!(outcome(&reserve(1, &[(chair, 2)])), (409, "conflict"));
    assert_eq!(level(chair), (5, 0));
}

#[test]
fn an_open_reservation_is_released_once() {
    let chair = stocked(1, 5);
    reserve(1, &[(chair, 2)]);
    for _ in 0..2 {
        assert_eq!(outcome(&release(1)), (200, "released"));
        assert_eq!(level(chair), (5, 0));
    }
}

#[test]
fn a_release_before_the_reserve_leaves_a_tombstone() {
    let chair = stocked(1, 5);
    let tombstone = release(1);
    assert_eq!(outcome(&tombstone), (200, "released"));
    assert_eq!(tombstone.body["lines"], json!([]));
    assert_eq!(release(1).body, tombstone.body);
    assert_eq!(outcome(&reserve(1, &[(chair, 1)])), (409, "conflict"));
    assert_eq!(outcome(&commit(1)), (409, "conflict"));
    assert_eq!(level(chair), (5, 0));
}

#[test]
fn the_ledger_tells_every_movement() {
    let chair = stocked(1, 5);
    stocked(1, 5);
    adjust(chair, json!({"delta": 3, "reason": "delivery 7"}), None);
    reserve(1, &[(chair, 2)]);
    commit(1);
    release(1);
    reserve(2, &[(chair, 4)]);
    release(2);
    let order = |number| json!(id(number));
    let expected = [
        ("released", 0, -4, 8, 0, order(2), Value::Null),
        ("reserved", 0, 4, 8, 4, order(2), Value::Null),
        ("returned", 2, 0, 8, 0, order(1), Value::Null),
        ("committed", -2, -2, 6, 0, order(1), Value::Null),
        ("reserved", 0, 2, 8, 2, order(1), Value::Null),
        ("adjusted", 3, 0, 8, 0, Value::Null, json!("delivery 7")),
        ("set", 5, 0, 5, 0, Value::Null, Value::Null),
    ];
    let told = ledger(chair);
    assert_eq!(told.len(), expected.len());
    for (
        index,
        (entry, (kind, on_hand_change, reserved_change, on_hand, reserved, order_id, reason)),
    ) in told.iter().zip(expected).enumerate()
    {
        assert_eq!(
            *entry,
            json!({"version": 7 - index, "kind": kind, "on_hand_change": on_hand_change, "reserved_change": reserved_change,
                "on_hand": on_hand, "reserved": reserved, "order_id": order_id, "reason": reason, "at": entry["at"]})
        );
        assert!(entry["at"].as_str().unwrap().ends_with('Z'));
    }
    let page = |query: &str| {
        let path = format!("/api/inventory/{chair}/ledger?limit=4{query}");
        Ask::of(&SERVICE).admin().send("GET", &path).body
    };
    let first = page("");
    assert_eq!(first["items"], json!(told[..4]));
    let rest = page(&format!(
        "&cursor={}",
        first["next_cursor"].as_str().unwrap()
    ));
    assert_eq!(
        (&rest["items"], &rest["next_cursor"]),
        (&json!(told[4..]), &Value::Null)
    );
}

#[test]
fn bad_fields_are_named() {
    let answer = reserve(1, &[(id(1), 0)]);
    assert_eq!(
        (answer.status, &answer.body["errors"][0]["field"]),
        (422, &json!("lines[0].quantity"))
    );
    let chair = stocked(1, 5);
    let answer = adjust(chair, json!({"delta": 0}), None);
    let fields = answer.bad_fields();
    assert_eq!((answer.status, fields), (422, vec!["delta", "reason"]));
}
