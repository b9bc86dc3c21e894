//! A closed-loop load generator: each connection sends its next request when the last is answered. Whoever is refused waits for as long as
//! the refusal says, and is counted.

use anyhow::{Context, bail};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
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
    refused: u64,
    /// How many were answered, those of the warm-up too.
    pub answered: u64,
}

impl Outcome {
    /// The part of the requests that were refused, in percent: they are in neither the rate nor the latencies.
    pub fn refused(&self) -> f64 {
        100.0 * self.refused as f64 / (self.latencies.len() + self.refused) as f64
    }

    /// The latency that `percent` of the requests did not exceed, in microseconds.
    pub fn percentile(&self, percent: f64) -> u64 {
        self.latencies.value_at_percentile(percent)
    }
}

/// A load: how many connections, for how long, and what each sends.
pub struct Load<F> {
    /// Where.
    pub address: SocketAddr,
    /// Keep-alive connections, each of which sends its next request when the last is answered.
    pub connections: usize,
    /// For how long, after a tenth of it to warm up.
    pub duration: Duration,
    /// The whole text of a request, by the connection that sends it and how many it has sent before.
    pub request: F,
    /// The status every answer must have that is no refusal.
    pub status: u16,
}

/// Gets `path` over `connections` keep-alive connections for `duration`.
///
/// # Errors
/// When a connection breaks or an answer is not 200.
pub fn get(
    address: SocketAddr,
    path: &str,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Outcome> {
    let text = request(address, "GET", path, "", "");
    Load {
        address,
        connections,
        duration,
        request: |_, _| text.clone(),
        status: 200,
    }
    .run()
}

/// The text of a request; `headers` are whole lines.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n{length}{headers}\r\n{body}")
}

impl<F: Fn(usize, u64) -> String> Load<F> {
    /// Runs it on one thread: the generator must leave the cores to the server.
    ///
    /// # Errors
    /// When a connection breaks or an answer has another status.
    pub fn run(self) -> anyhow::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let warm_up = self.drive(self.duration / 10, 0).await?;
            let mut outcome = self.drive(self.duration, WARM_UP).await?;
            outcome.answered += warm_up.answered;
            Ok(outcome)
        })
    }

    async fn drive(&self, duration: Duration, sent_before: u64) -> anyhow::Result<Outcome> {
        let begun = Instant::now();
        let mut clients: FuturesUnordered<_> = (0..self.connections)
            .map(|connection| self.client(connection, sent_before, begun + duration))
            .collect();
        let (mut latencies, mut refused) = (Histogram::new(3)?, 0);
        while let Some(client) = clients.next().await {
            let (answered, not) = client?;
            latencies.add(answered)?;
            refused += not;
        }
        Ok(Outcome {
            rate: latencies.len() as f64 / begun.elapsed().as_secs_f64(),
            answered: latencies.len(),
            latencies,
            refused,
        })
    }

    /// The times of what one connection was answered, and how often it was refused.
    async fn client(
        &self,
        connection: usize,
        mut sent: u64,
        until: Instant,
    ) -> anyhow::Result<(Histogram<u64>, u64)> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut latencies, mut refused) = (Histogram::new(3)?, 0);
        let mut answer = Vec::with_capacity(16 << 10);
        loop {
            let request = (self.request)(connection, sent);
            let begun = Instant::now();
            if begun >= until {
                return Ok((latencies, refused));
            }
            sent += 1;
            stream.write_all(request.as_bytes()).await?;
            let status = read_answer(&mut stream, &mut answer).await?;
            if status == REFUSED {
                refused += 1;
                tokio::time::sleep_until((Instant::now() + RETRY_AFTER).min(until).into()).await;
                continue;
            }
            if status != self.status {
                bail!("answered {}", String::from_utf8_lossy(&answer));
            }
            latencies.record(begun.elapsed().as_micros().try_into()?)?;
        }
    }
}

/// The status of a refusal, and what its `Retry-After` says in this shop.
const REFUSED: u16 = 503;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where the counting of requests goes on after the warm-up: beyond what could be sent in it.
const WARM_UP: u64 = 1 << 32;

/// Reads one whole answer, and gives its status.
pub async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<u16> {
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
        let status = head.code.context("an answer without a status")?;
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
            return Ok(status);
        }
    }
}
