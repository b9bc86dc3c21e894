//! The checkout.

use maud::{Markup, html};

use super::Frame;
use super::cart::totals;
use super::fields::{self, Field, form_token, summary, tick};
use crate::domain::account::{Address, Addresses};
use crate::domain::cart::Cart;
use crate::forms::Form;

/// What stands for an address that is not one of the account's.
pub const ANOTHER: &str = "another";

/// What the checkout shows.
#[derive(Debug)]
pub struct Checkout<'a> {
    /// What is ordered.
    pub cart: &'a Cart,
    /// Where it may go.
    pub addresses: &'a Addresses,
    /// What was filled in.
    pub form: &'a Form,
    /// The token of the form.
    pub token: &'a str,
}

impl Frame {
    /// The checkout.
    pub fn checkout(&self, checkout: &Checkout<'_>) -> Markup {
        let Checkout { form, token, .. } = checkout;
        let labels: Vec<_> = fields::ADDRESS.into_iter().chain(CARD).collect();
        let content = html! {
            h1 class="title" { "Checkout" }
            (summary(form, &labels))
            div class="split" {
                form class="form" id="checkout" action="/checkout" method="post" {
                    (form_token(token))
                    input type="hidden" name="key" value=(form.get("key"));
                    (checkout.destination())
                    (card(form))
                    button class="button wide" type="submit" { "Order and pay" }
                    p class="hint" { "Sending this form twice makes one order and one payment." }
                }
                (checkout.overview())
            }
        };
        self.plain("Checkout", content)
    }
}

const CARD: [(&str, &str); 3] = [
    ("number", "Card number"),
    ("expiry", "Valid until"),
    ("cvc", "Security code"),
];

impl Checkout<'_> {
    /// Where it goes: to one of the account's addresses, or to another one.
    fn destination(&self) -> Markup {
        let known = &self.addresses.items;
        let another = self.addresses.find(self.form.get("ship_to")).is_none();
        html! {
            fieldset {
                legend { "Where shall we send it?" }
                @if !known.is_empty() {
                    div class="choices" {
                        @for address in known { (self.choice(address)) }
                        label class="choice" {
                            input type="radio" name="ship_to" id="another" value=(ANOTHER) checked[another];
                            span { "To another address" }
                        }
                    }
                } @else {
                    input type="hidden" name="ship_to" value=(ANOTHER);
                }
                div class="another" {
                    (fields::address(self.form, known.is_empty()))
                    (tick(self.form, "remember", "Keep this address for next time"))
                }
            }
        }
    }

    fn choice(&self, address: &Address) -> Markup {
        let chosen = self.form.get("ship_to") == address.id;
        html! {
            label class="choice" {
                input type="radio" name="ship_to" value=(address.id) checked[chosen];
                span { (address.postal.lines().join(", ")) }
            }
        }
    }

    fn overview(&self) -> Markup {
        html! {
            section class="sum" aria-labelledby="sum" {
                h2 id="sum" { "Your order" }
                ul class="brief" {
                    @for line in &self.cart.items {
                        li { span { (line.quantity) " × " (line.name) } span class="amount" { (line.line_total) } }
                    }
                }
                (totals(&self.cart.totals))
                p { a href="/cart" { "Change the cart" } }
            }
        }
    }
}

fn card(form: &Form) -> Markup {
    let [number, expiry, cvc] = CARD;
    html! {
        fieldset {
            legend { "What do you pay with?" }
            p class="note" {
                "This is a demonstration, and takes no real card. Pay with "
                span class="digits" { "4242 4242 4242 4242" }
                ", any month to come and any three digits."
            }
            (Field::text(number.0, number.1, "cc-number", 23).digits().show(form))
            div class="pair" {
                (Field::text(expiry.0, expiry.1, "cc-exp", 9).hint("Month and year: 09/29").show(form))
                (Field::text(cvc.0, cvc.1, "cc-csc", 4).digits().hint("On the back of it").show(form))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::Postal;
    use crate::domain::cart::Status;
    use crate::domain::cart::tests::{cart, line};

    fn shown(addresses: &Addresses, form: &Form) -> String {
        let cart = cart(vec![line(Status::Available, Some(5))]);
        let checkout = Checkout {
            cart: &cart,
            addresses,
            form,
            token: "token",
        };
        Frame::default().checkout(&checkout).0
    }

    #[test]
    fn a_card_is_never_shown_again() {
        let form = Form::of(&[
            ("number", "4000000000000002"),
            ("cvc", "737"),
            ("key", "k1"),
        ]);
        let page = shown(&Addresses::default(), &form);
        assert!(!page.contains("4000000000000002") && !page.contains("737"));
        assert!(page.contains("name=\"key\" value=\"k1\""));
        assert!(page.contains("€15.00"));
    }

    #[test]
    fn who_has_addresses_chooses_one() {
        let home = Address {
            id: "a1".into(),
            postal: Postal {
                city: "Berlin".into(),
                ..Postal::default()
            },
            default: true,
        };
        let addresses = Addresses { items: vec![home] };
        let page = shown(&addresses, &Form::of(&[("ship_to", "a1")]));
        assert!(page.contains("value=\"a1\" checked"));
        assert!(!page.contains("name=\"line1\" type=\"text\" value=\"\" autocomplete=\"shipping address-line1\" maxlength=\"120\" required"));
        let page = shown(&addresses, &Form::of(&[("ship_to", ANOTHER)]));
        assert!(page.contains("value=\"another\" checked"));
        let page = shown(&Addresses::default(), &Form::default());
        assert!(page.contains("type=\"hidden\" name=\"ship_to\" value=\"another\""));
    }
}
