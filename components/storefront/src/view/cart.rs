//! The cart.

use maud::{Markup, html};

use super::Frame;
use super::fields::{self, form_token};
use crate::domain::Money;
use crate::domain::cart::{Cart, Line, MOST_OF_A_PRODUCT, Status};

impl Frame {
    /// The cart. `added` is the product that was put in just now.
    pub fn cart(&self, cart: &Cart, added: Option<&str>, token: &str) -> Markup {
        let added = cart
            .items
            .iter()
            .find(|line| Some(line.product_id.as_str()) == added);
        let content = html! {
            @if cart.items.is_empty() {
                div class="notice" {
                    img src="/assets/no-picture.svg" alt="" width="144" height="144";
                    h1 { "Your cart is empty" }
                    p { "What you put into it waits here for you, also before you log in." }
                    a class="button" href="/" { "Look around" }
                }
            } @else {
                h1 class="title" { "Your cart" }
                @if let Some(line) = added {
                    p class="note good" role="status" { (line.name) " is in your cart." }
                }
                div class="split" {
                    ul class="lines" { @for line in &cart.items { (row(line, token)) } }
                    (sum(cart))
                }
            }
        };
        self.plain("Your cart", content)
    }

    /// The page for a product that has no place in the cart any more.
    pub fn cart_full(&self) -> Markup {
        self.notice(
            "Your cart is full",
            "It takes a hundred different products. Order these first, or take something out.",
            ("/cart", "To your cart"),
        )
    }
}

fn row(line: &Line, token: &str) -> Markup {
    let most = line.available.unwrap_or(MOST_OF_A_PRODUCT);
    let most = most.max(line.quantity).min(MOST_OF_A_PRODUCT);
    html! {
        li class="line" {
            a class="thumb" href=(line.href()) tabindex="-1" aria-hidden="true" {
                img src=(line.picture()) alt="" width="96" height="96";
            }
            div class="what" {
                h2 { a href=(line.href()) { (line.name) } }
                p class="each" { (line.unit_price) " each" }
                @if line.price_changed {
                    p class="note" { "The price has changed: it was " (line.price_at_adding) " when you added it." }
                }
                @if let Some(obstacle) = line.obstacle() { p class="note bad" { (obstacle) } }
                @if line.status == Status::Unknown {
                    p class="note" { "We cannot see at the moment how many there are; we look again when you order." }
                }
                form class="change" action={ "/cart/items/" (line.product_id) } method="post" {
                    (form_token(token))
                    (fields::quantity(&format!("Quantity of {}", line.name), line.quantity, 0, most))
                    button class="button quiet update" type="submit" {
                        "Update" span class="hidden" { " the quantity of " (line.name) }
                    }
                    button class="plain" type="submit" name="remove" value="1" formnovalidate {
                        "Remove" span class="hidden" { " " (line.name) }
                    }
                }
            }
            p class="price" { (line.line_total) }
        }
    }
}

fn sum(cart: &Cart) -> Markup {
    html! {
        section class="sum" aria-labelledby="sum" {
            h2 id="sum" { "Summary" }
            (totals(&cart.totals))
            p class="hint" { "Taxes are included, and sending it is free." }
            @if cart.can_be_ordered() {
                a class="button wide" href="/checkout" { "To the checkout" }
            } @else {
                p class="note bad" { "Something in your cart cannot be ordered as it is. Please see to that first." }
            }
            p { a href="/" { "Go on looking around" } }
        }
    }
}

/// What it costs, in each currency.
pub fn totals(totals: &[Money]) -> Markup {
    html! {
        dl class="total" {
            @for total in totals { div { dt { "Total" } dd class="price" { (total) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::cart::tests::{cart, line};

    fn shown(lines: Vec<Line>) -> String {
        Frame::default().cart(&cart(lines), Some("p1"), "token").0
    }

    #[test]
    fn a_cart_that_can_be_ordered_leads_to_the_checkout() {
        let page = shown(vec![line(Status::Available, Some(5))]);
        assert!(page.contains("href=\"/checkout\""));
        assert!(page.contains("Bowl is in your cart."));
        assert!(page.contains("it was €4.00 when you added it"));
        assert!(page.contains("name=\"form_token\" value=\"token\""));
    }

    #[test]
    fn what_is_out_of_stock_is_in_the_way_and_says_so() {
        let page = shown(vec![line(Status::OutOfStock, Some(0))]);
        assert!(!page.contains("href=\"/checkout\""));
        assert!(page.contains("Out of stock. Please remove it to go on."));
        assert!(page.contains("max=\"3\""), "what is in it stays valid");
        let page = shown(vec![line(Status::Insufficient, Some(2))]);
        assert!(!page.contains("href=\"/checkout\"") && page.contains("Only 2 left"));
    }

    #[test]
    fn an_empty_cart_says_what_it_is_for() {
        let page = shown(Vec::new());
        assert!(page.contains("Your cart is empty") && !page.contains("Summary"));
    }
}
