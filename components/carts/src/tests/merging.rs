//! What becomes of a guest's cart when the guest signs in.

use http::header;
use serde_json::Value;

use super::{ANNA, BERT, Client, contents, shop};
use souk_keyvalue::memory as bucket;

#[test]
fn a_guests_cart_goes_over_to_the_account() {
    shop();
    let anna = Client::user(ANNA);
    anna.put(1, 60);
    let guest = Client::guest_with(1, 60);
    guest.put(2, 3);
    let answer = guest.by_cookie().signed_in(ANNA).get();
    assert_eq!(contents(&answer), [(1, 99), (2, 3)]);
    assert_eq!(
        answer.headers[header::SET_COOKIE],
        "souk_cart=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    );
    assert_eq!(answer.body["cart_token"], Value::Null);
    assert_eq!(bucket::keys("guest:"), Vec::<String>::new());

    assert_eq!(guest.signed_in(ANNA).cart(), [(1, 99), (2, 3)], "once only");
    assert_eq!(guest.signed_in(BERT).cart(), []);
    assert_eq!(guest.cart(), []);
    let new = guest.put(4, 1);
    assert_ne!(new.body["cart_token"].as_str(), guest.token.as_deref());
    assert_eq!(contents(&new), [(4, 1)]);
}

#[test]
fn every_operation_of_a_signed_in_guest_merges_first() {
    shop();
    let put = Client::guest_with(1, 1).signed_in(ANNA).put(2, 1);
    assert_eq!(contents(&put), [(1, 1), (2, 1)]);
    let removed = Client::guest_with(3, 1).signed_in(ANNA).remove(1);
    assert_eq!(contents(&removed), [(2, 1), (3, 1)]);
    let guest = Client::guest_with(4, 1).by_cookie().signed_in(ANNA);
    let cleared = guest.clear();
    assert_eq!(cleared.status, 204);
    assert!(cleared.headers.contains_key(header::SET_COOKIE));
    assert_eq!(Client::user(ANNA).cart(), []);
    assert_eq!(bucket::keys("guest:"), Vec::<String>::new());
}

#[test]
fn a_merge_that_breaks_off_is_finished_by_the_next_request_and_done_once() {
    shop();
    for operation in ["look", "swap", "delete"] {
        let anna = Client::user(ANNA);
        anna.clear();
        anna.put(1, 1);
        let guest = Client::guest_with(1, 2).by_cookie();
        bucket::fail(Some(operation));
        let answer = guest.signed_in(ANNA).get();
        assert_eq!(answer.status, 503, "{operation}");
        assert!(
            !answer.headers.contains_key(header::SET_COOKIE),
            "the browser keeps the token"
        );
        bucket::fail(None);
        assert_eq!(guest.signed_in(ANNA).cart(), [(1, 3)], "{operation}");
        assert_eq!(guest.signed_in(ANNA).cart(), [(1, 3)], "{operation}");
        assert_eq!(bucket::keys("guest:"), Vec::<String>::new());
    }
}

#[test]
fn a_closed_cart_is_nobody_elses_and_nothing_more_comes_into_it() {
    shop();
    let guest = Client::guest_with(1, 2);
    // It breaks off after the cart was closed, before the account's takes it over.
    bucket::before_swap(|| ());
    bucket::before_swap(|| bucket::fail(Some("swap")));
    assert_eq!(guest.signed_in(ANNA).get().status, 503);
    bucket::fail(None);

    assert_eq!(guest.signed_in(BERT).cart(), []);
    assert_eq!(guest.cart(), []);
    assert_eq!(guest.clear().status, 204);
    let new = guest.put(3, 1);
    assert_eq!(contents(&new), [(3, 1)]);
    assert_ne!(new.body["cart_token"].as_str(), guest.token.as_deref());
    for claim in bucket::keys("claim:") {
        bucket::remove(&claim);
    }
    assert_eq!(guest.signed_in(ANNA).cart(), [(1, 2)]);
}

#[test]
fn what_a_guest_adds_while_the_carts_merge_is_not_lost() {
    shop();
    let guest = Client::guest_with(1, 2);
    let in_another_tab = guest.clone();
    bucket::before_swap(move || {
        shop();
        in_another_tab.put(2, 1);
    });
    assert_eq!(guest.signed_in(ANNA).cart(), [(1, 2), (2, 1)]);
}

#[test]
fn two_requests_that_merge_the_same_cart_merge_it_once() {
    shop();
    Client::user(ANNA).put(1, 1);
    let guest = Client::guest_with(1, 2);
    let other = guest.signed_in(ANNA);
    // Both have closed it; the other one is faster from there on.
    bucket::before_swap(|| ());
    bucket::before_swap(move || {
        shop();
        assert_eq!(other.cart(), [(1, 3)]);
    });
    assert_eq!(guest.signed_in(ANNA).cart(), [(1, 3)]);
}
