//! Sessions, their tokens, and the keys that sign them.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use souk_access::{Claims, LIFETIME};
use souk_chassis::context::now;
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::{Context, Json, Page, Path, Problem, SignedIn};
use uuid::Uuid;

use super::Origin;
use crate::domain::{Credentials, Session};
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

/// A refresh token: 256 random bits, of which only the hash is kept. There is nothing to guess, so a plain hash will do.
struct RefreshToken(String);

impl RefreshToken {
    fn new() -> Result<Self, Problem> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(Problem::internal)?;
        Ok(Self(BASE64.encode(bytes)))
    }

    fn hash(&self) -> String {
        BASE64.encode(Sha256::digest(&self.0))
    }
}

/// The body of `POST /api/sessions/refresh`.
pub struct RefreshBody(RefreshToken);

impl FromFields for RefreshBody {
    fn from_fields(fields: &mut Fields) -> Self {
        Self(RefreshToken(
            fields.required("refresh_token", refresh_token()),
        ))
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
    let token = RefreshToken::new()?;
    let session = login::begin(&credentials, origin.client.as_ref(), &token.hash()).await?;
    tokens(session, token).await
}

/// `POST /api/sessions/refresh`
///
/// A spent token that comes again is in two hands, and nobody can tell which of them is the owner's: the session ends. There is
/// no time of grace for two requests that the same client makes at once. It would be as much a time of grace for a thief, and
/// a client can see to it that it refreshes once.
pub async fn refresh(Json(body): Json<RefreshBody>) -> Result<Response, Problem> {
    let (token, next) = (body.0, RefreshToken::new()?);
    if let Some(session) = sessions::rotate(&token.hash(), &next.hash()).await? {
        return tokens(session, next).await;
    }
    if let Some(session) = sessions::end_by_spent_token(&token.hash()).await? {
        tracing::warn!(%session, "a spent refresh token ended its session");
    }
    Err(Problem::unauthorized(
        "the refresh token is not valid any more",
    ))
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
        refresh_token: refresh_token.0,
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
