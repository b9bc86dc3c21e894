//! Cards: exchanged at once, and nowhere to be found.

use super::*;
use crate::provider::scripted::{Turn, next};

fn tokenize(changes: Value) -> Answer {
    let mut card = card();
    card.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    orders("POST", "/internal/card-tokens", card)
}

/// Everything in the database, as text.
fn everything() -> String {
    struct Text(String);
    impl FromRow for Text {
        fn from_row(row: &mut Row) -> Result<Self, souk_store::Error> {
            row.take().map(Self)
        }
    }
    let tables = [
        (
            "card_tokens",
            "token, brand, last4, exp_month, exp_year, created_at",
        ),
        (
            "payments",
            "id, order_id, token, hold, decline_code, status",
        ),
        ("operations", "key, reference, decline_code, detail"),
        ("transactions", "provider_reference, decline_code, detail"),
    ];
    let dump = |(table, columns): (&str, &str)| {
        let statement = format!("SELECT json_array({columns}) FROM {table}");
        let rows: Vec<Text> = block_on(DATABASE.read(&statement, [])).unwrap();
        rows.into_iter().map(|Text(row)| row).collect::<String>()
    };
    tables.map(dump).concat()
}

#[test]
fn a_card_becomes_a_token() {
    let answer = tokenize(json!({"number": "3782 822463 10005", "cvc": "1234"}));
    assert_eq!(answer.status, 201);
    assert!(answer.body["token"].as_str().unwrap().starts_with("token-"));
    assert_eq!(
        (&answer.body["brand"], &answer.body["last4"]),
        (&json!("amex"), &json!("0005"))
    );
    assert_eq!(answer.body.as_object().unwrap().len(), 5);
}

#[test]
fn nothing_of_a_card_is_kept_but_brand_and_last_four() {
    let order = Order::captured();
    order.refund("r", json!({}));
    let everything = everything();
    assert!(everything.contains(&order.id) && everything.contains("4242"));
    assert!(!everything.contains("42424"), "{everything}");
    assert!(!everything.contains("123\""), "{everything}");
}

#[test]
fn bad_fields_are_named_and_not_repeated() {
    for (changes, field) in [
        (json!({"number": "4242424242424241"}), "number"),
        (json!({"number": 4_242_424_242_424_242_u64}), "number"),
        (json!({"number": {"4242424242424242": 1}}), "number"),
        (json!({"number": ["4242424242424242"]}), "number"),
        (json!({"number": null}), "number"),
        (json!({"exp_year": 2020}), "exp_year"),
        (json!({"exp_month": "4242424242424242"}), "exp_month"),
        (json!({"cvc": "42424"}), "cvc"),
        (json!({"cvc": 42424}), "cvc"),
        (json!({"type": "4242424242424242"}), "type"),
    ] {
        let answer = tokenize(changes.clone());
        assert_eq!(answer.status, 422, "{changes}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{changes}");
        assert!(!answer.text.contains("42424"), "{}", answer.text);
    }
    let broken = Ask::of(&SERVICE)
        .service("orders")
        .header("content-type", "application/json");
    let answer = broken
        .text(r#"{"number":"4242424242424242"#)
        .send("POST", "/internal/card-tokens");
    assert_eq!(answer.status, 400);
    assert!(!answer.text.contains("42424"), "{}", answer.text);
}

#[test]
fn what_the_provider_refuses_is_a_bad_field() {
    next([Turn::Decline]);
    let answer = tokenize(json!({}));
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["errors"][0]["field"], "cvc");
}

#[test]
fn without_the_provider_there_is_no_token() {
    next([Turn::Unavailable]);
    let answer = tokenize(json!({}));
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.text.contains("42424"));
}

#[test]
fn tokens_nobody_pays_with_are_forgotten() {
    let (paid, unpaid) = (Order::authorized(), Order::new());
    let known = |order: &Order| everything().contains(&format!("[\"{}\"", order.token));
    tick();
    assert!(known(&paid) && known(&unpaid));
    sql("UPDATE card_tokens SET created_at = '2020-01-01T00:00:00.000Z'").unwrap();
    tick();
    assert!(known(&paid) && !known(&unpaid));
    assert_eq!(unpaid.authorize().status, 422);
}
