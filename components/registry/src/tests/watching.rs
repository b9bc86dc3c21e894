//! Clients that wait for a change.

use super::machine::{after, now, nudges};
use super::*;

const A: &str = "http://127.0.0.1:4001";
const B: &str = "http://127.0.0.1:4002";

/// Waits for up to 20 seconds for something newer than what there is; what comes, and after how many milliseconds.
fn watch(service: &str) -> (Value, i64) {
    let known = revision(&format!("service={service}"));
    let begun = now();
    let answer = get(&format!("service={service}&after={known}&wait_ms=20000"));
    (answer, now() - begun)
}

#[test]
fn who_knows_less_than_there_is_is_answered_at_once() {
    register("carts/one", A);
    let known = revision("service=carts");
    let answer = get(&format!("service=carts&after={}&wait_ms=20000", known - 1));
    assert_eq!((&answer["revision"], now()), (&json!(known), 0));
    assert_eq!(items("service=carts&wait_ms=20000").len(), 1, "or nothing");
    assert_eq!(now(), 0);
}

#[test]
fn where_nothing_changes_the_answer_is_the_present_state() {
    register("carts/one", A);
    let known = revision("service=carts");
    let (answer, waited) = watch("carts");
    assert_eq!((&answer["revision"], waited), (&json!(known), 20_000));
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    assert_eq!(nudges(), 100, "what is due is done meanwhile");
}

#[test]
fn a_change_is_told_when_it_is_made() {
    register("carts/one", A);
    after(5_000, || register_meanwhile("carts", "two", B, "i1"));
    let (answer, waited) = watch("carts");
    assert_eq!(answer["items"].as_array().unwrap().len(), 2);
    assert!((5_000..=5_400).contains(&waited), "{waited}");
}

#[test]
fn the_end_of_a_lease_is_told_when_it_comes() {
    register("carts/one", A);
    after(3_000, || {
        let over = "UPDATE instances SET expires_at = strftime('%Y-%m-%dT%H:%M:%fZ')";
        run(over).unwrap();
    });
    let (answer, waited) = watch("carts");
    assert_eq!(answer["items"][0]["state"], "expired");
    assert!((3_000..=3_400).contains(&waited), "{waited}");
}

#[test]
fn what_others_do_is_no_change_and_a_renewal_is_none() {
    register("carts/one", A);
    after(1_000, || register_meanwhile("users", "one", B, "i1"));
    after(2_000, || register_meanwhile("carts", "one", A, "i1"));
    assert_eq!(watch("carts").1, 20_000);
}

#[test]
fn a_change_of_any_of_several_services_counts() {
    register("users/one", A);
    register("carts/one", B);
    after(1_000, || register_meanwhile("users", "one", A, "i2"));
    let (answer, waited) = watch("carts,users");
    assert!((1_000..=1_400).contains(&waited), "{waited}");
    assert_eq!(answer["items"].as_array().unwrap().len(), 2);
}

/// As when the database is lost: who watches knows a revision of the time before.
#[test]
fn the_revision_grows_on_where_everything_was_forgotten() {
    register("carts/one", A);
    let known = revision("");
    run("DELETE FROM instances").unwrap();
    run("DELETE FROM revisions").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    register("carts/one", A);
    assert!(revision("") > known);
}
