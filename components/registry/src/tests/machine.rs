//! Time, and what listens at which address, as a test says they are.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::clients::Silence;

#[derive(Default)]
struct Machine {
    /// Milliseconds that somebody has waited.
    now: i64,
    /// What happens while somebody waits, and when.
    to_come: Vec<(i64, Box<dyn FnOnce()>)>,
    /// What is answered at an address.
    listening: BTreeMap<String, Result<String, Silence>>,
    /// What happens while an address is asked.
    meanwhile: Option<Box<dyn FnOnce()>>,
    asked: Vec<String>,
    asking: usize,
    most_asked_at_once: usize,
    nudges: usize,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::default();
}

fn machine<T>(with: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(with)
}

/// Milliseconds; they pass when somebody waits.
pub fn now() -> i64 {
    machine(|machine| machine.now)
}

/// Waits for so long.
pub async fn sleep(duration: Duration) {
    let happens: Vec<_> = machine(|machine| {
        machine.now += i64::try_from(duration.as_millis()).unwrap();
        let now = machine.now;
        let due = machine.to_come.extract_if(.., |(at, _)| *at <= now);
        due.map(|(_, happens)| happens).collect()
    });
    happens.into_iter().for_each(|happens| happens());
}

/// Does this when somebody has waited for so long.
pub fn after(millis: i64, happens: impl FnOnce() + 'static) {
    machine(|machine| {
        let at = machine.now + millis;
        machine.to_come.push((at, Box::new(happens)));
    });
}

/// In the place of work in the background.
pub fn nudge() {
    machine(|machine| machine.nudges += 1);
}

/// How often work in the background was asked for.
pub fn nudges() -> usize {
    machine(|machine| machine.nudges)
}

/// Lets this service answer at an address.
pub fn listen(address: &str, service: &str) {
    let body = json!({"status": "ok", "service": service}).to_string();
    machine(|machine| machine.listening.insert(address.into(), Ok(body)));
}

/// Lets the manifest not grant it.
pub fn do_not_grant(address: &str) {
    let denied = Err(Silence::NotGranted);
    machine(|machine| machine.listening.insert(address.into(), denied));
}

/// Lets nobody answer there.
pub fn hang_up(address: &str) {
    machine(|machine| machine.listening.remove(address));
}

/// Does this while the next address is asked.
pub fn meanwhile(happens: impl FnOnce() + 'static) {
    machine(|machine| machine.meanwhile = Some(Box::new(happens)));
}

/// The addresses that were asked since this was last called, in order.
pub fn asked() -> Vec<String> {
    let mut asked = machine(|machine| std::mem::take(&mut machine.asked));
    asked.sort();
    asked
}

pub fn most_asked_at_once() -> usize {
    machine(|machine| machine.most_asked_at_once)
}

/// In the place of the network.
pub async fn ask(url: String) -> Result<Vec<u8>, Silence> {
    let answer = begin(url.strip_suffix("/healthz").unwrap());
    // Whoever else is asked at the same time is asked now.
    yield_now().await;
    machine(|machine| machine.asking -= 1);
    answer.map(String::into_bytes)
}

fn begin(address: &str) -> Result<String, Silence> {
    let (answer, meanwhile) = machine(|machine| {
        machine.asked.push(address.into());
        machine.asking += 1;
        machine.most_asked_at_once = machine.most_asked_at_once.max(machine.asking);
        let answer = machine
            .listening
            .get(address)
            .cloned()
            .unwrap_or(Err(Silence::NoAnswer));
        (answer, machine.meanwhile.take())
    });
    if let Some(happens) = meanwhile {
        happens();
    }
    answer
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
