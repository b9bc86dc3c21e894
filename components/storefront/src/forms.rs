//! Forms: what a visitor has filled in, and what is wrong with it.

use std::collections::BTreeMap;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderMap};
use souk_chassis::{BODY_LIMIT, Problem};

use crate::clients::Refusal;
use crate::csrf;
use crate::domain::account::Postal;
use crate::pages;
use crate::session::Visitor;

/// A form as it was filled in, or is to be filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    values: BTreeMap<String, String>,
    errors: BTreeMap<String, String>,
    /// What is wrong with all of it.
    pub problem: Option<String>,
}

/// A form that was sent from a page of ours; as an argument of a handler it turns others away.
#[derive(Debug)]
pub struct Sent(pub Form);

impl Form {
    /// A form with this in it.
    pub fn of(values: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            values: values.iter().map(owned).collect(),
            ..Self::default()
        }
    }

    /// A form with an address in it.
    pub fn of_address(postal: &Postal) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self::of(&[
            ("name", &postal.name),
            ("line1", &postal.line1),
            ("line2", &text(&postal.line2)),
            ("city", &postal.city),
            ("postal_code", &postal.postal_code),
            ("region", &text(&postal.region)),
            ("country", &postal.country),
            ("phone", &text(&postal.phone)),
        ])
    }

    /// Reads what a browser sends.
    fn parse(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body);
        Self {
            values: pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            ..Self::default()
        }
    }

    /// What a field has in it.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The same, without spaces around it; none where nothing is left.
    pub fn filled(&self, name: &str) -> Option<String> {
        let value = self.get(name).trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Fills a field in.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Whether a box is ticked.
    pub fn is_ticked(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// The address in it.
    pub fn address(&self) -> Postal {
        let required = |name: &str| self.filled(name).unwrap_or_default();
        Postal {
            name: required("name"),
            line1: required("line1"),
            line2: self.filled("line2"),
            city: required("city"),
            postal_code: required("postal_code"),
            region: self.filled("region"),
            country: required("country"),
            phone: self.filled("phone"),
        }
    }

    /// Says that fields which have to be filled in are not.
    pub fn require(&mut self, names: &[&str]) {
        for name in names {
            if self.filled(name).is_none() {
                self.wrong(name, "Please fill this in.");
            }
        }
    }

    /// Says what is wrong with a field.
    pub fn wrong(&mut self, name: &str, error: impl Into<String>) {
        self.errors.insert(name.to_owned(), error.into());
    }

    /// What is wrong with a field.
    pub fn error(&self, name: &str) -> Option<&str> {
        self.errors.get(name).map(String::as_str)
    }

    /// Whether nothing is known to be wrong.
    pub fn is_fine(&self) -> bool {
        self.errors.is_empty() && self.problem.is_none()
    }

    /// Takes over what the API says is wrong: with these fields, which the form has, or with all of it.
    pub fn refuse(&mut self, refusal: &Refusal, fields: &[&str]) {
        for error in &refusal.errors {
            let name = error.field.rsplit('.').next().unwrap_or_default();
            match fields.contains(&name) {
                true => self.wrong(name, sentence(&error.detail)),
                false => self.problem = Some(sentence(&error.detail)),
            }
        }
        if self.is_fine() {
            self.problem = Some(refusal.message());
        }
    }
}

/// What the API says of a field (`must have 3 digits`) as a sentence.
fn sentence(detail: &str) -> String {
    match detail {
        "is missing" => "Please fill this in.".into(),
        detail => format!("This {detail}."),
    }
}

impl<S: Sync> FromRequest<S> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await;
        let visitor = visitor.map_err(IntoResponse::into_response)?;
        if !is_form(&parts.headers) {
            let problem = Problem::unsupported_media_type("application/x-www-form-urlencoded");
            return Err(problem.into_response());
        }
        let body = to_bytes(body, BODY_LIMIT).await;
        let body = body.map_err(|_| Problem::too_large(BODY_LIMIT).into_response())?;
        let form = Form::parse(&body);
        match csrf::is_ours(
            &parts.headers,
            visitor.brought_csrf(),
            form.get(csrf::FIELD),
        ) {
            true => Ok(Self(form)),
            false => Err(pages::stale_form(&visitor).await),
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    content_type.split(';').next().map(str::trim) == Some("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::FieldError;

    fn refusal(errors: &[(&str, &str)]) -> Refusal {
        let error = |(field, detail): &(&str, &str)| FieldError {
            field: (*field).into(),
            detail: (*detail).into(),
        };
        Refusal {
            errors: errors.iter().map(error).collect(),
            ..Refusal::default()
        }
    }

    #[test]
    fn what_a_browser_sends_is_read() {
        let form = Form::parse(b"name=+Ada+L%C3%B6w+&line2=++&gift=on&empty=");
        assert_eq!(form.get("name"), " Ada Löw ");
        assert_eq!(form.filled("name"), Some("Ada Löw".into()));
        assert_eq!(form.filled("line2"), None);
        assert!(form.is_ticked("gift") && !form.is_ticked("empty") && !form.is_ticked("absent"));
    }

    #[test]
    fn an_address_goes_in_and_comes_out() {
        let postal = Postal {
            name: "Ada".into(),
            line1: "Street 1".into(),
            phone: Some("+49 30 1".into()),
            country: "DE".into(),
            ..Postal::default()
        };
        assert_eq!(Form::of_address(&postal).address(), postal);
    }

    #[test]
    fn what_the_api_refuses_stands_at_its_field() {
        let mut form = Form::default();
        let refused = refusal(&[
            ("shipping_address.city", "is missing"),
            ("number", "must have 12 to 19 digits"),
        ]);
        form.refuse(&refused, &["city", "number"]);
        assert_eq!(form.error("city"), Some("Please fill this in."));
        assert_eq!(
            form.error("number"),
            Some("This must have 12 to 19 digits.")
        );
        assert_eq!(form.problem, None);
        assert!(!form.is_fine());
    }

    #[test]
    fn what_no_field_is_to_blame_for_is_said_above_all() {
        let mut form = Form::default();
        form.refuse(&refusal(&[("cart", "is empty")]), &["city"]);
        assert_eq!(form.problem.as_deref(), Some("This is empty."));
        let mut form = Form::default();
        form.refuse(&refusal(&[]), &["city"]);
        assert!(form.problem.is_some());
    }
}
