//! A broker for tests, one for each thread: it takes everything, unless it is told to fail.

use std::cell::{Cell, RefCell};

use souk_chassis::{Context, Problem};

use crate::Event;

thread_local! {
    static PUBLISHED: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    static FAILS: Cell<bool> = const { Cell::new(false) };
}

pub async fn publish(_: &Context, events: &[Event]) -> Result<(), Problem> {
    if FAILS.get() {
        return Err(Problem::unavailable("the broker is not to be reached", 1));
    }
    PUBLISHED.with_borrow_mut(|published| published.extend_from_slice(events));
    Ok(())
}

/// What this thread's broker was sent so far.
pub fn published() -> Vec<Event> {
    PUBLISHED.with_borrow(Clone::clone)
}

/// Lets it take nothing for now, or everything again.
pub fn fail(fails: bool) {
    FAILS.set(fails);
}
