//! A machine for the service to run on: time that passes only when everybody waits for it, work in the background that is done
//! while a request waits, and a crash at any chosen point.
//!
//! Each test's thread has its own. Whoever polls a [`Sleep`] in a request drives the background; when nothing has happened
//! between two polls, all there is waits for time, and the clock goes to the next moment somebody waits for.

use std::cell::RefCell;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

struct Machine {
    now: i64,
    /// Grows whenever something happens.
    activity: u64,
    /// The moments that are waited for.
    alarms: Vec<(u64, i64)>,
    next_alarm: u64,
    background: Vec<LocalBoxFuture<'static, ()>>,
    in_background: bool,
    /// After how many more checkpoints it crashes.
    fuse: Option<usize>,
    crashed: bool,
    checkpoints: usize,
}

thread_local! {
    static MACHINE: RefCell<Machine> = const { RefCell::new(Machine {
        now: 1_800_000_000_000,
        activity: 0,
        alarms: Vec::new(),
        next_alarm: 0,
        background: Vec::new(),
        in_background: false,
        fuse: None,
        crashed: false,
        checkpoints: 0,
    }) };
}

fn machine<T>(with: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(with)
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    machine(|machine| machine.now)
}

/// Lets time pass.
pub fn advance(duration: Duration) {
    machine(|machine| machine.now += i64::try_from(duration.as_millis()).unwrap());
}

/// Does this while somebody waits.
pub async fn spawn(work: impl Future<Output = ()> + 'static) {
    machine(|machine| {
        machine.activity += 1;
        machine.background.push(work.boxed_local());
    });
}

/// Where the machine may crash: from then on nobody gets any further.
pub async fn checkpoint() {
    let crashed = machine(|machine| {
        machine.activity += 1;
        machine.checkpoints += 1;
        match &mut machine.fuse {
            Some(0) => machine.crashed = true,
            Some(left) => *left -= 1,
            None => {}
        }
        machine.crashed
    });
    if crashed {
        pending().await
    }
}

/// How many checkpoints were passed so far.
pub fn checkpoints() -> usize {
    machine(|machine| machine.checkpoints)
}

/// Lets the machine crash at the checkpoint after so many.
pub fn crash_after(checkpoints: usize) {
    machine(|machine| machine.fuse = Some(checkpoints));
}

/// Starts the machine again: what ran is gone. Says whether it had crashed.
pub fn restart() -> bool {
    // What is dropped may have alarms to take off, so it is dropped outside.
    let (crashed, background) = machine(|machine| {
        machine.fuse = None;
        let crashed = std::mem::take(&mut machine.crashed);
        (crashed, std::mem::take(&mut machine.background))
    });
    drop(background);
    crashed
}

/// Runs this to its end; none if the machine crashed.
pub fn run<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = Box::pin(work);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if machine(|machine| machine.crashed) {
            return None;
        }
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    panic!("this never ends");
}

/// Lets everything in the background come to its end, however long that takes.
pub fn finish() {
    let in_vain = || machine(|machine| machine.background.is_empty() || machine.crashed);
    run(async {
        while !in_vain() {
            sleep(Duration::from_millis(10)).await;
        }
    });
}

/// Waits for so long.
pub fn sleep(duration: Duration) -> Sleep {
    machine(|machine| {
        let alarm = machine.next_alarm;
        machine.next_alarm += 1;
        let until = machine.now + i64::try_from(duration.as_millis()).unwrap();
        machine.alarms.push((alarm, until));
        Sleep {
            alarm,
            until,
            seen: None,
        }
    })
}

pub struct Sleep {
    alarm: u64,
    until: i64,
    /// The activity at the last poll.
    seen: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let is_over = |it: &Self| now() >= it.until;
        if is_over(&self) {
            machine(|machine| machine.activity += 1);
            return Poll::Ready(());
        }
        if !machine(|machine| machine.in_background) {
            work_in_background();
            machine(|machine| {
                let next = machine.alarms.iter().map(|(_, until)| *until).min();
                if self.seen == Some(machine.activity) && !machine.crashed {
                    machine.now = next.map_or(machine.now, |next| next.max(machine.now));
                    machine.activity += 1;
                }
                self.seen = Some(machine.activity);
            });
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // When a test ends its machine is gone before what ran on it.
        _ = MACHINE.try_with(|machine| {
            let mut machine = machine.borrow_mut();
            machine.alarms.retain(|(alarm, _)| *alarm != self.alarm);
        });
    }
}

/// Polls everything in the background once.
fn work_in_background() {
    let mut working = machine(|machine| {
        machine.in_background = true;
        std::mem::take(&mut machine.background)
    });
    let before = working.len();
    let mut context = Context::from_waker(Waker::noop());
    working.retain_mut(|work| work.poll_unpin(&mut context).is_pending());
    machine(|machine| {
        machine.in_background = false;
        machine.activity += u64::from(working.len() < before);
        working.append(&mut machine.background);
        machine.background = working;
    });
}
