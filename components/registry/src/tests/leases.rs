//! Leases that are not renewed.

use super::machine::asked;
use super::*;

const A: &str = "http://127.0.0.1:4001";

#[test]
fn who_does_not_renew_expires_which_is_told_of() {
    register("carts/one", A);
    let before = revision("");
    pass(8);
    assert_eq!(
        (states(), revision("")),
        (vec!["carts/one up".into()], before)
    );
    pass(1);
    assert_eq!(states(), ["carts/one expired"]);
    let then = revision("");
    assert!(then > before);
    assert_eq!(revision(""), then, "once");
}

#[test]
fn who_renews_late_is_there_again_which_is_told_of() {
    register("carts/one", A);
    pass(9);
    let before = revision("");
    assert_eq!(put("carts/one", A, "i1").status, 200);
    assert_eq!(states(), ["carts/one up"]);
    let then = revision("");
    assert!(then > before);

    tick();
    assert_eq!(asked(), [A], "and is looked after again");
    pass(9);
    assert_eq!(states(), ["carts/one expired"]);
    assert!(revision("") > then);
}

/// It may have been read as expired before that was noted down.
#[test]
fn who_renews_late_is_told_of_also_where_nobody_has_noted_the_end() {
    register("carts/one", A);
    let before = revision("");
    pass(9);
    assert_eq!(put("carts/one", A, "i1").status, 200);
    assert!(revision("") > before);
}

#[test]
fn who_is_long_gone_is_forgotten() {
    register("carts/one", A);
    pass(9);
    let before = revision("");
    pass(599);
    assert_eq!(states(), ["carts/one expired"]);
    pass(1);
    assert_eq!(states(), [""; 0], "also where nothing ticks");
    assert!(revision("") > before);
    assert_eq!(
        run("SELECT count(*) || '' FROM instances")
            .unwrap()
            .unwrap(),
        "0"
    );
}

#[test]
fn a_tick_forgets_too() {
    register("carts/one", A);
    pass(700);
    tick();
    assert_eq!(
        run("SELECT count(*) || '' FROM instances")
            .unwrap()
            .unwrap(),
        "0"
    );
}
