//! A shop that survives its host: always in the same folder and on the same port.

use rusqlite::{Connection, OpenFlags};
use souk_tests::audit::{self, Answers, Books};
use souk_tests::{Account, Host, Launch, Redis, Shop};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a shop gets to come to rest: some leases and pauses, one after the other.
pub const REST: Duration = Duration::from_secs(120);

/// Where the shop is.
pub struct Site {
    dir: TempDir,
    /// Its URL, while a host serves it.
    pub url: String,
    launch: Launch,
    /// Whether the log of events is in one of its databases.
    has_log: bool,
}

/// What there is to buy.
pub struct Catalogue {
    /// Products of which there are enough.
    pub plenty: Vec<String>,
    /// Products of which there are not.
    pub scarce: Vec<String>,
    /// Products that are going to be deleted.
    pub doomed: Vec<String>,
    /// The category they are in.
    pub category: String,
}

impl Catalogue {
    /// Of a shop that is given something to sell.
    pub fn of(shop: &Shop) -> Self {
        let category = "things";
        shop.put_category(category, "Things");
        let product = |on_hand: i64, price: i64| {
            let price = serde_json::json!({"price": {"amount": price, "currency": "EUR"}});
            let made = shop.post_product(category, price);
            let id = made["id"].as_str().unwrap().to_owned();
            shop.set_stock(&id, on_hand);
            id
        };
        Self {
            plenty: (1..=6)
                .map(|number| product(100_000, 100 * number))
                .collect(),
            scarce: (1..=2).map(|number| product(12, 1000 * number)).collect(),
            doomed: (1..=4).map(|number| product(50, 10 * number)).collect(),
            category: category.into(),
        }
    }
}

impl Site {
    /// Of a shop that starts like this.
    pub fn new(launch: Launch) -> Self {
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let launch = launch.args(&format!("--listen 127.0.0.1:{port}"));
        Self {
            launch: launch.dir(dir.path()),
            url: format!("http://127.0.0.1:{port}"),
            dir,
            has_log: true,
        }
    }

    /// The same, with the log of events in this Redis.
    pub fn with_log_in(mut self, redis: &Redis) -> Self {
        let launch = self.launch.variable("broker", "redis");
        self.launch = launch.variable("broker_redis_url", &redis.url());
        self.has_log = false;
        self
    }

    /// How its host starts.
    pub fn launch(&self) -> Launch {
        self.launch.clone()
    }

    /// Starts its host.
    pub fn start(&self) -> Host {
        let host = self.launch().start();
        assert_eq!(host.url, self.url);
        host
    }

    /// The folder of the databases.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join(".spin")
    }

    /// A service's database, to be looked into.
    pub fn read(&self, service: &str) -> Connection {
        let file = self.state_dir().join(format!("{service}.db"));
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }

    /// Starts the shop, and gives it something to sell.
    pub fn open(&self) -> (Shop, Catalogue) {
        let shop = Shop::launch(self.launch());
        let catalogue = Catalogue::of(&shop);
        (shop, catalogue)
    }

    /// Waits until nothing is under way any more. What still is when the time is over the auditor will say.
    pub fn wait_for_rest(&self) {
        let started = Instant::now();
        let mut unrest = self.unrest();
        while !unrest.is_empty() && started.elapsed() < REST {
            std::thread::sleep(Duration::from_millis(500));
            unrest = self.unrest();
        }
        let seconds = started.elapsed().as_secs_f32();
        println!(
            "at rest after {seconds:.1} s, but for {} things",
            unrest.len()
        );
    }

    /// What is still under way.
    pub fn unrest(&self) -> Vec<String> {
        let (state_dir, admin) = (self.state_dir(), admin());
        audit::unrest(&Books {
            state_dir: &state_dir,
            log: (!self.has_log).then_some((&self.url, &admin)),
        })
    }

    /// Has the auditor look at the shop. What it found wrong is kept.
    pub fn audit(self, host: &Host, answers: &Answers) {
        let log = if self.has_log { "database" } else { "api" };
        let (fits, text) = audit(&self.url, &self.state_dir(), log, answers, self.dir.path());
        println!("{text}");
        if !fits {
            let output = self.dir.path().join("host.txt");
            std::fs::write(&output, host.output()).unwrap();
            let kept = self.dir.keep();
            panic!("the books do not balance, see {}:\n{text}", kept.display());
        }
    }
}

/// What the auditor, a program of its own, says of a shop, and whether everything fits.
pub fn audit(
    url: &str,
    state_dir: &Path,
    log: &str,
    answers: &Answers,
    scratch: &Path,
) -> (bool, String) {
    let file = scratch.join("answers.json");
    std::fs::write(&file, serde_json::to_vec_pretty(answers).unwrap()).unwrap();
    let mut auditor = Command::new(env!("CARGO_BIN_EXE_audit"));
    auditor
        .args(["--url", url, "--log", log, "--state-dir"])
        .arg(state_dir);
    let output = auditor.arg("--answers").arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), format!("{text}{errors}"))
}

/// The administrator of the tests' shops.
pub fn admin() -> Account {
    Account {
        email: souk_tests::ADMIN_EMAIL.into(),
        password: souk_tests::ADMIN_PASSWORD.into(),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
