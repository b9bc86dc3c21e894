//! What becomes of orders, and who sees them.

use super::*;

#[test]
fn a_confirmed_order_is_cancelled() {
    open_shop();
    let placed = place("k", body());
    let id = id(&placed);
    let answer = cancel(&id);
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(answer.body["reason"], "cancelled_by_customer");
    assert_eq!((levels(), neighbours::charged(&id)), (taken(0), 0));
    assert_eq!(neighbours::payment_status(&id), Some("refunded"));
    assert_eq!(cancel(&id).body, answer.body, "again is the same");
    assert_eq!(neighbours::calls("refund"), 1);
    assert_eq!(
        place("k", body()).text,
        placed.text,
        "the order was placed all the same"
    );
}

#[test]
fn an_order_is_shipped_and_delivered_by_administrators() {
    open_shop();
    let id = id(&place("k", body()));
    let path = |what: &str| format!("/api/orders/{id}/{what}");
    let by_dhl = json!({"carrier": "DHL", "tracking": "1"});
    let ship = |shipment: &Value| {
        Ask::of(&SERVICE)
            .admin()
            .json(shipment.clone())
            .send("POST", &path("ship"))
    };
    let deliver = || Ask::of(&SERVICE).admin().send("POST", &path("deliver"));

    assert_eq!(deliver().status, 409);
    for what in ["ship", "deliver"] {
        let ask = |ask: Ask| ask.json(by_dhl.clone()).send("POST", &path(what)).status;
        assert_eq!(
            (ask(Ask::of(&SERVICE)), ask(Ask::of(&SERVICE).user(ADA))),
            (401, 403)
        );
    }
    let shipped = ship(&by_dhl);
    assert_eq!((shipped.status, &shipped.body["shipment"]), (200, &by_dhl));
    assert_eq!(ship(&by_dhl).text, shipped.text);
    assert_eq!(
        ship(&json!({"carrier": "DHL", "tracking": "2"})).status,
        409
    );
    assert_eq!(cancel(&id).status, 409);

    let delivered = deliver();
    assert_eq!(
        (delivered.status, &delivered.body["status"]),
        (200, &json!("delivered"))
    );
    assert_eq!(
        (deliver().text, ship(&by_dhl).status),
        (delivered.text, 200)
    );
}

#[test]
fn what_failed_is_neither_cancelled_nor_shipped() {
    open_shop();
    let id = id(&place("k", paid_with(DECLINED)));
    assert_eq!(cancel(&id).status, 409);
    let ship = json!({"carrier": "DHL", "tracking": "1"});
    let ship = Ask::of(&SERVICE).admin().json(ship);
    assert_eq!(
        ship.send("POST", &format!("/api/orders/{id}/ship")).status,
        409
    );
}

#[test]
fn other_peoples_orders_are_not_there() {
    open_shop();
    let id = id(&place("k", body()));
    for (method, what) in [("GET", ""), ("GET", "/stream"), ("POST", "/cancel")] {
        let path = format!("/api/orders/{id}{what}");
        assert_eq!(Ask::of(&SERVICE).send(method, &path).status, 401, "{path}");
        assert_eq!(
            Ask::of(&SERVICE)
                .service("gateway")
                .send(method, &path)
                .status,
            401,
            "{path}"
        );
        assert_eq!(
            Ask::of(&SERVICE).user(BOB).send(method, &path).status,
            404,
            "{path}"
        );
    }
    let path = format!("/api/orders/{id}");
    assert_eq!(Ask::of(&SERVICE).admin().send("GET", &path).status, 200);
    let cancelled = Ask::of(&SERVICE)
        .user_role(BOB, Role::Admin)
        .send("POST", &format!("{path}/cancel"));
    assert_eq!(cancelled.body["reason"], "cancelled_by_admin");
    assert_eq!(Ask::of(&SERVICE).send("POST", "/api/orders").status, 401);
}

#[test]
fn orders_are_listed_newest_first_and_page_by_page() {
    open_shop();
    let placed: Vec<_> = ["a", "b", "c"].map(|key| id(&place(key, body()))).into();
    cancel(&placed[1]);
    let ids = |ask: Ask, query: &str| -> Vec<String> {
        let answer = ask.send("GET", &format!("/api/orders{query}"));
        let items = answer.body["items"]
            .as_array()
            .unwrap_or_else(|| panic!("{}", answer.text));
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest_first: Vec<_> = placed.iter().rev().cloned().collect();
    let ada = || Ask::of(&SERVICE).user(ADA);
    assert_eq!(ids(ada(), ""), newest_first);
    assert_eq!(ids(ada(), "?status=cancelled"), [placed[1].clone()]);
    assert_eq!(ids(ada(), "?status=authorized"), [""; 0]);
    assert_eq!(ids(Ask::of(&SERVICE).user(BOB), ""), [""; 0]);
    assert_eq!(
        ids(Ask::of(&SERVICE).user(BOB), &format!("?user_id={ADA}")),
        [""; 0]
    );
    assert_eq!(ids(Ask::of(&SERVICE).admin(), ""), newest_first);
    assert_eq!(
        ids(
            Ask::of(&SERVICE).admin(),
            &format!("?user_id={ADA}&status=confirmed")
        )
        .len(),
        2
    );
    assert_eq!(
        ids(Ask::of(&SERVICE).admin(), &format!("?user_id={BOB}")),
        [""; 0]
    );

    let first = get("/api/orders?limit=2");
    let cursor = first.body["next_cursor"].as_str().unwrap();
    assert_eq!(
        ids(ada(), &format!("?limit=2&cursor={cursor}")),
        [placed[0].clone()]
    );
    assert_eq!(get("/api/orders?status=lost&cursor=x").status, 400);
}

fn erase(user: &str) {
    events::deliver("user.deleted", json!({"user_id": user}));
}

fn shipping_address(id: &str) -> Value {
    let answer = Ask::of(&SERVICE)
        .admin()
        .send("GET", &format!("/api/orders/{id}"));
    answer.body["shipping_address"].clone()
}

#[test]
fn orders_of_a_deleted_account_stay_without_the_address() {
    open_shop();
    let over = place("over", paid_with(DECLINED));
    let over = over.body["order_id"].as_str().unwrap().to_owned();
    let open = place("open", body());
    let open = open.body["id"].as_str().unwrap().to_owned();
    erase(ADA);
    erase(ADA);
    assert_eq!(shipping_address(&over), Value::Null);
    assert!(shipping_address(&open).is_object(), "it has to get there");
    for (step, body) in [
        ("ship", json!({"carrier": "Post", "tracking": "1"})),
        ("deliver", json!({})),
    ] {
        let path = format!("/api/orders/{open}/{step}");
        let answer = Ask::of(&SERVICE).admin().json(body).send("POST", &path);
        assert_eq!(answer.status, 200);
    }
    assert_eq!(shipping_address(&open), Value::Null);
    assert_eq!(place("another", body()).status, 401);
}
