//! Consumers that take, refuse, or are not there, as a test says.

use std::cell::RefCell;
use std::collections::BTreeMap;

use souk_chassis::Context;
use souk_events::Event;

use crate::domain::Failure;

thread_local! {
    static TAKEN: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    static FAILURES: RefCell<BTreeMap<String, (i64, Failure)>> = const { RefCell::new(BTreeMap::new()) };
}

/// Stands for the network.
pub async fn deliver(_: &Context, consumer: &str, event: &Event) -> Result<(), Failure> {
    for name in [consumer.to_owned(), format!("{consumer}/{}", event.id)] {
        let failure = FAILURES.with_borrow_mut(|failures| {
            let (times, failure) = failures.get_mut(&name)?;
            *times -= 1;
            (*times >= 0).then(|| failure.clone())
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    TAKEN.with_borrow_mut(|taken| taken.push((consumer.into(), event.id.clone())));
    Ok(())
}

/// Lets a consumer (or, for `<consumer>/<id>`, an event at that consumer) fail so many times.
pub fn fail(name: &str, times: i64, failure: Failure) {
    FAILURES.with_borrow_mut(|failures| failures.insert(name.into(), (times, failure)));
}

/// An end to failures.
pub fn heal() {
    FAILURES.with_borrow_mut(BTreeMap::clear);
}

/// The ids of the events that a consumer has taken, in order.
pub fn taken(consumer: &str) -> Vec<String> {
    TAKEN.with_borrow(|taken| {
        let of_this = taken.iter().filter(|(by, _)| by == consumer);
        of_this.map(|(_, id)| id.clone()).collect()
    })
}
