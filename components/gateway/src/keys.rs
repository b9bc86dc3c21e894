//! The keys that access tokens are verified with.
//!
//! The service `users` publishes them. They are kept in the instance's memory and, for the instances that follow and for
//! times when `users` does not answer, in the gateway's database. So a request is verified without asking anybody, but for
//! these:
//!
//! - The key set is older than [`MAX_AGE`]: it is asked for again, and used as it is for up to [`MAX_STALE`] if that fails.
//! - A token names a key that is not in the set: `users` may have a new one.
//!
//! Either way `users` is asked once in [`PAUSE`] at most, by all instances together as far as they know of each other:
//! anybody can make up tokens with unknown keys, and a service that is down is not to be pestered. A new key is published
//! some time before it signs, so this refuses nobody.

use std::sync::{Mutex, PoisonError};

use souk_access::{AUDIENCE, Claims, ISSUER, Invalid, Jwks};
use souk_chassis::Context;
use souk_client::{Call, CallError};

use crate::policies::POLICIES;
use crate::store;

/// How long a key set is taken to be the newest, in seconds: a key that is taken back is believed no longer than this.
const MAX_AGE: i64 = 300;

/// How long a key set is used while there is no newer one to be had, in seconds.
const MAX_STALE: i64 = 24 * 60 * 60;

/// How long nobody asks again, in seconds.
const PAUSE: i64 = 5;

/// How long `users` may take to answer, in milliseconds.
const TIMEOUT_MS: u32 = 2_000;

/// This instance's key set.
static NEWEST: Mutex<Option<KeySet>> = Mutex::new(None);

/// A key set, and when it was asked for. Times are in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    /// The keys.
    pub jwks: Jwks,
    /// When they were fetched.
    pub fetched_at: i64,
    /// When they were last asked for, with or without success.
    pub attempted_at: i64,
}

/// Why a key set may have to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It may be too old.
    Age,
    /// A token names a key that is not in it.
    UnknownKey,
}

/// Why a token is not believed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not valid.
    Invalid(Invalid),
    /// It may be valid, but the keys to tell are not to be had.
    NoKeys,
}

impl KeySet {
    /// Whether it is time to fetch a newer one.
    fn is_due(&self, reason: Reason, now: i64) -> bool {
        let old = now - self.fetched_at >= MAX_AGE || reason == Reason::UnknownKey;
        old && now - self.attempted_at >= PAUSE
    }

    /// What follows from having asked for a newer one.
    fn after(self, fetched: Option<Jwks>, now: i64) -> Self {
        match fetched {
            Some(jwks) => Self {
                jwks,
                fetched_at: now,
                attempted_at: now,
            },
            None => Self {
                attempted_at: now,
                ..self
            },
        }
    }

    /// Says what a token claims, if it is to be believed.
    fn verify(&self, token: &str, now: i64) -> Result<Claims, Invalid> {
        let none = Jwks::default();
        let jwks = match now - self.fetched_at < MAX_STALE {
            true => &self.jwks,
            false => &none,
        };
        jwks.verify(token, ISSUER, AUDIENCE, now.unsigned_abs())
    }

    /// What it means that a token is not valid by this set.
    fn refusal(&self, invalid: Invalid) -> Refusal {
        let newest = self.attempted_at == self.fetched_at;
        match invalid {
            Invalid::UnknownKey if !newest => Refusal::NoKeys,
            invalid => Refusal::Invalid(invalid),
        }
    }
}

/// Says what a token claims, if it is to be believed at `now`, in seconds since 1970.
pub async fn verify(context: &Context, token: &str, now: i64) -> Result<Claims, Refusal> {
    let verified = key_set(context, Reason::Age, now).await.verify(token, now);
    if verified != Err(Invalid::UnknownKey) {
        return verified.map_err(Refusal::Invalid);
    }
    let key_set = key_set(context, Reason::UnknownKey, now).await;
    key_set
        .verify(token, now)
        .map_err(|invalid| key_set.refusal(invalid))
}

/// The key set to verify with: this instance's, else the one in the database, else a newly fetched one.
async fn key_set(context: &Context, reason: Reason, now: i64) -> KeySet {
    let mine = remembered();
    if !mine.is_due(reason, now) {
        return mine;
    }
    let newest = newer_of(mine, kept().await);
    let newest = match newest.is_due(reason, now) {
        true => refreshed(context, newest, now).await,
        false => newest,
    };
    remember(newest.clone());
    newest
}

async fn refreshed(context: &Context, key_set: KeySet, now: i64) -> KeySet {
    let fetched = fetch(context).await;
    if let Err(error) = &fetched {
        log("the key set cannot be fetched", error);
    }
    let newest = key_set.after(fetched.ok(), now);
    if let Err(error) = store::keep_key_set(&newest).await {
        log("the key set cannot be kept", &error);
    }
    newest
}

async fn fetch(context: &Context) -> Result<Jwks, CallError> {
    let context = &context.within(TIMEOUT_MS);
    let call = Call::get(context, POLICIES.to("users"), "/.well-known/jwks.json");
    let response = call.send().await?;
    let status = response.status();
    match response.json::<Jwks>().await {
        Ok(jwks) if status.is_success() && !jwks.keys.is_empty() => Ok(jwks),
        Ok(_) => Err(CallError::Answer {
            service: "users".into(),
            cause: format!("{status}, and no keys"),
        }),
        Err(error) => Err(error),
    }
}

/// What other instances have found. Without the database each instance finds its own.
async fn kept() -> KeySet {
    match store::key_set().await {
        Ok(kept) => kept.unwrap_or_default(),
        Err(error) => {
            log("the kept key set cannot be read", &error);
            KeySet::default()
        }
    }
}

fn newer_of(one: KeySet, other: KeySet) -> KeySet {
    let age = |key_set: &KeySet| (key_set.fetched_at, key_set.attempted_at);
    match age(&other) > age(&one) {
        true => other,
        false => one,
    }
}

fn remembered() -> KeySet {
    let newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
    newest.clone().unwrap_or_default()
}

fn remember(key_set: KeySet) {
    *NEWEST.lock().unwrap_or_else(PoisonError::into_inner) = Some(key_set);
}

fn log(what: &str, error: &impl std::fmt::Display) {
    tracing::warn!(%error, "{what}");
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;
    use souk_access::{Role, SigningKey};
    use uuid::Uuid;

    const NOW: i64 = 1_700_000_000;

    /// A token for a user, signed with a key that [`knows`] makes known.
    pub fn token(key: u8, user: Uuid, role: Role, now: i64) -> String {
        let claims = Claims::new(user, role, Uuid::nil(), Uuid::nil(), now.unsigned_abs());
        SigningKey::new(&[key; 32]).sign(&claims)
    }

    fn jwks(key: u8) -> Jwks {
        Jwks {
            keys: vec![SigningKey::new(&[key; 32]).jwk()],
        }
    }

    /// Makes a key known to this instance, as if it had just been fetched.
    pub fn knows(key: u8, now: i64) {
        remember(fetched(key, now));
    }

    fn fetched(key: u8, now: i64) -> KeySet {
        KeySet::default().after(Some(jwks(key)), now)
    }

    #[test]
    fn a_key_set_is_fetched_when_it_is_old() {
        let key_set = fetched(1, NOW);
        assert!(KeySet::default().is_due(Reason::Age, NOW));
        assert!(!key_set.is_due(Reason::Age, NOW + MAX_AGE - 1));
        assert!(key_set.is_due(Reason::Age, NOW + MAX_AGE));
    }

    #[test]
    fn an_unknown_key_has_it_fetched_once_in_a_while() {
        let key_set = fetched(1, NOW);
        assert!(!key_set.is_due(Reason::UnknownKey, NOW + PAUSE - 1));
        assert!(key_set.is_due(Reason::UnknownKey, NOW + PAUSE));
    }

    #[test]
    fn a_failed_attempt_is_not_repeated_at_once() {
        let later = NOW + MAX_AGE + 7;
        let key_set = fetched(1, NOW).after(None, later);
        for reason in [Reason::Age, Reason::UnknownKey] {
            assert!(!key_set.is_due(reason, later + PAUSE - 1));
            assert!(key_set.is_due(reason, later + PAUSE));
        }
    }

    #[test]
    fn a_stale_key_set_is_used_for_a_day() {
        let key_set = fetched(1, NOW).after(None, NOW + MAX_AGE);
        let verify = |now| {
            let token = token(1, Uuid::nil(), Role::Customer, now);
            key_set.verify(&token, now).map(|claims| claims.role)
        };
        assert_eq!(verify(NOW + MAX_STALE - 1), Ok(Role::Customer));
        assert_eq!(verify(NOW + MAX_STALE), Err(Invalid::UnknownKey));
    }

    #[test]
    fn an_unknown_key_is_no_fault_of_the_token_when_there_may_be_newer_keys() {
        let newest = fetched(1, NOW);
        let invalid = Refusal::Invalid(Invalid::UnknownKey);
        assert_eq!(newest.refusal(Invalid::UnknownKey), invalid);
        let stale = newest.after(None, NOW + MAX_AGE);
        assert_eq!(stale.refusal(Invalid::UnknownKey), Refusal::NoKeys);
        let expired = Refusal::Invalid(Invalid::Expired);
        assert_eq!(stale.refusal(Invalid::Expired), expired);
    }

    #[test]
    fn the_newest_key_set_is_kept() {
        let keep = |key_set: &KeySet| block_on(store::keep_key_set(key_set)).unwrap();
        let kept = || block_on(store::key_set()).unwrap();
        assert_eq!(kept(), None);
        keep(&fetched(1, NOW));
        keep(&fetched(2, NOW - 10));
        assert_eq!(kept(), Some(fetched(1, NOW)));
        let failed = fetched(1, NOW).after(None, NOW + 20);
        keep(&failed);
        assert_eq!(kept(), Some(failed.clone()));
        keep(&fetched(3, NOW + 20));
        assert_eq!(kept(), Some(fetched(3, NOW + 20)));
        assert_eq!(newer_of(failed, kept().unwrap()), fetched(3, NOW + 20));
    }
}
