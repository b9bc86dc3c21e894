//! The account.

use maud::{Markup, html};

use super::fields::{self, Field, form_token, summary, tick};
use super::orders::account_crumbs;
use super::{Frame, nothing_yet};
use crate::domain::account::{Address, Addresses, User};
use crate::forms::Form;

impl Frame {
    /// The account. `done` says what was done just now.
    pub fn account(&self, user: &User, form: &Form, done: Option<&str>, token: &str) -> Markup {
        let content = html! {
            h1 class="title" { "Your account" }
            @if let Some(said) = done.and_then(said) { p class="note good" role="status" { (said) } }
            ul class="tiles" {
                (tile("/orders", "Orders", "What you bought, and where it is"))
                (tile("/notifications", "Notifications", "What we have told you"))
                (tile("/account/addresses", "Addresses", "Where your parcels go"))
                (tile("/account/password", "Password", "Choose another one"))
                @if user.is_operator() { (tile("/console", "Console", "How the shop is doing")) }
            }
            div class="columns" {
                section aria-labelledby="profile" {
                    h2 id="profile" { "Profile" }
                    (summary(form, &[("name", "Your name")]))
                    form class="form" action="/account" method="post" {
                        (form_token(token))
                        (Field::text("name", "Your name", "name", 100).show(form))
                        p { "You log in as " strong { (user.email) } "." }
                        button class="button" type="submit" { "Save" }
                    }
                }
                section aria-labelledby="data" {
                    h2 id="data" { "Your data" }
                    p { "You can take everything that we know of your account with you, and you can leave." }
                    p class="actions" {
                        a class="button quiet" href="/account/export" download="account.json" { "Download your data" }
                        a class="button danger" href="/account/delete" { "Delete the account" }
                    }
                    form action="/logout" method="post" {
                        (form_token(token))
                        button class="button quiet" type="submit" { "Log out" }
                    }
                }
            }
        };
        self.plain("Your account", content)
    }

    /// The form for another password.
    pub fn password(&self, form: &Form, token: &str) -> Markup {
        let (current, new) = ("current_password", "new_password");
        let content = html! {
            (account_crumbs("Password"))
            div class="narrow" {
                h1 class="title" { "Choose another password" }
                p class="lead" { "Whoever is logged in elsewhere with the old one is logged out there." }
                (summary(form, &[(current, "Present password"), (new, "New password")]))
                form class="form" action="/account/password" method="post" {
                    (form_token(token))
                    (Field::password(current, "Present password", "current-password").show(form))
                    (Field::password(new, "New password", "new-password")
                        .hint("At least 10 characters. A few words make a good one.").show(form))
                    button class="button wide" type="submit" { "Change the password" }
                }
            }
        };
        self.plain("Choose another password", content)
    }

    /// The question whether somebody really wants to leave.
    pub fn delete_account(&self, form: &Form, token: &str) -> Markup {
        let content = html! {
            (account_crumbs("Delete"))
            div class="narrow" {
                h1 class="title" { "Delete your account" }
                p class="lead" {
                    "Your profile, your addresses, your cart and your notifications are erased, and your name is taken off your orders. Nobody can undo that."
                }
                (summary(form, &[("sure", "Whether you are sure")]))
                form class="form" action="/account/delete" method="post" {
                    (form_token(token))
                    (tick(form, "sure", "I am sure, and have taken my data with me if I want it"))
                    button class="button danger wide" type="submit" { "Delete my account for ever" }
                }
                p class="aside" { a href="/account" { "Keep the account" } }
            }
        };
        self.plain("Delete your account", content)
    }

    /// The addresses of an account.
    pub fn addresses(&self, addresses: &Addresses, token: &str) -> Markup {
        let content = html! {
            (account_crumbs("Addresses"))
            h1 class="title" { "Your addresses" }
            @if addresses.items.is_empty() {
                (nothing_yet(
                    "No address yet",
                    "One that is kept here need not be typed when you order.",
                    ("/account/addresses/new", "Add an address"),
                ))
            } @else {
                ul class="tiles" { @for address in &addresses.items { (card(address, token)) } }
                div class="more" { a class="button" href="/account/addresses/new" { "Add an address" } }
            }
        };
        self.plain("Your addresses", content)
    }

    /// The form for an address, which is sent to `action`.
    pub fn address(&self, form: &Form, action: &str, token: &str) -> Markup {
        let content = html! {
            nav class="crumbs" aria-label="Breadcrumb" {
                ol {
                    li { a href="/account" { "Account" } }
                    li { a href="/account/addresses" { "Addresses" } }
                    li aria-current="page" { "Address" }
                }
            }
            div class="narrow" {
                h1 class="title" { "An address of yours" }
                (summary(form, &fields::ADDRESS))
                form class="form" action=(action) method="post" {
                    (form_token(token))
                    (fields::address(form, true))
                    (tick(form, "default", "Send to this one unless I say otherwise"))
                    button class="button wide" type="submit" { "Save" }
                }
            }
        };
        self.plain("An address of yours", content)
    }
}

/// What was done just now, in words.
fn said(done: &str) -> Option<&'static str> {
    match done {
        "name" => Some("Your name is changed."),
        "password" => Some("Your password is changed."),
        _ => None,
    }
}

fn tile(href: &str, name: &str, text: &str) -> Markup {
    html! {
        li class="tile link" {
            h2 { a href=(href) { (name) } }
            p { (text) }
        }
    }
}

fn card(address: &Address, token: &str) -> Markup {
    let href = format!("/account/addresses/{}", address.id);
    let named = format!("{}, {}", address.postal.line1, address.postal.city);
    html! {
        li class="tile" {
            address { @for line in address.postal.lines() { (line) br; } }
            @if address.default { p { span class="tag good" { "Usual address" } } }
            div class="actions" {
                a href=(href) { "Change" span class="hidden" { " " (named) } }
                form action={ (href) "/delete" } method="post" {
                    (form_token(token))
                    button class="plain" type="submit" { "Delete" span class="hidden" { " " (named) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_shop_itself_says_is_said() {
        let user = User {
            email: "a@b.co".into(),
            name: "Ada".into(),
            role: "customer".into(),
        };
        let page = |done| {
            Frame::default()
                .account(&user, &Form::default(), Some(done), "t")
                .0
        };
        assert!(page("password").contains("Your password is changed."));
        assert!(!page("<b>hello</b>").contains("hello"));
    }
}
