//! What the consumers of this service expect of it.

use std::collections::BTreeMap;

use super::consumers::fail;
use super::*;
use crate::domain::Failure;

#[test]
fn consumers_get_what_they_need() {
    souk_contracts::replay(&SERVICE, |given| {
        let mut told = event("1", "a");
        told["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let rounds = match given {
            "an event" => 1,
            "an event that is held back" | "a dead letter" => {
                fail(
                    "first/1",
                    i64::MAX,
                    Failure::Event("the answer was 422".into()),
                );
                if given == "a dead letter" { 30 } else { 1 }
            }
            other => panic!("no state is called {other:?}"),
        };
        assert_eq!(publish(json!([told])).status, 200);
        for _ in 0..rounds {
            deliver();
            later();
        }
        BTreeMap::from([
            ("letter".into(), "first-1".into()),
            ("consumer".into(), "first".into()),
        ])
    });
}
