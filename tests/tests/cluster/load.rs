//! Clients that ask again and again while something happens, and what they were answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use souk_tests::{Customer, Reply, Shop, cards};

/// How long a client thinks between two requests: what there is to do is never too much, also for a machine of two cores.
const PAUSE: Duration = Duration::from_millis(100);

/// What was answered: how often each instance did, and everything that is no success.
#[derive(Debug, Default)]
pub struct Answers {
    pub by_instance: BTreeMap<String, usize>,
    pub failures: Vec<String>,
}

impl Answers {
    fn add(&mut self, reply: &Reply, good: &[u16]) {
        let instance = reply.header("x-souk-instance").to_owned();
        *self.by_instance.entry(instance).or_default() += 1;
        if !good.contains(&reply.status) {
            self.failures
                .push(format!("{} {}", reply.status, reply.text));
        }
    }

    fn join(mut self, other: Self) -> Self {
        for (instance, count) in other.by_instance {
            *self.by_instance.entry(instance).or_default() += count;
        }
        self.failures.extend(other.failures);
        self
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_instance.values().sum()
    }

    /// Fails unless there are so many, and all are successes.
    pub fn expect_no_failure(&self, at_least: usize) {
        let (count, failures) = (self.count(), &self.failures);
        println!(
            "{count} answers, {} failures: {:?}",
            failures.len(),
            self.by_instance
        );
        assert!(
            failures.is_empty(),
            "{} of {count}: {failures:#?}",
            failures.len()
        );
        assert!(count >= at_least, "{count} answers only");
    }
}

/// Reads products one after the other, so many times.
pub fn read(shop: &Shop, times: usize) -> Answers {
    let mut answers = Answers::default();
    for _ in 0..times {
        answers.add(&shop.get("/api/products?limit=5"), &[200]);
    }
    answers
}

/// Has 8 threads read products while something is done.
pub fn while_reading(shop: &Shop, done: impl FnOnce()) -> Answers {
    let readers: Vec<_> = (0..8)
        .map(|_| {
            |over: &AtomicBool| {
                let mut answers = Answers::default();
                while !over.load(Ordering::Relaxed) {
                    answers = answers.join(read(shop, 1));
                    std::thread::sleep(PAUSE);
                }
                answers
            }
        })
        .collect();
    all_while(readers, done)
}

/// Has each of these customers buy one of a product again and again while something is done. An order that is not confirmed
/// at once is as good: it will be.
pub fn while_buying(customers: &[Customer<'_>], product: &str, done: impl FnOnce()) -> Answers {
    let buyers: Vec<_> = customers
        .iter()
        .map(|customer| {
            move |over: &AtomicBool| {
                let mut answers = Answers::default();
                while !over.load(Ordering::Relaxed) {
                    answers.add(&customer.order(&[(product, 1)], cards::GOOD), &[201, 202]);
                    std::thread::sleep(PAUSE);
                }
                answers
            }
        })
        .collect();
    all_while(buyers, done)
}

/// Runs clients until something is done, also when that fails.
fn all_while<C>(clients: Vec<C>, done: impl FnOnce()) -> Answers
where
    C: FnOnce(&AtomicBool) -> Answers + Send,
{
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(|| client(&over)))
            .collect();
        let when_done = Over(&over);
        done();
        drop(when_done);
        let answers = clients.into_iter().map(|it| it.join().unwrap());
        answers.fold(Answers::default(), Answers::join)
    })
}
