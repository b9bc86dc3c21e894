//! Who sees what, and what was read.

use super::*;

#[test]
fn an_inbox_is_its_owners() {
    confirm(1, ADA);
    confirm(2, BOB);
    let [adas, bobs] = [ADA, BOB].map(inbox);
    assert_eq!((adas.len(), bobs.len()), (1, 1));
    assert_eq!(adas[0]["order_id"], id(1));
    assert_eq!(bobs[0]["order_id"], id(2));
    assert_eq!(read(Ask::of(&SERVICE).user(BOB), &adas[0]).status, 404);
    assert_eq!(
        read(admin(), &adas[0]).status,
        404,
        "nor do administrators read for others"
    );
    let read_by_admins = run("SELECT count(*) || '' FROM notification_reads");
    assert_eq!(read_by_admins.unwrap().as_deref(), Some("0"));
    assert_eq!(inbox(ADA)[0]["read_at"], Value::Null);
    let by_order = format!("order_id={}", id(1));
    assert!(items(Ask::of(&SERVICE).user(BOB), &by_order).is_empty());
    assert!(items(admin(), "").is_empty());
}

#[test]
fn nobody_reads_without_an_account() {
    for ask in [
        || Ask::of(&SERVICE),
        || Ask::of(&SERVICE).service("gateway"),
    ] {
        assert_eq!(ask().send("GET", "/api/notifications").status, 401);
        let path = format!("/api/notifications/{}/read", id(1));
        assert_eq!(ask().send("POST", &path).status, 401);
    }
}

#[test]
fn what_was_read_stays_read() {
    confirm(1, ADA);
    confirm(2, ADA);
    let newest = &inbox(ADA)[0];
    let ada = || Ask::of(&SERVICE).user(ADA);
    let first = read(ada(), newest);
    assert_eq!(first.status, 200);
    assert!(first.body["read_at"].is_string());
    assert_eq!(read(ada(), newest).body, first.body);
    assert_eq!(inbox(ADA)[0], first.body);
    let unread = items(ada(), "unread=true");
    assert_eq!(unread.len(), 1);
    assert_eq!(unread[0]["order_id"], id(1));
    assert_eq!(items(ada(), "unread=false").len(), 2);
}

#[test]
fn what_is_not_there_is_not_read() {
    for id in [id(9), "x".into()] {
        let path = format!("/api/notifications/{id}/read");
        assert_eq!(Ask::of(&SERVICE).user(ADA).send("POST", &path).status, 404);
        assert_eq!(admin().send("POST", &path).status, 404);
    }
}

#[test]
fn administrators_share_what_is_for_all_of_them_and_read_it_each() {
    run_low(1);
    confirm(1, ROOT);
    let other = || Ask::of(&SERVICE).user_role(BOB, Role::Admin);
    assert_eq!(kinds(&items(admin(), "")), ["order_confirmed", "stock_low"]);
    let shared = &items(other(), "")[0];
    assert_eq!(shared["kind"], "stock_low");
    assert_eq!(shared["order_id"], Value::Null);

    let read_by_other = read(other(), shared);
    assert_eq!(read_by_other.status, 200);
    assert!(read_by_other.body["read_at"].is_string());
    assert_eq!(read(other(), shared).body, read_by_other.body);
    assert!(items(other(), "unread=true").is_empty());
    assert_eq!(items(admin(), "unread=true").len(), 2);

    assert!(inbox(ADA).is_empty());
    assert_eq!(read(Ask::of(&SERVICE).user(ADA), shared).status, 404);
}

#[test]
fn an_inbox_is_read_page_by_page_newest_first() {
    for number in 1..=5 {
        confirm(number, ADA);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(Ask::of(&SERVICE).user(ADA), &format!("limit=2{cursor}"));
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        seen.extend(items.into_iter().map(|item| item["order_id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1].map(|number| json!(id(number))));
}

#[test]
fn the_shared_and_the_own_are_one_list() {
    for number in 1..=3 {
        confirm(number, ROOT);
        run_low(number as i64);
    }
    let first = page(admin(), "limit=4");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = page(admin(), &format!("limit=4&cursor={cursor}"));
    let kinds = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        kinds(items)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let pair = ["stock_low", "order_confirmed"];
    assert_eq!(kinds(&first), [pair, pair].concat());
    assert_eq!(kinds(&second), pair);
}

#[test]
fn an_orders_notifications_are_seen_by_its_owner_and_administrators() {
    confirm(1, ADA);
    ship(1, ADA);
    confirm(2, ADA);
    run_low(1);
    let query = format!("order_id={}", id(1));
    for ask in [Ask::of(&SERVICE).user(ADA), admin()] {
        assert_eq!(
            kinds(&items(ask, &query)),
            ["order_shipped", "order_confirmed"]
        );
    }
    read(Ask::of(&SERVICE).user(ADA), &inbox(ADA)[1]);
    let unread = items(admin(), &format!("{query}&unread=true"));
    assert_eq!(kinds(&unread), ["order_confirmed"], "by its owner");
}

#[test]
fn a_query_that_makes_no_sense_is_refused() {
    let path = "/api/notifications?limit=0&cursor=x&unread=maybe&order_id=1";
    let answer = Ask::of(&SERVICE).user(ADA).send("GET", path);
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.bad_fields(),
        ["unread", "order_id", "limit", "cursor"]
    );
}
