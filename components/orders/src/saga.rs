//! Drives the checkout saga: takes each step, writes what came of it, and undoes what was done when a step fails.
//!
//! What is to be done is in the order's row before it is done, so this may end at any point; whoever finds the saga due takes
//! it up there ([`resume`]). All calls to the neighbours are idempotent by the order's id, and undoing leaves a tombstone with
//! each, so that a call that arrives late does nothing. See [`crate::domain::saga`] for the rules.

use std::cell::Cell;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::join_all;
use futures::join;
use souk_chassis::{Context, Problem};
use souk_store::Error;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use crate::background::{now, sleep, spawn, until, within};
use crate::clients::{Authorization, Capture, Neighbours, NotNow, PaymentStatus, Stock};
use crate::domain::placing::{Item, quote};
use crate::domain::saga::{Cancellation, LEASE, Outcome, Step};
use crate::domain::{Details, Order, Reason};
use crate::store::{self, Due, OUTBOX};

/// How long a request waits for the outcome, in milliseconds. Then it is answered with what there is.
pub const BUDGET: i64 = 4_000;

/// How long the task of a new order stays with it through failures, in milliseconds. Then it is left to whoever finds it due,
/// or an outage would keep a task for each order that waits.
const PATIENCE: i64 = 10_000;

/// How many sagas are taken up at a time.
const BATCH: i64 = 16;

/// How often an instance's own traffic looks for sagas that are due, in milliseconds.
const NUDGE_EVERY: i64 = 1_000;

/// How often a request looks whether somebody else is done with an order.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Resolves when there is nothing to wait for any more: the saga is done, waits for longer than a request does, or is lost.
pub type Settled = oneshot::Receiver<()>;

/// A token by which a lease is known.
pub fn new_lease() -> String {
    Uuid::now_v7().to_string()
}

/// Drives a saga in the background, from the row as it was just written. A request that waits for it does so until `deadline`.
pub async fn start(context: &Context, order: Order, deadline: i64) -> Settled {
    let (settled, waits) = oneshot::channel();
    spawn(run(
        Neighbours::new(context.unhurried()),
        order,
        deadline,
        now() + PATIENCE,
        settled,
    ))
    .await;
    waits
}

/// Goes on with an order for as long as that helps, and has what happened published.
async fn run(
    neighbours: Neighbours,
    order: Order,
    deadline: i64,
    leave_at: i64,
    settled: oneshot::Sender<()>,
) {
    let context = neighbours.context().clone();
    go_on(neighbours, order, deadline, leave_at, settled).await;
    OUTBOX.publish(&context).await;
}

/// Goes on with an order until it is done, lost to somebody else, or not due again before `leave_at`.
async fn go_on(
    neighbours: Neighbours,
    mut order: Order,
    deadline: i64,
    leave_at: i64,
    settled: oneshot::Sender<()>,
) {
    let mut settled = Some(settled);
    loop {
        let driven = drive(&neighbours, &mut order).await;
        let due_at = match driven {
            Ok(Driven::Waits(due_at)) => due_at,
            Ok(Driven::Done | Driven::Lost) => return,
            Err(error) => return complain(&order.id, &error),
        };
        if due_at > deadline {
            drop(settled.take()); // Tells the request not to wait.
        }
        if due_at > leave_at {
            return;
        }
        sleep(until(due_at)).await;
        let due = Due {
            id: order.id.clone(),
            step: order.saga.step,
        };
        order = match claim(&due).await {
            Ok(Some(order)) => order,
            Ok(None) => return,
            Err(error) => return complain(&due.id, &error),
        };
    }
}

/// How a saga was left.
enum Driven {
    Done,
    /// Until this moment.
    Waits(i64),
    /// Somebody else has it.
    Lost,
}

/// Takes step after step. What is in the database is always ahead of what is done.
async fn drive(neighbours: &Neighbours, order: &mut Order) -> Result<Driven, Error> {
    loop {
        match order.saga.due_at {
            None => return Ok(Driven::Done),
            Some(due_at) if order.saga.lease.is_none() => return Ok(Driven::Waits(due_at)),
            Some(_) => {}
        }
        let outcome = take_told(neighbours, order).await;
        let held = order.held();
        let events = order.apply(outcome, now());
        if !store::save(order, &held, &events).await? {
            return Ok(Driven::Lost);
        }
    }
}

fn later(NotNow(why): NotNow) -> Outcome {
    Outcome::Later(why)
}

fn refused(reason: Reason) -> Outcome {
    Outcome::Refused(reason, Details::default())
}

/// Takes the step that the order is at, as a span: a trace then says what its calls are for.
async fn take_told(neighbours: &Neighbours, order: &Order) -> Outcome {
    let span = tracing::info_span!(
        "step",
        otel.name = order.saga.step.title(),
        order_id = order.id,
        attempt = order.saga.attempt,
        outcome = Empty,
        error = Empty,
    );
    let taken = take(neighbours, order).instrument(span.clone()).await;
    let outcome = taken.unwrap_or_else(later);
    match &outcome {
        Outcome::Done | Outcome::Priced(_) => span.record("outcome", "done"),
        Outcome::Refused(..) => span.record("outcome", "refused"),
        Outcome::Later(why) => span.record("outcome", "later").record("error", why),
    };
    outcome
}

/// Takes it.
async fn take(neighbours: &Neighbours, order: &Order) -> Result<Outcome, NotNow> {
    match order.saga.step {
        Step::Price => price(neighbours, order).await,
        Step::Reserve => reserve(neighbours, order).await,
        Step::Authorize => authorize(neighbours, order).await,
        Step::Settle => {
            // Whoever hears that the order is confirmed need not wait for the money.
            let context = neighbours.context().clone();
            spawn(async move { OUTBOX.publish(&context).await }).await;
            settle(neighbours, order).await
        }
        Step::UndoPayment => undo_payment(neighbours, order).await,
        Step::UndoStock => neighbours.release(order).await.map(|()| Outcome::Done),
        Step::Done => Ok(Outcome::Done),
    }
}

/// Prices an order that was placed while the products could not be looked up.
async fn price(neighbours: &Neighbours, order: &Order) -> Result<Outcome, NotNow> {
    let item = |(index, line): (usize, &crate::domain::Line)| Item {
        product_id: line.product_id.clone(),
        quantity: line.quantity,
        field: format!("items[{index}].product_id"),
    };
    let items: Vec<_> = order.lines.iter().enumerate().map(item).collect();
    let ids: Vec<_> = items.iter().map(|item| item.product_id.as_str()).collect();
    let products = neighbours.products(&ids).await?;
    Ok(match quote(&items, &products) {
        Ok(quote) => Outcome::Priced(quote),
        Err(mistakes) => Outcome::Refused(
            Reason::ProductUnavailable,
            Details {
                mistakes,
                ..Details::default()
            },
        ),
    })
}

async fn reserve(neighbours: &Neighbours, order: &Order) -> Result<Outcome, NotNow> {
    Ok(outcome_of(neighbours.reserve(order).await?))
}

/// What it means for an order what inventory says.
fn outcome_of(stock: Stock) -> Outcome {
    match stock {
        Stock::Taken => Outcome::Done,
        Stock::Short(lines) => Outcome::Refused(
            Reason::OutOfStock,
            Details {
                lines,
                ..Details::default()
            },
        ),
        Stock::Refused => refused(Reason::ReservationRefused),
    }
}

async fn authorize(neighbours: &Neighbours, order: &Order) -> Result<Outcome, NotNow> {
    if is_free(order) {
        return Ok(Outcome::Done);
    }
    Ok(match neighbours.authorize(order).await? {
        Authorization::Granted => Outcome::Done,
        Authorization::Declined(decline_code) => Outcome::Refused(
            Reason::PaymentDeclined,
            Details {
                decline_code,
                ..Details::default()
            },
        ),
        Authorization::Refused => refused(Reason::PaymentRefused),
    })
}

/// Captures the payment and commits the stock, both at once: neither needs the other, and if one fails for good both are undone.
async fn settle(neighbours: &Neighbours, order: &Order) -> Result<Outcome, NotNow> {
    let capture = async {
        match is_free(order) {
            true => Ok(Capture::Taken),
            false => neighbours.capture(order).await,
        }
    };
    let (captured, committed) = join!(capture, neighbours.commit(order));
    match (captured, committed) {
        (Ok(Capture::Failed), _) => Ok(refused(Reason::PaymentCaptureFailed)),
        (_, Ok(stock @ (Stock::Short(_) | Stock::Refused))) => Ok(outcome_of(stock)),
        (Ok(Capture::Taken), Ok(Stock::Taken)) => Ok(Outcome::Done),
        (Err(why), _) | (_, Err(why)) => Err(why),
    }
}

/// Voids or refunds the payment: which of the two, payments are asked for, since the answer to an earlier request may be lost.
async fn undo_payment(neighbours: &Neighbours, order: &Order) -> Result<Outcome, NotNow> {
    use PaymentStatus::*;
    if is_free(order) {
        return Ok(Outcome::Done);
    }
    let status = match neighbours.payment(order).await? {
        None | Some(Authorizing | Authorized | CaptureFailed | Voiding) => {
            neighbours.void(order).await?
        }
        Some(Captured | PartiallyRefunded | Refunding) => neighbours.refund(order).await?,
        Some(status) => status,
    };
    match status {
        Voided | Refunded | Declined => Ok(Outcome::Done),
        status => Err(NotNow(format!("the payment is {status:?}"))),
    }
}

/// Nothing is to be paid.
fn is_free(order: &Order) -> bool {
    order.total.as_ref().is_some_and(|total| total.amount == 0)
}

async fn claim(due: &Due) -> Result<Option<Order>, Error> {
    store::claim(due, &new_lease(), now() + LEASE, now()).await
}

/// Takes up sagas that are due; resolves when each of them is done or waits again. Many may call this at once.
pub async fn resume(context: &Context) -> Result<(), Problem> {
    let due = store::due(now(), BATCH).await?;
    let mut taken_up = Vec::new();
    for due in due {
        let (settled, waits) = oneshot::channel();
        spawn(take_up(context.clone(), due, settled)).await;
        taken_up.push(waits);
    }
    _ = within(until(now() + BUDGET), join_all(taken_up)).await;
    Ok(())
}

/// Lets the saga of an order go on that waits for its next attempt: something happened that it may be waiting for.
pub async fn wake(context: &Context, order_id: &str) -> Result<(), Error> {
    let Some(due) = store::make_due(order_id, now()).await? else {
        return Ok(());
    };
    let (settled, _) = oneshot::channel();
    spawn(take_up(context.clone(), due, settled)).await;
    Ok(())
}

/// It goes on under the id and in the trace of the request that placed the order: there it is looked for.
async fn take_up(context: Context, due: Due, settled: oneshot::Sender<()>) {
    match claim(&due).await {
        Ok(Some(order)) => {
            let (request_id, traceparent) =
                (order.request_id.as_deref(), order.traceparent.as_deref());
            let neighbours = Neighbours::new(context.on_behalf_of(request_id, traceparent));
            run(neighbours, order, now(), now(), settled).await;
        }
        Ok(None) => {}
        Err(error) => complain(&due.id, &error),
    }
}

/// What nobody is there to be told of: the saga stays due, so nothing is lost.
fn complain(order_id: &str, error: &Error) {
    tracing::error!(order_id, %error, "a saga does not go on");
}

/// Lets the service's own traffic take up what is due, so that a shop without a ticker recovers as soon as it is used.
pub async fn nudge(context: &Context) {
    thread_local! {
        static LAST: Cell<i64> = const { Cell::new(0) };
    }
    let now = now();
    if now < LAST.get() + NUDGE_EVERY {
        return;
    }
    LAST.set(now);
    let context = context.unhurried();
    spawn(async move {
        if let Err(problem) = resume(&context).await {
            tracing::error!(error = ?problem, "sagas cannot be taken up");
        }
    })
    .await;
}

/// Waits until an order is as wanted, while somebody else drives its saga.
pub async fn wait_for(
    id: &str,
    deadline: i64,
    is_wanted: impl Fn(&Order) -> bool,
) -> Result<(), Error> {
    while let Some(order) = store::find(id, None).await? {
        let paused = order.saga.lease.is_none();
        let in_vain = paused && order.saga.due_at.is_none_or(|due_at| due_at > deadline);
        if is_wanted(&order) || in_vain || now() >= deadline {
            break;
        }
        sleep(POLL_EVERY).await;
    }
    Ok(())
}

/// How a request to cancel an order went.
pub enum Cancelling {
    /// It has begun, or had; the saga goes on.
    UnderWay(Option<Settled>),
    /// It is cancelled.
    Over,
    /// It cannot be, because of this.
    TooLate(&'static str),
}

/// Begins to cancel an order. Whoever drives it loses it; where they write first, this looks again at what they wrote.
pub async fn cancel(
    context: &Context,
    mut order: Order,
    reason: Reason,
    deadline: i64,
) -> Result<Cancelling, Error> {
    loop {
        let held = order.held();
        let events = match order.cancel(reason, new_lease(), now()) {
            Cancellation::Begins(events) => events,
            Cancellation::UnderWay => return Ok(Cancelling::UnderWay(None)),
            Cancellation::Over => return Ok(Cancelling::Over),
            Cancellation::TooLate(why) => return Ok(Cancelling::TooLate(why)),
        };
        if store::save(&order, &held, &events).await? {
            return Ok(Cancelling::UnderWay(Some(
                start(context, order, deadline).await,
            )));
        }
        order = match store::find(&order.id, None).await? {
            Some(order) => order,
            None => return Ok(Cancelling::Over),
        };
    }
}
