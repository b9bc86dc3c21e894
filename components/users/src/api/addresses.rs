//! Addresses.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use souk_chassis::{Json, Page, Path, Problem, SignedIn};
use uuid::Uuid;

use crate::domain::{Address, AddressBody};
use crate::login::gone;
use crate::store::addresses as store;

/// `GET /api/users/me/addresses`
pub async fn list(me: SignedIn) -> Result<Json<Page<Address>>, Problem> {
    Ok(Json(Page::whole(store::list(me.user).await?)))
}

/// `POST /api/users/me/addresses`
pub async fn create(me: SignedIn, Json(body): Json<AddressBody>) -> Result<Response, Problem> {
    let address = store::insert(me.user, &body).await.map_err(refused)?;
    let location = format!("/api/users/me/addresses/{}", address.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(address),
    )
        .into_response())
}

/// `GET /api/users/me/addresses/{id}`
pub async fn show(me: SignedIn, Path(id): Path<Uuid>) -> Result<Json<Address>, Problem> {
    let address = store::find(me.user, id).await?;
    address.map(Json).ok_or_else(|| no_address(id))
}

/// `PUT /api/users/me/addresses/{id}`
pub async fn replace(
    me: SignedIn,
    Path(id): Path<Uuid>,
    Json(body): Json<AddressBody>,
) -> Result<Json<Address>, Problem> {
    let address = store::replace(me.user, id, &body).await?;
    address.map(Json).ok_or_else(|| no_address(id))
}

/// `DELETE /api/users/me/addresses/{id}`
pub async fn delete(me: SignedIn, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    match store::delete(me.user, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_address(id)),
    }
}

fn no_address(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no address {id}"))
}

fn refused(error: souk_store::Error) -> Problem {
    if error.violates("addresses_are_bounded") {
        return Problem::conflict("an account has 20 addresses at most; delete one first");
    }
    match error.violates("addresses_are_of_accounts") {
        true => gone(),
        false => error.into(),
    }
}
