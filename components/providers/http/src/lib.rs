//! A payment provider that speaks to a card processor's REST API, in the style that Stripe made common.
//!
//! | | |
//! |---|---|
//! | tokenize | `POST /v1/payment_methods` |
//! | authorize | `POST /v1/payment_intents` with `capture_method=manual` and `confirm=true` |
//! | capture | `POST /v1/payment_intents/{id}/capture` |
//! | void | `POST /v1/payment_intents/{id}/cancel` |
//! | refund | `POST /v1/refunds` |
//!
//! Bodies are form-encoded, answers and typed errors are JSON; see [`requests`] and [`answers`]. `Authorization` carries the
//! secret key, `Idempotency-Key` the key of the operation. Such an API has no lasting way to look an operation up by its key:
//! one asks how it ended by sending it again under the same key, and so does `find`. What is asked for in that way is decided
//! afterwards, so it never answers `none`. That works for as long as the processor remembers keys, commonly a day.
//!
//! [`settings`] say where the processor is. The manifest has to grant that address to the component this one is joined to, and
//! to let this one inherit it.

mod answers;
mod client;
mod requests;
mod settings;

/// The interface `souk:payment/provider`, as the WIT file says it.
#[allow(missing_docs, unsafe_code, clippy::all)]
mod interface {
    spin_sdk::wit_bindgen::generate!({
        path: "../../../wit/payment",
        world: "provider-component",
        runtime_path: "spin_sdk::wit_bindgen::rt",
    });
}

use interface::exports::souk::payment::provider::{
    Card, Charge, Failure, Guest, Operation, Outcome, Purchase,
};
use requests::Post;
use settings::Settings;

/// The provider.
pub struct Processor;

impl Guest for Processor {
    async fn tokenize(settings: String, key: String, card: Card) -> Result<Outcome, Failure> {
        ask(&settings, &key, requests::tokenize(&card)).await
    }

    async fn authorize(
        settings: String,
        key: String,
        purchase: Purchase,
    ) -> Result<Outcome, Failure> {
        ask(&settings, &key, requests::authorize(&purchase, &key)).await
    }

    async fn capture(settings: String, key: String, charge: Charge) -> Result<Outcome, Failure> {
        ask(&settings, &key, requests::capture(&charge)?).await
    }

    async fn void(
        settings: String,
        key: String,
        authorization: String,
    ) -> Result<Outcome, Failure> {
        ask(&settings, &key, requests::void(&authorization)?).await
    }

    async fn refund(settings: String, key: String, charge: Charge) -> Result<Outcome, Failure> {
        ask(&settings, &key, requests::refund(&charge)).await
    }

    async fn find(
        settings: String,
        key: String,
        operation: Operation,
    ) -> Result<Option<Outcome>, Failure> {
        let post = match &operation {
            Operation::Authorize(purchase) => requests::authorize(purchase, &key),
            Operation::Capture(charge) => requests::capture(charge)?,
            Operation::Void(authorization) => requests::void(authorization)?,
            Operation::Refund(charge) => requests::refund(charge),
        };
        ask(&settings, &key, post).await.map(Some)
    }
}

async fn ask(settings: &str, key: &str, post: Post) -> Result<Outcome, Failure> {
    let settings = Settings::parse(settings).map_err(Failure::Invalid)?;
    let action = post.action;
    let (status, body) = client::send(&settings, key, post).await?;
    answers::read(action, status, &body)
}

// The exports have names that only a Wasm linker takes.
#[cfg(target_family = "wasm")]
mod component {
    #![allow(unsafe_code)]
    use super::{Processor, interface};
    interface::export!(Processor with_types_in interface);
}
