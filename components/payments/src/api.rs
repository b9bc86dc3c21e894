//! HTTP in and out.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HeaderMap;
use http::request::Parts;
use souk_chassis::fields::{self, Fields, FromFields};
use souk_chassis::{Admin, Context, FieldError, Json, Page, Path, Problem, Query, SignedIn};
use uuid::Uuid;

use crate::card::{self, Card, CardToken};
use crate::domain::{self, NewPayment, NewRefund, Payment, Status};
use crate::operations::{self, Progress, Wanted};
use crate::provider::{self, Failure, Outcome};
use crate::store::{self, OUTBOX};

/// Lets only the service through that may have money moved for an order, before anything else of a request is looked at.
pub struct Orders;

impl<S: Sync> FromRequestParts<S> for Orders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Context::from_request_parts(parts, state).await?;
        context.require_service(&["orders"]).map(|()| Self)
    }
}

/// Which order's payment is asked for.
pub struct OfOrder {
    order_id: Uuid,
}

impl FromFields for OfOrder {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            order_id: fields.required("order_id", fields::uuid()),
        }
    }
}

/// `GET /api/payments`
pub async fn list(
    reader: SignedIn,
    Query(OfOrder { order_id }): Query<OfOrder>,
) -> Result<Json<Page<Payment>>, Problem> {
    let payment = store::find_by_order(order_id).await?;
    let readable = payment.filter(|payment| may_read(reader, payment));
    Ok(Json(Page::whole(readable.into_iter().collect())))
}

/// `GET /api/payments/{id}`
pub async fn show(reader: SignedIn, Path(id): Path<Uuid>) -> Result<Json<Payment>, Problem> {
    let payment = store::find(id).await?;
    let readable = payment.filter(|payment| may_read(reader, payment));
    readable.map(Json).ok_or_else(|| no_payment(id))
}

fn may_read(reader: SignedIn, payment: &Payment) -> bool {
    reader.is_admin() || payment.user_id == Some(reader.user.to_string())
}

/// `POST /api/payments/{id}/refunds`
pub async fn refund(
    _: Admin,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Json(NewRefund { amount }): Json<NewRefund>,
) -> Result<Response, Problem> {
    let key = headers.get("idempotency-key").map(|key| key.as_bytes());
    let key = domain::idempotency_key(key).map_err(Problem::bad_request)?;
    let payment_id = id.to_string();
    match store::begin_refund(&payment_id, amount, Some(&key)).await? {
        Some(begun) => operations::carry_out(&begun).await?,
        None => operations::advance(&payment_id, Wanted::Done).await?,
    };
    let payment = store::find(id).await?.ok_or_else(|| no_payment(id))?;
    let Some(refund) = store::refund(&payment_id, &key).await? else {
        return Err(Problem::conflict(
            "not so much of the payment is left to be refunded",
        ));
    };
    if amount.is_some_and(|amount| amount != refund.amount) {
        let other = bad(
            "amount",
            "is not what this Idempotency-Key was used for before",
        );
        return Err(Problem::validation(vec![other]));
    }
    match (refund.decided, refund.decline_code) {
        (true, None) => Ok((StatusCode::CREATED, Json(payment)).into_response()),
        (true, Some(code)) => Err(Problem::conflict(format!(
            "the provider declined the refund: {code}"
        ))),
        (false, _) => Ok((StatusCode::ACCEPTED, Json(payment)).into_response()),
    }
}

/// `POST /internal/card-tokens`
pub async fn tokenize(_: Orders, Json(card): Json<Card>) -> Result<Response, Problem> {
    let summary = card.summary();
    match provider::tokenize(Uuid::now_v7().to_string(), card).await {
        Ok(Outcome::Approved(token)) => {
            let token = CardToken {
                token,
                card: summary,
            };
            store::insert_token(&token).await?;
            Ok((StatusCode::CREATED, Json(token)).into_response())
        }
        Ok(Outcome::Declined(decline)) => Err(Problem::validation(vec![refused(&decline.code)])),
        Err(failure) => Err(no_provider().cause(cause(failure))),
    }
}

/// Which field the provider does not like.
fn refused(code: &str) -> FieldError {
    let field = match code {
        code if code.contains("cvc") => "cvc",
        code if code.contains("expir") => "exp_year",
        _ => "number",
    };
    bad(field, "is not accepted by the card's issuer")
}

/// `GET /internal/payments/{order_id}`
pub async fn of_order(_: Orders, Path(order_id): Path<Uuid>) -> Result<Json<Payment>, Problem> {
    let payment = existing(order_id).await?;
    if !payment.status.is_open() {
        return Ok(Json(payment));
    }
    operations::advance(&payment.id, Wanted::Known).await?;
    existing(order_id).await.map(Json)
}

/// `POST /internal/payments/{order_id}/authorize`
pub async fn authorize(
    _: Orders,
    Path(order_id): Path<Uuid>,
    Json(new): Json<NewPayment>,
) -> Result<Response, Problem> {
    let progress = match begin_authorization(order_id, &new).await? {
        Some(begun) => operations::carry_out(&begun).await?,
        None => {
            let payment = the_same(order_id, &new).await?;
            operations::advance(&payment.id, Wanted::Done).await?
        }
    };
    let payment = existing(order_id).await?;
    match (payment.status, progress) {
        (Status::Voiding | Status::Voided, _) => Err(voided()),
        (Status::Authorizing, Progress::NotDone) => Err(no_provider()),
        _ => Ok(answer(payment)),
    }
}

async fn begin_authorization(
    order_id: Uuid,
    new: &NewPayment,
) -> Result<Option<domain::Operation>, Problem> {
    let begun = store::begin_authorization(order_id, new).await;
    begun.map_err(|error| match error.violates_foreign_key() {
        true => Problem::validation(vec![bad("token", "is not the token of a card")]),
        false => error.into(),
    })
}

/// The order's payment, if it is for the same as this.
async fn the_same(order_id: Uuid, new: &NewPayment) -> Result<Payment, Problem> {
    let payment = existing(order_id).await?;
    let Some(token) = store::token_of(order_id).await? else {
        return Err(voided());
    };
    let same = payment.amount == new.amount
        && payment.user_id == Some(new.user_id.to_string())
        && token == new.token;
    match same {
        true => Ok(payment),
        false => Err(Problem::conflict(
            "the order has a payment of another amount, user or card",
        )),
    }
}

/// `POST /internal/payments/{order_id}/capture`
pub async fn capture(_: Orders, Path(order_id): Path<Uuid>) -> Result<Response, Problem> {
    match store::begin_capture(order_id).await? {
        Some(begun) => _ = operations::carry_out(&begun).await?,
        None => go_on(order_id, Status::Capturing).await?,
    }
    let payment = existing(order_id).await?;
    use Status::*;
    match payment.status {
        Capturing | Captured | CaptureFailed | Refunding | PartiallyRefunded | Refunded => {
            Ok(answer(payment))
        }
        _ => Err(wrong_state(&payment, "captured")),
    }
}

/// `POST /internal/payments/{order_id}/void`
pub async fn void(_: Orders, Path(order_id): Path<Uuid>) -> Result<Response, Problem> {
    store::begin_void(order_id).await?;
    go_on(order_id, Status::Voiding).await?;
    let payment = existing(order_id).await?;
    match payment.status {
        // Where the card was declined, nothing is held.
        Status::Voiding | Status::Voided | Status::Declined => Ok(answer(payment)),
        _ => Err(wrong_state(&payment, "voided")),
    }
}

/// `POST /internal/payments/{order_id}/refund`
pub async fn refund_order(_: Orders, Path(order_id): Path<Uuid>) -> Result<Response, Problem> {
    let payment = existing(order_id).await?;
    match store::begin_refund(&payment.id, None, None).await? {
        Some(begun) => _ = operations::carry_out(&begun).await?,
        None => go_on(order_id, Status::Refunding).await?,
    }
    let payment = existing(order_id).await?;
    match payment.status {
        Status::Refunding | Status::Refunded => Ok(answer(payment)),
        _ => Err(wrong_state(&payment, "refunded")),
    }
}

/// Goes on with what was begun before, where that is what the payment is in the middle of.
async fn go_on(order_id: Uuid, status: Status) -> Result<(), Problem> {
    let payment = existing(order_id).await?;
    if payment.status == status {
        operations::advance(&payment.id, Wanted::Done).await?;
    }
    Ok(())
}

/// `POST /internal/tick`
pub async fn tick(context: Context) -> Result<StatusCode, Problem> {
    operations::tick().await?;
    OUTBOX.publish(&context).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn existing(order_id: Uuid) -> Result<Payment, Problem> {
    let payment = store::find_by_order(order_id).await?;
    payment.ok_or_else(|| Problem::not_found(format!("there is no payment of order {order_id}")))
}

/// 202 says: ask again.
fn answer(payment: Payment) -> Response {
    let status = match payment.status.is_open() {
        true => StatusCode::ACCEPTED,
        false => StatusCode::OK,
    };
    (status, Json(payment)).into_response()
}

fn no_payment(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no payment {id}"))
}

fn no_provider() -> Problem {
    Problem::unavailable("the payment provider is not available", 2)
}

fn voided() -> Problem {
    Problem::conflict("the payment of this order has been voided")
}

fn wrong_state(payment: &Payment, verb: &str) -> Problem {
    let status = payment.status.word();
    Problem::conflict(format!("the payment is {status} and cannot be {verb}"))
        .with("payment_status", status)
}

fn bad(field: &str, detail: &str) -> FieldError {
    FieldError {
        field: field.into(),
        detail: detail.into(),
    }
}

/// What a provider says, for the log. The interface wants no card in it; this does not count on that.
fn cause(failure: Failure) -> String {
    match failure {
        Failure::Unavailable(why) | Failure::Unknown(why) | Failure::Invalid(why) => {
            card::without_numbers(&why)
        }
    }
}
