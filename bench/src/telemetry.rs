//! `souk-bench telemetry`: what it costs to trace requests.
//!
//! The same shop runs several times at once, and one after the other is under load, so that what disturbs the machine disturbs all. Then all are started
//! anew: of two processes that do the same one is faster than the other by some percent for as long as they run, so only many starts tell.

use crate::load::{self, Outcome};
use crate::shop::Shop;
use anyhow::Context;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// How many load it at once: enough to use all there is, few enough that none is refused.
const CLIENTS: usize = 8;
/// How often each is started anew.
const STARTS: usize = 18;
/// How long each is under load then: not long, for the machine is not the same for long.
const TURN: Duration = Duration::from_secs(1);
/// What one still sends and writes when its turn is over is not to be in the turn of the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints the report.
///
/// # Errors
/// When something does not run; build first (`cargo xtask bench telemetry` does).
pub fn run() -> anyhow::Result<()> {
    let souk = std::env::var_os("SOUK_BIN").context("SOUK_BIN names the host's binary")?;
    println!("# What tracing costs\n");
    println!(
        "{CLIENTS} clients, {} s in turn, {STARTS} starts; the medians, and the mean of what each comes to beside nothing recorded in the same start, \
         with its standard error. Server and generator on the same {} cores.\n",
        TURN.as_secs(),
        thread::available_parallelism()?
    );
    let sink = sink()?;
    let ratio = |ratio: &str| {
        vec![
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", ratio.to_owned()),
        ]
    };
    let elsewhere = |mut env: Vec<(&'static str, String)>| {
        env.push((ENDPOINT, sink.clone()));
        env
    };
    let variants = [
        ("nothing recorded", vec![(ENDPOINT, String::new())]),
        (
            "metrics alone, sent elsewhere",
            elsewhere(vec![("OTEL_TRACES_SAMPLER", "always_off".to_owned())]),
        ),
        ("1 % of traces, sent elsewhere", elsewhere(ratio("0.01"))),
        ("all traces, sent elsewhere", elsewhere(ratio("1"))),
        ("as it is by default, to `telemetry`", Vec::new()),
        ("1 % of traces, to `telemetry`", ratio("0.01")),
        ("all traces, to `telemetry`", ratio("1")),
    ];
    let kinds: [(&str, Kind); 2] = [
        ("product read", read),
        ("checkout", |shop| shop.orders(CLIENTS, TURN)),
    ];
    let mut rounds = kinds.map(|_| variants.iter().map(|_| Vec::new()).collect::<Vec<_>>());
    for start in 0..STARTS {
        let shops = variants
            .iter()
            .map(|(_, env)| Shop::start_with(&souk, CLIENTS, env))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for ((_, load), rounds) in kinds.iter().zip(&mut rounds) {
            // Each is the first once, so that none always is.
            for turn in 0..shops.len() {
                let which = (start + turn) % shops.len();
                rounds[which].push(Round::of(&shops[which], *load)?);
                thread::sleep(PAUSE);
            }
        }
    }
    println!(
        "| | | a second | p50 | p99 | of nothing recorded | processor time each | of nothing recorded |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for ((kind, _), rounds) in kinds.iter().zip(&rounds) {
        for ((name, _), own) in variants.iter().zip(rounds) {
            let beside = |part: fn(&Round) -> f64| {
                let pairs = own.iter().zip(&rounds[0]);
                percent(pairs.map(|(own, nothing)| part(own) / part(nothing)))
            };
            let of = |part: fn(&Round) -> f64| median(own.iter().map(part));
            println!(
                "| {kind} | {name} | {:.0} | {:.2} ms | {:.2} ms | {} | {:.3} ms | {} |",
                of(|round| round.rate),
                of(|round| round.p50),
                of(|round| round.p99),
                beside(|round| round.rate),
                of(|round| round.processor_time),
                beside(|round| round.processor_time),
            );
        }
    }
    Ok(())
}

/// The variable that names who receives telemetry.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A kind of load.
type Kind = fn(&Shop) -> anyhow::Result<Outcome>;

fn read(shop: &Shop) -> anyhow::Result<Outcome> {
    let path = format!("/api/products/{}", shop.product);
    load::get(shop.address(), &path, CLIENTS, TURN)
}

/// One load of one shop.
struct Round {
    /// Answers a second.
    rate: f64,
    /// Milliseconds.
    p50: f64,
    /// Milliseconds.
    p99: f64,
    /// Of the shop, in milliseconds a request: the generator's is not in it, nor is what else the machine does.
    processor_time: f64,
}

impl Round {
    fn of(shop: &Shop, load: Kind) -> anyhow::Result<Self> {
        let before = shop.server.processor_time()?;
        let outcome = load(shop)?;
        let took = shop.server.processor_time()? - before;
        let milliseconds = |percent| outcome.percentile(percent) as f64 / 1000.0;
        Ok(Self {
            rate: outcome.rate,
            p50: milliseconds(50.0),
            p99: milliseconds(99.0),
            processor_time: took.as_secs_f64() * 1000.0 / outcome.answered as f64,
        })
    }
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The geometric mean of ratios, and its standard error.
fn percent(ratios: impl Iterator<Item = f64>) -> String {
    let logs: Vec<f64> = ratios.map(f64::ln).collect();
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let error = (variance / count).sqrt();
    format!("{:.1} ± {:.1} %", 100.0 * mean.exp(), 100.0 * error)
}

/// A receiver that takes everything and keeps nothing, in this process: how little a receiver on another machine takes of this one.
fn sink() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || swallow(stream));
        }
    });
    Ok(format!("http://{address}"))
}

/// Answers requests until there are no more, or one is not understood.
fn swallow(mut stream: TcpStream) -> Option<()> {
    let (mut text, mut part) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&part[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(body) = head.parse(&text).ok()? else {
            continue;
        };
        let mut headers = head.headers.iter();
        let length = headers.find(|it| it.name.eq_ignore_ascii_case("content-length"))?;
        let length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
        if text.len() >= body + length {
            text.drain(..body + length);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).ok()?;
        }
    }
}
