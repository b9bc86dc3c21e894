//! A stand-in of the shop, and what we make of its answers.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

/// The administrator of the stand-in.
pub fn admin() -> Credentials {
    Credentials {
        email: "admin@souk.example".into(),
        password: "the admin's".into(),
    }
}

/// What the stand-in knows.
#[derive(Default)]
struct State {
    /// Products by their SKU; the id of one is its SKU as well.
    skus: BTreeSet<String>,
    stock: BTreeMap<String, i64>,
    passwords: BTreeMap<String, String>,
    addresses: BTreeMap<String, Vec<Value>>,
    requests: usize,
}

/// A shop that knows SKUs, stock, accounts and their addresses, and refuses its second request as one too many; one request
/// per connection.
pub fn stand_in() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut state = State::default();
        let Credentials { email, password } = admin();
        state.passwords.insert(email, password);
        for stream in listener.incoming() {
            serve(stream.unwrap(), &mut state);
        }
    });
    url
}

fn serve(mut stream: TcpStream, state: &mut State) {
    let mut request = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length, mut user) = (Vec::new(), 0, String::new());
    loop {
        let mut line = String::new();
        request.read_line(&mut line).unwrap();
        let line = line.trim();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("authorization", value)) => user = value.replace("Bearer token of ", ""),
            _ => head.push(line.to_owned()),
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();

    state.requests += 1;
    let mut target = head[0].split(' ');
    let (method, path) = (target.next().unwrap(), target.next().unwrap());
    let (status, answer) = match state.requests {
        2 => (429, Value::Null),
        _ => state.answer(method, path, &user, &body),
    };
    let answer = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} .\r\nretry-after: 1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    )
    .unwrap();
}

impl State {
    fn answer(&mut self, method: &str, path: &str, user: &str, body: &Value) -> (u16, Value) {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let is_admin = user == admin().email;
        match (method, &parts[..]) {
            ("GET", ["healthz"]) => (200, Value::Null),
            ("POST", ["api", "users"]) if self.passwords.contains_key(&text("email")) => {
                (409, Value::Null)
            }
            ("POST", ["api", "users"]) => {
                self.passwords.insert(text("email"), text("password"));
                (201, Value::Null)
            }
            ("POST", ["api", "sessions"])
                if self.passwords.get(&text("email")) == Some(&text("password")) =>
            {
                (
                    201,
                    json!({"access_token": format!("token of {}", text("email"))}),
                )
            }
            _ if user.is_empty() => (401, Value::Null),
            ("GET", ["api", "users", "me", "addresses"]) => {
                (200, json!({"items": self.addresses.get(user)}))
            }
            ("POST", ["api", "users", "me", "addresses"]) => {
                self.addresses
                    .entry(user.into())
                    .or_default()
                    .push(body.clone());
                (201, Value::Null)
            }
            ("GET", ["api", "inventory", id]) => match self.stock.get(*id) {
                Some(on_hand) => (200, json!({"on_hand": on_hand})),
                None => (404, Value::Null),
            },
            _ if !is_admin => (403, Value::Null),
            ("PUT", ["api", "categories", _]) => (200, Value::Null),
            ("PUT", ["api", "inventory", id]) => {
                self.stock
                    .insert((*id).into(), body["on_hand"].as_i64().unwrap());
                (200, Value::Null)
            }
            ("POST", ["api", "products"]) if text("sku") == "BAD" || !body["on_hand"].is_null() => {
                (422, Value::Null)
            }
            ("POST", ["api", "products"]) => match self.skus.insert(text("sku")) {
                true => (201, json!({"id": text("sku")})),
                false => (409, json!({"product_id": text("sku")})),
            },
            _ => (404, Value::Null),
        }
    }
}

#[test]
fn who_logs_in_may_do_what_others_may_not() {
    let shop = Shop::new(&stand_in());
    assert!(shop.is_healthy());
    let started = Instant::now();
    let body = json!({"name": "Tea", "position": 1});
    let session = shop.log_in(&admin()).unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "the shop said when to come back"
    );
    assert_eq!(
        session
            .send("PUT", "/api/categories/tea", &body)
            .unwrap()
            .status,
        200
    );

    let customer = Credentials {
        email: "customer@souk.example".into(),
        password: "the customer's".into(),
    };
    assert!(shop.register(&customer, "A Customer").unwrap());
    assert!(!shop.register(&customer, "A Customer").unwrap());
    let session = shop.log_in(&customer).unwrap();
    let refused = session
        .send("PUT", "/api/categories/tea", &body)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("administrator"), "{refused}");
}

#[test]
fn a_wrong_password_is_told() {
    let guess = Credentials {
        password: "guessed".into(),
        ..admin()
    };
    let shop = Shop::new(&stand_in());
    let refused = shop.log_in(&guess).err().unwrap().to_string();
    assert!(refused.contains("admin@souk.example"), "{refused}");
}

#[test]
fn a_closed_shop_is_not_healthy() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert!(!Shop::new(&format!("http://{gone}")).is_healthy());
}
