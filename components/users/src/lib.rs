//! Users: accounts, login, tokens, profile, addresses, roles.
//!
//! Whoever logs in gets an access token, which the gateway verifies by itself, and a refresh token, which only this service
//! knows. Every change is one SQL statement, and triggers write what must go with it: a new role ends the sessions, a deleted
//! account loses its addresses.

mod api;
mod attempts;
mod domain;
mod keys;
mod login;
mod passwords;
mod settings;
mod store;

use api::{accounts, addresses, sessions};
use domain::{
    Address, AddressBody, Contact, Credentials, NameChange, NewUser, PasswordChange, RoleChange,
    User,
};
use souk_access::Jwks;
use souk_chassis::{Page, Routes, Service, delete, gauges, get, patch, post, put};

use store::OUTBOX;

/// The service.
pub static SERVICE: Service =
    Service::private("users", routes).afterwards(|context, method| OUTBOX.nudge(context, method));

souk_chassis::export!(SERVICE);

/// How long it takes to work on a password, in milliseconds: nobody's processor is kept busy for an answer that comes too late.
const PASSWORD_MS: u32 = 50;

fn routes() -> Routes {
    let routes = Routes::new("Accounts, login, tokens, profile, addresses, roles.");
    let routes = session_routes(account_routes(routes));
    address_routes(admin_routes(routes)).layered(api::keep_private)
}

fn account_routes(routes: Routes) -> Routes {
    routes
        .route(
            post("/api/users", accounts::register)
                .summary("Open an account")
                .takes(PASSWORD_MS)
                .body::<NewUser>()
                .returns::<User>(201)
                .fails([409]),
        )
        .route(
            get("/api/users/me", accounts::show)
                .summary("The own account")
                .for_customers()
                .returns::<User>(200),
        )
        .route(
            patch("/api/users/me", accounts::change)
                .summary("Change the own account")
                .for_customers()
                .body::<NameChange>()
                .returns::<User>(200),
        )
        .route(
            delete("/api/users/me", accounts::delete)
                .summary("Delete the own account and its personal data; the id stays, so that orders keep an owner")
                .for_customers()
                .returns_nothing(204)
                .fails([409]),
        )
        .route(
            post("/api/users/me/password", accounts::change_password)
                .summary("Change the own password, which ends all other sessions")
                .takes(PASSWORD_MS)
                .for_customers()
                .body::<PasswordChange>()
                .returns_nothing(204)
                .fails([409, 429]),
        )
        .route(
            get("/api/users/me/export", accounts::export)
                .summary("Everything that is kept here about oneself")
                .for_customers()
                .returns::<domain::Export>(200),
        )
}

fn session_routes(routes: Routes) -> Routes {
    routes
        .route(
            post("/api/sessions", sessions::begin)
                .summary("Log in")
                .takes(PASSWORD_MS)
                .body::<Credentials>()
                .returns::<sessions::Tokens>(201)
                .fails([401, 429]),
        )
        .route(
            get("/api/sessions", sessions::list)
                .summary("The own sessions")
                .for_customers()
                .returns::<Page<domain::Session>>(200),
        )
        .route(
            post("/api/sessions/refresh", sessions::refresh)
                .summary("Exchange a refresh token for a new pair of tokens; for 10 s the same one gives the same again, then a spent one ends the session")
                .body::<sessions::RefreshBody>()
                .returns::<sessions::Tokens>(201)
                .fails([401]),
        )
        .route(
            delete("/api/sessions/current", sessions::end_current)
                .summary("Log out")
                .for_customers()
                .returns_nothing(204),
        )
        .route(
            delete("/api/sessions/{id}", sessions::end)
                .summary("End one of the own sessions")
                .for_customers()
                .returns_nothing(204),
        )
        .route(
            get("/.well-known/jwks.json", sessions::jwks)
                .summary("The keys that access tokens are verified with")
                .returns::<Jwks>(200),
        )
        .routes(souk_client::operations())
        .route(gauges::operation(|| OUTBOX.gauges()))
        .route(
            post("/internal/tick", sessions::tick)
                .summary("Forgets what is over, and rotates the signing key")
                .returns_nothing(204),
        )
}

fn admin_routes(routes: Routes) -> Routes {
    routes
        .route(
            get("/api/users", accounts::list)
                .summary("List and find accounts, newest first")
                .for_admins()
                .query::<domain::UserFilter>()
                .returns::<Page<User>>(200),
        )
        .route(
            get("/api/users/{id}", accounts::show_any)
                .summary("An account")
                .for_admins()
                .returns::<User>(200),
        )
        .route(
            patch("/api/users/{id}", accounts::change_role)
                .summary("Change a role, which ends the sessions of the account")
                .for_admins()
                .body::<RoleChange>()
                .returns::<User>(200)
                .fails([409]),
        )
        .route(
            get("/internal/users/{user_id}/contact", accounts::contact)
                .summary("How to write to somebody, for the service that does")
                .for_services()
                .returns::<Contact>(200),
        )
}

fn address_routes(routes: Routes) -> Routes {
    routes
        .route(
            get("/api/users/me/addresses", addresses::list)
                .summary("The own addresses")
                .for_customers()
                .returns::<Page<Address>>(200),
        )
        .route(
            post("/api/users/me/addresses", addresses::create)
                .summary("Add an address")
                .for_customers()
                .body::<AddressBody>()
                .returns::<Address>(201)
                .fails([409]),
        )
        .route(
            get("/api/users/me/addresses/{id}", addresses::show)
                .summary("An address")
                .for_customers()
                .returns::<Address>(200),
        )
        .route(
            put("/api/users/me/addresses/{id}", addresses::replace)
                .summary("Change an address")
                .for_customers()
                .body::<AddressBody>()
                .returns::<Address>(200),
        )
        .route(
            delete("/api/users/me/addresses/{id}", addresses::delete)
                .summary("Delete an address")
                .for_customers()
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
