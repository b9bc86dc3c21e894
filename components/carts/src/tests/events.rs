//! What carts makes of what it hears.

use super::*;

fn deliver(kind: &str, data: Value) -> u16 {
    souk_contracts::deliver(&SERVICE, kind, data).status
}

fn in_cart(user: &'static str) -> Vec<(u128, i64)> {
    Client::user(user).cart()
}

fn put(user: &'static str, number: u128, quantity: i64) {
    let ask = Ask::of(&SERVICE)
        .user(user)
        .json(json!({"quantity": quantity}));
    assert_eq!(ask.send("PUT", &item(number)).status, 200);
}

fn confirmed(order: u128, items: &[(u128, i64)], from_cart: bool) -> Value {
    let line =
        |(number, quantity): &(u128, i64)| json!({"product_id": id(*number), "quantity": quantity});
    let items: Vec<_> = items.iter().map(line).collect();
    json!({"order_id": id(order), "user_id": ANNA, "items": items, "from_cart": from_cart})
}

#[test]
fn what_was_ordered_is_taken_out_once() {
    shop();
    put(ANNA, 1, 2);
    put(ANNA, 2, 1);
    let order = confirmed(100, &[(1, 2), (2, 1)], true);
    assert_eq!(deliver("order.confirmed", order.clone()), 204);
    assert_eq!(in_cart(ANNA), []);
    put(ANNA, 1, 5);
    deliver("order.confirmed", order);
    assert_eq!(in_cart(ANNA), [(1, 5)], "the event came again");
    deliver("order.confirmed", confirmed(101, &[(1, 1)], true));
    assert_eq!(in_cart(ANNA), [(1, 4)]);
}

#[test]
fn an_order_of_long_ago_that_comes_again_takes_nothing_out() {
    shop();
    for order in 100..150 {
        put(ANNA, 1, 1);
        deliver("order.confirmed", confirmed(order, &[(1, 1)], true));
    }
    put(ANNA, 1, 7);
    for order in 100..150 {
        deliver("order.confirmed", confirmed(order, &[(1, 1)], true));
    }
    assert_eq!(in_cart(ANNA), [(1, 7)]);
}

#[test]
fn what_was_added_while_it_was_ordered_stays() {
    shop();
    put(ANNA, 1, 3);
    put(ANNA, 2, 1);
    deliver("order.confirmed", confirmed(100, &[(1, 2)], true));
    assert_eq!(in_cart(ANNA), [(1, 1), (2, 1)]);
    deliver("order.confirmed", confirmed(101, &[(1, 1), (2, 1)], false));
    assert_eq!(
        in_cart(ANNA),
        [(1, 1), (2, 1)],
        "that was no order of a cart"
    );
}

#[test]
fn a_deleted_product_leaves_every_cart() {
    shop();
    put(ANNA, 1, 3);
    put(ANNA, 2, 1);
    put(BERT, 1, 1);
    for _ in 0..2 {
        assert_eq!(
            deliver("product.deleted", json!({"product_id": id(1)})),
            204
        );
    }
    assert_eq!((in_cart(ANNA), in_cart(BERT)), (vec![(2, 1)], vec![]));
}

#[test]
fn a_search_through_the_carts_goes_on_where_it_was_left() {
    shop();
    put(ANNA, 1, 3);
    put(BERT, 1, 1);
    bucket::write(
        &format!("dropped:{}", id(1)),
        format!("account:{ANNA}").as_bytes(),
    );
    assert_eq!(
        deliver("product.deleted", json!({"product_id": id(1)})),
        204
    );
    assert_eq!((in_cart(ANNA), in_cart(BERT)), (vec![(1, 3)], vec![]));
    assert!(bucket::keys("dropped:").is_empty());
}

#[test]
fn a_deleted_account_leaves_nothing_in_its_cart() {
    shop();
    put(ANNA, 1, 3);
    put(BERT, 1, 1);
    for _ in 0..2 {
        assert_eq!(deliver("user.deleted", json!({"user_id": ANNA})), 204);
    }
    assert_eq!((in_cart(ANNA), in_cart(BERT).len()), (vec![], 1));
    assert!(
        !bucket::keys("account:").is_empty(),
        "an entry is not deleted, since that compares nothing"
    );
}
