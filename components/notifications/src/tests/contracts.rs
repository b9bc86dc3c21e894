//! What other services count on.

use std::collections::BTreeMap;

use souk_contracts::replay;

use super::*;

/// Brings the service into a state that a consumer's contract names.
fn set_up(state: &str) -> BTreeMap<String, String> {
    match state {
        "a confirmed order" => confirm(1, ADA),
        other => panic!("no state is called {other:?}"),
    }
    [("order_id", id(1)), ("user_id", ADA.to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[test]
fn consumers_get_what_they_need() {
    replay(&SERVICE, set_up);
}
