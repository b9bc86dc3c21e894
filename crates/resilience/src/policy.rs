//! How patient one service is with another: data, in one table for each service.

/// How a service calls another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The called service.
    pub service: &'static str,
    /// How long an attempt may take to its answer's head, in milliseconds; less where whoever waits for it waits less.
    pub timeout_ms: u32,
    /// How often a call is tried that can be repeated without harm; 1 is never again.
    pub attempts: u32,
    /// A call that takes longer, in milliseconds, counts as slow, and too many of these open the breaker.
    pub slow_ms: u32,
    /// How many calls one instance of the caller makes at once (the bulkhead). Where the caller does more than to call this service it
    /// is fewer than the 16 requests that an instance handles at once, so that a service which hangs does not keep all of them.
    pub at_once: u32,
}

impl Policy {
    /// A row of a table.
    pub const fn row(
        service: &'static str,
        timeout_ms: u32,
        attempts: u32,
        slow_ms: u32,
        at_once: u32,
    ) -> Self {
        Self {
            service,
            timeout_ms,
            attempts,
            slow_ms,
            at_once,
        }
    }
}

/// The table of a service.
#[derive(Debug, Clone, Copy)]
pub struct Policies(pub &'static [Policy]);

impl Policies {
    /// The row of a service.
    ///
    /// # Panics
    /// When the table has none, which is a mistake in the program: no request can choose who is called.
    pub fn to(&self, service: &str) -> &'static Policy {
        let row = self.0.iter().find(|policy| policy.service == service);
        row.expect("the table has a row for every service that is called")
    }
}
