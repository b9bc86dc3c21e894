//! A small HTTP server, for stand-ins of what the shop calls over the network. Its threads end with the test's process.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Listens on a free port, and has each connection served on a thread of its own; says where that is.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    url
}

/// Answers with JSON, and that the connection is closed.
pub(crate) fn respond(mut stream: &TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let length = body.len();
    // A client that has gone is no concern of ours.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}

/// A request as it came.
pub(crate) struct Request<B = String> {
    pub method: String,
    pub path: String,
    pub head: String,
    pub body: B,
}

impl Request {
    /// Reads one whose body is a text; none where the client leaves before it is whole.
    pub fn read(stream: &TcpStream) -> Option<Self> {
        let request = Request::<Vec<u8>>::read_bytes(stream)?;
        Some(Self {
            method: request.method,
            path: request.path,
            head: request.head,
            body: String::from_utf8(request.body).ok()?,
        })
    }
}

impl Request<Vec<u8>> {
    /// The same with any body.
    pub fn read_bytes(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = header(&head, "content-length").parse().unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut words = head.split_whitespace();
        Some(Self {
            method: words.next()?.to_owned(),
            path: words.next()?.to_owned(),
            body,
            head,
        })
    }
}

/// The value of a header; empty where there is none.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    values.next().map_or("", |(_, value)| value.trim())
}
