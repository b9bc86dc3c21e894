//! What products tells the others, and what it makes of what it hears.

use souk_contracts::wrong_with_events;
use souk_events::published;

use super::*;

fn deliver(kind: &str, data: Value) -> u16 {
    souk_contracts::deliver(&SERVICE, kind, data).status
}

fn tick() {
    assert_eq!(Ask::of(&SERVICE).send("POST", "/internal/tick").status, 204);
}

#[test]
fn every_change_is_told_once() {
    let path = list_product(chair());
    admin("PATCH", &path, json!({"name": "Ash chair"}));
    admin(
        "PATCH",
        &path,
        json!({"price": {"amount": 5900, "currency": "EUR"}}),
    );
    admin(
        "PATCH",
        &path,
        json!({"price": {"amount": 5900, "currency": "EUR"}}),
    );
    for _ in 0..2 {
        ask(Some(Role::Admin), "DELETE", &path, &[], None);
    }
    tick();
    tick();
    let events: Vec<_> = published().iter().map(|event| json!(event)).collect();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let changes = kinds
        .iter()
        .filter(|kind| **kind == "product.updated")
        .count();
    assert!((2..=3).contains(&changes), "{kinds:?}");
    let once = |kind: &str| kinds.iter().filter(|told| **told == kind).count();
    assert_eq!(
        (
            once("product.created"),
            once("product.price-changed"),
            once("product.deleted")
        ),
        (1, 1, 1)
    );
    assert_eq!(wrong_with_events("products", &events), [""; 0]);
}

#[test]
fn lists_say_how_many_can_be_ordered() {
    let path = list_product(chair());
    let id = path.rsplit('/').next().unwrap();
    let available = || get("/api/products").body["items"][0]["available"].clone();
    assert_eq!(available(), Value::Null, "nobody has told");
    let moved = |available: i64, version: i64| {
        let data = json!({"product_id": id, "available": available, "version": version});
        assert_eq!(deliver("stock.reserved", data), 204);
    };
    moved(10, 1);
    assert_eq!(available(), 10);
    moved(7, 3);
    moved(8, 2);
    moved(7, 3);
    assert_eq!(available(), 7, "what comes late changes nothing");
    assert_eq!(
        get(&path).body.get("available"),
        None,
        "a product alone is known by its version"
    );
}
