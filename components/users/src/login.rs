//! Finding out whether somebody is who they say.
//!
//! Nothing here tells whether an account exists: one that does not is counted, waited for and hashed like one that does.

use souk_chassis::{FieldError, Problem};
use uuid::Uuid;

use crate::attempts::{self, Attempt};
use crate::domain::{self, Client, Counter, Credentials, Password, PasswordChange, RefreshToken};
use crate::passwords::{self, Turn};
use crate::settings;
use crate::store::users::Account;
use crate::store::{sessions, users};

/// Begins a session for these credentials, with this refresh token.
pub async fn begin(
    credentials: &Credentials,
    client: Option<&Client>,
    token: &RefreshToken,
) -> Result<sessions::Begun, Problem> {
    let known = client.map(|client| client.with(&credentials.email));
    let account = users::find_account(&credentials.email, known.as_deref()).await?;
    let is_known = account.as_ref().is_some_and(|account| account.knows_client);
    let of_account = domain::of_account(&credentials.email, known.as_deref().filter(|_| is_known));

    let (attempt, mut turn) = admit(&of_account, client).await?;
    let account = match account {
        Some(account) => authenticate(&mut turn, account, &credentials.password).await?,
        None => first_admin(&mut turn, credentials).await?,
    };
    let Some(account) = account else {
        attempt.failed().await?;
        return Err(wrong_credentials());
    };
    drop(turn);

    let begun = sessions::begin(&account, token, known.as_deref()).await?;
    attempt.succeeded(&of_account).await?;
    // None where the password was changed, or the account deleted, since it was looked up.
    begun.ok_or_else(wrong_credentials)
}

/// Changes a password for somebody who knows the present one. Guessing is as slow here as at a login.
pub async fn change_password(
    user: Uuid,
    session: Option<Uuid>,
    change: &PasswordChange,
    client: Option<&Client>,
) -> Result<(), Problem> {
    let account = users::find_account_by_id(user).await?.ok_or_else(gone)?;
    domain::check_guessable(&change.new, account.email.as_str(), &account.name)
        .map_err(|detail| bad_field("new_password", detail))?;
    let of_user = domain::of_user(user);

    let (attempt, mut turn) = admit(&of_user, client).await?;
    if !turn
        .matches(&change.current, Some(&account.password_hash))
        .await?
    {
        attempt.failed().await?;
        return Err(bad_field("current_password", "is not the present password"));
    }
    let hash = turn.hash(&change.new).await?;
    drop(turn);

    let changed = users::change_password(&account, &hash, session).await?;
    attempt.succeeded(&of_user).await?;
    match changed {
        true => Ok(()),
        false => Err(Problem::conflict(
            "the password was changed at the same moment",
        )),
    }
}

/// Waits for a turn to hash. Whoever has failed too often is told before they take a place in the line, and again when they have
/// come to its end. What comes of the attempt is noted before the next one has its turn, so an instance overlooks none.
async fn admit(of_account: &Counter, client: Option<&Client>) -> Result<(Attempt, Turn), Problem> {
    let of_client = client.map(Client::counter);
    let counters: Vec<_> = std::iter::once(of_account.clone())
        .chain(of_client)
        .collect();
    attempts::refuse_early(&counters).await?;
    let turn = passwords::turn().await?;
    Ok((Attempt::admit(counters).await?, turn))
}

/// The account, if this is its password.
async fn authenticate(
    turn: &mut Turn,
    account: Account,
    password: &Password,
) -> Result<Option<Account>, Problem> {
    if !turn.matches(password, Some(&account.password_hash)).await? {
        return Ok(None);
    }
    if passwords::is_outdated(&account.password_hash) {
        let hash = turn.hash(password).await?;
        users::rehash(&account, &hash).await?;
    }
    Ok(Some(account))
}

/// Makes the first administrator's account, if these are the credentials that the operator has set.
///
/// From then on the account's own password counts, and another value of the variable changes nothing: a password that was
/// changed in the shop must not come back with the next restart. An account that somebody opened before the variable was set
/// stays what it is, since whoever opened it is not the operator.
async fn first_admin(
    turn: &mut Turn,
    credentials: &Credentials,
) -> Result<Option<Account>, Problem> {
    let set = settings::first_admin().await?;
    let is_set = set.email.as_ref() == Some(&credentials.email)
        && set
            .password
            .is_some_and(|password| password.is(&credentials.password));
    if !is_set {
        turn.matches(&credentials.password, None).await?;
        return Ok(None);
    }
    let hash = turn.hash(&credentials.password).await?;
    Ok(users::insert_admin(&credentials.email, &hash).await?)
}

fn wrong_credentials() -> Problem {
    Problem::unauthorized("there is no account with this e-mail address and password")
}

/// For whoever has an access token of an account that is not there any more.
pub fn gone() -> Problem {
    Problem::unauthorized("this account has been deleted")
}

fn bad_field(field: &str, detail: impl Into<String>) -> Problem {
    Problem::validation(vec![FieldError {
        field: field.into(),
        detail: detail.into(),
    }])
}
