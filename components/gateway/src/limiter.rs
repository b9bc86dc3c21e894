//! Counting requests against their limits.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits::{Charge, Class, Verdict};
use crate::settings::Settings;
use crate::store;

/// One in so many requests forgets who has the whole limit again.
const PRUNE_EVERY: i64 = 1024;

impl Settings {
    /// What a request counts against: the limit of its client's address, and that of the account it is made by. A call from
    /// inside the process for nobody in particular has no address.
    pub fn charges(&self, class: Class, client: Option<IpAddr>, user: Option<&str>) -> Vec<Charge> {
        let limit = match class {
            Class::Ordinary => self.client,
            Class::Login => self.login,
        };
        let client = client
            .zip(limit)
            .map(|(client, limit)| Charge::client(class, client, limit));
        let account = user
            .zip(self.account)
            .map(|(user, limit)| Charge::account(user, limit));
        client.into_iter().chain(account).collect()
    }
}

/// Counts a request, and says what was decided; nothing where there is no limit, or no way to tell.
///
/// Without its database the limiter lets everything through. It is there to keep the shop open to all, and a shop that
/// closes because it cannot count would be shut by the very fault; guesses at passwords are slowed down by `users` as well.
pub async fn count(charges: &[Charge]) -> Option<Verdict> {
    let now = now();
    let counted = store::charge(charges, now).await;
    if counted.is_ok() && !charges.is_empty() && now % PRUNE_EVERY == 0 {
        prune().await;
    }
    counted.unwrap_or_else(|error| {
        log("requests cannot be counted", &error);
        None
    })
}

/// Forgets who has the whole limit again.
pub async fn prune() {
    if let Err(error) = store::prune(now()).await {
        log("old counts cannot be deleted", &error);
    }
}

/// Microseconds since 1970.
fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
    })
}

fn log(what: &str, error: &souk_store::Error) {
    tracing::error!(%error, "{what}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cors::Origins;
    use crate::limits::Limit;
    use crate::metrics::Token;
    use futures::executor::block_on;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use souk_chassis::address::TrustedProxies;
    use std::collections::HashMap;

    const NOW: i64 = 1_700_000_000_000_000;

    fn charge(key: &str, setting: &str) -> Charge {
        Charge {
            key: key.into(),
            limit: Limit::parse(setting).unwrap().unwrap(),
        }
    }

    fn passes(charges: &[Charge], now: i64) -> bool {
        let verdict = block_on(store::charge(charges, now)).unwrap().unwrap();
        verdict.admit().is_ok()
    }

    #[test]
    fn requests_that_overtake_each_other_have_the_whole_limit() {
        let charges = [charge("a", "50/100")];
        let passed = (0..100).filter(|ago| passes(&charges, NOW - ago)).count();
        assert_eq!(passed, 50);
    }

    #[test]
    fn a_limit_lets_its_count_through_at_once_and_then_one_an_interval() {
        let charges = [charge("a", "50/100")];
        let passed = (0..100).filter(|_| passes(&charges, NOW)).count();
        assert_eq!(passed, 50);
        assert!(!passes(&charges, NOW + 1_999_999));
        assert!(passes(&charges, NOW + 2_000_000));
        assert!(!passes(&charges, NOW + 2_000_000));
        let passed = (0..100).filter(|_| passes(&charges, NOW + 300_000_000));
        assert_eq!(
            passed.count(),
            50,
            "no more than the whole is ever saved up"
        );
    }

    #[test]
    fn a_request_counts_against_all_its_limits_or_none() {
        let (client, account) = (charge("c", "10/60"), charge("a", "3/60"));
        let both = [client.clone(), account.clone()];
        assert_eq!((0..5).filter(|_| passes(&both, NOW)).count(), 3);
        let left = (0..20)
            .filter(|_| passes(std::slice::from_ref(&client), NOW))
            .count();
        assert_eq!(left, 7, "what was refused did not count");
        assert!(!passes(&[account], NOW));
    }

    #[test]
    fn nothing_to_count_is_nothing_to_write() {
        assert_eq!(block_on(store::charge(&[], NOW)), Ok(None));
    }

    #[test]
    fn only_those_who_have_the_whole_limit_again_are_forgotten() {
        let charges = [charge("a", "2/10")];
        assert!(passes(&charges, NOW) && passes(&charges, NOW));
        block_on(store::prune(NOW + 9_999_999)).unwrap();
        assert!(passes(&charges, NOW + 9_999_999));
        assert!(!passes(&charges, NOW + 9_999_999));
        block_on(store::prune(NOW + 60_000_000)).unwrap();
        assert!(passes(&charges, NOW), "the past is forgotten");
    }

    #[test]
    fn another_limit_or_a_wrong_clock_keeps_nobody_waiting() {
        assert!(passes(&[charge("a", "1/86400")], NOW));
        assert!(!passes(&[charge("a", "1/86400")], NOW));
        let now = [charge("a", "2/60")];
        assert!(passes(&now, NOW) && passes(&now, NOW));
        assert!(!passes(&now, NOW));
        assert!(
            !passes(&now, NOW - 50_000_000),
            "a little wrong is not wrong"
        );
        assert!(passes(&now, NOW - 100_000_000));
    }

    /// GCRA as it is written down, for one request at a time.
    #[derive(Default)]
    struct Reference(HashMap<String, i64>);

    impl Reference {
        fn passes(&mut self, charges: &[Charge], now: i64) -> bool {
            let next = |charge: &Charge| {
                let tat = self.0.get(&charge.key).copied().unwrap_or(0);
                tat.max(now) + charge.limit.interval
            };
            let nexts: Vec<_> = charges.iter().map(next).collect();
            let mut pairs = charges.iter().zip(&nexts);
            if pairs.any(|(charge, next)| next - now > charge.limit.period()) {
                return false;
            }
            let keys = charges.iter().map(|charge| charge.key.clone());
            self.0.extend(keys.zip(nexts));
            true
        }
    }

    #[test]
    fn the_statement_does_what_the_algorithm_says() {
        for seed in 0..20 {
            let mut random = StdRng::seed_from_u64(seed);
            let kinds: Vec<_> = (0..4)
                .map(|key| {
                    let count = random.random_range(1..8);
                    let seconds = random.random_range(1..20);
                    charge(&format!("{seed} {key}"), &format!("{count}/{seconds}"))
                })
                .collect();
            let (mut reference, mut now) = (Reference::default(), NOW);
            let mut refused = 0;
            for step in 0..300 {
                // Clocks of instances differ a little, so time may go back.
                now += random.random_range(-20_000..900_000);
                let first = random.random_range(0..kinds.len());
                let last = random.random_range(first..kinds.len());
                let mut charges = vec![kinds[first].clone()];
                if last > first {
                    charges.push(kinds[last].clone());
                }
                let expected = reference.passes(&charges, now);
                assert_eq!(passes(&charges, now), expected, "seed {seed}, step {step}");
                refused += usize::from(!expected);
                if step % 50 == 0 {
                    block_on(store::prune(now - 1_000_000)).unwrap();
                }
            }
            assert!(
                (10..290).contains(&refused),
                "seed {seed} shows both: {refused}"
            );
        }
    }

    #[test]
    fn what_counts_depends_on_who_and_what() {
        let limit = |setting| Limit::parse(setting).unwrap();
        let settings = Settings {
            client: limit("100/60"),
            account: limit("50/60"),
            login: limit("5/60"),
            origins: Origins::These(Vec::new()),
            proxies: TrustedProxies::parse("0").unwrap(),
            metrics: Token::parse("").unwrap(),
        };
        let client = Some("192.0.2.1".parse().unwrap());
        let keys = |class, client, user| {
            let charges = settings.charges(class, client, user);
            charges
                .into_iter()
                .map(|charge| format!("{} {}", charge.key, charge.limit.count))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            keys(Class::Ordinary, client, None),
            ["client 192.0.2.1 100"]
        );
        assert_eq!(keys(Class::Login, client, None), ["login 192.0.2.1 5"]);
        assert_eq!(
            keys(Class::Ordinary, client, Some("u1")),
            ["client 192.0.2.1 100", "account u1 50"]
        );
        assert_eq!(keys(Class::Ordinary, None, Some("u1")), ["account u1 50"]);
        assert!(keys(Class::Login, None, None).is_empty());
        let off = Settings {
            client: None,
            account: None,
            login: None,
            ..settings
        };
        assert!(off.charges(Class::Ordinary, client, Some("u1")).is_empty());
    }
}
