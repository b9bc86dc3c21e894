//! `souk-bench telemetry`: what it costs to trace requests.
//!
//! The same shop runs several times at once, and one after the other is under load, round after round, so that what disturbs the machine disturbs all.

use crate::load::{self, Outcome};
use crate::shop::{Shop, milliseconds};
use anyhow::Context;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// How many load it at once: enough to use all there is, few enough that none is refused.
const CLIENTS: usize = 8;
/// How often each is under load; the median counts.
const ROUNDS: usize = 9;

/// Prints the report.
///
/// # Errors
/// When something does not run; build first (`cargo xtask bench telemetry` does).
pub fn run() -> anyhow::Result<()> {
    let souk = std::env::var_os("SOUK_BIN").context("SOUK_BIN names the host's binary")?;
    println!("# What tracing costs\n");
    println!(
        "{CLIENTS} clients, the median of {ROUNDS} rounds in turn, server and generator on the same {} cores.\n",
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
        ("1 % of traces, sent elsewhere", elsewhere(ratio("0.01"))),
        ("all traces, sent elsewhere", elsewhere(ratio("1"))),
        ("as it is by default, to `telemetry`", Vec::new()),
        ("1 % of traces, to `telemetry`", ratio("0.01")),
        ("all traces, to `telemetry`", ratio("1")),
    ];
    let shops = variants
        .iter()
        .map(|(_, env)| Shop::start_with(&souk, CLIENTS, env))
        .collect::<anyhow::Result<Vec<_>>>()?;
    println!("| | | a second | p50 | p99 | of nothing recorded |");
    println!("|---|---|---|---|---|---|");
    let kinds: [(&str, Kind); 2] = [
        ("product read", read),
        ("checkout", |shop| shop.orders(CLIENTS)),
    ];
    for (kind, load) in kinds {
        let mut rounds: Vec<Vec<Outcome>> = shops.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS {
            // Each begins another round, so that none is always the first.
            for turn in 0..shops.len() {
                let which = (round + turn) % shops.len();
                rounds[which].push(load(&shops[which])?);
            }
        }
        let medians: Vec<Outcome> = rounds.into_iter().map(median).collect();
        for ((name, _), outcome) in variants.iter().zip(&medians) {
            println!(
                "| {kind} | {name} | {:.0} | {} | {} | {:.0} % |",
                outcome.rate,
                milliseconds(outcome.percentile(50.0)),
                milliseconds(outcome.percentile(99.0)),
                100.0 * outcome.rate / medians[0].rate
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
    load::get(shop.address(), &path, CLIENTS, crate::shop::DURATION)
}

fn median(mut rounds: Vec<Outcome>) -> Outcome {
    rounds.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    rounds.swap_remove(rounds.len() / 2)
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
