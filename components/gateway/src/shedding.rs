//! Load shedding: when there is more to do than can be done, some requests are refused at once, so that the others are answered in time.
//!
//! How much that is, a host that sees everything says with each request ([`Load`]). On another one the gateway finds its [`Limit`] itself, one of all its
//! instances together, which follows how long work waits until it runs. That is measured by how late a timer comes, beside the requests that
//! are being worked on. An instance lives for a hundred requests or so and sees a part of them only, so they write down what each has under way in
//! the gateway's database, which flushes nothing, and look at the sum.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use souk_chassis::background::{self, now};
use souk_chassis::{Context, Load, Problem};
use souk_resilience::limit::{Importance, Limit, WINDOW};
use uuid::Uuid;

use crate::store;

/// How often the timer is set, in milliseconds.
const LOOK_EVERY: u64 = 20;

/// How old the sum may be, in milliseconds.
const FRESH_FOR: i64 = 20;

/// How often an instance writes down what it has under way, in milliseconds.
const TELL_EVERY: i64 = 40;

/// What this instance knows.
static KNOWN: Mutex<Known> = Mutex::new(Known {
    instance: None,
    running: 0,
    admitted: 0,
    limit: Limit::NONE,
    others: store::Others {
        running: 0,
        count: 0,
    },
    read_at: 0,
    told_at: 0,
    is_watched: false,
});

struct Known {
    instance: Option<Uuid>,
    /// What it has under way itself.
    running: u32,
    /// How many it has let in since it last looked at the sum.
    admitted: u32,
    limit: Limit,
    others: store::Others,
    read_at: i64,
    told_at: i64,
    is_watched: bool,
}

impl Known {
    /// How much all have under way: what they said, if each has let in as many since as this one.
    fn total(&self) -> u32 {
        self.others.running + self.others.count * self.admitted + self.running
    }

    fn instance(&mut self) -> Uuid {
        *self.instance.get_or_insert_with(Uuid::now_v7)
    }
}

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that is being worked on; dropping it says that it is over.
pub struct Running(());

impl Drop for Running {
    fn drop(&mut self) {
        known().running -= 1;
    }
}

/// Lets a request in, or refuses it.
pub async fn admit(context: &Context, importance: Importance) -> Result<Option<Running>, Problem> {
    match context.load {
        Some(load) => told(load, importance).map(|()| None),
        None => count(importance).await.map(Some),
    }
}

/// As the host says how many requests are being worked on, and how many are good. Of none it speaks to whoever it has let in by a limit of their own.
fn told(load: Load, importance: Importance) -> Result<(), Problem> {
    let Some(others) = load.running.checked_sub(1) else {
        return Ok(());
    };
    match Limit::of(load.limit.into()).admits(others, importance) {
        true => Ok(()),
        false => Err(refusal()),
    }
}

fn refusal() -> Problem {
    Problem::unavailable(
        "the shop has more to do than it can; try again in a moment",
        1,
    )
}

/// As the gateway itself has found out.
async fn count(importance: Importance) -> Result<Running, Problem> {
    let now = now();
    if now >= known().read_at + FRESH_FOR {
        look(now).await;
    }
    let mut known = known();
    if !known.limit.admits(known.total(), importance) {
        return Err(refusal());
    }
    known.running += 1;
    known.admitted += 1;
    if !std::mem::replace(&mut known.is_watched, true) {
        known.limit.begin(now);
        background::later(watch());
    }
    Ok(Running(()))
}

/// Looks at the limit and at what others have under way. Without the database nobody is refused.
async fn look(now: i64) {
    let instance = {
        let mut known = known();
        known.read_at = now;
        known.admitted = 0;
        known.instance()
    };
    match store::load(instance, now).await {
        Ok((size, others)) => {
            let mut known = known();
            known.limit.take_over(size);
            known.others = others;
        }
        Err(error) => log(&error),
    }
}

/// Watches how long work waits, for as long as there is any.
async fn watch() {
    loop {
        let begun = Instant::now();
        spin_sdk::time::sleep(Duration::from_millis(LOOK_EVERY)).await;
        let late = begun
            .elapsed()
            .saturating_sub(Duration::from_millis(LOOK_EVERY));
        if let Err(error) = observe(late.as_secs_f64() * 1_000.0, now()).await {
            log(&error);
        }
        let mut known = known();
        if known.running == 0 {
            known.is_watched = false;
            return;
        }
    }
}

/// Takes notice of how long work has waited, in milliseconds, and lets others know what this instance has under way.
async fn observe(waited: f64, now: i64) -> Result<(), souk_store::Error> {
    let (instance, running, before, after, is_told) = {
        let mut known = known();
        let (before, total) = (known.limit.size(), known.total());
        known.limit.observe(waited, total, now);
        let is_told = now >= known.told_at + TELL_EVERY || known.running == 0;
        if is_told {
            known.told_at = now;
        }
        (
            known.instance(),
            known.running,
            before,
            known.limit.size(),
            is_told,
        )
    };
    if (after - before).abs() > f64::EPSILON {
        store::set_limit(after, now, WINDOW).await?;
    }
    if is_told {
        store::note_running(instance, running, now).await?;
    }
    Ok(())
}

fn log(error: &souk_store::Error) {
    tracing::warn!(%error, "the load is not known");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn all_instances_together_are_held_to_what_one_finds() {
        let (one, other, start) = (Uuid::now_v7(), Uuid::now_v7(), now());
        block_on(store::note_running(other, 30, start)).unwrap();
        let (size, others) = block_on(store::load(one, start)).unwrap();
        assert_eq!((others.running, others.count), (30, 1));
        assert!(size > 500.0, "nothing is refused at first");

        block_on(store::set_limit(20.0, start, WINDOW)).unwrap();
        block_on(store::set_limit(90.0, start + 1, WINDOW)).unwrap();
        let (size, _) = block_on(store::load(one, start)).unwrap();
        assert!(
            (size - 20.0).abs() < 0.1,
            "it changes once in a while, whoever is first"
        );

        let (_, others) = block_on(store::load(one, start + 2_000)).unwrap();
        assert_eq!(
            (others.running, others.count),
            (0, 0),
            "the other one has gone"
        );
        block_on(store::forget_running(start + 120_000)).unwrap();
    }

    #[test]
    fn what_the_host_says_counts() {
        let refused =
            |running, limit, importance| told(Load { running, limit }, importance).is_err();
        assert!(!refused(30, 40, Importance::Ordinary) && refused(31, 40, Importance::Ordinary));
        assert!(!refused(40, 40, Importance::High) && refused(41, 40, Importance::High));
        assert!(!refused(400, 40, Importance::Vital));
        assert!(
            !refused(0, 1, Importance::Ordinary),
            "the host has let it in"
        );
    }
}
