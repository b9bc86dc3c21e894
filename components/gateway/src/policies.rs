//! How patient the gateway is with each service.

use souk_client::{Policies, Policy};

/// Times are milliseconds. What a request may take in all is in the [route table](crate::routes).
#[rustfmt::skip]
pub const POLICIES: Policies = Policies(&[
    //           of               timeout  attempts  slow from  at once
    // A cart takes as long as its prices.
    Policy::row("carts",          5_000,   2,        5_000,     12),
    Policy::row("events",         5_000,   2,        5_000,      6),
    Policy::row("inventory",      2_000,   2,        1_500,     12),
    Policy::row("notifications",  3_000,   2,        2_500,      8),
    // An order takes as long as its payment, so only one that never ends is too slow.
    Policy::row("orders",        15_000,   2,       15_000,     12),
    Policy::row("payments",      15_000,   2,       15_000,      8),
    // Somebody is looking at an empty page, and there is a copy of what they want to see.
    Policy::row("products",       2_000,   2,        1_500,     12),
    Policy::row("registry",       1_000,   1,        1_000,      4),
    // A search may have to look through all there is.
    Policy::row("telemetry",      5_000,   2,        5_000,      4),
    // Passwords are slow to check on purpose.
    Policy::row("users",         10_000,   2,       10_000,     14),
]);
