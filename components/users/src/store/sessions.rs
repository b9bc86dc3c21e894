//! Sessions and their refresh tokens.

use souk_access::Role;
use souk_store::{Error, FromRow, FromValue, Row, Value, text};
use uuid::Uuid;

use super::{DATABASE, Kept, did};
use crate::domain::{REFRESH_AGAIN_SECONDS, REFRESH_DAYS, RefreshToken, Secret, Session};
use crate::store::users::Account;

/// A session that has begun or goes on: what its access token says.
pub struct Begun {
    pub id: Uuid,
    pub user: Uuid,
    pub role: Role,
}

impl FromRow for Begun {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            user: row.take()?,
            role: row.take::<Kept<Role>>()?.0,
        })
    }
}

/// A session whose token was spent a moment ago.
pub struct Rotated {
    pub session: Begun,
    /// What the token that is good now was made with, if it was made of another one.
    pub secret: Secret,
    /// The hash of the token that is good now.
    pub token: String,
}

impl FromRow for Rotated {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            session: Begun::from_row(row)?,
            secret: row.take()?,
            token: row.take()?,
        })
    }
}

impl FromValue for Secret {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        let Value::Blob(secret) = value else {
            return Err("a blob");
        };
        secret.try_into().map(Self).map_err(|_| "32 bytes")
    }
}

impl FromRow for Session {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            created_at: row.take()?,
            refreshed_at: row.take()?,
            expires_at: row.take()?,
            current: row.take()?,
        })
    }
}

/// Begins a session, unless the account's password has changed since it was read, or the account has gone.
pub async fn begin(
    account: &Account,
    token: &RefreshToken,
    client: Option<&str>,
) -> Result<Option<Begun>, Error> {
    const SQL: &str = "INSERT INTO sessions (id, user_id, token, client, expires_at) \
        SELECT ?1, id, ?4, ?5, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?6) FROM users \
        WHERE id = ?2 AND password_version = ?3 AND deleted_at IS NULL \
        RETURNING id, user_id, (SELECT role FROM users WHERE users.id = sessions.user_id)";
    let parameters = [
        text(Uuid::now_v7()),
        text(account.id),
        account.password_version.into(),
        token.hash().into(),
        client.into(),
        days(REFRESH_DAYS),
    ];
    DATABASE.write_one(SQL, parameters).await
}

/// Puts its successor in the place of the token that is good now; a trigger notes that one as spent. Of two who have the same token
/// only one finds it.
pub async fn rotate(token: &RefreshToken, secret: &Secret) -> Result<Option<Begun>, Error> {
    const SQL: &str = "UPDATE sessions SET token = ?2, secret = ?3, refreshed_at = strftime('%Y-%m-%dT%H:%M:%fZ'), \
        expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?4) \
        WHERE token = ?1 AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ') \
        RETURNING id, user_id, (SELECT role FROM users WHERE users.id = sessions.user_id)";
    let parameters = [
        token.hash().into(),
        token.successor(secret).hash().into(),
        Value::Blob(secret.0.to_vec()),
        days(REFRESH_DAYS),
    ];
    DATABASE.write_one(SQL, parameters).await
}

/// The session that a token was spent for a moment ago. What is good there now need not be this token's successor.
pub async fn just_rotated(token: &RefreshToken) -> Result<Option<Rotated>, Error> {
    const SQL: &str = "SELECT id, user_id, (SELECT role FROM users WHERE users.id = sessions.user_id), secret, sessions.token \
        FROM spent_tokens JOIN sessions ON id = session_id \
        WHERE spent_tokens.token = ?1 AND secret IS NOT NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ') \
        AND spent_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?2)";
    let since = format!("-{REFRESH_AGAIN_SECONDS} seconds").into();
    DATABASE.read_one(SQL, [token.hash().into(), since]).await
}

/// Ends the session that a spent token belongs to; says which.
pub async fn end_by_spent_token(token: &RefreshToken) -> Result<Option<Uuid>, Error> {
    const SQL: &str = "DELETE FROM sessions WHERE id = (SELECT session_id FROM spent_tokens WHERE token = ?1) \
        RETURNING id, user_id, 'customer'";
    let ended: Option<Begun> = DATABASE.write_one(SQL, [token.hash().into()]).await?;
    Ok(ended.map(|session| session.id))
}

/// A user's sessions, the latest first.
pub async fn list(user: Uuid, current: Option<Uuid>) -> Result<Vec<Session>, Error> {
    const SQL: &str = "SELECT id, created_at, refreshed_at, expires_at, id IS ?2 FROM sessions \
        WHERE user_id = ?1 AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ') ORDER BY refreshed_at DESC, id DESC";
    let current = current.map(|session| session.to_string());
    DATABASE.read(SQL, [text(user), current.into()]).await
}

/// Ends a session of this user; says whether there was one.
pub async fn end(user: Uuid, session: Uuid) -> Result<bool, Error> {
    const SQL: &str = "DELETE FROM sessions WHERE id = ?1 AND user_id = ?2 RETURNING id";
    did(SQL, [text(session), text(user)]).await
}

/// Deletes sessions that are over, and spent tokens that were over even if they had not been spent.
pub async fn prune() -> Result<(), Error> {
    const OVER: &str = "DELETE FROM sessions WHERE expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ')";
    const SPENT: &str =
        "DELETE FROM spent_tokens WHERE spent_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)";
    DATABASE.write_one::<()>(OVER, []).await?;
    DATABASE
        .write_one::<()>(SPENT, [days(-REFRESH_DAYS)])
        .await?;
    Ok(())
}

fn days(days: i64) -> Value {
    format!("{days:+} days").into()
}
