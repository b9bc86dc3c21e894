//! What consumers expect of the service.

use std::collections::BTreeMap;

use souk_contracts::replay;

use super::*;

/// Brings the service into a state that a consumer's contract names.
fn set_up(state: &str) -> BTreeMap<String, String> {
    let two_of_ten = || {
        let product = stocked(1, 10);
        assert_eq!(reserve(1, &[(product, 2)]).status, 201);
        product
    };
    match state {
        "nothing in stock" => {}
        "a product with 10 in stock" => {
            stocked(1, 10);
        }
        "an open reservation of 2 of 10" => {
            two_of_ten();
        }
        "a committed reservation" => {
            two_of_ten();
            assert_eq!(commit(1).status, 200);
        }
        "a released reservation" => {
            two_of_ten();
            assert_eq!(release(1).status, 200);
        }
        "an expired reservation of stock that is gone" => {
            let product = two_of_ten();
            let_expire(1);
            assert_eq!(reserve(2, &[(product, 10)]).status, 201);
        }
        other => panic!("no state is called {other:?}"),
    }
    ["product_id", "order_id"]
        .map(|name| (name.to_owned(), id(1).to_string()))
        .into()
}

#[test]
fn consumers_get_what_they_need() {
    replay(&SERVICE, set_up);
}
