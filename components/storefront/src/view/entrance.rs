//! Logging in and registering.

use maud::{Markup, html};

use super::Frame;
use super::fields::{Field, form_token, summary};
use crate::forms::Form;

const EMAIL: Field<'_> = Field::email("email", "E-mail address");

impl Frame {
    /// The form to log in with. `done` says what was done just now.
    pub fn login(&self, form: &Form, done: Option<&str>, token: &str) -> Markup {
        let next = form.get("next");
        let content = html! {
            div class="narrow" {
                h1 class="title" { "Log in" }
                @if let Some(said) = done.and_then(said) { p class="note good" role="status" { (said) } }
                @if !matches!(next, "" | "/") {
                    p class="lead" { "Please log in to go on; we bring you right back to where you were." }
                }
                (summary(form, &[("email", "E-mail address"), ("password", "Password")]))
                form class="form" action="/login" method="post" {
                    (form_token(token))
                    input type="hidden" name="next" value=(next);
                    (EMAIL.show(form))
                    (Field::password("password", "Password", "current-password").show(form))
                    button class="button wide" type="submit" { "Log in" }
                }
                p class="aside" { "New here? " a href=(with_next("/register", next)) { "Open an account" } }
            }
        };
        self.plain("Log in", content)
    }

    /// The form to open an account with.
    pub fn register(&self, form: &Form, token: &str) -> Markup {
        let next = form.get("next");
        let password = Field::password("password", "Password", "new-password")
            .hint("At least 10 characters. A few words make a good one.");
        let labels = [
            ("name", "Your name"),
            ("email", "E-mail address"),
            ("password", "Password"),
        ];
        let content = html! {
            div class="narrow" {
                h1 class="title" { "Open an account" }
                p class="lead" { "You need one to order, so that you see what becomes of it. What is in your cart comes with you." }
                (summary(form, &labels))
                form class="form" action="/register" method="post" {
                    (form_token(token))
                    input type="hidden" name="next" value=(next);
                    (Field::text("name", "Your name", "name", 100).show(form))
                    (EMAIL.show(form))
                    (password.show(form))
                    button class="button wide" type="submit" { "Open account" }
                }
                p class="aside" { "You have one already? " a href=(with_next("/login", next)) { "Log in" } }
            }
        };
        self.plain("Open an account", content)
    }
}

/// What was done just now, in words.
fn said(done: &str) -> Option<&'static str> {
    match done {
        "logout" => Some("You are logged out."),
        "deleted" => Some("Your account is deleted."),
        _ => None,
    }
}

fn with_next(page: &str, next: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    match next {
        "" | "/" => page.into(),
        next => format!("{page}?{}", query.append_pair("next", next).finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_somebody_wanted_to_go_is_kept() {
        let form = Form::of(&[("next", "/checkout?a=b"), ("email", "a@b.co")]);
        let page = Frame::default().login(&form, None, "t").0;
        assert!(page.contains("name=\"next\" value=\"/checkout?a=b\""));
        assert!(page.contains("/register?next=%2Fcheckout%3Fa%3Db"));
        assert!(page.contains("value=\"a@b.co\""));
    }

    #[test]
    fn a_password_is_never_shown_again() {
        let form = Form::of(&[("password", "correct horse")]);
        let frame = Frame::default();
        assert!(!frame.login(&form, Some("logout"), "t").0.contains("horse"));
        assert!(!frame.register(&form, "t").0.contains("horse"));
    }
}
