//! The account: profile, password, export, deletion.

use axum::response::{IntoResponse, Redirect, Response};
use futures::future::join;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{StatusCode, Uri};

use super::{answer, done, excuse, frame, html, parameter};
use crate::clients::{Missing, accounts};
use crate::csrf;
use crate::forms::{Form, Sent};
use crate::session::{Customer, Visitor};

const ACCOUNT: &str = "/account";

/// `GET /account`
pub async fn show(Customer(visitor): Customer, uri: Uri) -> Response {
    account(&visitor, None, StatusCode::OK, &uri).await
}

/// `POST /account`: changes the name.
pub async fn rename(Customer(visitor): Customer, Sent(mut form): Sent) -> Response {
    form.require(&["name"]);
    if form.is_fine() {
        match accounts::rename(&visitor, form.get("name").trim()).await {
            Err(Missing::Refused(refusal)) => form.refuse(&refusal, &["name"]),
            outcome => return done(&visitor, outcome, "/account?done=name").await,
        }
    }
    let (status, page) = (StatusCode::UNPROCESSABLE_ENTITY, Uri::from_static(ACCOUNT));
    account(&visitor, Some(form), status, &page).await
}

async fn account(visitor: &Visitor, form: Option<Form>, status: StatusCode, uri: &Uri) -> Response {
    let (user, frame) = join(accounts::me(visitor), frame(visitor)).await;
    let page = async {
        let user = user?;
        let form = form.unwrap_or_else(|| Form::of(&[("name", &user.name)]));
        let said = parameter(uri, "done");
        Ok(frame.account(&user, &form, said.as_deref(), &visitor.csrf()?))
    };
    match page.await {
        Ok(page) => html(status, page),
        Err(missing) => excuse(visitor, &frame, missing, uri),
    }
}

/// `GET /account/password`
pub async fn password(Customer(visitor): Customer, uri: Uri) -> Response {
    let frame = frame(&visitor).await;
    let page = visitor.csrf().map_err(Missing::from);
    let page = page.map(|token| frame.password(&Form::default(), &token));
    answer(&visitor, &frame, page, &uri)
}

/// `POST /account/password`
pub async fn change_password(Customer(visitor): Customer, Sent(mut form): Sent) -> Response {
    form.require(&["current_password", "new_password"]);
    if form.is_fine() {
        let (current, new) = (form.get("current_password"), form.get("new_password"));
        match accounts::change_password(&visitor, current, new).await {
            Err(Missing::Refused(refusal)) => {
                form.refuse(&refusal, &["current_password", "new_password"]);
            }
            outcome => return done(&visitor, outcome, "/account?done=password").await,
        }
    }
    let frame = frame(&visitor).await;
    match visitor.csrf() {
        Ok(token) => html(
            StatusCode::UNPROCESSABLE_ENTITY,
            frame.password(&form, &token),
        ),
        Err(problem) => excuse(&visitor, &frame, problem.into(), &Uri::from_static(ACCOUNT)),
    }
}

/// `GET /account/export`: all that is kept about the account, as a file.
pub async fn export(Customer(visitor): Customer) -> Response {
    match accounts::export(&visitor).await {
        Ok(body) => {
            let headers = [
                (CONTENT_TYPE, "application/json"),
                (CONTENT_DISPOSITION, "attachment; filename=\"account.json\""),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, body).into_response()
        }
        Err(missing) => done(&visitor, Err(missing), ACCOUNT).await,
    }
}

/// `GET /account/delete`
pub async fn ask_to_delete(Customer(visitor): Customer, uri: Uri) -> Response {
    let frame = frame(&visitor).await;
    let page = visitor.csrf().map_err(Missing::from);
    let page = page.map(|token| frame.delete_account(&Form::default(), &token));
    answer(&visitor, &frame, page, &uri)
}

/// `POST /account/delete`
pub async fn delete(Customer(visitor): Customer, Sent(mut form): Sent) -> Response {
    if form.is_ticked("sure") {
        match accounts::delete(&visitor).await {
            Ok(()) => {
                visitor.end();
                visitor.jar.forget(csrf::COOKIE);
                return Redirect::to("/login?done=deleted").into_response();
            }
            Err(Missing::Refused(refusal)) if refusal.status == 409 => {
                form.problem = Some("An administrator's account cannot be deleted.".into());
            }
            outcome => return done(&visitor, outcome, ACCOUNT).await,
        }
    } else {
        form.wrong("sure", "Please tick this box if you are sure.");
    }
    let frame = frame(&visitor).await;
    match visitor.csrf() {
        Ok(token) => html(
            StatusCode::UNPROCESSABLE_ENTITY,
            frame.delete_account(&form, &token),
        ),
        Err(problem) => excuse(&visitor, &frame, problem.into(), &Uri::from_static(ACCOUNT)),
    }
}
