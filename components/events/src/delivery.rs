//! Delivering: whoever has a consumer's lease brings it forward, round by round, until there is nothing to do.
//!
//! All that is to be known is in the store, so this may end at any point; whoever finds a consumer due goes on. What was delivered
//! and not noted down is delivered again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use http::Method;
use souk_chassis::background::{self, Every, now};
use souk_chassis::{Context, Problem, log};
use souk_events::Event;
use uuid::Uuid;

use crate::clients::deliver;
use crate::domain::{self, Failure, Hold, Item, Origin, Outcome, Progress, State, Subscription};
use crate::settings;
use crate::store::{self, Claimed, Lease, Work};

/// For how long whoever delivers to a consumer has it for themselves, in milliseconds: longer than a round takes.
pub const LEASE: i64 = 12_000;

/// How many events of the log a round looks at.
pub const WINDOW: i64 = 200;

/// How many events can be held back for a consumer. The rest stays in the log until there is room.
pub const MOST_HELD: i64 = 1000;

/// How many deliveries to one consumer are under way at once.
const LANES: usize = 8;

/// How many events that are held back a round tries again: fewer than there are lanes, so that those which hang leave room for others.
pub const MOST_RETRIED: i64 = 4;

/// After how long a round begins nothing new, in milliseconds, so that it ends before its lease does.
const ROUND: i64 = 5_000;

/// For how long a task that has delivered stays for what will be due, in milliseconds. Then it is left to whoever finds it due.
const PATIENCE: i64 = 10_000;

/// How often an instance's reading traffic looks for what is due, in milliseconds.
const LOOK_EVERY: i64 = 1_000;

/// Delivers beside a request, and after its answer, if an instance's traffic has not looked for what is due for a while.
pub fn nudge(context: Context, _: &Method) {
    static LOOK: Every = Every::new(LOOK_EVERY);
    if LOOK.is_due() {
        background::later(stay(context, Vec::new()));
    }
}

/// Delivers events that were just published, beside the request that did, to those who want them. The others come past them with the
/// next ones they want, or when somebody looks for what is due.
#[cfg(not(test))]
pub async fn wake(context: &Context, events: &[Event]) -> Result<(), Problem> {
    let wanted = |it: &&Subscription| events.iter().any(|event| it.wants(&event.kind));
    let subscriptions: Vec<_> = settings::subscriptions()?.iter().filter(wanted).collect();
    if !subscriptions.is_empty() {
        background::later(stay(context.clone(), subscriptions));
    }
    Ok(())
}

/// Nothing is beside a test.
#[cfg(test)]
pub async fn wake(_: &Context, _: &[Event]) -> Result<(), Problem> {
    Ok(())
}

/// Delivers what is due, and what will be in the next seconds: to these consumers, or to all.
async fn stay(context: Context, consumers: Vec<&'static Subscription>) {
    let leave_at = now() + PATIENCE;
    loop {
        let due_at = match deliver_to(&context, &consumers).await {
            Ok(Some(due_at)) if due_at <= leave_at => due_at,
            Ok(_) => return,
            Err(problem) => {
                return tracing::error!(error = ?problem, "events cannot be delivered");
            }
        };
        let pause = Duration::from_millis((due_at - now()).try_into().unwrap_or(0));
        spin_sdk::time::sleep(pause).await;
    }
}

/// Delivers what is due, for tests: while they wait.
#[cfg(test)]
pub async fn run(context: &Context) -> Result<Option<i64>, Problem> {
    deliver_to(context, &[]).await
}

/// Delivers what is due to those of these consumers, or of all, to whom nobody else delivers. Says when something of it is due again.
async fn deliver_to(
    context: &Context,
    consumers: &[&'static Subscription],
) -> Result<Option<i64>, Problem> {
    let all: Vec<_> = settings::subscriptions()?.iter().collect();
    let consumers = if consumers.is_empty() {
        &all[..]
    } else {
        consumers
    };
    let lease = Uuid::now_v7().to_string();
    let claimed = store::claim(consumers, &lease, now(), now() + LEASE).await?;
    let forward = claimed.into_iter().filter_map(|claimed| {
        let subscription = consumers
            .iter()
            .find(|it| it.consumer == claimed.consumer)?;
        Some(bring_forward(context, subscription, claimed, &lease))
    });
    let mut next: Option<i64> = None;
    for due_at in join_all(forward).await {
        next = [next, due_at?].into_iter().flatten().min();
    }
    Ok(next)
}

/// Delivers to one consumer until there is nothing to do, it is to be left alone, or the lease is lost. Says when it is due again.
async fn bring_forward(
    context: &Context,
    subscription: &Subscription,
    claimed: Claimed,
    lease: &str,
) -> Result<Option<i64>, Problem> {
    let (consumer, mut failures) = (&*subscription.consumer, claimed.failures);
    let most_attempts = settings::most_attempts().await?;
    loop {
        let work = store::work(consumer, now()).await?;
        if work.is_nothing() {
            match store::release(consumer, lease, now()).await? {
                Some(due_at) => return Ok(due_at),
                None => continue, // Something came meanwhile.
            }
        }
        let items = items(subscription, &work);
        let outcomes = deliver_all(context, consumer, &items).await;
        let progress: Progress = domain::conclude(
            &items,
            &outcomes,
            work.scanned,
            failures,
            most_attempts,
            now(),
        );
        let lease = store::progress(consumer, lease, &work, &progress, now() + LEASE).await?;
        if lease != Lease::Lost {
            tell(context, consumer, &items, &progress);
        }
        match lease {
            Lease::Held => failures = 0,
            Lease::Ended => return Ok(progress.rest.map(|(_, due_at)| due_at)),
            Lease::Lost => return Ok(None),
        }
    }
}

/// Writes a line for each try that is counted, in the trace that the event belongs to: there are as many as tries.
fn tell(context: &Context, consumer: &str, items: &[Item], progress: &Progress) {
    for item in items {
        let mut holds = progress.hold.iter();
        let tried = |it: &&Hold| it.position == item.position && it.state != State::Waiting;
        let Some(hold) = holds.find(tried) else {
            continue;
        };
        let letter = domain::letter_id(consumer, hold.position);
        let (kind, attempt) = (&*item.event.kind, hold.attempts);
        let why = hold.reason.as_deref().unwrap_or_default();
        let context = context.on_behalf_of(None, item.event.traceparent.as_deref());
        let line =
            async { tracing::warn!(letter, kind, attempt, error = why, "an event was not taken") };
        log::within(&context, line).now_or_never();
    }
}

/// What of the work the consumer wants, in the order of the log.
fn items(subscription: &Subscription, work: &Work) -> Vec<Item> {
    let wanted = |item: &&Item| item.origin == Origin::Held || subscription.wants(&item.event.kind);
    work.items.iter().filter(wanted).cloned().collect()
}

/// Delivers the items, lanes beside each other, and says what came of each.
async fn deliver_all(context: &Context, consumer: &str, items: &[Item]) -> Vec<Outcome> {
    let outcomes = Mutex::new(vec![Outcome::Left; items.len()]);
    let ends_at = now() + ROUND;
    // Where the consumer is not there nothing more is begun.
    let is_gone = AtomicBool::new(false);
    stream::iter(domain::lanes(items))
        .for_each_concurrent(LANES, async |lane| {
            for index in lane {
                if is_gone.load(Ordering::Relaxed) || now() > ends_at {
                    return;
                }
                let outcome = match deliver(context, consumer, &items[index].event).await {
                    Ok(()) => Outcome::Delivered,
                    Err(failure) => Outcome::Failed(failure),
                };
                let goes_on = outcome == Outcome::Delivered;
                if matches!(outcome, Outcome::Failed(Failure::Consumer(_))) {
                    is_gone.store(true, Ordering::Relaxed);
                }
                outcomes.lock().unwrap_or_else(PoisonError::into_inner)[index] = outcome;
                if !goes_on {
                    return;
                }
            }
        })
        .await;
    outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

/// What the tick does: delivers what is due, beside the request, since a consumer may be slow; and forgets what is old.
pub async fn tick(context: &Context) -> Result<(), Problem> {
    #[cfg(not(test))]
    background::later(stay(context.clone(), Vec::new()));
    #[cfg(test)]
    run(context).await?;
    let before = now() - settings::retention().await?;
    Ok(store::prune(settings::subscriptions()?, before).await?)
}
