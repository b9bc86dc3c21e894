//! Bodies as streams, both ways, and work after the response.

use souk_tests::{Launch, eventually};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Reads from the connection until `text` has come.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = String::new();
    let mut bytes = [0; 1024];
    while !read.contains(text) {
        let n = stream.read(&mut bytes).unwrap();
        assert!(n > 0, "the connection ended after: {read}");
        read.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    read
}

#[test]
fn a_body_streams_back_while_it_still_comes_in() {
    let host = Launch::fixtures().start();
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
        .write_all(b"POST /streams/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    for word in ["first", "later"] {
        stream
            .write_all(format!("5\r\n{word}\r\n").as_bytes())
            .unwrap();
        read_until(&mut stream, word);
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    read_until(&mut stream, "0\r\n\r\n");
}

#[test]
fn events_arrive_as_they_happen() {
    let host = Launch::fixtures().start();
    let begun = Instant::now();
    let mut response = host.request("/streams/events?n=20").send().unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut first = [0; 9];
    response.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"data: 0\n\n");
    // All twenty take two seconds.
    let first_after = begun.elapsed();
    let mut rest = String::new();
    response.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("data: 19\n\n"), "{rest}");
    assert!(
        first_after * 2 < begun.elapsed(),
        "the first came with the last"
    );
}

#[test]
fn a_large_body_arrives_whole() {
    let host = Launch::fixtures().start();
    let large = "x".repeat(8 << 20);
    assert_eq!(
        host.post("/streams/count", large.clone()).text,
        large.len().to_string()
    );
    assert!(host.post("/streams/echo", large.clone()).text == large);
}

#[test]
fn work_goes_on_after_the_response() {
    let host = Launch::fixtures().start();
    let done = || host.get("/kv/get?store=default&key=late").text;
    assert_eq!(host.get("/streams/later?key=late&ms=3000").text, "will do");
    assert_eq!(done(), "none");
    eventually("the work is done", || done() == "done");
}
