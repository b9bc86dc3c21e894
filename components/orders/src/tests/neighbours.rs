//! Products, inventory, payments and carts as they are meant to behave, in memory, with faults to order.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use souk_chassis::Context;

use crate::background::sleep;
use crate::clients::{NotNow, POLICIES, Reply, Request};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request does not arrive.
    RequestLost,
    /// The request has its effect, and the answer does not arrive.
    AnswerLost,
    /// The answer is this status, and nothing happened.
    Status(u16),
}

#[derive(Default)]
struct World {
    products: BTreeMap<String, Value>,
    stock: BTreeMap<String, Level>,
    reservations: BTreeMap<String, Reservation>,
    payments: BTreeMap<String, Payment>,
    cart: Vec<(String, i64)>,
    cart_version: i64,
    /// What goes wrong with the next calls whose `METHOD path` contains this.
    faults: Vec<(&'static str, VecDeque<Fault>)>,
    /// `METHOD path` of every call that arrived.
    calls: Vec<String>,
    tokens: usize,
    latency: u64,
    /// The payment provider holds every decision back.
    undecided: bool,
    /// What every request carried of a guest's cart.
    cart_token: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    pub on_hand: i64,
    pub reserved: i64,
}

struct Reservation {
    state: &'static str,
    lines: Vec<(String, i64)>,
}

#[derive(Clone)]
struct Payment {
    amount: i64,
    token: String,
    status: &'static str,
    decline_code: Option<&'static str>,
    captures: i64,
    refunds: i64,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn world<T>(with: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(with)
}

/// Begins to sell a product.
pub fn sell(id: &str, price: i64, on_hand: i64) {
    sell_for(id, price, "EUR", on_hand);
}

pub fn sell_for(id: &str, price: i64, currency: &str, on_hand: i64) {
    world(|world| {
        let product = json!({"id": id, "name": format!("Product {id}"), "price": {"amount": price, "currency": currency}});
        world.products.insert(id.into(), product);
        let level = Level {
            on_hand,
            reserved: 0,
        };
        world.stock.insert(id.into(), level);
    });
}

/// Takes stock away behind everybody's back: what is reserved is gone as well, as when a reservation ends.
pub fn expire_reservations_and_sell_out() {
    world(|world| {
        for level in world.stock.values_mut() {
            *level = Level::default();
        }
        for reservation in world.reservations.values_mut() {
            reservation.state = "expired";
        }
    });
}

pub fn stock(id: &str) -> Level {
    world(|world| world.stock[id])
}

/// Puts this into the cart.
pub fn fill_cart(lines: &[(&str, i64)]) {
    world(|world| {
        world.cart_version += 1;
        world.cart = lines.iter().map(|(id, n)| ((*id).into(), *n)).collect();
    });
}

/// Lets these go wrong with the next calls whose `METHOD path` contains this.
pub fn fail(calls: &'static str, faults: &[Fault]) {
    world(|world| world.faults.push((calls, faults.iter().copied().collect())));
}

/// Lets a fault happen to all calls whose `METHOD path` contains this, until [`heal`].
pub fn fail_always(calls: &'static str, fault: Fault) {
    fail(calls, &[fault; 10_000]);
}

pub fn heal() {
    heal_calls();
    world(|world| world.undecided = false);
}

/// Lets calls go through again, while the payment provider is as it was.
pub fn heal_calls() {
    world(|world| world.faults.clear());
}

/// Lets every call take so long.
pub fn slow_down(milliseconds: u64) {
    world(|world| world.latency = milliseconds);
}

/// Lets the payment provider take its time: payments stay `authorizing`.
pub fn hold_decisions() {
    world(|world| world.undecided = true);
}

/// How many calls arrived whose `METHOD path` contains this.
pub fn calls(containing: &str) -> usize {
    world(|world| {
        world
            .calls
            .iter()
            .filter(|call| call.contains(containing))
            .count()
    })
}

/// What was captured for an order and not given back.
pub fn charged(order_id: &str) -> i64 {
    world(|world| {
        world
            .payments
            .get(order_id)
            .map_or(0, |it| it.captures - it.refunds)
    })
}

/// What all customers have paid and not got back.
pub fn charged_altogether() -> i64 {
    world(|world| {
        world
            .payments
            .values()
            .map(|it| it.captures - it.refunds)
            .sum()
    })
}

pub fn payment_status(order_id: &str) -> Option<&'static str> {
    world(|world| world.payments.get(order_id).map(|payment| payment.status))
}

pub fn reservation_state(order_id: &str) -> Option<&'static str> {
    world(|world| world.reservations.get(order_id).map(|it| it.state))
}

pub fn payment_token(order_id: &str) -> String {
    world(|world| world.payments[order_id].token.clone())
}

pub fn cart_version() -> i64 {
    world(|world| world.cart_version)
}

/// The cart token that was last sent.
pub fn cart_token() -> Option<String> {
    world(|world| world.cart_token.clone())
}

/// Takes a request in the place of the network.
pub async fn exchange(context: &Context, request: Request) -> Result<Reply, NotNow> {
    let latency = world(|world| world.latency);
    let timeout = POLICIES.to(request.service).timeout_ms.into();
    if latency > timeout {
        sleep(std::time::Duration::from_millis(timeout)).await;
        answer(context, &request);
        return Err(NotNow("the answer came too late".into()));
    }
    if latency > 0 {
        sleep(std::time::Duration::from_millis(latency)).await;
    }
    let call = format!("{} {}", request.method, request.path);
    let fault = world(|world| {
        let fits = world
            .faults
            .iter_mut()
            .find(|(calls, left)| call.contains(calls) && !left.is_empty());
        fits.and_then(|(_, faults)| faults.pop_front())
    });
    match fault {
        Some(Fault::RequestLost) => Err(NotNow("the request was lost".into())),
        Some(Fault::Status(status)) => Ok(Reply {
            status,
            body: json!({}),
        }),
        Some(Fault::AnswerLost) => {
            answer(context, &request);
            Err(NotNow("the answer was lost".into()))
        }
        None => {
            let (status, body) = answer(context, &request);
            Ok(Reply { status, body })
        }
    }
}

fn answer(context: &Context, request: &Request) -> (u16, Value) {
    let path: Vec<_> = request.path.trim_start_matches('/').split('/').collect();
    let body = request.body.clone().unwrap_or_default();
    world(|world| {
        world
            .calls
            .push(format!("{} {}", request.method, request.path));
        match (request.service, &request.method, &path[..]) {
            ("products", &Method::GET, ["api", query]) => world.list_products(query),
            ("carts", &Method::GET, ["api", "cart"]) => {
                let token = request.headers.get("x-cart-token");
                world.cart_token = token.map(|token| token.to_str().unwrap().into());
                assert!(
                    context.caller.as_ref().is_some_and(|it| it.user.is_some()),
                    "a cart is somebody's"
                );
                world.cart(&request.headers)
            }
            ("inventory", &Method::PUT, ["internal", "reservations", id]) => {
                world.reserve(id, &body)
            }
            ("inventory", &Method::POST, ["internal", "reservations", id, "commit"]) => {
                world.commit(id)
            }
            ("inventory", &Method::POST, ["internal", "reservations", id, "release"]) => {
                world.release(id)
            }
            ("payments", &Method::POST, ["internal", "card-tokens"]) => world.tokenize(&body),
            ("payments", &Method::GET, ["internal", "payments", id]) => world.payment(id),
            ("payments", &Method::POST, ["internal", "payments", id, "authorize"]) => {
                world.authorize(id, &body)
            }
            ("payments", &Method::POST, ["internal", "payments", id, "capture"]) => {
                world.capture(id)
            }
            ("payments", &Method::POST, ["internal", "payments", id, "void"]) => world.void(id),
            ("payments", &Method::POST, ["internal", "payments", id, "refund"]) => world.refund(id),
            other => panic!("nobody takes {other:?}"),
        }
    })
}

fn conflict() -> (u16, Value) {
    (409, json!({"type": "urn:souk:problem:conflict"}))
}

impl World {
    fn list_products(&self, query: &str) -> (u16, Value) {
        let ids = query.strip_prefix("products?ids=").unwrap();
        let found: Vec<_> = ids
            .split(',')
            .filter_map(|id| self.products.get(id))
            .collect();
        (200, json!({"items": found, "next_cursor": null}))
    }

    fn cart(&self, headers: &HeaderMap) -> (u16, Value) {
        if headers
            .get("x-cart-token")
            .is_some_and(|token| token == "rubbish")
        {
            return (400, json!({"type": "urn:souk:problem:bad-request"}));
        }
        let line = |(id, quantity): &(String, i64)| json!({"product_id": id, "quantity": quantity});
        let items: Value = self.cart.iter().map(line).collect();
        (200, json!({"version": self.cart_version, "items": items}))
    }

    /// The lines there is not enough for.
    fn short(&self, lines: &[(String, i64)]) -> Vec<Value> {
        let available = |id: &String| {
            self.stock
                .get(id)
                .map_or(0, |level| level.on_hand - level.reserved)
        };
        let short = lines
            .iter()
            .filter(|(id, quantity)| available(id) < *quantity);
        short
            .map(|(id, n)| json!({"product_id": id, "requested": n, "available": available(id)}))
            .collect()
    }

    fn out_of_stock(short: Vec<Value>) -> (u16, Value) {
        (
            409,
            json!({"type": "urn:souk:problem:out-of-stock", "lines": short}),
        )
    }

    fn reserve(&mut self, id: &str, body: &Value) -> (u16, Value) {
        let line = |line: &Value| {
            (
                line["product_id"].as_str().unwrap().to_owned(),
                line["quantity"].as_i64().unwrap(),
            )
        };
        let lines: Vec<_> = body["lines"].as_array().unwrap().iter().map(line).collect();
        if let Some(known) = self.reservations.get(id) {
            return match known.state {
                "released" => conflict(),
                state if known.lines == lines => (200, json!({"state": state})),
                _ => conflict(),
            };
        }
        let short = self.short(&lines);
        if !short.is_empty() {
            return Self::out_of_stock(short);
        }
        for (id, quantity) in &lines {
            self.stock.get_mut(id).unwrap().reserved += quantity;
        }
        let state = "open";
        self.reservations
            .insert(id.into(), Reservation { state, lines });
        (201, json!({"state": state}))
    }

    fn commit(&mut self, id: &str) -> (u16, Value) {
        let Some(known) = self.reservations.get(id) else {
            return (404, json!({"type": "urn:souk:problem:not-found"}));
        };
        let (state, lines) = (known.state, known.lines.clone());
        match state {
            "committed" => return (200, json!({"state": state})),
            "released" => return conflict(),
            "expired" => {
                let short = self.short(&lines);
                if !short.is_empty() {
                    return Self::out_of_stock(short);
                }
                panic!("no test has stock come back");
            }
            _ => {}
        }
        for (id, quantity) in &lines {
            let level = self.stock.get_mut(id).unwrap();
            level.reserved -= quantity;
            level.on_hand -= quantity;
        }
        self.reservations.get_mut(id).unwrap().state = "committed";
        (200, json!({"state": "committed"}))
    }

    fn release(&mut self, id: &str) -> (u16, Value) {
        let tombstone = Reservation {
            state: "released",
            lines: Vec::new(),
        };
        let known = self.reservations.entry(id.into()).or_insert(tombstone);
        let (state, lines) = (known.state, known.lines.clone());
        known.state = "released";
        for (id, quantity) in &lines {
            let level = self.stock.get_mut(id).unwrap();
            match state {
                "open" => level.reserved -= quantity,
                "committed" => level.on_hand += quantity,
                _ => {}
            }
        }
        (200, json!({"state": "released"}))
    }

    fn tokenize(&mut self, body: &Value) -> (u16, Value) {
        let number = body["number"].as_str().unwrap();
        if number.ends_with("1111") || number.ends_with("4241") {
            let error = json!({"field": "number", "detail": "is not a card number"});
            return (
                422,
                json!({"type": "urn:souk:problem:validation", "errors": [error]}),
            );
        }
        self.tokens += 1;
        let last4 = &number[number.len() - 4..];
        (
            201,
            json!({"token": format!("tok_{}_{last4}", self.tokens), "brand": "visa", "last4": last4}),
        )
    }

    fn shown(payment: &Payment) -> (u16, Value) {
        let status = match payment.status {
            "authorizing" => 202,
            _ => 200,
        };
        (
            status,
            json!({"status": payment.status, "decline_code": payment.decline_code}),
        )
    }

    fn payment(&self, id: &str) -> (u16, Value) {
        match self.payments.get(id) {
            Some(payment) => (200, Self::shown(payment).1),
            None => (404, json!({"type": "urn:souk:problem:not-found"})),
        }
    }

    fn authorize(&mut self, id: &str, body: &Value) -> (u16, Value) {
        let amount = body["amount"]["amount"].as_i64().unwrap();
        let token = body["token"].as_str().unwrap().to_owned();
        assert!(body["user_id"].is_string());
        let new = Payment {
            amount,
            token: token.clone(),
            status: "authorizing",
            decline_code: None,
            captures: 0,
            refunds: 0,
        };
        let undecided = self.undecided;
        let payment = self.payments.entry(id.into()).or_insert(new);
        if payment.status == "voided" || payment.amount != amount || payment.token != token {
            return conflict();
        }
        if payment.status == "authorizing" && !undecided {
            let declined = token.ends_with("0002");
            payment.status = if declined { "declined" } else { "authorized" };
            payment.decline_code = declined.then_some("card_declined");
        }
        Self::shown(payment)
    }

    fn capture(&mut self, id: &str) -> (u16, Value) {
        let Some(payment) = self.payments.get_mut(id) else {
            return (404, json!({"type": "urn:souk:problem:not-found"}));
        };
        match payment.status {
            "authorized" if payment.token.ends_with("0341") => payment.status = "capture_failed",
            "authorized" => {
                payment.status = "captured";
                payment.captures += payment.amount;
            }
            "captured" | "capture_failed" | "refunded" => {}
            _ => return conflict(),
        }
        Self::shown(payment)
    }

    fn void(&mut self, id: &str) -> (u16, Value) {
        let tombstone = Payment {
            amount: 0,
            token: String::new(),
            status: "voided",
            decline_code: None,
            captures: 0,
            refunds: 0,
        };
        let payment = self.payments.entry(id.into()).or_insert(tombstone);
        match payment.status {
            "authorizing" | "authorized" | "capture_failed" | "voided" => payment.status = "voided",
            _ => return conflict(),
        }
        Self::shown(payment)
    }

    fn refund(&mut self, id: &str) -> (u16, Value) {
        let Some(payment) = self.payments.get_mut(id) else {
            return (404, json!({"type": "urn:souk:problem:not-found"}));
        };
        match payment.status {
            "captured" => {
                payment.status = "refunded";
                payment.refunds = payment.captures;
            }
            "refunded" => {}
            _ => return conflict(),
        }
        Self::shown(payment)
    }
}
