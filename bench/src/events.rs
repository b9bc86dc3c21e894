//! `souk-bench events`: how late events come to their consumers while the shop is used, and how fast a backlog is drained.

use crate::server::{Server, free_address, get, on_path, repo, send, up};
use crate::shop::{DURATION, JSON, Shop, milliseconds};
use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use rusqlite::Connection;
use serde_json::{Value, json};
use souk_tokens::{Claims, Key, Role};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clients that the shop's peak is measured with, and that order at half of it.
const CLIENTS: usize = 32;
/// For how long the shop is used at half of its peak.
const PACED: Duration = Duration::from_secs(20);
/// Events of the backlog.
const BACKLOG: usize = 100_000;
/// Events in one request.
const BATCH: usize = 500;
/// How many aggregates the events of the backlog are of.
const SUBJECTS: usize = 1000;

const SERVICE_KEY: &str = "the key of the benchmark";

/// Prints the report.
///
/// # Errors
/// When something does not run; build first (`cargo xtask bench events` does).
pub fn run() -> anyhow::Result<()> {
    let souk = std::env::var_os("SOUK_BIN").context("SOUK_BIN names the host's binary")?;
    println!("# Events\n");
    println!(
        "Server and generator on the same {} cores.\n",
        std::thread::available_parallelism()?
    );
    latencies(&souk)?;
    println!("## A backlog of {BACKLOG} events\n");
    println!(
        "Published in batches of {BATCH} while the consumer is away, then drained: {SUBJECTS} subjects, one delivery an event, each of \
         which the consumer commits to its own database. Memory is that of the whole process.\n"
    );
    println!(
        "| log | published a second | drained a second | memory before | with the backlog | most while draining |"
    );
    println!("|---|---|---|---|---|---|");
    backlog(&souk, "SQLite", None)?;
    match Redis::start()? {
        Some(redis) => backlog(&souk, "Redis, fsync always", Some(&redis.url))?,
        None => println!("| Redis | no redis-server on the PATH | | | | |"),
    }
    Ok(())
}

/// From the commit of a change to the commit of the consumer's effect, by the clocks of both databases.
fn latencies(souk: &OsStr) -> anyhow::Result<()> {
    let shop = Shop::start(souk, CLIENTS)?;
    let peak = shop.orders(CLIENTS, DURATION)?;
    settle(&shop)?;
    let begun = begin(&shop)?;
    let events = count(&shop)?;
    let rate = peak.rate / 2.0;
    let ordered = paced(&shop, rate)?;
    settle(&shop)?;
    let events = count(&shop)? - events;
    println!("## While the shop is used\n");
    println!(
        "The shop takes {:.0} orders a second of {CLIENTS} clients. At half of that, {} orders in {} s, {events} events passed the broker \
         ({:.0} a second).\n",
        peak.rate,
        ordered,
        PACED.as_secs(),
        events as f64 / PACED.as_secs_f64()
    );
    println!("| from | to | p50 | p99 | worst |\n|---|---|---|---|---|");
    let confirmed = "SELECT history.order_id, history.at, told.created_at FROM order_history AS history \
                     JOIN notifications.notifications AS told ON told.cause = 'order.confirmed/' || history.order_id \
                     WHERE history.status = 'confirmed' AND history.at > ?1";
    row(
        &shop,
        "order confirmed",
        "confirmation in the inbox",
        "orders",
        confirmed,
        &begun,
    )?;
    let captured = "SELECT transactions.payment_id, transactions.created_at, told.created_at FROM transactions \
                    JOIN notifications.notifications AS told ON told.cause = 'payment.captured/' || transactions.payment_id \
                    WHERE transactions.kind = 'capture' AND transactions.status = 'succeeded' AND transactions.created_at > ?1";
    row(
        &shop,
        "payment captured",
        "receipt in the inbox",
        "payments",
        captured,
        &begun,
    )?;
    println!();
    Ok(())
}

fn row(
    shop: &Shop,
    from: &str,
    to: &str,
    database: &str,
    sql: &str,
    begun: &str,
) -> anyhow::Result<()> {
    let database = Connection::open(shop.database(database))?;
    database.execute(
        "ATTACH ?1 AS notifications",
        [shop.database("notifications").to_string_lossy()],
    )?;
    let sql = format!(
        "WITH pairs (id, since, until) AS ({sql}) SELECT (julianday(until) - julianday(since)) * 86400000 FROM pairs"
    );
    let mut histogram = Histogram::<u64>::new(3)?;
    let mut statement = database.prepare(&sql)?;
    let mut rows = statement.query([begun])?;
    while let Some(row) = rows.next()? {
        let took: f64 = row.get(0)?;
        histogram.record((took.max(0.0) * 1000.0) as u64)?;
    }
    if histogram.is_empty() {
        bail!("no {to} has come");
    }
    let at = |percent| milliseconds(histogram.value_at_percentile(percent));
    println!(
        "| {from} | {to} | {} | {} | {} |",
        at(50.0),
        at(99.0),
        milliseconds(histogram.max())
    );
    Ok(())
}

/// Orders so many a second, whether or not the ones before are answered; says how many.
fn paced(shop: &Shop, rate: f64) -> anyhow::Result<usize> {
    let begun = Instant::now();
    let run = uuid::Uuid::now_v7();
    let count = (rate * PACED.as_secs_f64()) as usize;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || -> anyhow::Result<()> {
                    for number in (client..count).step_by(CLIENTS) {
                        let at = begun + Duration::from_secs_f64(number as f64 / rate);
                        std::thread::sleep(at.saturating_duration_since(Instant::now()));
                        shop.order(client, &format!("{run}-{number}"))?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| match client.join() {
                Ok(outcome) => outcome,
                Err(_) => bail!("a client panicked"),
            })
    })?;
    Ok(count)
}

fn log(shop: &Shop) -> anyhow::Result<Connection> {
    Ok(Connection::open(shop.database("events"))?)
}

fn count(shop: &Shop) -> anyhow::Result<i64> {
    Ok(log(shop)?.query_row("SELECT max(position) FROM log", [], |row| row.get(0))?)
}

/// Now, as the databases have it.
fn begin(shop: &Shop) -> anyhow::Result<String> {
    let now = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ')";
    Ok(log(shop)?.query_row(now, [], |row| row.get(0))?)
}

/// Waits until every consumer is at the end of the log; whoever uses the shop meanwhile brings it there.
fn settle(shop: &Shop) -> anyhow::Result<()> {
    let begun = Instant::now();
    let behind = "SELECT max((SELECT max(position) FROM log) - position) FROM subscriptions";
    let mut quiet = 0;
    while quiet < 5 {
        let behind: i64 = log(shop)?.query_row(behind, [], |row| row.get(0))?;
        quiet = if behind == 0 { quiet + 1 } else { 0 };
        if begun.elapsed() > Duration::from_secs(120) {
            bail!("the consumers do not come to the end of the log");
        }
        get(shop.server.address, "/healthz")?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The broker with one consumer, on its own.
struct Broker {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Broker {
    fn start(souk: &OsStr, redis: Option<&str>) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let address = free_address()?;
        let manifest = repo().join("tests/standalone/events.toml").canonicalize()?;
        let runtime_config = repo().join("runtime-config.toml");
        let mut command = up(souk, &manifest, &runtime_config, dir.path(), address)?;
        command
            .args(["--tick", "1"])
            .env("SPIN_VARIABLE_SERVICE_KEY", SERVICE_KEY);
        if let Some(url) = redis {
            command
                .env("SPIN_VARIABLE_BROKER", "redis")
                .env("SPIN_VARIABLE_BROKER_REDIS_URL", url);
        }
        let server = Server::start(&mut command, address, "/healthz")?;
        Ok(Self { server, _dir: dir })
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn behave(&self, how: &str) -> anyhow::Result<()> {
        send(self.address(), "PUT", "/first/behave", "", how).map(drop)
    }

    fn publish(&self, from: usize) -> anyhow::Result<()> {
        let event = |number: usize| {
            json!({
                "specversion": "1.0", "id": number.to_string(), "source": "/services/things", "type": "thing.lost",
                "subject": (number % SUBJECTS).to_string(), "time": "2026-01-01T00:00:00.000Z", "data": {"number": number},
            })
        };
        let events: Value = (from..from + BATCH).map(event).collect();
        let headers = format!("{JSON}{}", token("things", None));
        send(
            self.address(),
            "POST",
            "/events",
            &headers,
            &events.to_string(),
        )
        .map(drop)
    }

    /// How many events of the log the consumer has not come to yet, or that are held back for it.
    fn behind(&self) -> anyhow::Result<u64> {
        let headers = token("gateway", Some(Role::Admin));
        let standings = send(
            self.address(),
            "GET",
            "/api/ops/subscriptions",
            &headers,
            "",
        )?;
        let standings: Value = serde_json::from_str(&standings)?;
        let all = standings["items"].as_array().context("standings")?;
        let first = all
            .iter()
            .find(|it| it["consumer"] == "first")
            .context("the consumer")?;
        let number = |name: &str| first[name].as_u64().with_context(|| format!("no {name}"));
        Ok(number("behind")? + number("held")?)
    }
}

fn token(caller: &str, role: Option<Role>) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let claims = Claims::new(caller, "events", now).acting_as(None, role);
    format!("x-souk-token: {}\r\n", Key::new(SERVICE_KEY).sign(&claims))
}

fn backlog(souk: &OsStr, name: &str, redis: Option<&str>) -> anyhow::Result<()> {
    let broker = Broker::start(souk, redis)?;
    broker.behave("503")?;
    broker.publish(0)?;
    let before = broker.server.resident()?;
    let begun = Instant::now();
    for from in (BATCH..BACKLOG).step_by(BATCH) {
        broker.publish(from)?;
    }
    let published = (BACKLOG - BATCH) as f64 / begun.elapsed().as_secs_f64();
    let full = broker.server.resident()?;

    broker.behave("well")?;
    let begun = Instant::now();
    let mut most: f64 = 0.0;
    while broker.behind()? > 0 {
        most = most.max(broker.server.resident()?);
        if begun.elapsed() > Duration::from_secs(600) {
            bail!("the backlog is not drained after ten minutes");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let drained = BACKLOG as f64 / begun.elapsed().as_secs_f64();
    get(broker.address(), "/healthz")?;
    println!(
        "| {name} | {published:.0} | {drained:.0} | {before:.0} MB | {full:.0} MB | {most:.0} MB |"
    );
    Ok(())
}

/// A Redis server on a free port, killed when dropped.
struct Redis {
    child: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Redis {
    /// Starts one that keeps what it acknowledges; none where there is no redis-server.
    fn start() -> anyhow::Result<Option<Self>> {
        if !on_path("redis-server") {
            return Ok(None);
        }
        let (address, dir) = (free_address()?, tempfile::tempdir()?);
        let port = address.port().to_string();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
                "--dir",
            ])
            .arg(Path::new(dir.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self {
            child,
            url: format!("redis://{address}"),
            _dir: dir,
        };
        for _ in 0..500 {
            if std::net::TcpStream::connect(address).is_ok() {
                return Ok(Some(redis));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("redis-server does not answer")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
