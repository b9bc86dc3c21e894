//! `souk-bench shop`: the shop as its customers use it, beside one native process that does the same.

use crate::load::{self, Load, Outcome};
use crate::server::{Server, free_address, get, repo, send, up};
use anyhow::Context;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CLIENTS: [usize; 4] = [1, 8, 32, 128];
/// For how long there is load.
pub const DURATION: Duration = Duration::from_secs(4);
const ADMIN: &str = "admin@souk.example";
const PASSWORD: &str = "a password of the benchmark";
/// Enough that no checkout runs out of it.
const STOCK: u64 = 1_000_000;

/// Prints the report. More clients than the host takes at once are refused, and wait for a second.
///
/// # Errors
/// When something does not run; build first (`cargo xtask bench shop` does).
pub fn run() -> anyhow::Result<()> {
    let souk = std::env::var_os("SOUK_BIN").context("SOUK_BIN names the host's binary")?;
    println!("# The shop under load\n");
    println!(
        "{} s each, server and generator on the same {} cores, rate limits off. `synchronous = FULL` for orders, \
         payments and inventory on both sides.\n",
        DURATION.as_secs(),
        std::thread::available_parallelism()?
    );
    let most = CLIENTS.into_iter().max().unwrap_or_default();
    let shop = Shop::start(&souk, most)?;
    let native = Native::start(&shop)?;

    println!("| | clients | a second | p50 | p99 | refused | of native |");
    println!("|---|---|---|---|---|---|---|");
    for clients in CLIENTS {
        let baseline = native.read(clients)?;
        row("native product read", clients, &baseline, None);
        let path = format!("/api/products/{}", shop.product);
        let read = load::get(shop.address(), &path, clients, DURATION)?;
        row("product read", clients, &read, Some(&baseline));
    }
    for clients in CLIENTS {
        let found = load::get(
            shop.address(),
            "/api/products?q=tea&limit=20",
            clients,
            DURATION,
        )?;
        row("search", clients, &found, None);
    }
    for clients in CLIENTS {
        row("cart update", clients, &shop.cart_updates(clients)?, None);
    }
    for clients in CLIENTS {
        row("login", clients, &shop.logins(clients)?, None);
    }
    for clients in CLIENTS {
        let baseline = native.orders(clients)?;
        row("native checkout", clients, &baseline, None);
        let orders = shop.orders(clients, DURATION)?;
        row("checkout", clients, &orders, Some(&baseline));
    }
    println!();
    shop.breakdown()
}

fn row(name: &str, clients: usize, outcome: &Outcome, native: Option<&Outcome>) {
    let ratio = native.map_or(String::new(), |native| {
        format!("{:.0} %", 100.0 * outcome.rate / native.rate)
    });
    println!(
        "| {name} | {clients} | {:.0} | {} | {} | {:.0} % | {ratio} |",
        outcome.rate,
        milliseconds(outcome.percentile(50.0)),
        milliseconds(outcome.percentile(99.0)),
        outcome.refused()
    );
}

/// Microseconds, written as milliseconds.
pub fn milliseconds(microseconds: u64) -> String {
    format!("{:.2} ms", microseconds as f64 / 1000.0)
}

/// The body of an order of one piece of a product.
pub fn order(product: &str) -> String {
    json!({
        "items": [{"product_id": product, "quantity": 1}],
        "shipping_address": {"name": "A Customer", "line1": "1 Street", "city": "Town", "postal_code": "12345", "country": "DE"},
        "payment_method": {"type": "card", "number": "4242424242424242", "exp_month": 12, "exp_year": 2099, "cvc": "123"},
    })
    .to_string()
}

/// A load of checkouts; `authorization` says who each connection is.
fn orders(
    address: SocketAddr,
    clients: usize,
    duration: Duration,
    product: &str,
    authorization: impl Fn(usize) -> String,
) -> anyhow::Result<Outcome> {
    let body = order(product);
    let run = uuid::Uuid::now_v7();
    Load {
        address,
        connections: clients,
        duration,
        request: |client, sent| {
            let headers = format!(
                "content-type: application/json\r\nidempotency-key: {run}-{client}-{sent}\r\n{}",
                authorization(client)
            );
            load::request(address, "POST", "/api/orders", &headers, &body)
        },
        status: 201,
    }
    .run()
}

/// The shop, with the catalogue, stock and customers.
pub struct Shop {
    /// The process.
    pub server: Server,
    /// The product that is read and bought.
    pub product: String,
    /// One customer for each connection: e-mail and access token.
    customers: Vec<(String, String)>,
    dir: tempfile::TempDir,
}

/// Starts the shop without rate limits, with its state in `dir` and more variables in its environment.
///
/// # Errors
/// When it does not serve.
pub fn start_server(souk: &OsStr, dir: &Path, env: &[(&str, String)]) -> anyhow::Result<Server> {
    let address = free_address()?;
    let manifest = repo().join("spin.toml").canonicalize()?;
    let runtime_config = repo().join("runtime-config.toml");
    let mut command = up(souk, &manifest, &runtime_config, dir, address)?;
    command
        .envs(env.iter().map(|(name, value)| (name, value)))
        .env("SPIN_VARIABLE_ADMIN_EMAIL", ADMIN)
        .env("SPIN_VARIABLE_ADMIN_PASSWORD", PASSWORD);
    for limit in ["CLIENT", "ACCOUNT", "LOGIN"] {
        command.env(format!("SPIN_VARIABLE_RATE_LIMIT_{limit}"), "off");
    }
    Server::start(&mut command, address, "/api/products")
}

impl Shop {
    /// Starts a shop with the demo catalogue and so many customers.
    ///
    /// # Errors
    /// When it does not take them.
    pub fn start(souk: &OsStr, customers: usize) -> anyhow::Result<Self> {
        Self::start_with(souk, customers, &[])
    }

    /// The same, with more variables in its environment.
    ///
    /// # Errors
    /// When it does not take them.
    pub fn start_with(
        souk: &OsStr,
        customers: usize,
        env: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let server = start_server(souk, dir.path(), env)?;
        let address = server.address;
        let product = fill(address, &log_in(address, ADMIN)?)?;
        let customers: Vec<_> = (0..customers)
            .map(|number| register(address, &format!("customer{number}@souk.example")))
            .collect::<anyhow::Result<_>>()?;
        if let Some((_, token)) = customers.first() {
            // So that every database is there.
            let headers =
                format!("authorization: Bearer {token}\r\n{JSON}idempotency-key: first\r\n");
            send(address, "POST", "/api/orders", &headers, &order(&product))?;
        }
        Ok(Self {
            server,
            product,
            customers,
            dir,
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The line of the head that says who a client is.
    pub fn authorization(&self, client: usize) -> String {
        let (_, token) = &self.customers[client];
        format!("authorization: Bearer {token}\r\n")
    }

    fn cart_updates(&self, clients: usize) -> anyhow::Result<Outcome> {
        let path = format!("/api/cart/items/{}", self.product);
        Load {
            address: self.address(),
            connections: clients,
            duration: DURATION,
            request: |client, sent| {
                let body = json!({"quantity": 1 + sent % 9}).to_string();
                let headers = format!(
                    "content-type: application/json\r\n{}",
                    self.authorization(client)
                );
                load::request(self.address(), "PUT", &path, &headers, &body)
            },
            status: 200,
        }
        .run()
    }

    fn logins(&self, clients: usize) -> anyhow::Result<Outcome> {
        Load {
            address: self.address(),
            connections: clients,
            duration: DURATION,
            request: |client, _| {
                let (email, _) = &self.customers[client];
                let body = json!({"email": email, "password": PASSWORD}).to_string();
                load::request(self.address(), "POST", "/api/sessions", JSON, &body)
            },
            status: 201,
        }
        .run()
    }

    /// A load of checkouts by so many clients.
    ///
    /// # Errors
    /// When one of them is not confirmed.
    pub fn orders(&self, clients: usize, duration: Duration) -> anyhow::Result<Outcome> {
        orders(self.address(), clients, duration, &self.product, |client| {
            self.authorization(client)
        })
    }

    /// One checkout, of a customer and with a key.
    ///
    /// # Errors
    /// When it is not confirmed.
    pub fn order(&self, client: usize, key: &str) -> anyhow::Result<()> {
        let headers = format!(
            "{}{JSON}idempotency-key: {key}\r\n",
            self.authorization(client)
        );
        send(
            self.address(),
            "POST",
            "/api/orders",
            &headers,
            &order(&self.product),
        )
        .map(drop)
    }

    /// Where a checkout spends its time: the saga's own log says when each step began and was done.
    fn breakdown(&self) -> anyhow::Result<()> {
        let before: String = self.orders_database()?.query_row(
            "SELECT coalesce(max(at), '') FROM saga_log",
            [],
            |row| row.get(0),
        )?;
        let alone = self.orders(1, DURATION)?;
        println!("## Where a checkout spends its time\n");
        println!(
            "One client, from the saga's log; the rest of its {} at the median is the way in and out, the \
                  card's token and the first write.\n",
            milliseconds(alone.percentile(50.0))
        );
        println!("| step | mean |\n|---|---|");
        let database = self.orders_database()?;
        let mut statement = database.prepare(
            "SELECT done.step, avg((julianday(done.at) - julianday(started.at)) * 86400000.0) \
             FROM saga_log done JOIN saga_log started USING (order_id, step) \
             WHERE done.event = 'done' AND started.event = 'started' AND done.at > ?1 \
             GROUP BY done.step ORDER BY min(done.seq)",
        )?;
        let mut steps = statement.query([before])?;
        while let Some(step) = steps.next()? {
            let (name, mean): (String, f64) = (step.get(0)?, step.get(1)?);
            println!("| {name} | {mean:.2} ms |");
        }
        Ok(())
    }

    fn orders_database(&self) -> anyhow::Result<rusqlite::Connection> {
        Ok(rusqlite::Connection::open(self.database("orders"))?)
    }

    /// Where a service's database is.
    pub fn database(&self, service: &str) -> std::path::PathBuf {
        self.dir.path().join(format!(".spin/{service}.db"))
    }
}

/// The header of a JSON body.
pub const JSON: &str = "content-type: application/json\r\n";

/// Makes a customer and returns e-mail and access token.
fn register(address: SocketAddr, email: &str) -> anyhow::Result<(String, String)> {
    let body = json!({"email": email, "password": PASSWORD, "name": "A Customer"});
    send(address, "POST", "/api/users", JSON, &body.to_string())?;
    Ok((email.to_owned(), log_in(address, email)?))
}

fn log_in(address: SocketAddr, email: &str) -> anyhow::Result<String> {
    let body = json!({"email": email, "password": PASSWORD});
    let session = send(address, "POST", "/api/sessions", JSON, &body.to_string())?;
    let session: Value = serde_json::from_str(&session)?;
    Ok(text(&session, "access_token")?.to_owned())
}

/// Loads the demo catalogue, and returns the id of the product to buy, of which there is plenty.
fn fill(address: SocketAddr, token: &str) -> anyhow::Result<String> {
    let admin = format!("authorization: Bearer {token}\r\n{JSON}");
    let catalogue = std::fs::read_to_string(repo().join("demo/catalogue.json"))?;
    let catalogue: Value = serde_json::from_str(&catalogue)?;
    for category in catalogue["categories"].as_array().context("categories")? {
        let path = format!("/api/categories/{}", text(category, "slug")?);
        let body = json!({"name": category["name"], "position": category["position"]});
        send(address, "PUT", &path, &admin, &body.to_string())?;
    }
    let mut last = String::new();
    for product in catalogue["products"].as_array().context("products")? {
        let mut product = product.clone();
        product
            .as_object_mut()
            .context("a product")?
            .remove("on_hand");
        let created = send(
            address,
            "POST",
            "/api/products",
            &admin,
            &product.to_string(),
        )?;
        last = text(&serde_json::from_str(&created)?, "id")?.to_owned();
    }
    let path = format!("/api/inventory/{last}");
    let stock = json!({"on_hand": STOCK}).to_string();
    send(address, "PUT", &path, &admin, &stock)?;
    Ok(last)
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("no {name} in {value}"))
}

/// The baseline process: see [`crate::native_shop`].
struct Native {
    server: Server,
    product: String,
    _dir: tempfile::TempDir,
}

impl Native {
    /// Starts it with a copy of the shop's databases.
    fn start(shop: &Shop) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        for name in ["products", "orders", "inventory", "payments"] {
            copy(
                &shop.dir.path().join(format!(".spin/{name}.db")),
                dir.path(),
            )?;
        }
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("native-shop")
            .arg(dir.path())
            .env("SOUK_BENCH_LISTEN", address.to_string());
        let server = Server::start(&mut command, address, "/healthz")?;
        get(address, &format!("/api/products/{}", shop.product))?;
        Ok(Self {
            server,
            product: shop.product.clone(),
            _dir: dir,
        })
    }

    fn read(&self, clients: usize) -> anyhow::Result<Outcome> {
        let path = format!("/api/products/{}", self.product);
        load::get(self.server.address, &path, clients, DURATION)
    }

    fn orders(&self, clients: usize) -> anyhow::Result<Outcome> {
        orders(
            self.server.address,
            clients,
            DURATION,
            &self.product,
            |_| String::new(),
        )
    }
}

/// Copies a database that is in use.
fn copy(database: &Path, dir: &Path) -> anyhow::Result<()> {
    let copy = dir.join(database.file_name().context("a file")?);
    rusqlite::Connection::open(database)?.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    Ok(())
}
