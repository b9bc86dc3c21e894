//! Calls to products, inventory, payments and carts, and what their answers mean.
//!
//! An answer that decides something is a value. Whatever leaves a question open - no answer, an answer too late, a failure of
//! the other side - is [`NotNow`], and asking again is harmless: everything here is idempotent by the order's id.

use http::{HeaderMap, HeaderName, Method, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use souk_chassis::Context;
use souk_client::{Policies, Policy};

use crate::background::checkpoint;
use crate::domain::placing::{Card, Product};
use crate::domain::{Mistake, Order, ShortLine};

#[cfg(not(test))]
use network::exchange;

#[cfg(test)]
use crate::tests::neighbours::exchange;

/// How patient orders are with each service, in milliseconds. The longest step of a saga makes two calls after each other, and
/// with everything they are tried that has to be less than a lease.
#[rustfmt::skip]
pub const POLICIES: Policies = Policies(&[
    //           of           timeout  attempts  slow from  at once
    // The customer waits for these, before there is an order.
    Policy::row("carts",      2_000,   2,        1_500,     12),
    Policy::row("products",   2_000,   2,        1_500,     12),
    // The saga waits for these.
    Policy::row("inventory",  3_000,   2,        2_500,     14),
    Policy::row("payments",   3_000,   2,        3_000,     14),
]);

/// How long stock is kept for an order: longer than an order that cannot be completed is tried.
const RESERVED_FOR_SECONDS: i64 = 1200;

/// The header by which a guest's cart is known.
const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");

/// There is no telling, for this reason. Asking again later may help.
#[derive(Debug, PartialEq, Eq)]
pub struct NotNow(pub String);

/// A request to a neighbour.
pub struct Request {
    pub method: Method,
    pub service: &'static str,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Option<Value>,
}

/// What it was answered.
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

#[cfg(not(test))]
mod network {
    use souk_chassis::Context;
    use souk_client::{Call, CallError};

    use super::{NotNow, POLICIES, Reply, Request};

    impl From<CallError> for NotNow {
        fn from(error: CallError) -> Self {
            Self(error.to_string())
        }
    }

    /// Sends a request and reads the whole answer; one that is not JSON is none of those that decide anything.
    pub async fn exchange(context: &Context, request: Request) -> Result<Reply, NotNow> {
        let policy = POLICIES.to(request.service);
        // All there is to ask for is idempotent by the order's id, or reads.
        let mut call = Call::new(context, request.method, policy, &request.path).repeatable();
        for (name, value) in &request.headers {
            call = call.header(name.clone(), value.clone());
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let response = call.send().await?;
        let status = response.status().as_u16();
        let body = match status {
            204 => serde_json::Value::Null,
            _ => response.json().await?,
        };
        Ok(Reply { status, body })
    }
}

/// The other services, as this one needs them.
#[derive(Debug, Clone)]
pub struct Neighbours {
    context: Context,
}

/// What inventory says to a request for stock.
#[derive(Debug, PartialEq, Eq)]
pub enum Stock {
    /// It is there.
    Taken,
    /// There is not enough.
    Short(Vec<ShortLine>),
    /// The order's reservation is not what it should be.
    Refused,
}

/// What payments say to a request for money.
#[derive(Debug, PartialEq, Eq)]
pub enum Authorization {
    /// It is there.
    Granted,
    /// The card's issuer says no.
    Declined(Option<String>),
    /// It cannot be asked for.
    Refused,
}

/// What became of the money that was authorized.
#[derive(Debug, PartialEq, Eq)]
pub enum Capture {
    /// It was taken.
    Taken,
    /// It cannot be taken.
    Failed,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    Authorizing,
    Authorized,
    Declined,
    Capturing,
    Captured,
    CaptureFailed,
    Voiding,
    Voided,
    Refunding,
    PartiallyRefunded,
    Refunded,
}

#[derive(Deserialize)]
struct Payment {
    status: PaymentStatus,
    decline_code: Option<String>,
}

/// What payments know a card by.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct CardToken {
    pub token: String,
    pub brand: String,
    pub last4: String,
}

/// Why there is no [`CardToken`].
#[derive(Debug, PartialEq, Eq)]
pub enum NoToken {
    /// These fields of the card are wrong.
    Invalid(Vec<Mistake>),
    /// Payments cannot say now.
    NotNow(NotNow),
}

/// A customer's cart.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Cart {
    /// It grows with every change.
    pub version: i64,
    pub items: Vec<CartLine>,
}

/// What a cart has of a product.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct CartLine {
    pub product_id: String,
    pub quantity: i64,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Lines {
    lines: Vec<ShortLine>,
}

#[derive(Deserialize)]
struct Invalid {
    errors: Vec<Mistake>,
}

impl Reply {
    fn read<T: DeserializeOwned>(self) -> Result<T, NotNow> {
        serde_json::from_value(self.body)
            .map_err(|error| NotNow(format!("the answer makes no sense: {error}")))
    }

    /// Whether the problem is of this kind.
    fn is_problem(&self, slug: &str) -> bool {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:souk:problem:") == Some(slug)
    }

    /// A status that decides nothing. What else there is in the answer is not repeated: it may be about a card.
    fn undecided(&self) -> NotNow {
        NotNow(format!("the answer has the status {}", self.status))
    }
}

/// Refusals that will be the same next time; what is about this caller (401, 403) or this moment (408, 425, 429) is not.
fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 408 | 425 | 429)
}

impl Neighbours {
    /// The neighbours, called while handling the request of this context.
    pub fn new(context: Context) -> Self {
        Self { context }
    }

    /// What they are called in.
    pub fn context(&self) -> &Context {
        &self.context
    }

    async fn ask(&self, request: Request) -> Result<Reply, NotNow> {
        checkpoint().await;
        let reply = exchange(&self.context, request).await;
        checkpoint().await;
        reply
    }

    async fn get(&self, service: &'static str, path: String) -> Result<Reply, NotNow> {
        self.ask(Request {
            method: Method::GET,
            service,
            path,
            headers: HeaderMap::new(),
            body: None,
        })
        .await
    }

    async fn post(
        &self,
        service: &'static str,
        path: String,
        body: Option<Value>,
    ) -> Result<Reply, NotNow> {
        self.ask(Request {
            method: Method::POST,
            service,
            path,
            headers: HeaderMap::new(),
            body,
        })
        .await
    }

    /// Those of these products that are sold.
    pub async fn products(&self, ids: &[&str]) -> Result<Vec<Product>, NotNow> {
        let reply = self
            .ask(Request {
                method: Method::GET,
                service: "products",
                path: format!("/api/products?ids={}", ids.join(",")),
                headers: HeaderMap::new(),
                body: None,
            })
            .await?;
        match reply.status {
            200 => Ok(reply.read::<Items<Product>>()?.items),
            _ => Err(reply.undecided()),
        }
    }

    /// The cart of the user who makes the request; none where what the request says of a guest's cart is of no use. That goes
    /// with it, so that carts makes one of the two first.
    pub async fn cart(&self, headers: &HeaderMap) -> Result<Option<Cart>, NotNow> {
        let mut passed_on = HeaderMap::new();
        for name in [header::COOKIE, CART_TOKEN] {
            if let Some(value) = headers.get(&name) {
                passed_on.insert(name, value.clone());
            }
        }
        let reply = self
            .ask(Request {
                method: Method::GET,
                service: "carts",
                path: "/api/cart".into(),
                headers: passed_on,
                body: None,
            })
            .await?;
        match reply.status {
            200 => Ok(Some(reply.read()?)),
            400 => Ok(None),
            _ => Err(reply.undecided()),
        }
    }

    /// Exchanges a card for a token.
    pub async fn tokenize(&self, card: &Card) -> Result<CardToken, NoToken> {
        let body = json!(card);
        let reply = self.post("payments", "/internal/card-tokens".into(), Some(body));
        let reply = reply.await.map_err(NoToken::NotNow)?;
        match reply.status {
            201 => reply.read().map_err(NoToken::NotNow),
            422 => {
                let mistakes = reply.read::<Invalid>().map_err(NoToken::NotNow)?.errors;
                Err(NoToken::Invalid(mistakes))
            }
            _ => Err(NoToken::NotNow(reply.undecided())),
        }
    }

    /// Reserves an order's stock, all of it or nothing.
    pub async fn reserve(&self, order: &Order) -> Result<Stock, NotNow> {
        let lines = order.lines.iter();
        let lines: Vec<_> = lines
            .map(|line| json!({"product_id": line.product_id, "quantity": line.quantity}))
            .collect();
        let reply = self
            .ask(Request {
                method: Method::PUT,
                service: "inventory",
                path: format!("/internal/reservations/{}", order.id),
                headers: HeaderMap::new(),
                body: Some(json!({"lines": lines, "expires_in_seconds": RESERVED_FOR_SECONDS})),
            })
            .await?;
        stock(reply)
    }

    /// Takes what is reserved off the stock.
    pub async fn commit(&self, order: &Order) -> Result<Stock, NotNow> {
        let path = format!("/internal/reservations/{}/commit", order.id);
        stock(self.post("inventory", path, None).await?)
    }

    /// Gives an order's stock back, reserved or taken, and lets none be reserved for it any more.
    pub async fn release(&self, order: &Order) -> Result<(), NotNow> {
        let path = format!("/internal/reservations/{}/release", order.id);
        let reply = self.post("inventory", path, None).await?;
        match reply.status {
            200 => Ok(()),
            _ => Err(reply.undecided()),
        }
    }

    /// Authorizes an order's payment.
    pub async fn authorize(&self, order: &Order) -> Result<Authorization, NotNow> {
        let body = json!({
            "amount": order.total,
            "token": order.saga.payment_token,
            "user_id": order.user_id,
        });
        let path = format!("/internal/payments/{}/authorize", order.id);
        let reply = self.post("payments", path, Some(body)).await?;
        if is_final(reply.status) {
            return Ok(Authorization::Refused);
        }
        match payment(reply)? {
            Payment {
                status: PaymentStatus::Authorized,
                ..
            } => Ok(Authorization::Granted),
            Payment {
                status: PaymentStatus::Declined,
                decline_code,
            } => Ok(Authorization::Declined(decline_code)),
            Payment { status, .. } => Err(NotNow(format!("the payment is {status:?}"))),
        }
    }

    /// Takes the money that was authorized.
    pub async fn capture(&self, order: &Order) -> Result<Capture, NotNow> {
        let path = format!("/internal/payments/{}/capture", order.id);
        let reply = self.post("payments", path, None).await?;
        let status = match is_final(reply.status) {
            true => self.payment(order).await?,
            false => Some(payment(reply)?.status),
        };
        match status {
            Some(
                PaymentStatus::Captured
                | PaymentStatus::Refunding
                | PaymentStatus::PartiallyRefunded
                | PaymentStatus::Refunded,
            ) => Ok(Capture::Taken),
            None
            | Some(
                PaymentStatus::CaptureFailed | PaymentStatus::Voided | PaymentStatus::Declined,
            ) => Ok(Capture::Failed),
            Some(status) => Err(NotNow(format!("the payment is {status:?}"))),
        }
    }

    /// Where an order's payment stands; none where there is none.
    pub async fn payment(&self, order: &Order) -> Result<Option<PaymentStatus>, NotNow> {
        let path = format!("/internal/payments/{}", order.id);
        let reply = self.get("payments", path).await?;
        match reply.status {
            404 => Ok(None),
            _ => Ok(Some(payment(reply)?.status)),
        }
    }

    /// Gives up what was authorized, and lets nothing be authorized for the order any more.
    pub async fn void(&self, order: &Order) -> Result<PaymentStatus, NotNow> {
        let path = format!("/internal/payments/{}/void", order.id);
        Ok(payment(self.post("payments", path, None).await?)?.status)
    }

    /// Gives all the money back.
    pub async fn refund(&self, order: &Order) -> Result<PaymentStatus, NotNow> {
        let path = format!("/internal/payments/{}/refund", order.id);
        Ok(payment(self.post("payments", path, None).await?)?.status)
    }
}

/// What an answer of inventory means.
fn stock(reply: Reply) -> Result<Stock, NotNow> {
    match reply.status {
        200 | 201 => Ok(Stock::Taken),
        409 if reply.is_problem("out-of-stock") => Ok(Stock::Short(reply.read::<Lines>()?.lines)),
        status if is_final(status) => Ok(Stock::Refused),
        _ => Err(reply.undecided()),
    }
}

/// Reads a payment; with 202 it is one whose outcome is not known yet, as its status says.
fn payment(reply: Reply) -> Result<Payment, NotNow> {
    match reply.status {
        200 | 202 => reply.read(),
        _ => Err(reply.undecided()),
    }
}
