//! The checkout: where to, what with, and the order.

use axum::response::{IntoResponse, Redirect, Response};
use futures::future::join3;
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{answer, excuse, frame, html};
use crate::clients::{Missing, Refusal, accounts, shopping};
use crate::domain::account::{Addresses, Postal};
use crate::domain::cart::Cart;
use crate::domain::order;
use crate::forms::{Form, Sent};
use crate::session::{Customer, Visitor};
use crate::view::Frame;
use crate::view::checkout::{ANOTHER, Checkout};

/// The fields that the API may say something about.
const FIELDS: [&str; 12] = [
    "name",
    "line1",
    "line2",
    "postal_code",
    "city",
    "region",
    "country",
    "phone",
    "number",
    "expiry",
    "cvc",
    "ship_to",
];

/// `GET /checkout`
pub async fn show(Customer(visitor): Customer, uri: Uri) -> Response {
    let (cart, addresses, frame) = what_is_shown(&visitor).await;
    let page = async {
        let (cart, addresses) = (cart?, addresses?);
        if !cart.can_be_ordered() {
            return Ok(None);
        }
        let form = first_form(&addresses);
        page(&visitor, &frame, &cart, &addresses, &form).map(Some)
    };
    match page.await {
        // The cart says what is in the way.
        Ok(None) => Redirect::to("/cart").into_response(),
        Ok(Some(page)) => answer(&visitor, &frame, Ok(page), &uri),
        Err(missing) => excuse(&visitor, &frame, missing, &uri),
    }
}

/// `POST /checkout`
pub async fn place(Customer(visitor): Customer, Sent(mut form): Sent) -> Response {
    let addresses = accounts::addresses(&visitor).await;
    let order = match &addresses {
        Ok(addresses) => read(&mut form, addresses),
        // Without them nobody knows where to; what was typed is kept.
        Err(_) => None,
    };
    let Some(order) = order else {
        if let Err(missing) = addresses {
            not_now(&mut form, &missing);
        }
        return again(&visitor, form, StatusCode::UNPROCESSABLE_ENTITY).await;
    };
    match shopping::place(&visitor, form.get("key"), &order).await {
        Ok(placed) => {
            remember(&visitor, &form).await;
            Redirect::to(&format!("/orders/{}", placed.id)).into_response()
        }
        Err(Missing::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
            refuse(&mut form, &refusal);
            again(&visitor, form, status).await
        }
        Err(Missing::SignedOut) => {
            let frame = frame(&visitor).await;
            let page = Uri::from_static("/checkout");
            excuse(&visitor, &frame, Missing::SignedOut, &page)
        }
        Err(missing) => {
            not_now(&mut form, &missing);
            again(&visitor, form, StatusCode::SERVICE_UNAVAILABLE).await
        }
    }
}

async fn what_is_shown(
    visitor: &Visitor,
) -> (Result<Cart, Missing>, Result<Addresses, Missing>, Frame) {
    join3(
        shopping::cart(visitor),
        accounts::addresses(visitor),
        frame(visitor),
    )
    .await
}

/// The form as it is shown first: to the default address, under a key that makes one order of it however often it is sent.
fn first_form(addresses: &Addresses) -> Form {
    let usual = addresses.items.iter().find(|address| address.default);
    let ship_to = usual.map_or(ANOTHER, |address| &address.id);
    Form::of(&[("ship_to", ship_to), ("key", &new_key())])
}

fn new_key() -> String {
    Uuid::now_v7().to_string()
}

fn page(
    visitor: &Visitor,
    frame: &Frame,
    cart: &Cart,
    addresses: &Addresses,
    form: &Form,
) -> Result<maud::Markup, Missing> {
    let token = visitor.csrf()?;
    Ok(frame.checkout(&Checkout {
        cart,
        addresses,
        form,
        token: &token,
    }))
}

/// Shows the form again, with what is wrong. The card is typed anew: nobody keeps it, not even for this.
async fn again(visitor: &Visitor, form: Form, status: StatusCode) -> Response {
    let (cart, addresses, frame) = what_is_shown(visitor).await;
    // With neither at hand what was typed is still worth more than an excuse.
    let (cart, addresses) = (cart.unwrap_or_default(), addresses.unwrap_or_default());
    match page(visitor, &frame, &cart, &addresses, &form) {
        Ok(page) => html(status, page),
        Err(missing) => excuse(visitor, &frame, missing, &Uri::from_static("/checkout")),
    }
}

/// Reads the order; or says in the form what is wrong with it.
fn read(form: &mut Form, addresses: &Addresses) -> Option<Value> {
    let address = match addresses.find(form.get("ship_to")) {
        Some(known) => known.postal.clone(),
        None => {
            form.require(&Postal::REQUIRED);
            form.address()
        }
    };
    form.require(&["number", "expiry", "cvc"]);
    let expiry = expiry(form.get("expiry"));
    if expiry.is_none() && form.error("expiry").is_none() {
        form.wrong("expiry", "Please write month and year, such as 09/29.");
    }
    let (month, year) = expiry.filter(|_| form.is_fine())?;
    Some(order(form, &address, month, year))
}

fn order(form: &Form, address: &Postal, month: u32, year: u32) -> Value {
    json!({
        "cart": true,
        "shipping_address": address,
        "payment_method": {
            "type": "card",
            "number": form.get("number").trim(),
            "exp_month": month,
            "exp_year": year,
            "cvc": form.get("cvc").trim(),
        },
    })
}

/// Month and year of `09/29`, `9 / 2029` or `0929`.
fn expiry(text: &str) -> Option<(u32, u32)> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let (month, year) = match text.split_once(['/', '-', '.']) {
        Some((month, year)) => (month.trim(), year.trim()),
        None if digits.len() == 4 => digits.split_at(2),
        None => return None,
    };
    let month = month
        .parse()
        .ok()
        .filter(|month| (1..=12).contains(month))?;
    let year = match (year.len(), year.parse().ok()?) {
        (2, year) => 2000 + year,
        (4, year @ 2000..=2100) => year,
        _ => return None,
    };
    Some((month, year))
}

/// Says in the form why the shop did not take the order. What was refused for good takes a new key: the old one is that order's.
fn refuse(form: &mut Form, refusal: &Refusal) {
    match (refusal.status, refusal.kind()) {
        (402, _) => form.problem = Some(order::decline(refusal.decline_code.as_deref()).into()),
        (409, "out-of-stock") => {
            form.problem = Some(
                "Something in your cart is out of stock. Nothing was ordered or charged; your cart says what it is.".into(),
            );
        }
        (409, "conflict") => {
            form.problem = Some(
                "This cart is being ordered already. Your orders show what has become of it."
                    .into(),
            );
        }
        (409, _) => {
            form.problem = Some(
                "The order could not be completed. Nothing was charged; please try again.".into(),
            );
        }
        (422, "idempotency-key-reused") => {
            form.problem = Some(
                "This form was sent before, with other contents. Please look at your orders before you send it again.".into(),
            );
        }
        _ => form.refuse(&of_this_form(refusal), &FIELDS),
    }
    form.set("key", new_key());
}

/// The API has two fields where the form has one.
fn of_this_form(refusal: &Refusal) -> Refusal {
    let rename = |error: &crate::clients::FieldError| {
        let mut error = error.clone();
        if error.field.contains(".exp_") {
            error.field = "expiry".into();
        }
        error
    };
    Refusal {
        status: refusal.status,
        errors: refusal.errors.iter().map(rename).collect(),
        ..Refusal::default()
    }
}

/// Says in the form that nobody knows what became of it. It keeps its key, so sending it again is safe.
fn not_now(form: &mut Form, missing: &Missing) {
    if let Missing::Unavailable(cause) = missing {
        tracing::error!(error = cause, "an order cannot be placed");
    }
    form.problem = Some(
        "We cannot reach part of the shop at the moment. Please enter the card and send the form again in a few seconds: however often you do, it makes one order and one payment.".into(),
    );
}

/// Keeps a new address for next time, where that was wished. The order does not wait for whether it worked.
async fn remember(visitor: &Visitor, form: &Form) {
    if form.get("ship_to") != ANOTHER || !form.is_ticked("remember") {
        return;
    }
    let saved = accounts::save_address(visitor, None, &form.address(), false).await;
    if let Err(missing) = saved {
        tracing::warn!(error = ?missing, "an address cannot be kept");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clients::FieldError;
    use crate::domain::account::Address;

    fn filled(ship_to: &str) -> Form {
        Form::of(&[
            ("ship_to", ship_to),
            ("key", "k"),
            ("name", "Ada"),
            ("line1", "Street 1"),
            ("postal_code", "10115"),
            ("city", "Berlin"),
            ("country", "DE"),
            ("number", "4242 4242 4242 4242"),
            ("expiry", "09/29"),
            ("cvc", "737"),
        ])
    }

    #[test]
    fn an_expiry_is_read_as_people_write_it() {
        for text in ["09/29", "9/29", "09 / 2029", "0929", "9-2029", " 09/29 "] {
            assert_eq!(expiry(text), Some((9, 2029)), "{text}");
        }
        for text in [
            "", "13/29", "0/29", "09", "09/9", "sep 29", "09/1999", "929",
        ] {
            assert_eq!(expiry(text), None, "{text}");
        }
    }

    #[test]
    fn an_order_goes_to_the_address_that_was_chosen() {
        let home = Address {
            id: "a1".into(),
            postal: Postal {
                city: "Paris".into(),
                ..Postal::default()
            },
            default: true,
        };
        let addresses = Addresses { items: vec![home] };
        let order = read(&mut filled("a1"), &addresses).unwrap();
        assert_eq!(order["shipping_address"]["city"], "Paris");
        let order = read(&mut filled(ANOTHER), &addresses).unwrap();
        assert_eq!(order["shipping_address"]["city"], "Berlin");
        assert_eq!(order["payment_method"]["exp_year"], 2029);
        assert_eq!(order["cart"], true);
        assert_eq!(first_form(&addresses).get("ship_to"), "a1");
        assert_eq!(first_form(&Addresses::default()).get("ship_to"), ANOTHER);
    }

    #[test]
    fn what_is_left_out_is_named() {
        let mut form = Form::of(&[("ship_to", ANOTHER), ("city", "Berlin")]);
        assert_eq!(read(&mut form, &Addresses::default()), None);
        for name in ["name", "line1", "country", "number", "expiry", "cvc"] {
            assert!(form.error(name).is_some(), "{name}");
        }
        assert!(form.error("city").is_none());
    }

    #[test]
    fn a_refused_order_takes_a_new_key_and_an_unknown_one_keeps_it() {
        let mut form = filled(ANOTHER);
        let declined = Refusal {
            status: 402,
            decline_code: Some("insufficient_funds".into()),
            ..Refusal::default()
        };
        refuse(&mut form, &declined);
        assert_ne!(form.get("key"), "k");
        assert!(
            form.problem
                .as_deref()
                .unwrap()
                .contains("not enough money")
        );
    }

    #[test]
    fn a_card_the_api_does_not_take_is_said_at_its_field() {
        let mut form = filled(ANOTHER);
        let error = |field: &str| FieldError {
            field: field.into(),
            detail: "is in the past".into(),
        };
        let refusal = Refusal {
            status: 422,
            errors: vec![error("payment_method.exp_year")],
            ..Refusal::default()
        };
        refuse(&mut form, &refusal);
        assert_eq!(form.error("expiry"), Some("This is in the past."));
    }
}
