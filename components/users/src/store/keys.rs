//! Signing keys.

use souk_access::{LIFETIME, SigningKey};
use souk_store::{Error, FromRow, FromValue, Row, Value};

use super::DATABASE;
use crate::domain::SIGNING_KEY_DAYS;

/// How long a key is published before it signs, in seconds: longer than anybody keeps the set.
const NOTICE: u64 = 60 * 60;

/// How long after its last token is over a key stays, in seconds: clocks differ, and a request may be on its way.
const GRACE: u64 = 60;

struct Key(SigningKey);

impl FromValue for Key {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        let Value::Blob(secret) = value else {
            return Err("a blob");
        };
        let secret = secret.try_into().map_err(|_| "32 bytes")?;
        Ok(Self(SigningKey::new(&secret)))
    }
}

impl FromRow for Key {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        row.take()
    }
}

struct Signing(SigningKey, bool);

impl FromRow for Signing {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self(row.take::<Key>()?.0, row.take()?))
    }
}

/// The key that signs now, and whether it is time for the next one.
pub async fn signing() -> Result<Option<(SigningKey, bool)>, Error> {
    const SQL: &str = "SELECT secret, \
        NOT EXISTS (SELECT 1 FROM signing_keys WHERE signs_from > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)) \
        FROM signing_keys WHERE signs_from <= strftime('%Y-%m-%dT%H:%M:%fZ') ORDER BY signs_from DESC, kid LIMIT 1";
    let signing: Option<Signing> = DATABASE.read_one(SQL, [age()]).await?;
    Ok(signing.map(|Signing(key, due)| (key, due)))
}

/// All keys that are published, in the order they sign.
pub async fn published() -> Result<Vec<SigningKey>, Error> {
    const SQL: &str = "SELECT secret FROM signing_keys ORDER BY signs_from, kid";
    let keys: Vec<Key> = DATABASE.read(SQL, []).await?;
    Ok(keys.into_iter().map(|Key(key)| key).collect())
}

/// Adds a key if the newest is old enough, so that it signs after due notice, or if there is none, so that it signs at once.
pub async fn add_if_due(key: &SigningKey, secret: &[u8; 32]) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO signing_keys (kid, secret, signs_from) \
        SELECT ?1, ?2, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', iif(EXISTS (SELECT 1 FROM signing_keys), ?3, '+0 seconds')) \
        WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE signs_from > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?4))";
    let parameters = [
        key.kid().into(),
        Value::Blob(secret.to_vec()),
        format!("+{NOTICE} seconds").into(),
        age(),
    ];
    DATABASE.write_one::<()>(SQL, parameters).await?;
    Ok(())
}

/// Deletes keys whose successor has signed for so long that all their tokens are over.
pub async fn retire() -> Result<(), Error> {
    const SQL: &str = "DELETE FROM signing_keys WHERE EXISTS (SELECT 1 FROM signing_keys AS next \
        WHERE next.signs_from > signing_keys.signs_from AND next.signs_from < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1))";
    let age = format!("-{} seconds", LIFETIME + GRACE);
    DATABASE.write_one::<()>(SQL, [Value::from(age)]).await?;
    Ok(())
}

fn age() -> Value {
    format!("-{SIGNING_KEY_DAYS} days").into()
}
