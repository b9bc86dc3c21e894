//! Sessions, their tokens, and the keys that sign them.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use souk_access::{Claims, LIFETIME};
use souk_chassis::context::now;
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::{Context, Json, Page, Path, Problem, SignedIn};
use uuid::Uuid;

use super::Origin;
use crate::domain::{Credentials, RefreshToken, Secret, Session};
use crate::store::{self, OUTBOX, sessions};
use crate::{keys, login};

/// What a login or a refresh gives.
#[derive(Serialize, JsonSchema)]
pub struct Tokens {
    /// Proves who one is; a JSON Web Token.
    access_token: String,
    /// Is good for one exchange for a new pair.
    refresh_token: String,
    /// How the access token is to be sent: as `authorization: Bearer <access token>`.
    #[schemars(extend("const" = "Bearer"))]
    token_type: &'static str,
    /// How long the access token lives, in seconds.
    expires_in: u64,
}

/// The body of `POST /api/sessions/refresh`.
pub struct RefreshBody(RefreshToken);

impl FromFields for RefreshBody {
    fn from_fields(fields: &mut Fields) -> Self {
        let token = fields.required("refresh_token", refresh_token());
        Self(RefreshToken::brought(token))
    }
}

fn refresh_token() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "minLength": 1, "maxLength": 128}),
        |token: String| match token.chars().count() {
            1..=128 => Ok(token),
            _ => Err("must have 1 to 128 characters".into()),
        },
    )
}

/// `POST /api/sessions`
pub async fn begin(
    origin: Origin,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    let token = RefreshToken::first().map_err(Problem::internal)?;
    let session = login::begin(&credentials, origin.client.as_ref(), &token).await?;
    tokens(session, token).await
}

/// `POST /api/sessions/refresh`
///
/// The token that was spent last may come again for a moment, from another tab or from a client that got no answer: it leads to the same
/// successor. A spent token that comes otherwise is in two hands, and nobody can tell which of them is the owner's: the session ends.
pub async fn refresh(Json(body): Json<RefreshBody>) -> Result<Response, Problem> {
    let token = body.0;
    let secret = Secret::new().map_err(Problem::internal)?;
    if let Some(session) = sessions::rotate(&token, &secret).await? {
        return tokens(session, token.successor(&secret)).await;
    }
    if let Some((session, successor)) = refreshed_already(&token).await? {
        return tokens(session, successor).await;
    }
    if let Some(session) = sessions::end_by_spent_token(&token).await? {
        tracing::warn!(%session, "a spent refresh token ended its session");
    }
    Err(Problem::unauthorized(
        "the refresh token is not valid any more",
    ))
}

/// The session of a token that was spent a moment ago, if it was the last to be: its successor is good still.
async fn refreshed_already(
    token: &RefreshToken,
) -> Result<Option<(sessions::Begun, RefreshToken)>, Problem> {
    let Some(rotated) = sessions::just_rotated(token).await? else {
        return Ok(None);
    };
    let successor = token.successor(&rotated.secret);
    let is_good = successor.hash() == rotated.token;
    Ok(is_good.then_some((rotated.session, successor)))
}

async fn tokens(
    session: sessions::Begun,
    refresh_token: RefreshToken,
) -> Result<Response, Problem> {
    let claims = Claims::new(
        session.user,
        session.role,
        session.id,
        Uuid::now_v7(),
        now(),
    );
    let tokens = Tokens {
        access_token: keys::signing().await?.sign(&claims),
        refresh_token: refresh_token.into_text(),
        token_type: "Bearer",
        expires_in: LIFETIME,
    };
    Ok((StatusCode::CREATED, Json(tokens)).into_response())
}

/// `GET /api/sessions`
pub async fn list(me: SignedIn, origin: Origin) -> Result<Json<Page<Session>>, Problem> {
    let sessions = sessions::list(me.user, origin.session).await?;
    Ok(Json(Page::whole(sessions)))
}

/// `DELETE /api/sessions/current`
pub async fn end_current(me: SignedIn, origin: Origin) -> Result<StatusCode, Problem> {
    let session = origin
        .session
        .ok_or_else(|| Problem::unauthorized("the request is made in no session"))?;
    // One that has ended by other means is what was asked for.
    sessions::end(me.user, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/sessions/{id}`
pub async fn end(me: SignedIn, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    match sessions::end(me.user, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("there is no session {id}"))),
    }
}

/// `GET /.well-known/jwks.json`
pub async fn jwks() -> Result<Response, Problem> {
    let jwks = keys::published().await?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(jwks)).into_response())
}

/// `POST /internal/tick`
pub async fn tick(context: Context) -> Result<StatusCode, Problem> {
    // A shop that nobody has logged in to needs no key yet; the first is made when it is needed.
    keys::rotate_if_used().await?;
    store::prune().await?;
    OUTBOX.publish(&context).await;
    Ok(StatusCode::NO_CONTENT)
}
