//! One service that fails while the others go on.
//!
//! The shop's manifest is changed for it: the service goes by another name, and under its own stands a fixture that passes on what
//! is for it, or does not.

use reqwest::blocking::Client;
use souk_tests::{Shop, repo, souk_only};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use toml::{Table, Value, toml};

use crate::load::{Closing, Load};
use crate::plan;
use crate::site::Site;

/// A shop in which one service can be made to fail.
struct Faulty {
    service: String,
    site: Site,
    _manifest: TempDir,
}

impl Faulty {
    fn new(service: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spin.toml");
        std::fs::write(&file, manifest(service).to_string()).unwrap();
        let launch = Shop::launcher_without_ticker(file.to_str().unwrap());
        Self {
            service: service.to_owned(),
            site: Site::new(launch.args("--tick 1")),
            _manifest: dir,
        }
    }

    /// Says what goes wrong from now on. (An instance that is about to crash may take that with it.)
    fn fail(&self, how: &str) {
        let url = format!("{}/faults/{how}", self.site.url);
        let told = || Client::new().post(&url).send().unwrap().status() == 204;
        assert!((0..20).any(|_| told()), "nobody listens");
    }

    /// Whether anybody has noticed: the broker that delivers to it, or those who publish to it.
    fn is_felt(&self) -> bool {
        let (name, sql) = match &*self.service {
            "events" => (
                "orders",
                "SELECT failures FROM outbox_progress WHERE ?1 <> ''",
            ),
            _ => (
                "events",
                "SELECT failures + (SELECT count(*) FROM held WHERE consumer = ?1) FROM subscriptions WHERE consumer = ?1",
            ),
        };
        let database = self.site.read(name);
        database
            .query_row(sql, [&self.service], |row| row.get::<_, i64>(0))
            .unwrap()
            > 0
    }

    /// Has the service fail in one way after the other, each for so many seconds, while people go on using the shop; then
    /// everything has to come right. `meanwhile` looks at the shop in the middle of the last one.
    fn endures(self, script: &[(&str, u64)], meanwhile: impl FnOnce(&Shop, &Site)) {
        let seed = plan::seed();
        let (shop, catalogue) = self.site.open();
        let over = AtomicBool::new(false);
        let load = Load {
            url: &self.site.url,
            seed,
            catalogue: &catalogue,
            pause: 150,
            is_patient: true,
            over: &over,
        };
        let answers = std::thread::scope(|scope| {
            let answers = scope.spawn(|| load.run(3));
            let closing = Closing(&over);
            std::thread::sleep(Duration::from_secs(1));
            for (index, (how, seconds)) in script.iter().enumerate() {
                let half = Duration::from_millis(seconds * 500);
                self.fail(how);
                std::thread::sleep(half);
                if index + 1 == script.len() {
                    meanwhile(&shop, &self.site);
                    break;
                }
                std::thread::sleep(half);
            }
            let (_, seconds) = script[script.len() - 1];
            std::thread::sleep(Duration::from_millis(seconds * 500));
            assert!(self.is_felt(), "nothing has failed at all");
            self.fail("pass");
            drop(closing);
            answers.join().unwrap()
        });
        self.site.wait_for_rest();
        self.site.audit(shop.host().unwrap(), &answers);
    }
}

/// The shop's manifest with the fixture in the place of a service, and fit for another folder.
fn manifest(service: &str) -> Table {
    let text = std::fs::read_to_string(repo().join("spin.toml")).unwrap();
    let mut manifest: Table = text.parse().unwrap();
    let real = format!("{service}-real");

    let components = manifest["component"].as_table_mut().unwrap();
    let moved = components.remove(service).unwrap();
    components.insert(real.clone(), moved);
    let stand_in = toml! {
        source = "target/wasm32-wasip1/release/examples/faults.wasm"
        key_value_stores = ["default"]
    };
    components.insert(service.to_owned(), Value::Table(stand_in));
    components
        .iter_mut()
        .for_each(|(_, component)| move_away(component));
    let stand_in = components[service].as_table_mut().unwrap();
    let granted = format!("http://{real}.spin.internal");
    stand_in.insert("allowed_outbound_hosts".into(), vec![granted].into());
    let environment = Table::from_iter([("REAL".to_owned(), Value::from(real.as_str()))]);
    stand_in.insert("environment".into(), environment.into());

    let triggers = manifest["trigger"]["http"].as_array_mut().unwrap();
    let own = triggers
        .iter_mut()
        .find(|trigger| trigger["component"].as_str() == Some(service));
    let own = own.unwrap().as_table_mut().unwrap();
    let private = own.insert("route".into(), "/faults/...".into()).unwrap();
    let hidden = [
        ("component".to_owned(), real.into()),
        ("route".into(), private),
    ];
    triggers.push(Table::from_iter(hidden).into());
    manifest
}

/// Makes the paths of a component absolute.
fn move_away(component: &mut Value) {
    let component = component.as_table_mut().unwrap();
    component.remove("build");
    let absolute = |path: &mut Value| {
        let whole: PathBuf = repo().canonicalize().unwrap().join(path.as_str().unwrap());
        *path = whole.to_str().unwrap().into();
    };
    absolute(&mut component["source"]);
    let files = component.get_mut("files").and_then(Value::as_array_mut);
    files
        .into_iter()
        .flatten()
        .for_each(|file| absolute(&mut file["source"]));
}

/// Fails unless what inventory does is known to products some moments later.
fn availability_follows(shop: &Shop, site: &Site) {
    let product = shop.product_with_stock(17, 100);
    let products = site.read("products");
    let sql = "SELECT count(*) FROM availability WHERE product_id = ?1 AND available = 17";
    let started = Instant::now();
    while products
        .query_row(sql, [&product], |row| row.get::<_, i64>(0))
        .unwrap()
        == 0
    {
        let waited = started.elapsed();
        assert!(
            waited < Duration::from_secs(3),
            "products hears nothing of inventory"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("availability followed in {:?}", started.elapsed());
}

#[test]
fn a_consumer_that_answers_500_gets_everything_in_the_end() {
    souk_only!();
    Faulty::new("notifications").endures(&[("500", 10)], availability_follows);
}

#[test]
fn a_consumer_that_hangs_holds_up_only_itself() {
    souk_only!();
    Faulty::new("notifications").endures(&[("hang", 12)], availability_follows);
}

#[test]
fn a_consumer_whose_answers_are_lost_or_that_crashes_after_its_work_does_nothing_twice() {
    souk_only!();
    Faulty::new("notifications").endures(&[("lose", 6), ("crash", 6)], availability_follows);
}

#[test]
fn a_broker_that_is_down_or_hangs_gets_every_event_in_the_end() {
    souk_only!();
    Faulty::new("events").endures(&[("503", 15), ("hang", 15)], |_, _| {});
}

#[test]
fn a_broker_whose_answers_are_lost_takes_each_event_once() {
    souk_only!();
    Faulty::new("events").endures(&[("lose", 6), ("crash", 6)], |_, _| {});
}

#[test]
fn a_service_that_works_but_takes_no_events_takes_them_later() {
    souk_only!();
    let script = [("500/internal/events", 8)];
    Faulty::new("inventory").endures(&script, |shop, _| {
        shop.put_category("later", "Things that are made meanwhile");
        shop.post_product("later", serde_json::json!({}));
    });
}
