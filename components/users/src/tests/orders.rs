//! Orders, as this service calls them, and what becomes of a deletion.

use std::cell::{Cell, RefCell};

use souk_chassis::Context;

use super::*;

thread_local! {
    static DOWN: Cell<bool> = const { Cell::new(false) };
    static ERASED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// In the place of the call to orders.
pub async fn erase_orders(_: &Context, user: &str) -> bool {
    if DOWN.get() {
        return false;
    }
    ERASED.with_borrow_mut(|erased| erased.push(user.to_owned()));
    true
}

fn tick() {
    assert_eq!(ask().send("POST", "/internal/tick").status, 204);
}

#[test]
fn orders_are_told_of_a_deletion_once() {
    let id = register();
    assert_eq!(ask().user(&id).send("DELETE", "/api/users/me").status, 204);
    tick();
    assert_eq!(ERASED.take(), [id]);
}

#[test]
fn orders_that_are_down_are_told_later() {
    DOWN.set(true);
    let id = register();
    assert_eq!(ask().user(&id).send("DELETE", "/api/users/me").status, 204);
    tick();
    assert!(ERASED.take().is_empty());
    DOWN.set(false);
    tick();
    tick();
    assert_eq!(ERASED.take(), [id]);
}
