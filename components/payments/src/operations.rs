//! Having operations carried out, and finding out what became of those that got no answer.
//!
//! An operation is in the database, and leased, before the provider is asked. Whoever holds the lease asks, and writes down what
//! came of it. Where nobody does, because an instance ended or an answer did not come, the next one who wants to know takes the
//! operation and asks the provider what became of it: the caller who tries again, who reads the payment, or the tick.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use souk_chassis::background::Every;
use souk_chassis::{Context, Problem};
use souk_store::Error;

use crate::domain::{Kind, Operation};
use crate::provider::{self, Failure, Outcome};
use crate::store::{self, OUTBOX};

/// How many payments a tick brings forward.
const BATCH: i64 = 8;

/// How many steps a payment is brought forward at a time: more than it takes to find out about an authorization that got no
/// answer, to ask for it again, and to void it.
const STEPS: usize = 6;

/// How long somebody waits for who is at the same operation already.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often an instance's traffic does what a tick does, in milliseconds.
const SWEEP_EVERY: i64 = 10_000;

const PAUSE: Duration = Duration::from_millis(20);

/// On whose behalf a payment is brought forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Of a caller who wants it done, and waits for others who are at it.
    Done,
    /// Of somebody who only wants to know. Nothing is authorized that nobody asks for any more.
    Known,
}

/// How far an operation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is decided, or can be asked for anew.
    Moved,
    /// The provider did nothing.
    NotDone,
    /// Nobody knows what the provider did.
    Unknown,
}

/// Brings what is not decided about a payment as far as it comes now. Says [`Progress::Moved`] when all is decided.
pub async fn advance(payment_id: &str, wanted: Wanted) -> Result<Progress, Problem> {
    let mut patience = match wanted {
        Wanted::Done => PATIENCE,
        Wanted::Known => Duration::ZERO,
    };
    let mut steps = STEPS;
    while steps > 0 {
        let Some(operation) = next(payment_id, wanted).await? else {
            return Ok(Progress::Moved);
        };
        if operation.leased {
            if patience.is_zero() {
                break;
            }
            pause().await;
            patience = patience.saturating_sub(PAUSE);
            continue;
        }
        steps -= 1;
        if !store::take(&operation).await? {
            continue;
        }
        let taken = Operation {
            turn: operation.turn + 1,
            ..operation
        };
        let progress = match taken.asked {
            true => find_out(&taken).await?,
            false => carry_out(&taken).await?,
        };
        if progress != Progress::Moved {
            return Ok(progress);
        }
    }
    Ok(Progress::Unknown)
}

async fn next(payment_id: &str, wanted: Wanted) -> Result<Option<Operation>, Error> {
    let undecided = store::undecided(payment_id).await?;
    let may_begin = |operation: &Operation| {
        wanted == Wanted::Done || operation.asked || operation.kind != Kind::Authorize
    };
    Ok(undecided.into_iter().find(may_begin))
}

/// Has an operation carried out that the caller holds the lease of.
pub async fn carry_out(operation: &Operation) -> Result<Progress, Problem> {
    match provider::carry_out(operation).await {
        Ok(outcome) => decided(operation, outcome).await,
        Err(failure) => failed(operation, failure).await,
    }
}

/// Finds out what became of an operation that the caller has taken.
async fn find_out(operation: &Operation) -> Result<Progress, Problem> {
    match provider::find(operation).await {
        Ok(Some(outcome)) => decided(operation, outcome).await,
        Ok(None) => {
            store::not_done(operation).await?;
            Ok(Progress::Moved)
        }
        // Whatever kept the provider from telling, it says nothing about the operation.
        Err(failure) => {
            log(operation, "not-found-out", &failure);
            store::unknown(operation).await?;
            Ok(Progress::Unknown)
        }
    }
}

async fn decided(operation: &Operation, outcome: Outcome) -> Result<Progress, Problem> {
    match outcome {
        Outcome::Approved(reference) => store::succeeded(operation, &reference).await?,
        // Money that is held is let go of sooner or later, so a void is never given up.
        Outcome::Declined(decline) if operation.kind == Kind::Void => {
            log(operation, "declined", &decline);
            store::not_done(operation).await?;
            return Ok(Progress::NotDone);
        }
        Outcome::Declined(decline) => {
            store::declined(operation, &decline.code, &decline.message).await?;
        }
    }
    Ok(Progress::Moved)
}

async fn failed(operation: &Operation, failure: Failure) -> Result<Progress, Problem> {
    log(operation, "failed", &failure);
    match failure {
        Failure::Unavailable(_) | Failure::Invalid(_) => {
            store::not_done(operation).await?;
            Ok(Progress::NotDone)
        }
        Failure::Unknown(_) => {
            store::unknown(operation).await?;
            Ok(Progress::Unknown)
        }
    }
}

/// Brings forward what is due, and forgets what nobody needs.
pub async fn tick() -> Result<(), Problem> {
    let due = store::due(BATCH).await?;
    let advanced = join_all(due.iter().map(|id| advance(id, Wanted::Known))).await;
    store::prune_tokens().await?;
    advanced
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map(drop)
}

/// Publishes what a request has changed, and now and then does what is due, beside the service's own traffic, for a shop that has
/// nothing that ticks.
pub fn afterwards(context: Context, method: &Method) {
    static SWEEP: Every = Every::new(SWEEP_EVERY);
    if !SWEEP.is_due() {
        return OUTBOX.nudge(context, method);
    }
    souk_chassis::background::later(async move {
        if let Err(problem) = tick().await {
            tracing::error!(error = ?problem, "operations cannot be taken up");
        }
        OUTBOX.publish(&context).await;
    });
}

/// An operation's key is made of ids, and what a provider says of it does not name a card.
fn log(operation: &Operation, event: &str, why: &impl std::fmt::Debug) {
    let key = operation.provider_key();
    tracing::warn!(event, operation = key, error = ?why, "a payment operation did not go well");
}

#[cfg(not(test))]
async fn pause() {
    spin_sdk::time::sleep(PAUSE).await;
}

/// Lets the test's other request go on.
#[cfg(test)]
async fn pause() {
    provider::scripted::others_first().await;
}
