//! A way to a server on which an answer gets lost.

use crate::server::listen;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The way. Its threads end with the test's process.
pub struct Lossy {
    /// Where it begins.
    pub url: String,
    asked: Arc<AtomicUsize>,
}

impl Lossy {
    /// A way to the server at this URL, on which the first answer to a request of this path is lost.
    pub fn to(server: &str, path: &'static str) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let url = listen(move |mut stream| {
            let Some(request) = read(&stream) else {
                return;
            };
            let answer = ask(&server, &request);
            let is_meant = request.split(' ').nth(1) == Some(path);
            if !is_meant || count.fetch_add(1, Ordering::Relaxed) > 0 {
                // A client that has gone is no concern of ours.
                let _ = stream.write_all(&answer);
            }
        });
        Self { url, asked }
    }

    /// How many requests of the path there were.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A request as it was written, its body in chunks; none where the client leaves before it is whole.
fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    let is_whole = |request: &str| match request.contains("transfer-encoding: chunked") {
        true => request.ends_with("\r\n0\r\n\r\n"),
        false => request.ends_with("\r\n\r\n"),
    };
    while !is_whole(&request) {
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
    }
    Some(request)
}

/// The server's answer, after which it closes the connection.
fn ask(server: &str, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).expect("the server");
    let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    stream.write_all(request.as_bytes()).expect("a connection");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("a whole answer");
    answer
}
