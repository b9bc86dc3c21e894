//! The addresses of an account.

use axum::response::Response;
use futures::future::join;
use http::{StatusCode, Uri};
use souk_chassis::Path;

use super::{answer, done, excuse, frame, html};
use crate::clients::{Missing, accounts};
use crate::domain::account::Postal;
use crate::forms::{Form, Sent};
use crate::session::{Customer, Visitor};

const ADDRESSES: &str = "/account/addresses";

/// What can be filled in.
const FIELDS: [&str; 8] = [
    "name",
    "line1",
    "line2",
    "postal_code",
    "city",
    "region",
    "country",
    "phone",
];

/// `GET /account/addresses`
pub async fn list(Customer(visitor): Customer, uri: Uri) -> Response {
    let (addresses, frame) = join(accounts::addresses(&visitor), frame(&visitor)).await;
    let page = async {
        let addresses = addresses?;
        Ok(frame.addresses(&addresses, &visitor.csrf()?))
    };
    answer(&visitor, &frame, page.await, &uri)
}

/// `GET /account/addresses/new`
pub async fn new(Customer(visitor): Customer, uri: Uri) -> Response {
    let frame = frame(&visitor).await;
    let page = visitor.csrf().map_err(Missing::from);
    let page = page.map(|token| frame.address(&Form::default(), &uri.to_string(), &token));
    answer(&visitor, &frame, page, &uri)
}

/// `POST /account/addresses/new`
pub async fn add(Customer(visitor): Customer, Sent(form): Sent) -> Response {
    save(&visitor, None, form, &format!("{ADDRESSES}/new")).await
}

/// `GET /account/addresses/{id}`
pub async fn show(Customer(visitor): Customer, Path(id): Path<String>, uri: Uri) -> Response {
    let (address, frame) = join(accounts::address(&visitor, &id), frame(&visitor)).await;
    let page = async {
        let address = address?;
        let mut form = Form::of_address(&address.postal);
        form.set("default", if address.default { "on" } else { "" });
        Ok(frame.address(&form, uri.path(), &visitor.csrf()?))
    };
    answer(&visitor, &frame, page.await, &uri)
}

/// `POST /account/addresses/{id}`
pub async fn change(
    Customer(visitor): Customer,
    Path(id): Path<String>,
    Sent(form): Sent,
) -> Response {
    save(&visitor, Some(&id), form, &format!("{ADDRESSES}/{id}")).await
}

/// `POST /account/addresses/{id}/delete`
pub async fn delete(
    Customer(visitor): Customer,
    Path(id): Path<String>,
    Sent(_): Sent,
) -> Response {
    let outcome = accounts::delete_address(&visitor, &id).await;
    done(&visitor, outcome, ADDRESSES).await
}

async fn save(visitor: &Visitor, id: Option<&str>, mut form: Form, action: &str) -> Response {
    form.require(&Postal::REQUIRED);
    if form.is_fine() {
        let default = form.is_ticked("default");
        match accounts::save_address(visitor, id, &form.address(), default).await {
            Err(Missing::Refused(refusal)) if refusal.status == 409 => {
                form.problem =
                    Some("An account has 20 addresses at most. Please delete one first.".into());
            }
            Err(Missing::Refused(refusal)) => form.refuse(&refusal, &FIELDS),
            outcome => return done(visitor, outcome, ADDRESSES).await,
        }
    }
    let frame = frame(visitor).await;
    match visitor.csrf() {
        Ok(token) => html(
            StatusCode::UNPROCESSABLE_ENTITY,
            frame.address(&form, action, &token),
        ),
        Err(problem) => excuse(
            visitor,
            &frame,
            problem.into(),
            &Uri::from_static(ADDRESSES),
        ),
    }
}
