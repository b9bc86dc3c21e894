//! The operator's console: for administrators, in whose name it asks the API. It is looked at when things fail, so a page that is put
//! together from several answers shows those that it has.

pub mod events;
pub mod faults;
pub mod find;
pub mod logs;
pub mod orders;
pub mod overview;
pub mod services;
pub mod stock;
pub mod traces;

use axum::response::{IntoResponse, Redirect, Response};
use futures::future::join;
use http::{StatusCode, Uri};
use maud::Markup;
use souk_chassis::background::now;

use super::{html, parameter};
use crate::assets;
use crate::clients::{Missing, console as api};
use crate::domain::console::Asked;
use crate::domain::console::measures::Window;
use crate::session::Visitor;
use crate::view::console::Console;

/// What stands around the pages of the console.
async fn frame(visitor: &Visitor) -> Result<Console, Missing> {
    let faults = api::part(api::faults(visitor).await)?;
    Ok(Console {
        style_sheets: [assets::style_sheet(), assets::console_style_sheet()],
        script: assets::console_script(),
        faults: faults.flatten().unwrap_or_default(),
        token: visitor.csrf()?,
    })
}

/// Answers with a page that is made of what was asked for, in its frame.
async fn answer<T>(
    visitor: &Visitor,
    uri: &Uri,
    asked: impl Future<Output = Result<T, Missing>>,
    page: impl FnOnce(&Console, T) -> Markup,
) -> Response {
    let (asked, frame) = join(asked, frame(visitor)).await;
    let frame = match frame {
        Ok(frame) => frame,
        Err(missing) => return super::nothing(visitor, uri, missing).await,
    };
    match asked {
        Ok(asked) => html(StatusCode::OK, page(&frame, asked)),
        Err(missing) => excuse(visitor, &frame, missing, uri),
    }
}

/// The answer where something is missing. `address` is a page to try again at.
fn excuse(visitor: &Visitor, frame: &Console, missing: Missing, address: &Uri) -> Response {
    let path = address.path();
    let address = address
        .path_and_query()
        .map_or("/console", |it| it.as_str());
    match missing {
        Missing::Nothing => html(StatusCode::NOT_FOUND, frame.not_found()),
        Missing::SignedOut => {
            visitor.distrust();
            Redirect::to(address).into_response()
        }
        Missing::Refused(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
            // On to the path alone: a query that is wrong stays wrong.
            html(status, frame.refused(&refusal.words(), path))
        }
        Missing::Unavailable(why) => {
            let page = frame.unavailable(&why, address);
            html(StatusCode::SERVICE_UNAVAILABLE, page)
        }
    }
}

/// The answer to a form that changed something: on to a page that shows it, so that nothing is sent twice.
async fn done(visitor: &Visitor, outcome: Result<(), Missing>, page: &str) -> Response {
    let missing = match outcome {
        Ok(()) => return Redirect::to(page).into_response(),
        Err(missing) => missing,
    };
    let page = page
        .parse()
        .unwrap_or_else(|_| Uri::from_static("/console"));
    match frame(visitor).await {
        Ok(frame) => excuse(visitor, &frame, missing, &page),
        Err(missing) => super::nothing(visitor, &page, missing).await,
    }
}

/// The time that a page is of.
fn window(uri: &Uri) -> Window {
    Window::of(parameter(uri, "minutes").as_deref(), now())
}

/// What a list is asked for.
fn asked(uri: &Uri, known: &[&'static str]) -> Asked {
    Asked::of(uri.query().unwrap_or_default(), known)
}
