//! Accounts, sessions, addresses, notifications.

use axum::body::Body;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clients::{Missing, POLICIES, call, call_by, get, page_of, path_of, send};
use crate::domain::account::{Address, Addresses, Notifications, Postal, User};
use crate::session::Visitor;

const ME: &str = "/api/users/me";
const ADDRESSES: &str = "/api/users/me/addresses";

/// The tokens of a session. They are not shown.
#[derive(Deserialize)]
pub struct Tokens {
    /// Proves who one is.
    pub access_token: String,
    /// Is good for one new pair.
    pub refresh_token: String,
    /// How long the access token lives, in seconds.
    pub expires_in: u64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// Opens an account.
pub async fn register(
    visitor: &Visitor,
    email: &str,
    password: &str,
    name: &str,
) -> Result<(), Missing> {
    let body = json!({"email": email, "password": password, "name": name});
    change(visitor, Method::POST, "/api/users", body).await
}

/// Begins a session. [`Missing::SignedOut`] says that address or password are wrong.
pub async fn log_in(visitor: &Visitor, email: &str, password: &str) -> Result<Tokens, Missing> {
    let body = json!({"email": email, "password": password});
    let call = call(visitor, Method::POST, "/api/sessions").json(&body);
    Ok(send(call).await?.json().await?)
}

/// Spends a refresh token for new tokens. For some seconds it leads to the same ones again, so where there is no answer it is sent once more; but
/// soon, or it would end the session.
pub async fn refresh(visitor: &Visitor, token: &str) -> Result<Tokens, Missing> {
    let (path, policy) = ("/api/sessions/refresh", POLICIES.to("gateway"));
    let call = call_by(visitor, Method::POST, path, policy)
        .json(&json!({"refresh_token": token}))
        .repeatable();
    Ok(send(call).await?.json().await?)
}

/// Ends the session.
pub async fn log_out(visitor: &Visitor) -> Result<(), Missing> {
    let call = call(visitor, Method::DELETE, "/api/sessions/current");
    send(call).await.map(drop)
}

/// Who is signed in.
pub async fn me(visitor: &Visitor) -> Result<User, Missing> {
    get(visitor, ME).await
}

/// Changes what somebody is called.
pub async fn rename(visitor: &Visitor, name: &str) -> Result<(), Missing> {
    change(visitor, Method::PATCH, ME, json!({"name": name})).await
}

/// Changes a password.
pub async fn change_password(visitor: &Visitor, current: &str, new: &str) -> Result<(), Missing> {
    let body = json!({"current_password": current, "new_password": new});
    change(visitor, Method::POST, "/api/users/me/password", body).await
}

/// All that is kept about somebody, as the API writes it.
pub async fn export(visitor: &Visitor) -> Result<Body, Missing> {
    let call = call(visitor, Method::GET, "/api/users/me/export");
    Ok(send(call).await?.into_http().into_body())
}

/// Deletes an account.
pub async fn delete(visitor: &Visitor) -> Result<(), Missing> {
    send(call(visitor, Method::DELETE, ME)).await.map(drop)
}

/// The addresses of an account.
pub async fn addresses(visitor: &Visitor) -> Result<Addresses, Missing> {
    get(visitor, ADDRESSES).await
}

/// One address of an account.
pub async fn address(visitor: &Visitor, id: &str) -> Result<Address, Missing> {
    get(visitor, &path_of(ADDRESSES, id)?).await
}

/// Adds an address, or replaces the one with this id.
pub async fn save_address(
    visitor: &Visitor,
    id: Option<&str>,
    postal: &Postal,
    default: bool,
) -> Result<(), Missing> {
    let mut body = json!(postal);
    body["default"] = default.into();
    match id {
        Some(id) => change(visitor, Method::PUT, &path_of(ADDRESSES, id)?, body).await,
        None => change(visitor, Method::POST, ADDRESSES, body).await,
    }
}

/// Removes an address.
pub async fn delete_address(visitor: &Visitor, id: &str) -> Result<(), Missing> {
    let path = path_of(ADDRESSES, id)?;
    send(call(visitor, Method::DELETE, &path)).await.map(drop)
}

/// One page of what the shop has told somebody.
pub async fn notifications(
    visitor: &Visitor,
    cursor: Option<&str>,
) -> Result<Notifications, Missing> {
    get(visitor, &page_of("/api/notifications", 20, cursor)).await
}

/// Marks a notification as read.
pub async fn read(visitor: &Visitor, id: &str) -> Result<(), Missing> {
    let path = format!("{}/read", path_of("/api/notifications", id)?);
    send(call(visitor, Method::POST, &path)).await.map(drop)
}

async fn change(visitor: &Visitor, method: Method, path: &str, body: Value) -> Result<(), Missing> {
    let call = call(visitor, method, path).json(&body);
    send(call).await.map(drop)
}
