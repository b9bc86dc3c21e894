//! A shop whose log of events is in Redis, where both the host and Redis are killed at random moments.

use souk_tests::{Shop, redis_server, souk_only};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::load::{Closing, Load};
use crate::plan::{self, Kill};
use crate::site::Site;

/// How often one of the two is killed at least.
const KILLS: usize = 14;

#[test]
fn with_redis_killed_as_well_the_books_balance() {
    souk_only!();
    let mut redis = redis_server!();
    let seed = plan::seed();
    let site = Site::new(Shop::launcher()).with_log_in(&redis);
    let (shop, catalogue) = site.open();
    let over = AtomicBool::new(false);
    let load = Load {
        url: &site.url,
        seed,
        catalogue: &catalogue,
        pause: 30,
        is_patient: true,
        over: &over,
    };
    let (host, answers) = std::thread::scope(|scope| {
        let answers = scope.spawn(|| load.run(6));
        let closing = Closing(&over);
        std::thread::sleep(Duration::from_secs(1));
        let mut host = shop.into_host().unwrap();
        for kill in plan::kills(seed, KILLS) {
            match kill {
                // Redis goes while the host stays, and is away for as long.
                Kill::AtStart(for_so_long) => {
                    redis.kill();
                    std::thread::sleep(for_so_long);
                    redis.start_again();
                }
                Kill::Serving(after) => {
                    std::thread::sleep(after);
                    host.kill();
                    redis.kill();
                    redis.start_again();
                    host = site.start();
                }
            }
        }
        drop(closing);
        (host, answers.join().unwrap())
    });
    site.wait_for_rest();
    site.audit(&host, &answers);
}
