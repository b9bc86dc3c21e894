//! What other services count on.

use std::collections::BTreeMap;

use souk_contracts::replay;

use super::register;
use crate::SERVICE;

/// Brings the service into a state that a consumer's contract names.
fn set_up(state: &str) -> BTreeMap<String, String> {
    match state {
        "an instance" => register("products/products-1", "http://127.0.0.1:4001"),
        other => panic!("no state is called {other:?}"),
    }
    BTreeMap::new()
}

#[test]
fn consumers_get_what_they_need() {
    replay(&SERVICE, set_up);
}
