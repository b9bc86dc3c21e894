//! A component that misbehaves, and a client that does, harm nobody else.

use souk_tests::{Host, Launch, Reply, client, souk_only};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn a_crash_is_one_answer_and_a_line_in_the_log() {
    let host = Launch::fixtures().start();
    for path in ["/misbehave/trap", "/misbehave/exit", "/misbehave/hog"] {
        assert_eq!(host.get(path).status, 500, "{path}");
        assert_eq!(host.get("/misbehave/").text, "fine");
    }
    if !souk_tests::on_spin() {
        let reply = host.get("/misbehave/trap");
        assert_eq!(reply.problem(), "component-failed");
        let output = host.says("instance ended");
        assert!(output.contains("misbehave"), "{output}");
    }
}

#[test]
fn an_endless_loop_ends_at_the_timeout_while_others_go_on() {
    let host = Launch::fixtures().args("--request-timeout 4s").start();
    // More loops than the machine has cores.
    let loops: Vec<_> = (0..4)
        .map(|_| {
            let request = host.request("/misbehave/loop");
            std::thread::spawn(move || Reply::to(request))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut answered = 0;
    while loops.iter().any(|l| !l.is_finished()) {
        assert_eq!(host.get("/hello/x").status, 200);
        answered += 1;
    }
    assert!(answered > 5, "only {answered} requests got through");
    for reply in loops {
        let reply = reply.join().unwrap();
        assert_eq!(reply.status, 504);
        assert_eq!(reply.problem(), "timed-out");
    }
}

#[test]
fn waiting_too_long_is_504_and_the_instance_goes() {
    souk_only!();
    let host = Launch::fixtures().args("--request-timeout 500ms").start();
    assert_eq!(host.get("/misbehave/sleep").problem(), "timed-out");
    assert_eq!(host.get("/misbehave/").text, "fine");
}

#[test]
fn an_endless_statement_is_interrupted() {
    souk_only!();
    let host = Launch::fixtures().args("--request-timeout 500ms").start();
    assert_eq!(host.get("/misbehave/sql-loop").problem(), "timed-out");
    // With the statement still running, the host could not drain.
    host.signal(nix::sys::signal::Signal::SIGTERM);
    let exit = host.wait(Duration::from_secs(8));
    assert_eq!(exit.code, Some(0), "{}", exit.output);
}

#[test]
fn heads_and_bodies_have_limits() {
    souk_only!();
    let host = Launch::fixtures().start();
    let long = "x".repeat(100_000);
    let request = host.request("/hello/x").header("x-long", long);
    assert_eq!(request.send().unwrap().status(), 431);

    let head = b"POST /streams/count HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n";
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.write_all(head).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[test]
fn a_body_that_turns_out_too_large_is_413() {
    souk_only!();
    let host = Launch::fixtures().start();
    // Sent in chunks, so that nobody knows the length before.
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream
        .write_all(b"POST /streams/count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    for _ in 0..16 {
        stream.write_all(&chunk).unwrap();
    }
    stream.write_all(b"1\r\nx\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[test]
fn one_request_out_of_time_does_not_end_its_neighbours() {
    souk_only!();
    let host = Launch::fixtures().args("--request-timeout 3s").start();
    let events = host.request("/streams/events?n=42");
    let events = std::thread::spawn(move || Reply::to(events).text);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(host.get("/streams/slow?ms=15000").status, 504);
    let events = events.join().unwrap();
    assert!(events.ends_with("data: 41\n\n"), "{events}");
}

#[test]
fn a_path_beyond_ascii_reaches_the_component() {
    souk_only!();
    let host = Launch::fixtures().start();
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream
        .write_all("GET /hello/é/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("spin-path-info: /é/x"), "{answer}");
}

#[test]
fn a_request_without_host_is_400() {
    let host = Launch::fixtures().start();
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.write_all(b"GET /hello/x HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    if !souk_tests::on_spin() {
        assert_eq!(&answer, b"HTTP/1.1 400");
    }
}

#[test]
fn clients_that_never_finish_their_head_hold_up_nobody() {
    let host = Launch::fixtures().start();
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..300 {
        // One says nothing, one breaks off in its head.
        slow.push(TcpStream::connect(host.address()).unwrap());
        let mut stream = TcpStream::connect(host.address()).unwrap();
        stream
            .write_all(b"GET /hello/x HTTP/1.1\r\nhost: x\r\nx-slow: ")
            .unwrap();
        slow.push(stream);
    }
    for _ in 0..20 {
        assert_eq!(host.get("/hello/x").status, 200);
    }
}

#[test]
fn too_many_requests_at_once_are_answered_early() {
    souk_only!();
    let host = Launch::fixtures().start();
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut waiting = Waiting::default();
    let (reply, took) = loop {
        // While it begins so many at once, the host may find that it has too much to do, and refuse some of them already.
        waiting.fill(&host, MOST_AT_ONCE);
        let begun = Instant::now();
        let reply = host.get("/hello/x");
        if reply.status == 503 && waiting.count() == MOST_AT_ONCE {
            break (reply, begun.elapsed());
        }
        assert!(Instant::now() < deadline, "never overloaded");
    };
    assert_eq!(reply.problem(), "overloaded");
    assert_eq!(reply.header("retry-after"), "1");
    assert!(took < SLOW / 4, "{took:?}");
    // A client that leaves does not free its place: its request is still being worked on.
    drop(waiting);
    assert_eq!(host.get("/hello/x").status, 503);
    while host.get("/hello/x").status != 200 {
        assert!(Instant::now() < deadline, "never recovered");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As many requests as a host works on at once.
const MOST_AT_ONCE: usize = 512;

/// How long a slow one takes: so long that all of them wait at once, also on a machine that takes its time to begin them.
const SLOW: Duration = Duration::from_secs(20);

/// Connections with a request under way that takes long to answer.
#[derive(Default)]
struct Waiting(Vec<TcpStream>);

impl Waiting {
    /// Adds as many as are missing; those that were answered are not waiting any more.
    fn fill(&mut self, host: &Host, count: usize) {
        let missing = count - self.count();
        self.0.extend((0..missing).map(|_| Self::one(host)));
    }

    fn count(&mut self) -> usize {
        self.0.retain(|stream| {
            stream.set_nonblocking(true).unwrap();
            let answered = stream.peek(&mut [0]);
            answered.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
        self.0.len()
    }

    fn one(host: &Host) -> TcpStream {
        let mut stream = TcpStream::connect(host.address()).unwrap();
        let path = format!("/streams/slow?ms={}", SLOW.as_millis());
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream
    }
}
#[test]
fn requests_of_one_instance_run_side_by_side() {
    let host = Launch::fixtures().start();
    let begun = Instant::now();
    let requests: Vec<_> = (0..12)
        .map(|_| {
            let request = client().get(format!("{}/streams/slow?ms=500", host.url));
            std::thread::spawn(move || Reply::to(request))
        })
        .collect();
    for request in requests {
        assert_eq!(request.join().unwrap().text, "slept");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}
