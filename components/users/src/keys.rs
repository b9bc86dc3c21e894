//! The keys that sign access tokens.
//!
//! They are in the database, so that all instances sign with the same one. A key signs for some weeks. Its successor is
//! published an hour before it signs, so that whoever keeps the set knows it by then, and it stays in the set itself until every
//! token that it signed is over. All of that is in the statements of [`store`]; what rotates is whoever needs a key, or the tick.

use souk_access::{Jwks, SigningKey};
use souk_chassis::Problem;

use crate::store::keys as store;

/// The key to sign with now. The first time there is none, and one is made.
pub async fn signing() -> Result<SigningKey, Problem> {
    if let Some((key, due)) = store::signing().await? {
        if due {
            rotate().await?;
        }
        return Ok(key);
    }
    rotate().await?;
    let key = store::signing().await?.map(|(key, _)| key);
    key.ok_or_else(|| Problem::internal("there is no signing key after one was made"))
}

/// The keys that are published.
pub async fn published() -> Result<Jwks, Problem> {
    let mut keys = store::published().await?;
    if keys.is_empty() {
        keys.push(signing().await?);
    }
    Ok(Jwks {
        keys: keys.iter().map(SigningKey::jwk).collect(),
    })
}

/// Makes the next key if it is time, where there is a first one.
pub async fn rotate_if_used() -> Result<(), Problem> {
    match store::signing().await? {
        Some((_, true)) => rotate().await,
        _ => Ok(()),
    }
}

/// Makes the next key if it is time. Where several do so at once, one is made.
async fn rotate() -> Result<(), Problem> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(Problem::internal)?;
    store::add_if_due(&SigningKey::new(&secret), &secret).await?;
    Ok(())
}
