use super::*;
use std::collections::BTreeMap;

/// Brings the service into a state that a consumer's contract names.
fn set_up(given: &str) -> BTreeMap<String, String> {
    match given {
        "a signing key" => drop(ask().send("GET", "/.well-known/jwks.json")),
        _ => panic!("no contract is known to begin with {given:?}"),
    }
    BTreeMap::new()
}

#[test]
fn consumers_get_what_they_need() {
    souk_contracts::replay(&SERVICE, set_up);
}
