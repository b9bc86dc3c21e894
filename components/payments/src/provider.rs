//! The provider: the interface `souk:payment/provider`, behind which another component stands.

use tracing::Instrument;
use tracing::field::Empty;

use crate::card::Card;
use crate::domain::{Kind, Operation};

/// The interface, as the WIT file says it.
#[allow(missing_docs, unsafe_code, clippy::all)]
mod interface {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit/payment",
        world: "provider-user",
        runtime_path: "spin_sdk::wit_bindgen::rt",
    });
}

/// Tests have a provider that does as they say.
#[cfg(test)]
#[path = "tests/provider.rs"]
pub mod scripted;

#[cfg(not(test))]
use interface::souk::payment::provider as joined;
#[cfg(test)]
use scripted as joined;

use interface::souk::payment::provider as wit;
pub use wit::{Failure, Outcome};

/// Exchanges a card for a token.
pub async fn tokenize(key: String, card: Card) -> Result<Outcome, Failure> {
    let card = wit::Card {
        number: card.number,
        exp_month: card.exp_month.try_into().unwrap_or_default(),
        exp_year: card.exp_year.try_into().unwrap_or_default(),
        cvc: card.cvc,
    };
    let call = async { joined::tokenize(settings().await?, key, card).await };
    ask("tokenize", call, decided).await
}

/// Has an operation carried out.
pub async fn carry_out(operation: &Operation) -> Result<Outcome, Failure> {
    let call = async {
        let (settings, key) = (settings().await?, operation.provider_key());
        match request(operation) {
            wit::Operation::Authorize(purchase) => joined::authorize(settings, key, purchase).await,
            wit::Operation::Capture(charge) => joined::capture(settings, key, charge).await,
            wit::Operation::Void(hold) => joined::void(settings, key, hold).await,
            wit::Operation::Refund(charge) => joined::refund(settings, key, charge).await,
        }
    };
    ask(name(operation.kind), call, decided).await
}

/// Asks what became of an operation.
pub async fn find(operation: &Operation) -> Result<Option<Outcome>, Failure> {
    let key = operation.provider_key();
    let call = async { joined::find(settings().await?, key, request(operation)).await };
    let found = |found: &Option<Outcome>| found.as_ref().map_or("not carried out", decided);
    ask("find", call, found).await
}

/// Makes a call of the provider, as a span: the provider is a part of this component, so that nobody else sees it.
async fn ask<T>(
    operation: &str,
    call: impl Future<Output = Result<T, Failure>>,
    said: impl FnOnce(&T) -> &'static str,
) -> Result<T, Failure> {
    let span = tracing::info_span!(
        "provider",
        otel.name = format!("provider {operation}"),
        otel.kind = "client",
        outcome = Empty,
        error = Empty,
    );
    let answer = call.instrument(span.clone()).await;
    match &answer {
        Ok(answer) => span.record("outcome", said(answer)),
        // What the provider says of it is for the log.
        Err(failure) => span
            .record("outcome", failed(failure))
            .record("error", failed(failure)),
    };
    answer
}

/// Who declines has not failed.
fn decided(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Approved(_) => "approved",
        Outcome::Declined(_) => "declined",
    }
}

fn failed(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unavailable(_) => "unavailable",
        Failure::Unknown(_) => "unknown",
        Failure::Invalid(_) => "invalid",
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Authorize => "authorize",
        Kind::Capture => "capture",
        Kind::Void => "void",
        Kind::Refund => "refund",
    }
}

fn request(operation: &Operation) -> wit::Operation {
    let amount = wit::Money {
        amount: operation.amount.amount.try_into().unwrap_or_default(),
        currency: operation.amount.currency.clone(),
    };
    let charge = wit::Charge {
        authorization: operation.hold.clone(),
        amount: amount.clone(),
    };
    match operation.kind {
        Kind::Authorize => wit::Operation::Authorize(wit::Purchase {
            token: operation.token.0.clone(),
            amount,
        }),
        Kind::Capture => wit::Operation::Capture(charge),
        Kind::Void => wit::Operation::Void(charge.authorization),
        Kind::Refund => wit::Operation::Refund(charge),
    }
}

/// What the shop sets for its provider, which cannot read variables itself.
#[cfg(not(test))]
async fn settings() -> Result<String, Failure> {
    let settings = souk_chassis::variables::get("payment_provider_settings").await;
    let settings =
        settings.map_err(|_| Failure::Unavailable("the settings cannot be read".into()))?;
    Ok(settings.as_deref().unwrap_or_default().to_owned())
}

#[cfg(test)]
async fn settings() -> Result<String, Failure> {
    Ok(String::new())
}
