//! What the consumers of this service expect of it.

use std::collections::BTreeMap;

use super::*;
use crate::domain::rfc3339;

#[test]
fn consumers_get_what_they_need() {
    souk_contracts::replay(&SERVICE, |given| {
        match given {
            "nothing" => {}
            "a trace" => requests(),
            other => panic!("no state is called {other:?}"),
        }
        BTreeMap::from([
            ("trace_id".into(), trace_id(1)),
            ("request_id".into(), "r1".into()),
            ("from".into(), rfc3339((now() - 3_600_000) * 1_000_000)),
        ])
    });
}

/// The gateway is asked, and asks orders, who says something.
fn requests() {
    let asked = [span(1, 1, None, 2, 20), span(1, 2, Some(1), 3, 18)];
    spans("gateway", asked.to_vec());
    spans("orders", vec![span(1, 3, Some(2), 2, 15)]);
    let record = json!({
        "timeUnixNano": at(-1), "traceId": trace_id(1), "severityNumber": 13, "body": {"stringValue": "it is late"},
        "attributes": [{"key": "thing", "value": {"stringValue": "a-1"}}],
    });
    assert_eq!(
        export("/v1/logs", &logs_of("orders", vec![record])).status,
        200
    );
}
