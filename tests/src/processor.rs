//! A stand-in for a card processor: a small HTTP server in the style of the API that the provider `http` speaks. It remembers
//! idempotency keys, keeps books, records what it is asked, and has mishaps when told to.

use crate::server::{Request, header, listen, respond};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The secret key of the shop.
pub const PROCESSOR_KEY: &str = "sk_test_1";

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It is answered with this status and not carried out.
    Refused(u16),
    /// It is carried out and answered with this status.
    DoneAnd(u16),
    /// It is not carried out, and gets no answer.
    Silence,
    /// It is carried out, and gets no answer.
    DoneAndSilence,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its path.
    pub path: String,
    /// Its idempotency key.
    pub key: String,
    /// All of it, head and body.
    pub raw: String,
}

/// Sums of money.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// Authorized, and neither captured nor let go of.
    pub held: u64,
    /// Captured.
    pub captured: u64,
    /// Given back of that.
    pub refunded: u64,
}

/// The server. Its threads end with the test's process.
pub struct Processor {
    /// Where it is.
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    mishaps: VecDeque<Mishap>,
    asked: Vec<Asked>,
    /// The body and answer of each idempotency key.
    answers: BTreeMap<String, (String, u16, Value)>,
    methods: BTreeMap<String, String>,
    intents: BTreeMap<String, Intent>,
}

#[derive(Default)]
struct Intent {
    amount: u64,
    captured: u64,
    refunded: u64,
    status: &'static str,
    uncapturable: bool,
}

type Form = BTreeMap<String, String>;

impl Processor {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let served = state.clone();
        let url = listen(move |stream| serve(stream, &served));
        Self { url, state }
    }

    /// What goes wrong with the next requests, one after the other.
    pub fn next(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        lock(&self.state).mishaps.extend(mishaps);
    }

    /// The requests since this was last asked.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.state).asked)
    }

    /// What the books say.
    pub fn books(&self) -> Books {
        let state = lock(&self.state);
        let mut books = Books::default();
        for intent in state.intents.values() {
            if intent.status == "requires_capture" {
                books.held += intent.amount;
            }
            books.captured += intent.captured;
            books.refunded += intent.refunded;
        }
        books
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic")
}

/// Answers one request and closes the connection.
fn serve(stream: TcpStream, state: &Mutex<State>) {
    let Some(request) = Request::read(&stream) else {
        return;
    };
    let mishap = {
        let mut state = lock(state);
        state.asked.push(request.asked());
        state.mishaps.pop_front()
    };
    let (status, body) = match mishap {
        Some(Mishap::Refused(status)) => (status, error("api_error", "refused")),
        Some(Mishap::Silence) => return wait_for_the_end(&stream),
        Some(Mishap::DoneAndSilence) => {
            lock(state).answer(&request);
            return wait_for_the_end(&stream);
        }
        Some(Mishap::DoneAnd(status)) => {
            lock(state).answer(&request);
            (status, error("api_error", "broken"))
        }
        None => lock(state).answer(&request),
    };
    respond(&stream, status, &body);
}

/// Holds the connection open until the client closes it, for a minute at most.
fn wait_for_the_end(mut stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let _ = stream.read(&mut [0]);
}

impl Request {
    fn asked(&self) -> Asked {
        Asked {
            path: self.path.clone(),
            key: header(&self.head, "idempotency-key").to_owned(),
            raw: format!("{}{}", self.head, self.body),
        }
    }

    fn form(&self) -> Form {
        let url = reqwest::Url::parse(&format!("http://form/?{}", self.body));
        url.map(|url| url.query_pairs().into_owned().collect())
            .unwrap_or_default()
    }
}

impl State {
    /// Answers, and what was answered under a key before with the same.
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        if header(&request.head, "authorization") != format!("Bearer {PROCESSOR_KEY}") {
            return (401, error("invalid_request_error", "api_key_invalid"));
        }
        let form_encoded =
            header(&request.head, "content-type") == "application/x-www-form-urlencoded";
        let key = header(&request.head, "idempotency-key").to_owned();
        if request.method != "POST" || !form_encoded || key.is_empty() {
            return (405, error("invalid_request_error", "not_of_this_api"));
        }
        let asked = format!("{} {}", request.path, request.body);
        match self.answers.get(&key) {
            Some((before, status, body)) if *before == asked => (*status, body.clone()),
            Some(_) => (400, error("idempotency_error", "other_parameters")),
            None => {
                let (status, body) = self.carry_out(&request.path, &request.form());
                self.answers.insert(key, (asked, status, body.clone()));
                (status, body)
            }
        }
    }

    fn carry_out(&mut self, path: &str, form: &Form) -> (u16, Value) {
        let parts: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        match parts[..] {
            ["payment_methods"] => self.payment_method(form),
            ["payment_intents"] => self.payment_intent(form),
            ["payment_intents", id, "capture"] => {
                self.capture(id, number(form, "amount_to_capture"))
            }
            ["payment_intents", id, "cancel"] => self.cancel(id),
            ["refunds"] => self.refund(text(form, "payment_intent"), number(form, "amount")),
            _ => (404, error("invalid_request_error", "resource_missing")),
        }
    }

    fn payment_method(&mut self, form: &Form) -> (u16, Value) {
        let id = format!("pm_{}", self.methods.len() + 1);
        let number = text(form, "card[number]");
        if text(form, "type") != "card" || number.len() < 12 || text(form, "card[cvc]").len() < 3 {
            return (400, error("invalid_request_error", "parameter_missing"));
        }
        if text(form, "card[cvc]") == "999" {
            return (402, error("card_error", "incorrect_cvc"));
        }
        self.methods.insert(id.clone(), number.to_owned());
        (200, json!({"id": id, "object": "payment_method"}))
    }

    fn payment_intent(&mut self, form: &Form) -> (u16, Value) {
        let manual = text(form, "capture_method") == "manual" && text(form, "confirm") == "true";
        let Some(card) = self.methods.get(text(form, "payment_method")) else {
            return (404, error("invalid_request_error", "resource_missing"));
        };
        if !manual || text(form, "currency") != "eur" {
            return (400, error("invalid_request_error", "parameter_invalid"));
        }
        match card.as_str() {
            "4000000000000002" => return (402, error("card_error", "card_declined")),
            "4000000000009995" => {
                let mut body = error("card_error", "card_declined");
                body["error"]["decline_code"] = "insufficient_funds".into();
                return (402, body);
            }
            _ => {}
        }
        let id = format!("pi_{}", self.intents.len() + 1);
        let intent = Intent {
            amount: number(form, "amount"),
            status: "requires_capture",
            uncapturable: card == "4000000000000341",
            ..Intent::default()
        };
        let body = json!({"id": id, "object": "payment_intent", "status": intent.status});
        self.intents.insert(id, intent);
        (200, body)
    }

    fn capture(&mut self, id: &str, amount: u64) -> (u16, Value) {
        match self.intents.get_mut(id) {
            None => (404, error("invalid_request_error", "resource_missing")),
            Some(intent) if intent.uncapturable => (402, error("card_error", "capture_declined")),
            Some(intent) if intent.status == "requires_capture" && amount <= intent.amount => {
                intent.status = "succeeded";
                intent.captured = amount;
                (200, json!({"id": id, "status": "succeeded"}))
            }
            Some(intent) => unexpected(id, intent),
        }
    }

    fn cancel(&mut self, id: &str) -> (u16, Value) {
        match self.intents.get_mut(id) {
            None => (404, error("invalid_request_error", "resource_missing")),
            Some(intent) if intent.status == "requires_capture" => {
                intent.status = "canceled";
                (200, json!({"id": id, "status": "canceled"}))
            }
            Some(intent) => unexpected(id, intent),
        }
    }

    fn refund(&mut self, id: &str, amount: u64) -> (u16, Value) {
        match self.intents.get_mut(id) {
            None => (404, error("invalid_request_error", "resource_missing")),
            Some(intent) if intent.refunded + amount > intent.captured => {
                (400, error("invalid_request_error", "amount_too_large"))
            }
            Some(intent) => {
                intent.refunded += amount;
                let refund = format!("re_{id}_{}", intent.refunded);
                (200, json!({"id": refund, "status": "succeeded"}))
            }
        }
    }
}

fn unexpected(id: &str, intent: &Intent) -> (u16, Value) {
    let mut body = error("invalid_request_error", "payment_intent_unexpected_state");
    body["error"]["payment_intent"] = json!({"id": id, "status": intent.status});
    (400, body)
}

fn error(kind: &str, code: &str) -> Value {
    json!({"error": {"type": kind, "code": code, "message": "The processor says no."}})
}

fn text<'a>(form: &'a Form, name: &str) -> &'a str {
    form.get(name).map_or("", String::as_str)
}

fn number(form: &Form, name: &str) -> u64 {
    text(form, name).parse().unwrap_or(0)
}
