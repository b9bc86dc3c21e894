use super::*;
use std::collections::BTreeMap;

/// Brings the service into a state that a consumer's contract names.
fn set_up(given: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    match given {
        "a signing key" => drop(ask().send("GET", "/.well-known/jwks.json")),
        "an account" => drop(values.insert("user_id".into(), register())),
        "a deleted account" => {
            let id = register();
            assert_eq!(ask().user(&id).send("DELETE", "/api/users/me").status, 204);
            values.insert("user_id".into(), id);
        }
        _ => panic!("no contract is known to begin with {given:?}"),
    }
    values
}

#[test]
fn consumers_get_what_they_need() {
    souk_contracts::replay(&SERVICE, set_up);
}
