//! Reservations that were held for too long.

use super::*;
use crate::store::tests::run;

fn tick() {
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
}

/// What is reserved by the table itself: to ask the service would free what is due.
fn held(product: Uuid) -> String {
    let sql = format!("SELECT CAST(reserved AS TEXT) FROM stock WHERE product_id = '{product}'");
    run(&sql).unwrap().unwrap()
}

#[test]
fn who_holds_what_is_reserved_is_listed() {
    let (chair, table) = (stocked(1, 50), stocked(2, 50));
    for order in 1..=3 {
        let quantity = i64::try_from(order).unwrap();
        assert_eq!(reserve(order, &[(chair, quantity), (table, 7)]).status, 201);
    }
    assert_eq!((commit(2).status, release(3).status), (200, 200));
    assert_eq!(reserve(4, &[(chair, 4)]).status, 201);
    let list = |query: &str| {
        let path = format!("/api/inventory/{chair}/reservations{query}");
        Ask::of(&SERVICE).admin().send("GET", &path).body
    };
    let told = |page: &Value| -> Vec<(Value, Value)> {
        let items = page["items"].as_array().unwrap().iter();
        let told = items.map(|it| (it["order_id"].clone(), it["quantity"].clone()));
        told.collect()
    };
    let (first, fourth) = ((json!(id(1)), json!(1)), (json!(id(4)), json!(4)));
    assert_eq!(told(&list("")), [first.clone(), fourth.clone()]);
    assert_eq!(level(chair), (48, 5), "as many as are reserved");
    let page = list("?limit=1");
    assert_eq!(told(&page), [first]);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(told(&list(&format!("?cursor={cursor}"))), [fourth]);
    let unknown = format!("/api/inventory/{}/reservations", id(9));
    let admin = Ask::of(&SERVICE).admin().send("GET", &unknown);
    assert_eq!(admin.status, 404);
    assert_eq!(get(&unknown).status, 401);
}

/// 250 reservations of one each that are due: more than one statement frees.
fn many_due() -> Uuid {
    let chair = stocked(1, 250);
    for order in 1..=250 {
        assert_eq!(reserve(order, &[(chair, 1)]).status, 201);
    }
    run("UPDATE reservations SET expires_at = '2020-01-01T00:00:00.000Z'").unwrap();
    chair
}

#[test]
fn a_reservation_holds_for_as_long_as_asked() {
    let chair = stocked(1, 5);
    let line = json!({"product_id": chair, "quantity": 1});
    let seconds = |order: u128, body: Value| {
        let ask = Ask::of(&SERVICE).service("orders").json(body);
        let answer = ask.send("PUT", &format!("/internal/reservations/{}", id(order)));
        assert_eq!(answer.status, 201);
        let left = "SELECT CAST(round((julianday(expires_at) - julianday('now')) * 86400) AS INTEGER) || ''";
        run(&format!(
            "{left} FROM reservations WHERE order_id = '{}'",
            id(order)
        ))
        .unwrap()
        .unwrap()
    };
    assert_eq!(seconds(1, json!({"lines": [line]})), "900");
    assert_eq!(
        seconds(2, json!({"lines": [line], "expires_in_seconds": 60})),
        "60"
    );
}

#[test]
fn a_tick_frees_what_is_due_and_nothing_else() {
    let chair = stocked(1, 5);
    for order in 1..=3 {
        reserve(order, &[(chair, 1)]);
    }
    commit(3);
    let_expire(1);
    let_expire(3);
    tick();
    assert_eq!(held(chair), "1");
    assert_eq!(orders("GET", 1, "").body["state"], "expired");
    assert_eq!(orders("GET", 2, "").body["state"], "open");
    assert_eq!(orders("GET", 3, "").body["state"], "committed");
    assert_eq!(ledger(chair)[0]["kind"], "expired");
    tick();
    assert_eq!(ledger(chair).len(), 6);
}

#[test]
fn a_tick_frees_all_that_is_due() {
    let chair = many_due();
    tick();
    assert_eq!(held(chair), "0");
}

#[test]
fn whoever_reads_a_level_sees_what_is_free() {
    let chair = stocked(1, 5);
    reserve(1, &[(chair, 2)]);
    let_expire(1);
    assert_eq!(
        orders("GET", 1, "").body["state"],
        "expired",
        "before it is freed too"
    );
    assert_eq!(held(chair), "2");
    assert_eq!(level(chair), (5, 0));
}

#[test]
fn what_is_due_is_freed_before_a_reservation_is_refused() {
    let chair = many_due();
    assert_eq!(outcome(&reserve(500, &[(chair, 250)])), (201, "open"));
    assert_eq!(level(chair), (250, 250));
}

#[test]
fn what_is_due_is_freed_before_an_administrator_is_refused() {
    let chair = stocked(1, 5);
    reserve(1, &[(chair, 5)]);
    let_expire(1);
    let set = admin(
        "PUT",
        &format!("/api/inventory/{chair}"),
        json!({"on_hand": 3}),
    );
    assert_eq!(set.status, 200);
    reserve(2, &[(chair, 3)]);
    let_expire(2);
    assert_eq!(
        adjust(chair, json!({"delta": -3, "reason": "stolen"}), None).status,
        200
    );
}

#[test]
fn an_expired_reservation_is_committed_where_there_is_enough() {
    let chair = stocked(1, 5);
    reserve(1, &[(chair, 2)]);
    let_expire(1);
    assert_eq!(outcome(&commit(1)), (200, "committed"), "not freed yet");
    assert_eq!(level(chair), (3, 0));

    reserve(2, &[(chair, 2)]);
    let_expire(2);
    tick();
    assert_eq!(outcome(&commit(2)), (200, "committed"), "freed");
    assert_eq!(level(chair), (1, 0));
    assert_eq!(ledger(chair)[0]["on_hand_change"], -2);
}

#[test]
fn an_expired_reservation_is_not_committed_where_others_have_it() {
    let (chair, desk) = (stocked(1, 5), stocked(2, 5));
    reserve(1, &[(chair, 2), (desk, 1)]);
    let_expire(1);
    tick();
    reserve(2, &[(chair, 4)]);
    let refused = commit(1);
    assert_eq!(outcome(&refused), (409, "out-of-stock"));
    assert_eq!(
        refused.body["lines"],
        json!([{"product_id": chair, "requested": 2, "available": 1}])
    );
    assert_eq!((level(chair), level(desk)), ((5, 4), (5, 0)));

    let_expire(2);
    assert_eq!(
        outcome(&commit(1)),
        (200, "committed"),
        "when the others have expired too"
    );
    assert_eq!((level(chair), level(desk)), ((3, 0), (4, 0)));
}

#[test]
fn an_expired_reservation_is_made_again() {
    let chair = stocked(1, 5);
    let past = "2020-01-01T00:00:00.000Z";
    reserve(1, &[(chair, 2)]);
    for freed in [false, true] {
        let_expire(1);
        if freed {
            tick();
        }
        assert_eq!(orders("GET", 1, "").body["expires_at"], past);
        let again = reserve(1, &[(chair, 2)]);
        assert_eq!(outcome(&again), (200, "open"));
        assert_ne!(again.body["expires_at"], past);
        assert_eq!(level(chair), (5, 2));
    }
    let_expire(1);
    assert_eq!(
        outcome(&reserve(1, &[(chair, 1)])),
        (409, "conflict"),
        "with other lines"
    );
    tick();
    reserve(2, &[(chair, 4)]);
    assert_eq!(outcome(&reserve(1, &[(chair, 2)])), (409, "out-of-stock"));
}

#[test]
fn a_reservation_that_is_over_does_not_expire() {
    let chair = stocked(1, 5);
    for order in 1..=2 {
        reserve(order, &[(chair, 2)]);
    }
    commit(1);
    release(2);
    for order in 1..=2 {
        let_expire(order);
    }
    assert_eq!(outcome(&reserve(1, &[(chair, 2)])), (200, "committed"));
    assert_eq!(outcome(&reserve(2, &[(chair, 2)])), (409, "conflict"));
    assert_eq!(level(chair), (3, 0));
}

#[test]
fn an_expired_reservation_is_released_and_gives_back_nothing_twice() {
    let chair = stocked(1, 5);
    reserve(1, &[(chair, 2)]);
    let_expire(1);
    tick();
    assert_eq!(outcome(&release(1)), (200, "released"));
    assert_eq!((level(chair), ledger(chair).len()), ((5, 0), 3));
    reserve(2, &[(chair, 2)]);
    let_expire(2);
    assert_eq!(outcome(&release(2)), (200, "released"), "not freed yet");
    tick();
    assert_eq!(level(chair), (5, 0));
}
