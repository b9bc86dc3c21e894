//! `souk-bench host`: what the embedded host costs, capability by capability.

use crate::load::{self, Outcome};
use crate::native;
use crate::server::{Server, free_address, get, on_path, repo, send, up};
use crate::shop::{Shop, start_server};
use anyhow::Context;
use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::time::Duration;

const CONNECTIONS: usize = 32;
const DURATION: Duration = Duration::from_secs(4);
/// Starts of which the median is told.
const STARTS: usize = 9;
/// Requests to one instance where all shall go to the same few.
const GENEROUS: [&str; 2] = ["--max-instance-reuse-count", "1000000"];
const FRESH: [&str; 2] = ["--max-instance-reuse-count", "1"];

/// Prints the report.
///
/// # Errors
/// When something does not run; build first (`cargo xtask bench host` does).
pub fn run() -> anyhow::Result<()> {
    let souk = std::env::var_os("SOUK_BIN").context("SOUK_BIN names the host's binary")?;
    println!("# What the embedded host costs\n");
    println!(
        "{CONNECTIONS} keep-alive connections, {} s each, server and generator on the same {} cores.\n",
        DURATION.as_secs(),
        std::thread::available_parallelism()?
    );
    let shop = Shop::start(&souk, 0)?;
    let path = format!("/api/products/{}", shop.product);
    let native = Native::start(&get(shop.server.address, &path)?)?;

    println!("| | requests/s | p50 | p99 | refused | of native |");
    println!("|---|---|---|---|---|---|");
    let hello = native.measure("native hello", "/hello")?;
    let key_value = native.measure("native key-value get (SQLite)", "/key-value?a")?;
    let read = native.measure("native SQLite point read", "/read?7")?;
    let product = native.measure("native product read", "/product?p")?;

    let mut hosts = vec![("souk", souk.clone())];
    if on_path("spin") {
        hosts.push(("spin", OsString::from("spin")));
    }
    for (name, binary) in &hosts {
        let fresh = Fixtures::start(binary, &FRESH)?;
        row(
            &format!("{name} hello, fresh instance each"),
            &fresh.load("/")?,
            Some(&hello),
        );
        drop(fresh);
        let fixtures = Fixtures::start(binary, &[])?;
        row(
            &format!("{name} hello, reused (default)"),
            &fixtures.load("/")?,
            Some(&hello),
        );
        let get = "/kv/get?store=default&key=a";
        row(
            &format!("{name} key-value get"),
            &fixtures.load(get)?,
            Some(&hello),
        );
        row(
            &format!("{name} key-value get, of the same"),
            &fixtures.load(get)?,
            Some(&key_value),
        );
        let point = fixtures.load("/sql/read?db=items&id=7")?;
        row(&format!("{name} SQLite point read"), &point, Some(&read));
        row(
            &format!("{name} chained call"),
            &fixtures.load("/call/chain")?,
            Some(&hello),
        );
        drop(fixtures);
        let generous = Fixtures::start(binary, &GENEROUS)?;
        row(
            &format!("{name} hello, reused without end"),
            &generous.load("/")?,
            Some(&hello),
        );
    }
    let read = load::get(shop.server.address, &path, CONNECTIONS, DURATION)?;
    row(
        "souk product read through the gateway",
        &read,
        Some(&product),
    );

    println!();
    one_at_a_time(&souk)?;
    start_and_memory(&souk, &shop)
}

/// Latency of a single client: what a request costs when nothing waits.
fn one_at_a_time(souk: &OsStr) -> anyhow::Result<()> {
    let single = |flags: &[&str]| -> anyhow::Result<Outcome> {
        let fixtures = Fixtures::start(souk, flags)?;
        load::get(fixtures.server.address, "/", 1, DURATION)
    };
    let (reused, fresh) = (single(&GENEROUS)?, single(&FRESH)?);
    let (reused, fresh) = (reused.percentile(50.0), fresh.percentile(50.0));
    println!(
        "One client: {reused} µs a request at the median with a reused instance, {fresh} µs with a fresh one: an instance costs {} µs.",
        fresh.saturating_sub(reused)
    );
    Ok(())
}

fn start_and_memory(souk: &OsStr, loaded: &Shop) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    let mut idle = 0.0;
    for _ in 0..STARTS {
        let dir = tempfile::tempdir()?;
        let server = start_server(souk, dir.path(), &[])?;
        starts.push(server.started_in);
        idle = server.resident()?;
    }
    starts.sort();
    println!(
        "The shop starts in {} ms with its code compiled (process start to first 200, median of {STARTS}).",
        starts[STARTS / 2].as_millis()
    );
    println!(
        "It has {idle:.0} MB resident when idle after its first answer, {:.0} MB after the load above.",
        loaded.server.resident()?
    );
    Ok(())
}

fn row(name: &str, outcome: &Outcome, native: Option<&Outcome>) {
    let ratio = native.map_or(String::new(), |native| {
        format!("{:.0} %", 100.0 * outcome.rate / native.rate)
    });
    println!(
        "| {name} | {:.0} | {} µs | {} µs | {:.0} % | {ratio} |",
        outcome.rate,
        outcome.percentile(50.0),
        outcome.percentile(99.0),
        outcome.refused()
    );
}

/// The baseline process.
struct Native {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Native {
    fn start(product: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let database = dir.path().join("native.db");
        native::prepare(&database, product)?;
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("native")
            .arg(&database)
            .env("SOUK_BENCH_LISTEN", address.to_string());
        let server = Server::start(&mut command, address, "/hello")?;
        Ok(Self { server, _dir: dir })
    }

    fn measure(&self, name: &str, path: &str) -> anyhow::Result<Outcome> {
        let outcome = load::get(self.server.address, path, CONNECTIONS, DURATION)?;
        row(name, &outcome, None);
        Ok(outcome)
    }
}

/// A host with the fixture components and something to read.
struct Fixtures {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Fixtures {
    fn start(binary: &OsStr, flags: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let address = free_address()?;
        let manifest = repo().join("tests/fixtures/spin.toml").canonicalize()?;
        let runtime_config = manifest.with_file_name("runtime-config.toml");
        let mut command = up(binary, &manifest, &runtime_config, dir.path(), address)?;
        let server = Server::start(command.args(flags), address, "/")?;
        get(address, "/kv/set?store=default&key=a&value=value")?;
        send(
            address,
            "POST",
            "/sql/?db=items",
            "",
            "PRAGMA journal_mode = WAL\n\
             CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price INTEGER)\n\
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO items SELECT i, 'item ' || i, i * 10 FROM n",
        )?;
        Ok(Self { server, _dir: dir })
    }

    fn load(&self, path: &str) -> anyhow::Result<Outcome> {
        load::get(self.server.address, path, CONNECTIONS, DURATION)
    }
}
