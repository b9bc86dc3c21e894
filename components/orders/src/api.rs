//! HTTP in and out.

pub mod ops;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures::join;
use http::header::{self, HeaderMap};
use http::{HeaderValue, StatusCode};
use souk_chassis::{Admin, Context, FieldError, Json, Load, Page, Path, Problem, Query, SignedIn};
use uuid::Uuid;

use crate::background::{now, until, within};
use crate::clients::{Cart, CartLine, Neighbours, NoToken, NotNow};
use crate::domain::placing::{
    Contents, IDEMPOTENCY_KEY, Item, MOST_LINES, MOST_OF_A_PRODUCT, NewOrder, idempotency_key,
    quote,
};
use crate::domain::saga::{Event, Outcome, Saga, Step};
use crate::domain::{
    CardSummary, Details, Filter, Line, Mistake, Order, OrderView, Reason, Shipment, Status,
};
use crate::saga::{self, BUDGET, Cancelling};
use crate::store::{self, OUTBOX};

/// How many sagas are driven at once, by all instances together, before new orders are refused (a bulkhead). A checkout is some dozen writes to three
/// databases, each of which has one writer at a time: more at once make each of them slower and all of them not faster. Sagas that
/// wait for something that is away do not count.
pub const AT_ONCE: i64 = 48;

/// How long it takes to answer once the outcome is known, in milliseconds.
const TO_ANSWER: i64 = 100;

/// The key of a request that can be repeated.
pub struct IdempotencyKey(String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(IDEMPOTENCY_KEY);
        idempotency_key(value.map(HeaderValue::as_bytes))
            .map(Self)
            .map_err(Problem::bad_request)
    }
}

/// Whose orders the caller sees: those of this user; all, for an administrator.
pub struct Viewer(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Context::from_request_parts(parts, state).await?;
        if context.require_admin().is_ok() {
            return Ok(Self(None));
        }
        let signed_in = SignedIn::from_request_parts(parts, state).await?;
        Ok(Self(Some(signed_in.user.to_string())))
    }
}

/// `POST /api/orders`
///
/// A key that is known is answered from its order, before anything else is done. For a new one the card is exchanged for a
/// token first: without that there is nothing that could be kept, so when payments cannot be reached nothing is created.
pub async fn place(
    context: Context,
    customer: SignedIn,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
    Json(new): Json<NewOrder>,
) -> Result<Response, Problem> {
    saga::nudge(&context).await;
    let deadline = deadline(&context);
    let (user, hash) = (customer.user.to_string(), new.hash());
    if let Some(order) = store::find_by_key(&user, &key).await? {
        return repeated(order, &hash, deadline).await;
    }
    if store::is_erased(&user).await? {
        return Err(Problem::unauthorized("the account is deleted"));
    }
    // Before anything is done for it.
    if store::are_under_way(at_once(&context), now()).await? {
        let detail = "more orders are being placed than can be worked on; try again in a moment";
        return Err(Problem::unavailable(detail, 1));
    }
    let (order, events) = prepare(&context, &headers, new, user, hash).await?;
    if !store::insert(&order, &key, &events).await? {
        // An equal request has been faster.
        let first = store::find_by_key(&order.user_id, &key).await?;
        let first = first.ok_or_else(|| {
            Problem::conflict("this cart is being ordered already, by a request with another key")
        })?;
        return repeated(first, &order.request_hash, deadline).await;
    }
    let id = order.id.clone();
    let settled = saga::start(&context, order, deadline).await;
    _ = within(until(deadline), settled).await;
    answer(&id).await
}

/// How many sagas are good now: when processors are short, as many as half of the requests that are, so that something is left for the others.
fn at_once(context: &Context) -> i64 {
    let good = |load: Load| (i64::from(load.limit) / 2).clamp(1, AT_ONCE);
    context.load.map_or(AT_ONCE, good)
}

/// Until when a request waits for the outcome of what it has begun. Whoever waits for it may wait less.
fn deadline(context: &Context) -> i64 {
    let left = context
        .deadline
        .map(|deadline| i64::from(deadline.left(now())) - TO_ANSWER);
    now() + left.map_or(BUDGET, |left| left.clamp(0, BUDGET))
}

/// Answers a request whose key is known as the first one with that key is answered.
async fn repeated(order: Order, hash: &str, deadline: i64) -> Result<Response, Problem> {
    if order.request_hash != hash {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "The idempotency key belongs to another request",
            "this key was sent before, with another order; a new order needs a new key",
        ));
    }
    let answered = |order: &Order| order.answer_status.is_some();
    saga::wait_for(&order.id, deadline, answered).await?;
    answer(&order.id).await
}

/// Makes an order of a request, and the first events of its saga's log.
async fn prepare(
    context: &Context,
    headers: &HeaderMap,
    new: NewOrder,
    user: String,
    hash: String,
) -> Result<(Order, Vec<Event>), Problem> {
    let neighbours = Neighbours::new(context.clone());
    let (items, cart_version) = match new.contents {
        Contents::Items(items) => (items, None),
        Contents::Cart => {
            let cart = cart(&neighbours, headers).await?;
            (items_of(cart.items)?, Some(cart.version))
        }
    };
    let ids: Vec<_> = items.iter().map(|item| item.product_id.as_str()).collect();
    let (token, products) = join!(neighbours.tokenize(&new.card), neighbours.products(&ids));

    let mut mistakes = Vec::new();
    let first = match products.map(|products| quote(&items, &products)) {
        Ok(Ok(quote)) => Outcome::Priced(quote),
        Ok(Err(wrong)) => {
            mistakes.extend(wrong);
            Outcome::Refused(Reason::ProductUnavailable, Details::default())
        }
        // The saga prices it as soon as products can be reached.
        Err(NotNow(why)) => Outcome::Later(why),
    };
    let token = match token {
        Ok(token) => Some(token),
        Err(NoToken::NotNow(NotNow(why))) => {
            return Err(not_now("the card cannot be checked now", &why));
        }
        Err(NoToken::Invalid(wrong)) => {
            mistakes.extend(wrong.into_iter().map(of_the_card));
            None
        }
    };
    let (Some(token), true) = (token, mistakes.is_empty()) else {
        return Err(invalid(mistakes));
    };

    let lease = saga::new_lease();
    let mut order = Order {
        id: Uuid::now_v7().to_string(),
        user_id: user,
        request_hash: hash,
        status: Status::Pending,
        reason: None,
        details: Details::default(),
        lines: items
            .iter()
            .map(|it| Line::new(&it.product_id, it.quantity))
            .collect(),
        total: None,
        shipping_address: Some(new.shipping_address),
        card: CardSummary {
            brand: token.brand,
            last4: token.last4,
        },
        shipment: None,
        created_at: String::new(),
        answer_status: None,
        saga: Saga::new(lease, token.token, cart_version, now()),
        refunded: 0,
        request_id: Some(context.request_id().to_owned()),
        traceparent: context.traceparent().map(str::to_owned),
        history: Vec::new(),
    };
    let events = order.apply(first, now());
    Ok((order, events))
}

async fn cart(neighbours: &Neighbours, headers: &HeaderMap) -> Result<Cart, Problem> {
    match neighbours.cart(headers).await {
        Ok(Some(cart)) => Ok(cart),
        Ok(None) => Err(Problem::bad_request(
            "the token of the guest's cart is none of ours",
        )),
        Err(NotNow(why)) => Err(not_now("the cart cannot be read now", &why)),
    }
}

fn items_of(lines: Vec<CartLine>) -> Result<Vec<Item>, Problem> {
    let wrong = |detail: String| {
        let field = "cart".into();
        Err(invalid(vec![Mistake { field, detail }]))
    };
    if lines.is_empty() {
        return wrong("is empty".into());
    }
    if lines.len() > MOST_LINES {
        return wrong(format!("has more than {MOST_LINES} products"));
    }
    if lines.iter().any(|line| line.quantity > MOST_OF_A_PRODUCT) {
        return wrong(format!("has more than {MOST_OF_A_PRODUCT} of a product"));
    }
    let item = |line: CartLine| Item {
        product_id: line.product_id,
        quantity: line.quantity,
        field: "cart".into(),
    };
    Ok(lines.into_iter().map(item).collect())
}

fn of_the_card(mistake: Mistake) -> Mistake {
    Mistake {
        field: format!("payment_method.{}", mistake.field),
        ..mistake
    }
}

fn not_now(detail: &str, why: &str) -> Problem {
    Problem::unavailable(detail, 2).cause(why)
}

fn invalid(mistakes: Vec<Mistake>) -> Problem {
    let error = |Mistake { field, detail }| FieldError { field, detail };
    Problem::validation(mistakes.into_iter().map(error).collect())
}

/// Answers the request that placed an order by what has become of it.
async fn answer(id: &str) -> Result<Response, Problem> {
    let mut order = found(id, None).await?;
    if order.answer_status.is_none() && order.status == Status::Confirmed {
        // The customer is not kept waiting for the capture. That this is the answer is written first, so that it stays it.
        store::answer_with_confirmation(id).await?;
        order = found(id, None).await?;
    }
    match order.answer_status {
        None => Ok(accepted(order)),
        Some(201) => {
            let location = [(header::LOCATION, location(id))];
            let confirmation = Json(order.into_confirmation());
            Ok((StatusCode::CREATED, location, confirmation).into_response())
        }
        Some(_) => Err(why_not(order)),
    }
}

/// 202: it goes on by itself.
fn accepted(order: Order) -> Response {
    let due_in = order.saga.due_at.filter(|_| order.saga.lease.is_none());
    let retry_after = due_in.map_or(1, |due_at| until(due_at).as_secs().clamp(1, 60));
    let headers = [
        (header::LOCATION, location(&order.id)),
        (header::RETRY_AFTER, retry_after.to_string()),
    ];
    (StatusCode::ACCEPTED, headers, Json(order.into_view())).into_response()
}

fn location(id: &str) -> String {
    format!("/api/orders/{id}")
}

/// Says why an order was not confirmed.
fn why_not(order: Order) -> Problem {
    let Some(reason) = order.reason else {
        return Problem::internal("an order has ended without a reason");
    };
    let word = serde_json::json!(reason);
    let problem = match reason.answer_status() {
        402 => {
            let code = order
                .details
                .decline_code
                .clone()
                .map_or(word.clone(), Into::into);
            Problem::new(
                StatusCode::PAYMENT_REQUIRED,
                "payment-declined",
                "The payment was declined",
                "the card could not be charged, and was not; a new order needs another card and a new idempotency key",
            )
            .with("decline_code", code)
        }
        422 => invalid(order.details.mistakes.clone()),
        _ if reason == Reason::OutOfStock => Problem::new(
            StatusCode::CONFLICT,
            "out-of-stock",
            "There is not enough in stock",
            "nothing was ordered or charged; `lines` says what is missing",
        )
        .with("lines", short_lines(&order)),
        _ if reason.is_cancellation() => Problem::new(
            StatusCode::CONFLICT,
            "order-cancelled",
            "The order was cancelled",
            "the order was cancelled before it was confirmed; nothing was charged",
        ),
        _ => Problem::new(
            StatusCode::CONFLICT,
            "order-rejected",
            "The order could not be completed",
            "the order was given up, and nothing was charged; a new order needs a new idempotency key",
        ),
    };
    problem.with("order_id", order.id).with("reason", word)
}

fn short_lines(order: &Order) -> serde_json::Value {
    let line = |short: &crate::domain::ShortLine| {
        let ordered = order
            .lines
            .iter()
            .find(|line| line.product_id == short.product_id);
        serde_json::json!({
            "product_id": short.product_id,
            "name": ordered.and_then(|line| line.name.as_deref()),
            "requested": short.requested,
            "available": short.available,
        })
    };
    order.details.lines.iter().map(line).collect()
}

/// `GET /api/orders`
pub async fn list(
    context: Context,
    Viewer(user): Viewer,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<OrderView>>, Problem> {
    saga::nudge(&context).await;
    let orders = store::list(&filter, user.as_deref()).await?;
    let page = Page::new(orders, filter.limit, |last| last.id.clone());
    Ok(Json(Page {
        items: page.items.into_iter().map(Order::into_view).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// `GET /api/orders/{id}`
pub async fn show(
    context: Context,
    Viewer(user): Viewer,
    Path(id): Path<Uuid>,
) -> Result<Json<OrderView>, Problem> {
    saga::nudge(&context).await;
    let order = found(&id.to_string(), user.as_deref()).await?;
    Ok(Json(order.into_view()))
}

/// The order with this id; of this user alone, if one is named. Other people's orders are not there.
pub async fn found(id: &str, user: Option<&str>) -> Result<Order, Problem> {
    let order = store::find(id, user).await?;
    order.ok_or_else(|| Problem::not_found(format!("there is no order {id}")))
}

/// `POST /api/orders/{id}/cancel`
pub async fn cancel(
    context: Context,
    Viewer(user): Viewer,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let deadline = deadline(&context);
    let id = id.to_string();
    let order = found(&id, user.as_deref()).await?;
    let caller = context.caller.as_ref();
    let reason = match caller.and_then(|caller| caller.user.as_ref()) == Some(&order.user_id) {
        true => Reason::CancelledByCustomer,
        false => Reason::CancelledByAdmin,
    };
    match saga::cancel(&context, order, reason, deadline).await? {
        Cancelling::Over => {}
        Cancelling::TooLate(why) => {
            return Err(Problem::conflict(format!(
                "the order cannot be cancelled: {why}"
            )));
        }
        Cancelling::UnderWay(Some(settled)) => {
            _ = within(until(deadline), settled).await;
        }
        Cancelling::UnderWay(None) => {
            let done = |order: &Order| order.saga.step == Step::Done;
            saga::wait_for(&id, deadline, done).await?;
        }
    }
    let order = found(&id, None).await?;
    match order.status {
        Status::Cancelled => Ok(Json(order.into_view()).into_response()),
        _ => Ok(accepted(order)),
    }
}

/// `POST /api/orders/{id}/ship`
pub async fn ship(
    _: Admin,
    Path(id): Path<Uuid>,
    Json(shipment): Json<Shipment>,
) -> Result<Json<OrderView>, Problem> {
    let id = id.to_string();
    let shipped = store::ship(&id, &shipment).await?;
    let order = found(&id, None).await?;
    let had_been = matches!(order.status, Status::Shipped | Status::Delivered);
    match shipped || had_been && order.shipment.as_ref() == Some(&shipment) {
        true => Ok(Json(order.into_view())),
        false => Err(not_now_possible(&order, "shipped")),
    }
}

/// `POST /api/orders/{id}/deliver`
pub async fn deliver(_: Admin, Path(id): Path<Uuid>) -> Result<Json<OrderView>, Problem> {
    let id = id.to_string();
    let delivered = store::deliver(&id).await?;
    let order = found(&id, None).await?;
    match delivered || order.status == Status::Delivered {
        true => Ok(Json(order.into_view())),
        false => Err(not_now_possible(&order, "delivered")),
    }
}

fn not_now_possible(order: &Order, what: &str) -> Problem {
    let word = serde_json::json!(order.status);
    let is = match (order.status, order.saga.step) {
        (Status::Confirmed, Step::Settle) => "confirmed, but not paid yet",
        (_, step) if step.is_undoing() => "being cancelled",
        (Status::Confirmed, _) if order.is_refunded() => {
            "confirmed, but its payment was given back"
        }
        _ => word.as_str().unwrap_or_default(),
    };
    Problem::conflict(format!("the order cannot be {what}: it is {is}"))
}

/// `POST /internal/tick`
pub async fn tick(context: Context) -> Result<StatusCode, Problem> {
    saga::resume(&context).await?;
    OUTBOX.publish(&context).await;
    Ok(StatusCode::NO_CONTENT)
}
