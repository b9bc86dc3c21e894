//! A payment provider that only pretends: known card numbers, known outcomes.
//!
//! It needs no network and keeps nothing. What it answers follows from what it is told: a [token](sandbox) says how its card
//! behaves, an authorization says it again, and the [settings] say how slow and unreliable to be.
//!
//! | card | |
//! |---|---|
//! | 4242 4242 4242 4242, and any other that is none of these | approved |
//! | 4000 0000 0000 0002 | declined |
//! | 4000 0000 0000 9995 | declined for insufficient funds |
//! | 4000 0000 0000 0119 | not available for some seconds, then approved |
//! | 4000 0000 0000 0341 | authorized; the capture is declined |

mod sandbox;
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
use settings::Settings;

/// The provider.
pub struct Sandbox;

impl Guest for Sandbox {
    /// Never fails, so that there is something to fail at later.
    async fn tokenize(settings: String, _: String, card: Card) -> Result<Outcome, Failure> {
        begin(&settings).await?;
        Ok(Outcome::Approved(sandbox::tokenize(&card.number)))
    }

    async fn authorize(
        settings: String,
        key: String,
        purchase: Purchase,
    ) -> Result<Outcome, Failure> {
        carry_out(&settings, &key, Operation::Authorize(purchase)).await
    }

    async fn capture(settings: String, key: String, charge: Charge) -> Result<Outcome, Failure> {
        carry_out(&settings, &key, Operation::Capture(charge)).await
    }

    async fn void(
        settings: String,
        key: String,
        authorization: String,
    ) -> Result<Outcome, Failure> {
        carry_out(&settings, &key, Operation::Void(authorization)).await
    }

    async fn refund(settings: String, key: String, charge: Charge) -> Result<Outcome, Failure> {
        carry_out(&settings, &key, Operation::Refund(charge)).await
    }

    async fn find(
        settings: String,
        key: String,
        operation: Operation,
    ) -> Result<Option<Outcome>, Failure> {
        let settings = begin(&settings).await?;
        match settings.was_done(&key) {
            true => sandbox::decide(&key, &operation).map(Some),
            false => Ok(None),
        }
    }
}

async fn carry_out(settings: &str, key: &str, operation: Operation) -> Result<Outcome, Failure> {
    let settings = begin(settings).await?;
    sandbox::refuse_for_a_while(&operation, settings.transient)?;
    settings.fail(key)?;
    sandbox::decide(key, &operation)
}

/// Reads the settings, and is as slow as they say.
async fn begin(settings: &str) -> Result<Settings, Failure> {
    let settings = Settings::parse(settings).map_err(Failure::Invalid)?;
    if !settings.latency.is_zero() {
        spin_sdk::time::sleep(settings.latency).await;
    }
    Ok(settings)
}

// The exports have names that only a Wasm linker takes.
#[cfg(target_family = "wasm")]
mod component {
    #![allow(unsafe_code)]
    use super::{Sandbox, interface};
    interface::export!(Sandbox with_types_in interface);
}
