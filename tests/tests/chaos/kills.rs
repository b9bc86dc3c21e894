//! A host that is killed at random moments.

use souk_tests::{Shop, souk_only};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::load::{Closing, Load};
use crate::plan::{self, Kill};
use crate::site::Site;

/// How often the host is killed at least.
const KILLS: usize = 28;

#[test]
fn killed_at_random_moments_the_books_balance() {
    souk_only!();
    let seed = plan::seed();
    let site = Site::new(Shop::launcher());
    // Also while it makes its tables.
    for millis in [150, 300, 450] {
        site.launch().kill_at_start(Duration::from_millis(millis));
    }
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
        let answers = scope.spawn(|| load.run(8));
        let closing = Closing(&over);
        std::thread::sleep(Duration::from_secs(2));
        shop.into_host().unwrap().kill();
        let mut kills = 1;
        for kill in plan::kills(seed, KILLS) {
            match kill {
                Kill::AtStart(after) => site.launch().kill_at_start(after),
                Kill::Serving(after) => {
                    let host = site.start();
                    std::thread::sleep(after);
                    host.kill();
                }
            }
            kills += 1;
        }
        println!("the host was killed {kills} times");
        let host = site.start();
        drop(closing);
        (host, answers.join().unwrap())
    });
    site.wait_for_rest();
    site.audit(&host, &answers);
}
