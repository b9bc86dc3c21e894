//! A shop under test: one that the test starts, or one that runs already.

use crate::customer::{Customer, Session};
use crate::{Host, Launch, Reply, client, on_spin};
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long an access token is used; it lives for 15 minutes.
const TOKEN_USE: Duration = Duration::from_secs(10 * 60);

/// The administrator of the shops that tests start.
pub const ADMIN_EMAIL: &str = "admin@souk.example";
/// The administrator's password.
pub const ADMIN_PASSWORD: &str = "a password of the tests";

/// What whoever scrapes the metrics of shops that tests start has to bring.
pub const METRICS_TOKEN: &str = "the-token-of-metrics-of-the-tests";

/// A shop, seen from outside.
pub struct Shop {
    /// Where it is, without a trailing slash.
    pub url: String,
    client: Client,
    admin: Arc<Admin>,
    host: Option<Host>,
}

/// The administrator, who logs in once for all tests of a shop.
struct Admin {
    email: String,
    password: String,
    token: Mutex<Option<(Instant, String)>>,
}

impl Admin {
    fn new(email: &str, password: &str) -> Arc<Self> {
        Arc::new(Self {
            email: email.to_owned(),
            password: password.to_owned(),
            token: Mutex::new(None),
        })
    }

    /// Of the shop at `SOUK_BASE_URL`.
    fn of_the_running_shop() -> Arc<Self> {
        static ADMIN: OnceLock<Arc<Admin>> = OnceLock::new();
        let told = |name| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name}, to act as the administrator"))
        };
        let admin = || Self::new(&told("SOUK_ADMIN_EMAIL"), &told("SOUK_ADMIN_PASSWORD"));
        ADMIN.get_or_init(admin).clone()
    }
}

impl Shop {
    /// The shop at `SOUK_BASE_URL`, else one that is started for this test and empty.
    ///
    /// # Panics
    /// When it does not start, or the running shop's `SOUK_ADMIN_EMAIL` and `SOUK_ADMIN_PASSWORD` are not told.
    pub fn open() -> Self {
        let Ok(url) = std::env::var("SOUK_BASE_URL") else {
            return Self::start();
        };
        Self {
            url: url.trim_end_matches('/').to_owned(),
            client: client(),
            admin: Admin::of_the_running_shop(),
            host: None,
        }
    }

    /// One that runs at this address, with the administrator of the tests.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            client: client(),
            admin: Admin::new(ADMIN_EMAIL, ADMIN_PASSWORD),
            host: None,
        }
    }

    /// A shop of the test's own, whatever else runs.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        Self::launch(Self::launcher())
    }

    /// How the tests' own shops start: with an administrator, and without limits on how much may be asked.
    pub fn launcher() -> Launch {
        let launch = Self::launcher_without_ticker("spin.toml");
        match on_spin() {
            true => launch,
            false => launch.args("--tick 1"),
        }
    }

    /// The same with nothing that ticks, and from any manifest of a shop.
    pub fn launcher_without_ticker(manifest: &str) -> Launch {
        Launch::of(manifest)
            .runtime_config("runtime-config.toml")
            .variable("admin_email", ADMIN_EMAIL)
            .variable("admin_password", ADMIN_PASSWORD)
            .variable("metrics_token", METRICS_TOKEN)
            .variable("rate_limit_client", "off")
            .variable("rate_limit_account", "off")
            .variable("rate_limit_login", "off")
    }

    /// A shop that starts as it is told, by a variation of [`Shop::launcher`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn launch(launch: Launch) -> Self {
        let admin = Admin::new(
            launch.variable_value("admin_email"),
            launch.variable_value("admin_password"),
        );
        let host = launch.start();
        Self {
            url: host.url.clone(),
            client: client(),
            admin,
            host: Some(host),
        }
    }

    /// The process, where the test started it.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// The process, to be stopped.
    pub fn into_host(self) -> Option<Host> {
        self.host
    }

    /// A request of somebody without any credentials.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("an HTTP method");
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// The answer to a GET of anybody.
    pub fn get(&self, path: &str) -> Reply {
        Reply::to(self.request("GET", path))
    }

    /// The answer to a request of anybody with a JSON body.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        Reply::to(self.request(method, path).json(body))
    }

    /// A request of the administrator.
    pub fn admin(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(self.admin_token())
    }

    /// The answer to a request of the administrator with a JSON body.
    pub fn admin_send(&self, method: &str, path: &str, body: &Value) -> Reply {
        Reply::to(self.admin(method, path).json(body))
    }

    /// The answer to a PUT of the administrator. A service that is asked for the first time makes its database first, which takes the longer the
    /// busier the disk is: whoever finds it not ready asks again.
    fn admin_put(&self, path: &str, body: &Value) -> Reply {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let reply = self.admin_send("PUT", path, body);
            if !matches!(reply.status, 503 | 504) || Instant::now() > deadline {
                return reply;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// An access token of the administrator.
    ///
    /// # Panics
    /// When the shop does not log them in.
    pub fn admin_token(&self) -> String {
        let mut token = self.admin.token.lock().expect("no panic");
        if let Some((made, token)) = &*token
            && made.elapsed() < TOKEN_USE
        {
            return token.clone();
        }
        let session = self.log_in(&self.admin.email, &self.admin.password);
        *token = Some((Instant::now(), session.access_token.clone()));
        session.access_token
    }

    /// Logs somebody in.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn log_in(&self, email: &str, password: &str) -> Session {
        let body = json!({"email": email, "password": password});
        let reply = self.send("POST", "/api/sessions", &body);
        assert_eq!(reply.status, 201, "{email}: {}", reply.text);
        Session::of(&reply.json())
    }

    /// A new customer, logged in.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn customer(&self) -> Customer<'_> {
        Customer::register(self)
    }

    /// Makes a category.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn put_category(&self, slug: &str, name: &str) {
        let body = json!({"name": name, "position": 1});
        let reply = self.admin_put(&format!("/api/categories/{slug}"), &body);
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
    }

    /// Makes a product of a category, with more or other fields, and gives it as the shop does.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn post_product(&self, category: &str, fields: Value) -> Value {
        let mut body = json!({
            "sku": unique("SKU").to_uppercase(),
            "name": "A thing",
            "description": "One of the things of a test.",
            "category": category,
            "price": {"amount": 1000, "currency": "EUR"},
        });
        if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
            body.extend(fields);
        }
        let reply = self.admin_send("POST", "/api/products", &body);
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }

    /// Makes a product at this price (in cents) of which there are so many, in a category of its own, and returns its id.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn product_with_stock(&self, on_hand: i64, price: i64) -> String {
        let category = unique("cat");
        self.put_category(&category, "Things in stock");
        let price = json!({"price": {"amount": price, "currency": "EUR"}});
        let made = self.post_product(&category, price);
        let id = made["id"].as_str().expect("an id").to_owned();
        self.set_stock(&id, on_hand);
        id
    }

    /// Says how much there is of a product.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn set_stock(&self, product: &str, on_hand: i64) {
        let path = format!("/api/inventory/{product}");
        let reply = self.admin_put(&path, &json!({"on_hand": on_hand}));
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// How much there is of a product: on hand, reserved, available.
    ///
    /// # Panics
    /// When the shop does not know.
    pub fn stock(&self, product: &str) -> [i64; 3] {
        let level = self.get(&format!("/api/inventory/{product}")).json();
        ["on_hand", "reserved", "available"].map(|name| {
            let number = level[name].as_i64();
            number.unwrap_or_else(|| panic!("no {name} in {level}"))
        })
    }

    /// Waits until there is so much of a product: on hand, reserved, available. What an order has taken goes off the stock a
    /// moment after its confirmation.
    ///
    /// # Panics
    /// When there is something else for 30 seconds.
    pub fn wait_for_stock(&self, product: &str, expected: [i64; 3]) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.stock(product) != expected {
            let stock = self.stock(product);
            assert!(Instant::now() < deadline, "{stock:?} is not {expected:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fails unless the stock levels are what the ledger and the open reservations say.
    ///
    /// # Panics
    /// When they are not.
    pub fn audit(&self) {
        let audit = Reply::to(self.admin("GET", "/api/inventory/audit")).json();
        assert_eq!(audit["mismatches"], json!([]), "{audit}");
    }
}

/// A name no other test has used, in this run or any before it.
pub fn unique(prefix: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{prefix}-{}", &id[20..])
}
