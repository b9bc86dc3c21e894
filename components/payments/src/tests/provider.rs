//! A provider that does as a test says, and keeps books of what it did. It remembers keys, as providers have to.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
use std::task::Poll;

use super::interface::souk::payment::provider::{
    Card, Charge, Decline, Failure, Operation, Outcome, Purchase,
};

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Approve,
    Decline,
    Unavailable,
    Invalid,
    /// No answer, and it was carried out.
    UnknownDone,
    /// No answer, and it was declined.
    UnknownDeclined,
    /// No answer, and it was not carried out.
    UnknownNotDone,
    /// It is carried out, and the one who asked does not live to hear of it.
    DoneAndLost,
    /// The one who asked does not live to hear that nothing was done.
    Lost,
}

#[derive(Default)]
struct Books {
    script: VecDeque<Turn>,
    failing_finds: usize,
    calls: Vec<String>,
    decided: BTreeMap<String, Outcome>,
    accounts: BTreeMap<String, Account>,
}

#[derive(Default)]
struct Account {
    amount: u64,
    captured: u64,
    refunded: u64,
    voided: bool,
}

/// Sums over all the provider ever did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Money {
    pub held: u64,
    pub captured: u64,
    pub refunded: u64,
}

thread_local! {
    static BOOKS: RefCell<Books> = RefCell::default();
}

/// What becomes of the next calls; later ones are approved.
pub fn next(turns: impl IntoIterator<Item = Turn>) {
    BOOKS.with_borrow_mut(|books| books.script.extend(turns));
}

/// Has the next calls of `find` fail.
pub fn fail_finds(count: usize) {
    BOOKS.with_borrow_mut(|books| books.failing_finds = count);
}

/// The calls since it was last asked, without the id of the payment.
pub fn calls() -> Vec<String> {
    BOOKS.with_borrow_mut(|books| std::mem::take(&mut books.calls))
}

/// What the books say.
pub fn money() -> Money {
    BOOKS.with_borrow(|books| {
        let mut sum = Money::default();
        for account in books.accounts.values() {
            if account.captured == 0 && !account.voided {
                sum.held += account.amount;
            }
            sum.captured += account.captured;
            sum.refunded += account.refunded;
        }
        sum
    })
}

/// Gives way to the test's other requests once.
pub async fn others_first() {
    let mut given_way = false;
    poll_fn(|context| match std::mem::replace(&mut given_way, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

pub async fn tokenize(_: String, _: String, card: Card) -> Result<Outcome, Failure> {
    let turn = BOOKS.with_borrow_mut(|books| books.script.pop_front());
    match turn.unwrap_or(Turn::Approve) {
        Turn::Approve => Ok(Outcome::Approved(format!("token-{}", uuid::Uuid::now_v7()))),
        Turn::Decline => Ok(declined("incorrect_cvc")),
        // A bad provider, whose message says what it must not.
        _ => Err(Failure::Unavailable(format!(
            "cannot reach the bank of {}",
            card.number
        ))),
    }
}

pub async fn authorize(_: String, key: String, purchase: Purchase) -> Result<Outcome, Failure> {
    call(key, Operation::Authorize(purchase)).await
}

pub async fn capture(_: String, key: String, charge: Charge) -> Result<Outcome, Failure> {
    call(key, Operation::Capture(charge)).await
}

pub async fn void(_: String, key: String, authorization: String) -> Result<Outcome, Failure> {
    call(key, Operation::Void(authorization)).await
}

pub async fn refund(_: String, key: String, charge: Charge) -> Result<Outcome, Failure> {
    call(key, Operation::Refund(charge)).await
}

pub async fn find(_: String, key: String, _: Operation) -> Result<Option<Outcome>, Failure> {
    note("find", &key);
    others_first().await;
    BOOKS.with_borrow_mut(|books| {
        if books.failing_finds > 0 {
            books.failing_finds -= 1;
            return Err(Failure::Unavailable("out of order".into()));
        }
        Ok(books.decided.get(&key).cloned())
    })
}

async fn call(key: String, operation: Operation) -> Result<Outcome, Failure> {
    note(verb(&operation), &key);
    others_first().await;
    let turn = BOOKS.with_borrow_mut(|books| books.script.pop_front());
    match turn.unwrap_or(Turn::Approve) {
        Turn::Approve => Ok(carry_out(key, operation)),
        Turn::Decline => Ok(decide(key, declined("insufficient_funds"))),
        Turn::UnknownDeclined => {
            decide(key, declined("card_declined"));
            Err(Failure::Unknown("timeout".into()))
        }
        Turn::Unavailable => Err(Failure::Unavailable("closed".into())),
        Turn::Invalid => Err(Failure::Invalid("the setting key is wrong".into())),
        Turn::UnknownDone => {
            carry_out(key, operation);
            Err(Failure::Unknown("timeout".into()))
        }
        Turn::UnknownNotDone => Err(Failure::Unknown("timeout".into())),
        Turn::DoneAndLost => {
            carry_out(key, operation);
            pending().await
        }
        Turn::Lost => pending().await,
    }
}

/// `<payment's id>-authorize-1` is noted as `authorize-1`; the UUID of a refund is left out too.
fn note(verb: &str, key: &str) {
    let words: Vec<_> = key
        .split('-')
        .skip(5)
        .filter(|word| word.len() < 32)
        .collect();
    let noted = format!("{verb} {}", words.join("-"));
    BOOKS.with_borrow_mut(|books| books.calls.push(noted));
}

fn verb(operation: &Operation) -> &'static str {
    match operation {
        Operation::Authorize(_) => "authorize",
        Operation::Capture(_) => "capture",
        Operation::Void(_) => "void",
        Operation::Refund(_) => "refund",
    }
}

/// Does it, once for each key.
fn carry_out(key: String, operation: Operation) -> Outcome {
    if let Some(decided) = BOOKS.with_borrow(|books| books.decided.get(&key).cloned()) {
        return decided;
    }
    BOOKS.with_borrow_mut(|books| match operation {
        Operation::Authorize(purchase) => {
            let account = books.accounts.entry(format!("held-{key}")).or_default();
            account.amount = purchase.amount.amount;
        }
        Operation::Capture(charge) => {
            books.account(&charge.authorization).captured += charge.amount.amount;
        }
        Operation::Void(authorization) => books.account(&authorization).voided = true,
        Operation::Refund(charge) => {
            books.account(&charge.authorization).refunded += charge.amount.amount;
        }
    });
    let reference = format!("held-{key}");
    decide(key, Outcome::Approved(reference))
}

impl Books {
    fn account(&mut self, authorization: &str) -> &mut Account {
        let account = self.accounts.get_mut(authorization);
        account.expect("payments names what was authorized")
    }
}

fn decide(key: String, outcome: Outcome) -> Outcome {
    BOOKS.with_borrow_mut(|books| books.decided.insert(key, outcome.clone()));
    outcome
}

fn declined(code: &str) -> Outcome {
    Outcome::Declined(Decline {
        code: code.into(),
        message: "No.".into(),
    })
}
