//! Logging in, registering, logging out.

use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri};

use super::{answer, done, excuse, frame, html, parameter};
use crate::clients::accounts::{self, Tokens};
use crate::clients::{Missing, shopping};
use crate::csrf;
use crate::forms::{Form, Sent};
use crate::session::{Visitor, own_page};

const NOT_NOW: &str =
    "We cannot check that at the moment. Nothing is lost; please try again in a few seconds.";

/// `GET /login`
pub async fn login(visitor: Visitor, uri: Uri) -> Response {
    let frame = frame(&visitor).await;
    let form = Form::of(&[("next", &wanted_page(&uri))]);
    let page = visitor.csrf().map_err(Missing::from);
    let done = parameter(&uri, "done");
    let page = page.map(|token| frame.login(&form, done.as_deref(), &token));
    answer(&visitor, &frame, page, &uri)
}

/// `POST /login`
pub async fn log_in(visitor: Visitor, Sent(mut form): Sent) -> Response {
    form.require(&["email", "password"]);
    if form.is_fine() {
        let (email, password) = (form.get("email").trim(), form.get("password"));
        match accounts::log_in(&visitor, email, password).await {
            Ok(tokens) => return welcome(visitor, tokens, own_page(Some(form.get("next")))).await,
            Err(missing) => refuse_login(&mut form, missing),
        }
    }
    again(&visitor, form, StatusCode::UNPROCESSABLE_ENTITY, false).await
}

fn refuse_login(form: &mut Form, missing: Missing) {
    form.problem = Some(match missing {
        Missing::SignedOut => {
            "The e-mail address or the password is not right. Please try again.".into()
        }
        Missing::Unavailable(cause) => {
            tracing::error!(error = cause, "a visitor cannot be let in");
            NOT_NOW.into()
        }
        Missing::Refused(refusal) if refusal.status == 422 => {
            "The e-mail address or the password is not right. Please try again.".into()
        }
        Missing::Refused(refusal) => refusal.message(),
        Missing::Nothing => NOT_NOW.into(),
    });
}

/// `GET /register`
pub async fn register(visitor: Visitor, uri: Uri) -> Response {
    let frame = frame(&visitor).await;
    let form = Form::of(&[("next", &wanted_page(&uri))]);
    let page = visitor.csrf().map_err(Missing::from);
    let page = page.map(|token| frame.register(&form, &token));
    answer(&visitor, &frame, page, &uri)
}

/// `POST /register`
pub async fn open_account(visitor: Visitor, Sent(mut form): Sent) -> Response {
    form.require(&["name", "email", "password"]);
    if form.is_fine() {
        match new_account(&visitor, &form).await {
            Ok(tokens) => return welcome(visitor, tokens, own_page(Some(form.get("next")))).await,
            Err(Missing::Refused(refusal)) if refusal.status == 409 => {
                form.wrong("email", "There is an account with this address already.");
            }
            Err(Missing::Refused(refusal)) => {
                form.refuse(&refusal, &["name", "email", "password"]);
            }
            Err(missing) => refuse_login(&mut form, missing),
        }
    }
    again(&visitor, form, StatusCode::UNPROCESSABLE_ENTITY, true).await
}

async fn new_account(visitor: &Visitor, form: &Form) -> Result<Tokens, Missing> {
    let (email, password) = (form.get("email").trim(), form.get("password"));
    accounts::register(visitor, email, password, form.get("name").trim()).await?;
    accounts::log_in(visitor, email, password).await
}

/// Shows the form again, with what is wrong. A password is typed anew.
async fn again(visitor: &Visitor, form: Form, status: StatusCode, registers: bool) -> Response {
    let frame = frame(visitor).await;
    match visitor.csrf() {
        Ok(token) if registers => html(status, frame.register(&form, &token)),
        Ok(token) => html(status, frame.login(&form, None, &token)),
        Err(problem) => excuse(visitor, &frame, problem.into(), &Uri::from_static("/login")),
    }
}

/// Lets somebody in: keeps their tokens, gives them new forms, and takes over what they put into a cart as a guest.
async fn welcome(mut visitor: Visitor, tokens: Tokens, page: &str) -> Response {
    visitor.begin(&tokens);
    visitor.jar.forget(csrf::COOKIE);
    visitor.access_token = Some(tokens.access_token);
    if visitor.cart_token.is_some()
        && let Err(missing) = shopping::cart(&visitor).await
    {
        // The next look at the cart takes it over.
        tracing::warn!(error = ?missing, "a guest's cart cannot be taken over");
    }
    Redirect::to(page).into_response()
}

/// `POST /logout`
pub async fn log_out(visitor: Visitor, Sent(_): Sent) -> Response {
    let outcome = match visitor.is_signed_in() {
        true => accounts::log_out(&visitor).await,
        false => Ok(()),
    };
    match outcome {
        // A session that has ended by other means is what was asked for.
        Ok(()) | Err(Missing::SignedOut) => {
            visitor.end();
            visitor.jar.forget(csrf::COOKIE);
            Redirect::to("/login?done=logout").into_response()
        }
        Err(missing) => done(&visitor, Err(missing), "/account").await,
    }
}

fn wanted_page(uri: &Uri) -> String {
    own_page(parameter(uri, "next").as_deref()).to_owned()
}
