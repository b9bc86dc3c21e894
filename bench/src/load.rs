//! A closed-loop load generator: each connection sends its next request when the last is answered.

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a load came to.
pub struct Outcome {
    /// Answers a second.
    pub rate: f64,
    /// Latencies in microseconds.
    latencies: Histogram<u64>,
}

impl Outcome {
    /// The latency that `percent` of the requests did not exceed, in microseconds.
    pub fn percentile(&self, percent: f64) -> u64 {
        self.latencies.value_at_percentile(percent)
    }
}

/// Gets `path` over `connections` keep-alive connections for `duration`, after a tenth of it to
/// warm up. On one thread: the generator must leave the cores to the server.
///
/// # Errors
/// When a connection breaks or an answer is not 200.
pub fn run(
    address: SocketAddr,
    path: &str,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        drive(address, path, connections, duration / 10).await?;
        drive(address, path, connections, duration).await
    })
}

async fn drive(
    address: SocketAddr,
    path: &str,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Outcome> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let request = request.clone();
        clients.spawn(async move { client(address, request.as_bytes(), begun + duration).await });
    }
    let mut latencies = Histogram::new(3)?;
    while let Some(client) = clients.join_next().await {
        latencies.add(client??)?;
    }
    Ok(Outcome {
        rate: latencies.len() as f64 / begun.elapsed().as_secs_f64(),
        latencies,
    })
}

async fn client(
    address: SocketAddr,
    request: &[u8],
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Histogram::new(3)?;
    let mut answer = Vec::with_capacity(16 << 10);
    loop {
        let sent = Instant::now();
        if sent >= until {
            return Ok(latencies);
        }
        stream.write_all(request).await?;
        read_answer(&mut stream, &mut answer).await?;
        latencies.record(sent.elapsed().as_micros().try_into()?)?;
    }
}

/// Reads one whole answer, which must be 200.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the server closed the connection");
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(body) = head.parse(answer)? else {
            continue;
        };
        if head.code != Some(200) {
            bail!("answered {}", String::from_utf8_lossy(answer));
        }
        let header = |name: &str| {
            let found = head
                .headers
                .iter()
                .find(|h| h.name.eq_ignore_ascii_case(name));
            found.map(|header| header.value)
        };
        let whole = match header("content-length") {
            Some(length) => answer.len() >= body + std::str::from_utf8(length)?.parse::<usize>()?,
            None => {
                header("transfer-encoding").context("an answer without a length")?;
                answer.ends_with(b"0\r\n\r\n")
            }
        };
        if whole {
            return Ok(());
        }
    }
}
