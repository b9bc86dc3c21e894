//! Each step is followed by the right one.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::tests::order;
use souk_chassis::Money;

fn names(events: &[Event]) -> Vec<String> {
    let name = |event: &Event| format!("{} {}", event.step, event.event);
    events.iter().map(name).collect()
}

fn quote() -> Quote {
    Quote {
        lines: order().lines,
        total: Money {
            amount: 5,
            currency: "EUR".into(),
        },
    }
}

/// An order that has come to this step.
fn at(step: Step) -> Order {
    let mut order = order();
    order.apply(Outcome::Priced(quote()), 0);
    while order.saga.step != step {
        order.apply(Outcome::Done, 0);
    }
    order
}

fn refused(step: Step, attempt: i64, reason: Reason) -> Order {
    let mut order = at(step);
    order.saga.attempt = attempt;
    order.apply(Outcome::Refused(reason, Details::default()), 0);
    order
}

#[test]
fn a_good_order_takes_four_writes() {
    let mut order = order();
    let events = order.apply(Outcome::Priced(quote()), 7);
    assert_eq!(names(&events), ["price done", "reserve started"]);
    assert_eq!(
        (order.status, order.saga.due_at),
        (Status::Pending, Some(7 + LEASE))
    );

    let events = order.apply(Outcome::Done, 8);
    assert_eq!(names(&events), ["reserve done", "authorize started"]);
    assert_eq!(order.status, Status::Reserved);

    let events = order.apply(Outcome::Done, 9);
    assert_eq!(
        names(&events),
        [
            "authorize done",
            "confirm done",
            "capture started",
            "commit started"
        ]
    );
    assert_eq!(
        (order.status, &order.saga.payment_token),
        (Status::Confirmed, &None)
    );

    let events = order.apply(Outcome::Done, 10);
    assert_eq!(names(&events), ["capture done", "commit done"]);
    assert_eq!(
        (order.saga.step, order.saga.due_at, order.saga.lease.clone()),
        (Step::Done, None, None)
    );
    assert_eq!(
        (order.status, order.answer_status),
        (Status::Confirmed, Some(201))
    );
}

#[test]
fn what_was_done_is_undone_and_no_more() {
    for (step, attempt, reason, next) in [
        (Step::Reserve, 1, Reason::OutOfStock, Step::Done),
        (Step::Reserve, 2, Reason::OutOfStock, Step::UndoStock),
        (
            Step::Reserve,
            1,
            Reason::ReservationRefused,
            Step::UndoStock,
        ),
        (Step::Authorize, 1, Reason::PaymentDeclined, Step::UndoStock),
        (
            Step::Authorize,
            1,
            Reason::PaymentRefused,
            Step::UndoPayment,
        ),
        (
            Step::Settle,
            1,
            Reason::PaymentCaptureFailed,
            Step::UndoPayment,
        ),
    ] {
        assert_eq!(
            refused(step, attempt, reason).saga.step,
            next,
            "{step:?} {reason:?}"
        );
    }
}

#[test]
fn an_order_ends_when_all_is_undone() {
    let mut order = refused(Step::Settle, 1, Reason::PaymentCaptureFailed);
    assert_eq!(
        (order.status, order.answer_status),
        (Status::Confirmed, None)
    );
    let events = order.apply(Outcome::Done, 0);
    assert_eq!(
        names(&events),
        ["undo_payment compensated", "undo_stock compensating"]
    );
    let events = order.apply(Outcome::Done, 0);
    assert_eq!(names(&events), ["undo_stock compensated"]);
    assert_eq!(
        (order.status, order.answer_status),
        (Status::Cancelled, Some(402))
    );
    assert_eq!((order.saga.step, order.saga.due_at), (Step::Done, None));

    let order = refused(Step::Reserve, 1, Reason::OutOfStock);
    assert_eq!(
        (order.status, order.answer_status),
        (Status::Rejected, Some(409))
    );
}

#[test]
fn what_fails_for_now_is_tried_again_later() {
    let mut order = at(Step::Authorize);
    order.apply(Outcome::Later("503".into()), 1000);
    assert_eq!(
        (order.saga.step, &order.saga.lease),
        (Step::Authorize, &None)
    );
    let due = order.saga.due_at.unwrap();
    assert!((1100..1200).contains(&due), "{due}");
}

#[test]
fn an_order_that_cannot_be_completed_is_given_up_and_a_promise_is_not() {
    let later = |step| {
        let mut order = at(step);
        let events = order.apply(Outcome::Later("no answer".into()), GIVE_UP_AFTER);
        (order.saga.step, order.reason, names(&events).len())
    };
    assert_eq!(
        later(Step::Reserve),
        (Step::UndoStock, Some(Reason::InventoryUnreachable), 2)
    );
    assert_eq!(
        later(Step::Authorize),
        (Step::UndoPayment, Some(Reason::PaymentsUnreachable), 2)
    );
    assert_eq!(later(Step::Settle), (Step::Settle, None, 2));
    let mut unpriced = order();
    unpriced.apply(Outcome::Later("no answer".into()), GIVE_UP_AFTER);
    assert_eq!(
        (unpriced.status, unpriced.saga.step),
        (Status::Rejected, Step::Done)
    );
    let mut undoing = refused(Step::Settle, 1, Reason::OutOfStock);
    undoing.apply(Outcome::Later("no answer".into()), i64::MAX / 2);
    assert_eq!(
        (undoing.saga.step, undoing.saga.lease),
        (Step::UndoPayment, None)
    );
}

#[test]
fn an_order_is_cancelled_from_where_it_is() {
    let cancel = |mut order: Order| {
        let outcome = order.cancel(Reason::CancelledByCustomer, "mine".into(), 5);
        (outcome, order.saga.step, order.status, order.saga.lease)
    };
    let begins = |order| match cancel(order) {
        (Cancellation::Begins(events), step, status, lease) => {
            (names(&events), step, status, lease)
        }
        other => panic!("{other:?}"),
    };
    let mine = Some("mine".to_owned());
    assert_eq!(
        begins(order()),
        (
            vec!["price failed".into()],
            Step::Done,
            Status::Cancelled,
            None
        )
    );
    let (_, step, status, lease) = begins(at(Step::Reserve));
    assert_eq!(
        (step, status, lease),
        (Step::UndoStock, Status::Pending, mine.clone())
    );
    let (_, step, status, _) = begins(at(Step::Settle));
    assert_eq!((step, status), (Step::UndoPayment, Status::Confirmed));
    let (events, step, _, lease) = begins(at(Step::Done));
    assert_eq!(
        (events, step, lease),
        (
            vec!["undo_payment compensating".to_owned()],
            Step::UndoPayment,
            mine
        )
    );
}

#[test]
fn what_is_over_is_not_cancelled() {
    let cancel = |mut order: Order| order.cancel(Reason::CancelledByAdmin, "mine".into(), 5);
    let with = |status| Order {
        status,
        ..at(Step::Done)
    };
    assert_eq!(cancel(with(Status::Cancelled)), Cancellation::Over);
    for status in [Status::Shipped, Status::Delivered, Status::Rejected] {
        assert!(
            matches!(cancel(with(status)), Cancellation::TooLate(_)),
            "{status:?}"
        );
    }
    let declined = refused(Step::Authorize, 1, Reason::PaymentDeclined);
    assert!(matches!(cancel(declined), Cancellation::TooLate(_)));
    let failing = refused(Step::Settle, 1, Reason::PaymentCaptureFailed);
    assert_eq!(cancel(failing), Cancellation::UnderWay);
}
