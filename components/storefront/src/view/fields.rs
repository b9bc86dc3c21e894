//! The parts of forms. An error stands at its field, which says so to those who do not see it; and above the form, with a link.

use maud::{Markup, html};

use crate::csrf;
use crate::domain::account::{self, COUNTRIES};
use crate::forms::Form;

/// A line to type into.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Its name in the form, and its id.
    pub name: &'a str,
    /// What is asked for.
    pub label: &'a str,
    /// The type of input.
    pub kind: &'a str,
    /// What a browser may fill in.
    pub autocomplete: &'a str,
    /// Whether it may be left empty.
    pub optional: bool,
    /// Whether the browser insists that it is filled in.
    pub enforced: bool,
    /// How many characters it takes.
    pub longest: u16,
    /// What helps to fill it in.
    pub hint: Option<&'a str>,
    /// How the keyboard of a telephone looks.
    pub inputmode: Option<&'a str>,
}

impl<'a> Field<'a> {
    /// A line of text that has to be filled in.
    pub const fn text(name: &'a str, label: &'a str, autocomplete: &'a str, longest: u16) -> Self {
        Self {
            name,
            label,
            kind: "text",
            autocomplete,
            optional: false,
            enforced: true,
            longest,
            hint: None,
            inputmode: None,
        }
    }

    /// An e-mail address.
    pub const fn email(name: &'a str, label: &'a str) -> Self {
        Self {
            kind: "email",
            ..Self::text(name, label, "username", 254)
        }
    }

    /// A password.
    pub const fn password(name: &'a str, label: &'a str, autocomplete: &'a str) -> Self {
        Self {
            kind: "password",
            ..Self::text(name, label, autocomplete, 128)
        }
    }

    /// The same, which may be left empty.
    pub const fn optional(self) -> Self {
        Self {
            optional: true,
            enforced: false,
            ..self
        }
    }

    /// The same, with help.
    pub const fn hint(self, hint: &'a str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// The same, for digits.
    pub const fn digits(self) -> Self {
        Self {
            inputmode: Some("numeric"),
            ..self
        }
    }

    /// The field with what the form has in it. Secrets are not shown again.
    pub fn show(&self, form: &Form) -> Markup {
        let Self { name, label, .. } = self;
        let secret = self.kind == "password" || matches!(*name, "number" | "cvc");
        let value = if secret { "" } else { form.get(name) };
        html! {
            div class=(class(form, name)) {
                label for=(name) {
                    (label)
                    @if self.optional { span class="optional" { " (optional)" } }
                }
                input id=(name) name=(name) type=(self.kind) value=(value) autocomplete=(self.autocomplete)
                    maxlength=(self.longest) required[self.enforced] inputmode=[self.inputmode]
                    aria-invalid=[form.error(name).map(|_| "true")]
                    aria-describedby=[described_by(form, name, self.hint.is_some())];
                @if let Some(hint) = self.hint { p class="hint" id={ (name) "-hint" } { (hint) } }
                (error(form, name))
            }
        }
    }
}

fn class(form: &Form, name: &str) -> &'static str {
    match form.error(name) {
        Some(_) => "field wrong",
        None => "field",
    }
}

/// The ids of what describes a field.
fn described_by(form: &Form, name: &str, hint: bool) -> Option<String> {
    let hint = hint.then(|| format!("{name}-hint"));
    let error = form.error(name).map(|_| format!("{name}-error"));
    let ids: Vec<_> = hint.into_iter().chain(error).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// What is wrong with a field.
pub fn error(form: &Form, name: &str) -> Markup {
    html! {
        @if let Some(error) = form.error(name) { p class="error" id={ (name) "-error" } { (error) } }
    }
}

/// What is wrong with a form, above it: all of it, and links to the fields with these names.
pub fn summary(form: &Form, fields: &[(&str, &str)]) -> Markup {
    let wrong = fields.iter().filter(|(name, _)| form.error(name).is_some());
    html! {
        @if !form.is_fine() {
            div class="alert" role="alert" tabindex="-1" {
                @if let Some(problem) = &form.problem {
                    p { (problem) }
                } @else {
                    p { "Please look at these again:" }
                    ul { @for (name, label) in wrong { li { a href={ "#" (name) } { (label) } } } }
                }
            }
        }
    }
}

/// The field that shows that a form is one of ours.
pub fn form_token(token: &str) -> Markup {
    html! { input type="hidden" name=(csrf::FIELD) value=(token); }
}

/// A box to tick.
pub fn tick(form: &Form, name: &str, label: &str) -> Markup {
    html! {
        div class=(class(form, name)) {
            label class="tick" {
                input id=(name) type="checkbox" name=(name) checked[form.is_ticked(name)]
                    aria-invalid=[form.error(name).map(|_| "true")]
                    aria-describedby=[described_by(form, name, false)];
                span { (label) }
            }
            (error(form, name))
        }
    }
}

/// How many of something; the script makes a stepper of it.
pub fn quantity(label: &str, value: i64, least: i64, most: i64) -> Markup {
    html! {
        label class="quantity" {
            span class="hidden" { (label) }
            input type="number" name="quantity" value=(value) min=(least) max=(most) inputmode="numeric" required;
        }
    }
}

/// The labels of an address, for the summary of errors.
pub const ADDRESS: [(&str, &str); 8] = [
    ("name", "Full name"),
    ("line1", "Street and number"),
    ("line2", "Flat, floor, company"),
    ("postal_code", "Postal code"),
    ("city", "City"),
    ("region", "State or county"),
    ("country", "Country"),
    ("phone", "Telephone"),
];

/// The fields of an address. Where they are one choice among several, the browser insists on none.
pub fn address(form: &Form, required: bool) -> Markup {
    let field = |field: Field<'_>| {
        let enforced = field.enforced && required;
        Field { enforced, ..field }.show(form)
    };
    html! {
        (field(Field::text("name", "Full name", "shipping name", 100)))
        (field(Field::text("line1", "Street and number", "shipping address-line1", 120)))
        (field(Field::text("line2", "Flat, floor, company", "shipping address-line2", 120).optional()))
        div class="pair" {
            (field(Field::text("postal_code", "Postal code", "shipping postal-code", 16)))
            (field(Field::text("city", "City", "shipping address-level2", 100)))
        }
        (field(Field::text("region", "State or county", "shipping address-level1", 100).optional()))
        (countries(form, required))
        (field(Field {
            kind: "tel",
            hint: Some("For the carrier, in case nobody opens."),
            ..Field::text("phone", "Telephone", "shipping tel", 31).optional()
        }))
    }
}

fn countries(form: &Form, required: bool) -> Markup {
    let chosen = form.get("country");
    let unlisted = !chosen.is_empty() && !COUNTRIES.iter().any(|(code, _)| *code == chosen);
    html! {
        div class=(class(form, "country")) {
            label for="country" { "Country" }
            select id="country" name="country" autocomplete="shipping country" required[required]
                aria-invalid=[form.error("country").map(|_| "true")]
                aria-describedby=[described_by(form, "country", false)] {
                option value="" { "Please choose" }
                @if unlisted { option value=(chosen) selected { (account::country(chosen)) } }
                @for (code, name) in COUNTRIES { option value=(code) selected[code == chosen] { (name) } }
            }
            (error(form, "country"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong() -> Form {
        let mut form = Form::of(&[("number", "4242"), ("name", "<b>")]);
        form.wrong("number", "This must have 12 to 19 digits.");
        form
    }

    #[test]
    fn an_error_is_tied_to_its_field() {
        let field = Field::text("number", "Card number", "cc-number", 23).hint("Digits.");
        let shown = field.show(&wrong()).0;
        assert!(shown.contains("aria-invalid=\"true\""));
        assert!(shown.contains("aria-describedby=\"number-hint number-error\""));
        assert!(shown.contains("id=\"number-error\""));
        let above = summary(&wrong(), &[("number", "Card number"), ("cvc", "Code")]).0;
        assert!(above.contains("role=\"alert\"") && above.contains("href=\"#number\""));
        assert!(!above.contains("#cvc"));
        assert!(summary(&Form::default(), &[]).0.is_empty());
    }

    #[test]
    fn secrets_are_not_shown_again_and_the_rest_is_escaped() {
        let number = Field::text("number", "Card number", "cc-number", 23)
            .show(&wrong())
            .0;
        assert!(!number.contains("4242"));
        let name = Field::text("name", "Name", "name", 100).show(&wrong()).0;
        assert!(name.contains("&lt;b&gt;"));
    }

    #[test]
    fn a_country_the_shop_does_not_list_stays_chosen() {
        let shown = address(&Form::of(&[("country", "XK")]), true).0;
        assert!(shown.contains("<option value=\"XK\" selected>"));
        let shown = address(&Form::of(&[("country", "DE")]), false).0;
        assert!(shown.contains("<option value=\"DE\" selected>"));
        assert!(!shown.contains(" required"));
    }
}
