//! Clients that ask again and again while something happens, and what they were answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use souk_tests::{Customer, Reply, Shop, cards, eventually};

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

    /// Fails unless all are successes.
    pub fn expect_no_failure(&self) {
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

/// Has 8 threads read products while something is done, and until there are so many answers.
pub fn while_reading(shop: &Shop, at_least: usize, done: impl FnOnce()) -> Answers {
    let asks = (0..8).map(|_| || shop.get("/api/products?limit=5"));
    all_while(asks.collect(), &[200], at_least, done)
}

/// Has each of these customers buy one of a product again and again while something is done, and until there are so many answers. An order
/// that is not confirmed at once is as good: it will be.
pub fn while_buying(
    customers: &[Customer<'_>],
    product: &str,
    at_least: usize,
    done: impl FnOnce(),
) -> Answers {
    let asks = customers
        .iter()
        .map(|customer| || customer.order(&[(product, 1)], cards::GOOD));
    all_while(asks.collect(), &[201, 202], at_least, done)
}

/// Has clients ask until something is done, also when that fails, and there are so many answers. (How many there are meanwhile depends on the
/// machine.)
fn all_while<A>(asks: Vec<A>, good: &[u16], at_least: usize, done: impl FnOnce()) -> Answers
where
    A: Fn() -> Reply + Send,
{
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = |ask: A| {
        let mut answers = Answers::default();
        while !over.load(Ordering::Relaxed) {
            answers.add(&ask(), good);
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(PAUSE);
        }
        answers
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = asks
            .into_iter()
            .map(|ask| scope.spawn(|| client(ask)))
            .collect();
        let when_done = Over(&over);
        done();
        eventually("enough is answered", || {
            count.load(Ordering::Relaxed) >= at_least
        });
        drop(when_done);
        let answers = clients.into_iter().map(|it| it.join().unwrap());
        answers.fold(Answers::default(), Answers::join)
    })
}
