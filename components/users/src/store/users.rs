//! Accounts.

use souk_store::{Error, FromRow, Row, Value, text};
use uuid::Uuid;

use super::{DATABASE, Kept, did, returned};
use crate::domain::{self, Email, KnownClient, User, UserFilter};
use souk_access::Role;

/// The columns of a [`User`], in the order it is read.
macro_rules! user {
    () => {
        "id, email, name, role, created_at, updated_at"
    };
}

impl FromRow for User {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            email: row.take()?,
            name: row.take()?,
            role: row.take::<Kept<Role>>()?.0,
            created_at: row.take()?,
            updated_at: row.take()?,
        })
    }
}

/// What a password is checked against.
pub struct Account {
    pub id: Uuid,
    pub email: Email,
    pub name: String,
    pub password_hash: String,
    /// Counts the changes of the password.
    pub password_version: i64,
    /// Whether it has been logged in to from the client that asks.
    pub knows_client: bool,
}

impl FromRow for Account {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            email: row.take::<Kept<Email>>()?.0,
            name: row.take()?,
            password_hash: row.take()?,
            password_version: row.take()?,
            knows_client: row.take()?,
        })
    }
}

pub async fn find(id: Uuid) -> Result<Option<User>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        user!(),
        " FROM users WHERE id = ?1 AND deleted_at IS NULL"
    );
    DATABASE.read_one(SQL, [text(id)]).await
}

/// Accounts that fit the filter, newest first; one more than its limit where more follow.
pub async fn list(filter: &UserFilter) -> Result<Vec<User>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        user!(),
        " FROM users WHERE deleted_at IS NULL AND id < ?1 ORDER BY id DESC LIMIT ?2"
    );
    // `+id` keeps SQLite from walking through all accounts in order of their ids to find a few by their address.
    const BY_EMAIL: &str = concat!(
        "SELECT ",
        user!(),
        " FROM users WHERE email >= ?3 AND email < ?3 || char(1114111) AND +id < ?1 ORDER BY +id DESC LIMIT ?2"
    );
    let mut parameters = vec![
        text(filter.after.unwrap_or(Uuid::max())),
        (filter.limit + 1).into(),
    ];
    match &filter.email_prefix {
        Some(prefix) => {
            parameters.push(prefix.as_str().into());
            DATABASE.read(BY_EMAIL, parameters).await
        }
        None => DATABASE.read(SQL, parameters).await,
    }
}

/// Opens an account; the error violates `users.email` where the address has one.
pub async fn insert(email: &Email, name: &str, password_hash: &str) -> Result<User, Error> {
    const SQL: &str = concat!(
        "INSERT INTO users (id, email, name, password_hash) VALUES (?1, ?2, ?3, ?4) RETURNING ",
        user!()
    );
    let parameters = [
        text(Uuid::now_v7()),
        email.as_str().into(),
        name.into(),
        password_hash.into(),
    ];
    returned(DATABASE.write_one(SQL, parameters).await?)
}

/// Opens the first administrator's account; of several who do so at once all get the same one.
pub async fn insert_admin(email: &Email, password_hash: &str) -> Result<Option<Account>, Error> {
    const SQL: &str = "INSERT INTO users (id, email, name, password_hash, role) VALUES (?1, ?2, 'Administrator', ?3, 'admin') \
        ON CONFLICT (email) DO UPDATE SET email = excluded.email WHERE role = 'admin' \
        RETURNING id, email, name, password_hash, password_version, 0";
    let parameters = [
        text(Uuid::now_v7()),
        email.as_str().into(),
        password_hash.into(),
    ];
    DATABASE.write_one(SQL, parameters).await
}

/// The account of this address, and whether it knows the client.
pub async fn find_account(email: &Email, client: Option<&str>) -> Result<Option<Account>, Error> {
    const SQL: &str = "SELECT id, email, name, password_hash, password_version, \
        EXISTS (SELECT 1 FROM known_clients WHERE client = ?2 AND user_id = users.id) FROM users WHERE email = ?1";
    DATABASE
        .read_one(SQL, [email.as_str().into(), client.into()])
        .await
}

pub async fn find_account_by_id(id: Uuid) -> Result<Option<Account>, Error> {
    const SQL: &str = "SELECT id, email, name, password_hash, password_version, 0 FROM users \
        WHERE id = ?1 AND deleted_at IS NULL";
    DATABASE.read_one(SQL, [text(id)]).await
}

pub async fn rename(id: Uuid, name: Option<&str>) -> Result<Option<User>, Error> {
    const SQL: &str = concat!(
        "UPDATE users SET name = coalesce(?2, name), updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') ",
        "WHERE id = ?1 AND deleted_at IS NULL RETURNING ",
        user!()
    );
    DATABASE.write_one(SQL, [text(id), name.into()]).await
}

/// Gives an account a role, if whoever wants that has the role admin still; a trigger ends its sessions where that is another one.
pub async fn set_role(id: Uuid, role: Role, by: Option<Uuid>) -> Result<Option<User>, Error> {
    const SQL: &str = concat!(
        "UPDATE users SET role = ?2, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') ",
        "WHERE id = ?1 AND deleted_at IS NULL ",
        "AND (?3 IS NULL OR EXISTS (SELECT 1 FROM users WHERE id = ?3 AND role = 'admin')) RETURNING ",
        user!()
    );
    let by = by.map(|by| by.to_string());
    let parameters = [text(id), domain::role_text(role).into(), by.into()];
    DATABASE.write_one(SQL, parameters).await
}

/// Gives an account another password, unless it got one since it was read; a trigger ends all sessions but this one.
pub async fn change_password(
    account: &Account,
    hash: &str,
    session: Option<Uuid>,
) -> Result<bool, Error> {
    const SQL: &str = "UPDATE users SET password_hash = ?3, password_version = password_version + 1, password_session = ?4, \
        updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') \
        WHERE id = ?1 AND password_version = ?2 AND deleted_at IS NULL RETURNING id";
    let parameters = [
        text(account.id),
        account.password_version.into(),
        hash.into(),
        session.map(|session| session.to_string()).into(),
    ];
    did(SQL, parameters).await
}

/// Keeps another hash of the same password.
pub async fn rehash(account: &Account, hash: &str) -> Result<(), Error> {
    const SQL: &str = "UPDATE users SET password_hash = ?3 \
        WHERE id = ?1 AND password_version = ?2 AND deleted_at IS NULL RETURNING id";
    let parameters = [
        text(account.id),
        account.password_version.into(),
        hash.into(),
    ];
    did(SQL, parameters).await?;
    Ok(())
}

/// Makes an account a tombstone, unless it is an administrator's; a trigger deletes what belongs to it. Says whether it did.
pub async fn delete(id: Uuid) -> Result<bool, Error> {
    const SQL: &str = "UPDATE users SET email = NULL, name = NULL, password_hash = NULL, password_session = NULL, \
        role = 'customer', deleted_at = strftime('%Y-%m-%dT%H:%M:%fZ'), updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') \
        WHERE id = ?1 AND deleted_at IS NULL AND role <> 'admin' RETURNING id";
    did(SQL, [text(id)]).await
}

impl FromRow for KnownClient {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            client: row.take()?,
            last_at: row.take()?,
        })
    }
}

pub async fn known_clients(id: Uuid) -> Result<Vec<KnownClient>, Error> {
    const SQL: &str =
        "SELECT client, last_at FROM known_clients WHERE user_id = ?1 ORDER BY last_at DESC";
    DATABASE.read(SQL, [text(id)]).await
}

/// Forgets clients that nobody has come from for as long as a session can rest.
pub async fn prune_known_clients() -> Result<(), Error> {
    const SQL: &str =
        "DELETE FROM known_clients WHERE last_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)";
    let age = format!("-{} days", domain::REFRESH_DAYS);
    DATABASE.write_one::<()>(SQL, [Value::from(age)]).await?;
    Ok(())
}
