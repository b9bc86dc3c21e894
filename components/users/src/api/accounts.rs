//! Accounts.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use souk_access::Role;
use souk_chassis::{Admin, Context, Json, Page, Path, Problem, Query, SignedIn};
use uuid::Uuid;

use super::Origin;
use crate::domain::{
    Contact, Export, NameChange, NewUser, PasswordChange, RoleChange, User, UserFilter,
};
use crate::login::gone;
use crate::store::{addresses, sessions, users};
use crate::{login, passwords, settings};

/// `POST /api/users`
///
/// Whoever opens an account cannot but learn whether the address has one. The hash comes first, so that this is at least no
/// quick way of finding out.
pub async fn register(Json(new): Json<NewUser>) -> Result<Response, Problem> {
    let hash = passwords::turn().await?.hash(&new.password).await?;
    if settings::first_admin().await?.email.as_ref() == Some(&new.email) {
        return Err(is_taken());
    }
    let user = users::insert(&new.email, &new.name, &hash).await;
    let user = user.map_err(|error| match error.violates("users.email") {
        true => is_taken(),
        false => error.into(),
    })?;
    let location = [(header::LOCATION, format!("/api/users/{}", user.id))];
    Ok((StatusCode::CREATED, location, Json(user)).into_response())
}

fn is_taken() -> Problem {
    Problem::conflict("there is an account with this e-mail address already")
}

/// `GET /api/users/me`
pub async fn show(me: SignedIn) -> Result<Json<User>, Problem> {
    users::find(me.user).await?.map(Json).ok_or_else(gone)
}

/// `PATCH /api/users/me`
pub async fn change(me: SignedIn, Json(change): Json<NameChange>) -> Result<Json<User>, Problem> {
    let changed = users::rename(me.user, change.name.as_deref()).await?;
    changed.map(Json).ok_or_else(gone)
}

/// `DELETE /api/users/me`
///
/// An administrator's account cannot be deleted, and nobody takes the role from themselves: so there is always somebody left
/// who has it.
pub async fn delete(me: SignedIn) -> Result<StatusCode, Problem> {
    if !users::delete(me.user).await? {
        return Err(match users::find(me.user).await? {
            Some(_) => Problem::conflict(
                "an administrator's account cannot be deleted: another administrator has to take the role from it first",
            ),
            None => gone(),
        });
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/users/me/password`
pub async fn change_password(
    me: SignedIn,
    origin: Origin,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    login::change_password(me.user, origin.session, &change, origin.client.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/users/me/export`
pub async fn export(me: SignedIn, origin: Origin) -> Result<Response, Problem> {
    let export = Export {
        user: users::find(me.user).await?.ok_or_else(gone)?,
        addresses: addresses::list(me.user).await?,
        sessions: sessions::list(me.user, origin.session).await?,
        known_clients: users::known_clients(me.user).await?,
    };
    let as_file = [(
        header::CONTENT_DISPOSITION,
        "attachment; filename=\"account.json\"",
    )];
    Ok((as_file, Json(export)).into_response())
}

/// `GET /api/users`
pub async fn list(
    _: Admin,
    context: Context,
    Query(filter): Query<UserFilter>,
) -> Result<Json<Page<User>>, Problem> {
    still_admin(&context).await?;
    let users = users::list(&filter).await?;
    Ok(Json(Page::new(users, filter.limit, |last| last.id.clone())))
}

/// `GET /api/users/{id}`
pub async fn show_any(
    _: Admin,
    context: Context,
    Path(id): Path<Uuid>,
) -> Result<Json<User>, Problem> {
    still_admin(&context).await?;
    users::find(id).await?.map(Json).ok_or_else(|| no_user(id))
}

/// `PATCH /api/users/{id}`
///
/// Nobody takes the role from themselves, so there is always somebody left who can give it back.
pub async fn change_role(
    _: Admin,
    context: Context,
    Path(id): Path<Uuid>,
    Json(change): Json<RoleChange>,
) -> Result<Json<User>, Problem> {
    let role = change.role.unwrap_or(Role::Customer);
    let caller = caller(&context);
    if caller == Some(id) && role != Role::Admin {
        return Err(Problem::conflict(
            "an administrator cannot take the role from themselves",
        ));
    }
    match users::set_role(id, role, caller).await? {
        Some(user) => Ok(Json(user)),
        None => {
            still_admin(&context).await?;
            Err(no_user(id))
        }
    }
}

/// `GET /internal/users/{user_id}/contact`
pub async fn contact(context: Context, Path(id): Path<Uuid>) -> Result<Json<Contact>, Problem> {
    context.require_service(&["notifications"])?;
    let user = users::find(id).await?.ok_or_else(|| no_user(id))?;
    Ok(Json(Contact { email: user.email }))
}

/// Refuses an administrator whose token is older than the end of that role: what accounts there are and who has which role is not to
/// be had with yesterday's rights.
async fn still_admin(context: &Context) -> Result<(), Problem> {
    let Some(caller) = caller(context) else {
        return Ok(());
    };
    match users::find(caller).await?.ok_or_else(gone)?.role {
        Role::Admin => Ok(()),
        Role::Customer => Err(Problem::forbidden("this needs the role admin")),
    }
}

fn caller(context: &Context) -> Option<Uuid> {
    let user = context.caller.as_ref()?.user.as_ref()?;
    user.parse().ok()
}

fn no_user(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no user {id}"))
}
