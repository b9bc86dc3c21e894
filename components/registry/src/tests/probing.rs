//! Instances that are asked how they are.

use super::machine::{asked, do_not_grant, hang_up, listen, meanwhile, most_asked_at_once};
use super::*;

const A: &str = "http://127.0.0.1:4001";
const B: &str = "http://127.0.0.1:4002";

/// Lets the next probe be due, and makes it.
fn probe() {
    pass(2);
    register("carts/one", A);
    tick();
}

#[test]
fn one_that_does_not_answer_twice_is_down_until_it_answers() {
    register("carts/one", A);
    let before = revision("");
    tick();
    assert_eq!(
        (states(), revision("")),
        (vec!["carts/one up".into()], before)
    );
    probe();
    assert_eq!(states(), ["carts/one down"]);
    let then = revision("");
    assert!(then > before);
    probe();
    assert_eq!(revision(""), then, "once");
    assert_ne!(items("")[0]["probed_at"], Value::Null);

    listen(A, "carts");
    probe();
    assert_eq!(states(), ["carts/one up"]);
    assert!(revision("") > then);
}

#[test]
fn one_whose_address_another_service_has_is_wrong() {
    listen(A, "users");
    register("carts/one", A);
    let before = revision("");
    tick();
    assert_eq!(states(), ["carts/one wrong"], "at once");
    assert!(revision("") > before);
    hang_up(A);
    for _ in 0..3 {
        probe();
    }
    assert_eq!(states(), ["carts/one wrong"]);
    pass(9);
    assert_eq!(states(), ["carts/one expired"]);
    register("carts/one", A);
    assert_eq!(
        states(),
        ["carts/one wrong"],
        "the same incarnation stays so"
    );
}

#[test]
fn another_incarnation_or_address_begins_with_a_clean_slate() {
    for (address, incarnation) in [(A, "i2"), (B, "i1")] {
        register("carts/one", A);
        tick();
        probe();
        assert_eq!(states(), ["carts/one down"]);
        let anew = put("carts/one", address, incarnation).body;
        assert_eq!(
            (&anew["state"], &anew["probed_at"]),
            (&json!("up"), &Value::Null)
        );
        tick();
        assert_eq!(states(), ["carts/one up"], "the failures too are forgotten");
        deregister("carts/one");
    }
}

#[test]
fn each_is_asked_every_two_seconds_and_not_when_it_has_expired() {
    register("carts/one", A);
    register("users/one", B);
    tick();
    assert_eq!(asked(), [A, B]);
    tick();
    pass(1);
    tick();
    assert_eq!(asked(), [""; 0]);
    pass(1);
    tick();
    assert_eq!(asked(), [A, B]);
    register("carts/one", A);
    pass(8);
    tick();
    assert_eq!(asked(), [A], "the other one has expired");
}

#[test]
fn one_that_cannot_be_asked_is_not_held_to_be_down() {
    do_not_grant(A);
    register("carts/one", A);
    for _ in 0..3 {
        pass(5);
        register("carts/one", A);
        tick();
    }
    assert_eq!(asked(), [A, A, A]);
    let one = items("")[0].clone();
    assert_eq!(
        (&one["state"], &one["probed_at"]),
        (&json!("up"), &Value::Null)
    );
}

#[test]
fn many_are_asked_at_once_but_not_all() {
    for port in 1..=40 {
        let (id, address) = (format!("carts/n{port}"), format!("http://127.0.0.1:{port}"));
        register(&id, &address);
    }
    tick();
    assert_eq!((asked().len(), most_asked_at_once()), (40, 16));
}

#[test]
fn what_one_registry_has_claimed_no_other_asks() {
    register("carts/one", A);
    let claimed = store::claim(16).now_or_never().unwrap().unwrap();
    assert_eq!(claimed.len(), 1);
    tick();
    assert_eq!(asked(), [""; 0]);
    pass(5);
    tick();
    assert_eq!(
        asked(),
        [A],
        "one that is never made is made by somebody else"
    );
}

#[test]
fn the_answer_of_a_predecessor_is_not_held_against_anybody() {
    for address in [A, B] {
        listen(A, "users");
        register("carts/one", A);
        meanwhile(move || {
            listen(address, "carts");
            register_meanwhile("carts", "one", address, "i2");
        });
        tick();
        assert_eq!(states(), ["carts/one up"], "{address}");
        deregister("carts/one");
    }
}
