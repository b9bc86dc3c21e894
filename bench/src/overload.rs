//! `souk-bench overload`: the shop with four times the load it can take.
//!
//! The load is open: requests come when they come, whether or not earlier ones were answered, and their time counts from when they should have
//! been sent. Four of five look at products or lists, the others fill carts and buy.

use crate::load;
use crate::shop::{Shop, order};
use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// How many customers there are.
const CUSTOMERS: usize = 64;
/// The clients by one of which the peak is found: fewer do not use all there is, of more some are refused.
const CLIENTS: [usize; 4] = [8, 12, 16, 32];
/// The part of requests that may be refused at the peak: with more it is not the same mix that is answered, but more of what costs less.
const REFUSED_AT_PEAK: f64 = 0.005;
/// How long each part takes.
const DURATION: Duration = Duration::from_secs(10);
/// Longer than this nobody waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// More connections than this are not opened; whoever would need one is not answered.
const CONNECTIONS: usize = 4_000;

/// Prints the report.
///
/// # Errors
/// When something does not run; build first (`cargo xtask bench overload` does).
pub fn run() -> anyhow::Result<()> {
    let souk = std::env::var_os("SOUK_BIN").context("SOUK_BIN names the host's binary")?;
    let shop = Rc::new(Shop::start(&souk, CUSTOMERS)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let drive = |pace| -> anyhow::Result<Seen> {
        LocalSet::new().block_on(&runtime, Drive::new(shop.clone(), pace).run())
    };
    println!("# The shop with more to do than it can\n");
    println!(
        "{} s each, server and generator on the same {} cores, rate limits off. 70 % product pages, 15 % lists, 10 % changes of carts, 5 % orders.\n",
        DURATION.as_secs(),
        std::thread::available_parallelism()?
    );
    drive(Pace::Clients(CLIENTS[0]))?;
    let mut peak = drive(Pace::Clients(CLIENTS[0]))?;
    let mut clients = CLIENTS[0];
    for more in &CLIENTS[1..] {
        let seen = drive(Pace::Clients(*more))?;
        if seen.goodput() > peak.goodput() && seen.refused_part() <= REFUSED_AT_PEAK {
            (peak, clients) = (seen, *more);
        }
    }
    let normal = drive(Pace::Rate(peak.goodput() / 2.0))?;
    let before = shop.server.resident()?;
    let over = drive(Pace::Rate(peak.goodput() * 4.0))?;
    let resident = shop.server.resident()?;
    let after = drive(Pace::Rate(peak.goodput() / 2.0))?;

    println!(
        "| | offered a second | good a second | orders | refused | p50 of good | p99 of good | of those, orders | p99 of refusals | failed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, seen) in [
        (&*format!("peak, {clients} clients"), &peak),
        ("half of it", &normal),
        ("four times", &over),
        ("half of it, right after", &after),
    ] {
        seen.print(name);
    }
    println!("\nMemory: {before:.0} MB before, {resident:.0} MB after the overload.");
    println!("Recovery: {}.", after.recovery(&normal));
    println!("\n## Aims\n\n| | aim | here |\n|---|---|---|");
    println!(
        "| goodput, of the peak | 85 % | {:.0} % |",
        100.0 * over.goodput() / peak.goodput()
    );
    for (name, usual) in [("at the peak", &peak), ("at half of it", &normal)] {
        println!(
            "| p99 of what is let in, of that {name} | 5 times | {:.1} times |",
            p99(&over.good) / p99(&usual.good)
        );
    }
    println!(
        "| p99 of refusals | 50 ms | {} |",
        crate::shop::milliseconds(over.refused.value_at_percentile(99.0))
    );
    println!("| recovery | 10 s | {} |", after.recovery(&normal));
    Ok(())
}

fn p99(times: &Histogram<u64>) -> f64 {
    times.value_at_percentile(99.0) as f64
}

/// How requests come.
#[derive(Clone, Copy)]
enum Pace {
    /// Each of so many clients sends the next one when the last is answered.
    Clients(usize),
    /// So many a second.
    Rate(f64),
}

/// What was seen.
struct Seen {
    seconds: f64,
    offered: u64,
    /// Microseconds of what was answered as it should be.
    good: Histogram<u64>,
    /// Microseconds of what was answered 429 or 503.
    refused: Histogram<u64>,
    /// Microseconds of the orders among the good.
    orders: Histogram<u64>,
    /// Anything else.
    failed: u64,
    /// The slowest good answer and the number of refusals of each second.
    by_second: Vec<(u64, u64)>,
}

impl Seen {
    fn goodput(&self) -> f64 {
        self.good.len() as f64 / self.seconds
    }

    fn refused_part(&self) -> f64 {
        self.refused.len() as f64 / self.offered as f64
    }

    fn print(&self, name: &str) {
        let ms = crate::shop::milliseconds;
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} % | {} | {} | {} | {} | {} |",
            self.offered as f64 / self.seconds,
            self.goodput(),
            self.orders.len() as f64 / self.seconds,
            100.0 * self.refused_part(),
            ms(self.good.value_at_percentile(50.0)),
            ms(self.good.value_at_percentile(99.0)),
            ms(self.orders.value_at_percentile(99.0)),
            ms(self.refused.value_at_percentile(99.0)),
            self.failed
        );
    }

    /// After how many seconds nothing was refused and the slowest answer was not slower than is normal.
    fn recovery(&self, normal: &Self) -> String {
        let usual = normal
            .by_second
            .iter()
            .map(|it| it.0)
            .max()
            .unwrap_or_default()
            * 2;
        let bad = |it: &(u64, u64)| it.0 > usual || it.1 > 0;
        match self.by_second.iter().rposition(bad) {
            None => "at once".into(),
            Some(second) if second + 1 == self.by_second.len() => "not within the time".into(),
            Some(second) => format!("within {} s", second + 1),
        }
    }
}

struct Drive {
    shop: Rc<Shop>,
    pace: Pace,
    run: uuid::Uuid,
    sent: Cell<u64>,
    open: Cell<usize>,
    idle: RefCell<Vec<TcpStream>>,
    seen: RefCell<Seen>,
    begun: Instant,
}

impl Drive {
    fn new(shop: Rc<Shop>, pace: Pace) -> Rc<Self> {
        let histogram = || Histogram::new(3).expect("three digits");
        let seconds = usize::try_from(DURATION.as_secs()).unwrap_or_default() + 1;
        Rc::new(Self {
            shop,
            pace,
            run: uuid::Uuid::now_v7(),
            sent: Cell::new(0),
            open: Cell::new(0),
            idle: RefCell::default(),
            seen: RefCell::new(Seen {
                seconds: DURATION.as_secs_f64(),
                offered: 0,
                good: histogram(),
                refused: histogram(),
                orders: histogram(),
                failed: 0,
                by_second: vec![(0, 0); seconds],
            }),
            begun: Instant::now(),
        })
    }

    async fn run(self: Rc<Self>) -> anyhow::Result<Seen> {
        let mut tasks = Vec::new();
        match self.pace {
            Pace::Clients(count) => {
                for _ in 0..count {
                    tasks.push(tokio::task::spawn_local(self.clone().client()));
                }
            }
            Pace::Rate(rate) => {
                let total = (rate * DURATION.as_secs_f64()) as u64;
                for number in 0..total {
                    let due = self.begun + Duration::from_secs_f64(number as f64 / rate);
                    if due > Instant::now() {
                        tokio::time::sleep_until(due).await;
                    }
                    tasks.push(tokio::task::spawn_local(self.clone().one(due)));
                }
            }
        }
        for task in tasks {
            task.await?;
        }
        let drive = Rc::into_inner(self).context("nobody uses it any more")?;
        let mut seen = drive.seen.into_inner();
        seen.by_second.pop();
        Ok(seen)
    }

    async fn client(self: Rc<Self>) {
        while self.begun.elapsed() < DURATION {
            self.clone().one(Instant::now()).await;
        }
    }

    /// One request that was due at a moment.
    async fn one(self: Rc<Self>, due: Instant) {
        let number = self.sent.replace(self.sent.get() + 1);
        let (request, is_order) = self.request(number);
        let asked = tokio::time::timeout_at(due + PATIENCE, self.ask(&request)).await;
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        let second = usize::try_from((due - self.begun).as_secs()).unwrap_or_default();
        let mut seen = self.seen.borrow_mut();
        seen.offered += 1;
        match asked {
            Ok(Ok(200..300)) => {
                _ = seen.good.record(took);
                if is_order {
                    _ = seen.orders.record(took);
                }
                if let Some(it) = seen.by_second.get_mut(second) {
                    it.0 = it.0.max(took);
                }
            }
            Ok(Ok(429 | 503)) => {
                _ = seen.refused.record(took);
                if let Some(it) = seen.by_second.get_mut(second) {
                    it.1 += 1;
                }
            }
            _ => seen.failed += 1,
        }
    }

    async fn ask(&self, request: &str) -> anyhow::Result<u16> {
        let idle = self.idle.borrow_mut().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                anyhow::ensure!(self.open.get() < CONNECTIONS, "too many connections");
                self.open.set(self.open.get() + 1);
                let stream = TcpStream::connect(self.address()).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        let mut answer = Vec::with_capacity(8 << 10);
        stream.write_all(request.as_bytes()).await?;
        let status = load::read_answer(&mut stream, &mut answer).await?;
        self.idle.borrow_mut().push(stream);
        Ok(status)
    }

    fn address(&self) -> SocketAddr {
        self.shop.address()
    }

    /// The text of a request, and whether it is an order.
    fn request(&self, number: u64) -> (String, bool) {
        let (address, product) = (self.address(), &self.shop.product);
        let client = usize::try_from(number).unwrap_or_default() % CUSTOMERS;
        let headers = || {
            format!(
                "content-type: application/json\r\n{}",
                self.shop.authorization(client)
            )
        };
        match number % 20 {
            0..14 => (
                load::request(address, "GET", &format!("/api/products/{product}"), "", ""),
                false,
            ),
            14..17 => (
                load::request(
                    address,
                    "GET",
                    "/api/products?category=tea&limit=12",
                    "",
                    "",
                ),
                false,
            ),
            17..19 => {
                let body = json!({"quantity": 1 + number % 9}).to_string();
                (
                    load::request(
                        address,
                        "PUT",
                        &format!("/api/cart/items/{product}"),
                        &headers(),
                        &body,
                    ),
                    false,
                )
            }
            _ => {
                let headers = format!("idempotency-key: {}-{number}\r\n{}", self.run, headers());
                (
                    load::request(address, "POST", "/api/orders", &headers, &order(product)),
                    true,
                )
            }
        }
    }
}
