//! A way to a server on which an answer gets lost.

use crate::server::{Request, listen};
use std::io::{Read, Write};
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
            let Some(request) = Request::read(&stream) else {
                return;
            };
            let answer = ask(&server, &request);
            if request.path != path || count.fetch_add(1, Ordering::Relaxed) > 0 {
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

/// The server's answer, after which it closes the connection.
fn ask(server: &str, request: &Request) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).expect("the server");
    let head = request.head.trim_end();
    let request = format!("{head}\r\nconnection: close\r\n\r\n{}", request.body);
    stream.write_all(request.as_bytes()).expect("a connection");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("a whole answer");
    answer
}
