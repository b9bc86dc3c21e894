//! Books that balance whatever dies when.
#![allow(clippy::unwrap_used)]
#[test]
fn x() {}
