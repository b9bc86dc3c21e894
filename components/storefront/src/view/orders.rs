//! Orders, and what the shop has told a customer.

use maud::{Markup, html};

use super::fields::form_token;
use super::{Frame, nothing_yet};
use crate::domain::account::{Notification, Notifications};
use crate::domain::moment;
use crate::domain::order::{self, Order, OrderList};

impl Frame {
    /// One page of orders. The first one may be empty.
    pub fn orders(&self, list: &OrderList, first: bool) -> Markup {
        let content = html! {
            (account_crumbs("Orders"))
            h1 class="title" { "Your orders" }
            @if list.items.is_empty() {
                (nothing_yet(
                    "You have not ordered anything yet",
                    "Whatever you order is listed here, with what has become of it.",
                    ("/", "Look around"),
                ))
            } @else {
                ul class="entries" { @for order in &list.items { (entry(order)) } }
                (pages("/orders", list.next_cursor.as_deref(), first, "Older orders"))
            }
        };
        self.plain("Your orders", content)
    }

    /// One order.
    pub fn order(&self, order: &Order, token: &str) -> Markup {
        let content = html! {
            nav class="crumbs" aria-label="Breadcrumb" {
                ol {
                    li { a href="/account" { "Account" } }
                    li { a href="/orders" { "Orders" } }
                    li aria-current="page" { (order.number()) }
                }
            }
            h1 class="title" { "Order " (order.number()) }
            (state(order))
            div class="split" {
                div {
                    section aria-labelledby="things" {
                        h2 id="things" { "What you ordered" }
                        (things(order))
                    }
                    @if order.can_be_cancelled() { (cancel_form(order, token)) }
                }
                (details(order))
            }
        };
        self.plain(&format!("Order {}", order.number()), content)
    }

    /// The page for an order that cannot be called off any more.
    pub fn too_late_to_cancel(&self, order: &str) -> Markup {
        self.notice(
            "This order cannot be cancelled any more",
            "It is on its way already, or has ended. The order says which.",
            (order, "To the order"),
        )
    }

    /// One page of what the shop has told a customer. The first one may be empty.
    pub fn notifications(&self, list: &Notifications, first: bool, token: &str) -> Markup {
        let content = html! {
            (account_crumbs("Notifications"))
            h1 class="title" { "Notifications" }
            @if list.items.is_empty() {
                (nothing_yet(
                    "Nothing to tell yet",
                    "Confirmations, receipts and news of your parcels come here.",
                    ("/", "Look around"),
                ))
            } @else {
                ul class="messages" { @for one in &list.items { (message(one, token)) } }
                (pages("/notifications", list.next_cursor.as_deref(), first, "Older notifications"))
            }
        };
        self.plain("Notifications", content)
    }
}

/// Where a page is below the account.
pub fn account_crumbs(here: &str) -> Markup {
    html! {
        nav class="crumbs" aria-label="Breadcrumb" {
            ol {
                li { a href="/account" { "Account" } }
                li aria-current="page" { (here) }
            }
        }
    }
}

fn entry(order: &Order) -> Markup {
    html! {
        li class="entry" {
            div {
                h2 { a href=(order.href()) { "Order " (order.number()) } }
                p class="hint" { time datetime=(order.created_at) { (moment(&order.created_at)) } }
                p { (names(order)) }
            }
            p class="right" {
                (tag(order))
                @if let Some(total) = &order.total { span class="price" { (total) } }
            }
        }
    }
}

/// What is in an order, in a line.
fn names(order: &Order) -> String {
    const NAMED: usize = 3;
    let names = order.items.iter().take(NAMED);
    let names: Vec<_> = names
        .map(|line| line.name.as_deref().unwrap_or("A product"))
        .collect();
    match order.items.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} and {more} more", names.join(", ")),
        _ => names.join(", "),
    }
}

fn tag(order: &Order) -> Markup {
    html! { span class={ "tag " (order.status.tone()) } { (order.status.name()) } }
}

/// Where an order stands. The script follows what happens to it, and shows this part anew.
fn state(order: &Order) -> Markup {
    let stream = (!order.status.is_final()).then(|| format!("{}/stream", order.href()));
    html! {
        section id="state" class={ "state " (order.status.tone()) } aria-label="Where it stands" aria-live="polite"
            data-stream=[stream] data-seen=(order.seen()) {
            p class="lead" { (order.message()) }
            ol class="steps" {
                @for step in order.steps() {
                    li class=[step.at.is_none().then_some("open")] {
                        span class="step" { (step.name) @if step.at.is_none() { span class="hidden" { " (not yet)" } } }
                        @if let Some(at) = step.at { time datetime=(at) { (moment(at)) } }
                    }
                }
            }
            @if order.status.is_unfinished() {
                p class="no-script" { a class="button quiet" href=(order.href()) { "Look again" } }
            }
            @if let Some(shipment) = &order.shipment {
                p { "Sent with " (shipment.carrier) ", number " span class="digits" { (shipment.tracking) } }
            }
            @if let Some(refunded) = &order.refunded { p { (refunded) " of it was given back to your card." } }
        }
    }
}

fn things(order: &Order) -> Markup {
    html! {
        ul class="brief" {
            @for line in &order.items {
                li {
                    span {
                        (line.quantity) " × "
                        a href={ "/products/" (line.product_id) } { (line.name.as_deref().unwrap_or("A product")) }
                    }
                    @if let Some(total) = &line.line_total { span class="amount" { (total) } }
                }
            }
        }
        @if let Some(total) = &order.total {
            dl class="total" { div { dt { "Total" } dd class="price" { (total) } } }
        }
    }
}

fn details(order: &Order) -> Markup {
    let brand = order.payment.brand.to_ascii_uppercase();
    html! {
        section class="sum" aria-labelledby="details" {
            h2 id="details" { "Details" }
            dl class="facts" {
                div { dt { "Ordered" } dd { time datetime=(order.created_at) { (moment(&order.created_at)) } } }
                div { dt { "Paid with" } dd { (brand) " ending in " (order.payment.last4) } }
                @if let Some(address) = &order.shipping_address {
                    div { dt { "Goes to" } dd { @for line in address.lines() { (line) br; } } }
                }
                div { dt { "Full number" } dd class="digits" { (order.id) } }
            }
        }
    }
}

fn cancel_form(order: &Order, token: &str) -> Markup {
    html! {
        form class="cancel" action={ (order.href()) "/cancel" } method="post" {
            (form_token(token))
            p class="hint" { "As long as it is not on its way you can call it off, and get your money back." }
            button class="button danger" type="submit" { "Cancel this order" }
        }
    }
}

fn message(one: &Notification, token: &str) -> Markup {
    html! {
        li class={ "message" @if one.read_at.is_none() { " new" } } {
            h2 {
                (one.title)
                @if one.read_at.is_none() { " " span class="tag waiting" { "New" } }
            }
            p class="hint" { time datetime=(one.created_at) { (moment(&one.created_at)) } }
            p class="text" { (one.text) }
            div class="actions" {
                @if let Some(id) = &one.order_id { a href={ "/orders/" (id) } { "Order " (order::number(id)) } }
                @if one.read_at.is_none() {
                    form action={ "/notifications/" (one.id) "/read" } method="post" {
                        (form_token(token))
                        button class="plain" type="submit" { "Mark as read" span class="hidden" { " " (one.title) } }
                    }
                }
            }
        }
    }
}

fn pages(path: &str, next: Option<&str>, first: bool, older: &str) -> Markup {
    let next = next.map(|cursor| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        format!("{path}?{}", query.append_pair("cursor", cursor).finish())
    });
    html! {
        @if !first || next.is_some() {
            div class="more" {
                @if !first { a class="button quiet" href=(path) { "Back to the newest" } }
                @if let Some(next) = next { a class="button" rel="next" href=(next) { (older) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::Status::*;
    use crate::domain::order::tests::order;

    fn shown(order: &Order) -> String {
        Frame::default().order(order, "token").0
    }

    #[test]
    fn an_order_under_way_is_followed_and_can_be_looked_at_again() {
        let page = shown(&order(&[Pending, Reserved]));
        assert!(page.contains("Your order is safe"));
        let id = "0190a3c4-0000-7000-8000-0000cafe4711";
        assert!(page.contains(&format!(
            "data-stream=\"/orders/{id}/stream\" data-seen=\"2\""
        )));
        assert!(page.contains("Look again"));
        assert!(page.contains(&format!("action=\"/orders/{id}/cancel\"")));
    }

    #[test]
    fn an_order_that_has_ended_is_not_followed() {
        let page = shown(&order(&[Pending, Cancelled]));
        assert!(!page.contains("data-stream") && !page.contains("Cancel this order"));
        assert!(!shown(&order(&[Pending, Confirmed, Shipped])).contains("Cancel this order"));
    }

    #[test]
    fn a_long_order_is_listed_in_a_line() {
        let mut long = order(&[Pending]);
        long.items = vec![long.items[0].clone(); 5];
        assert_eq!(names(&long), "Bowl, Bowl, Bowl and 2 more");
        long.items.truncate(3);
        assert_eq!(names(&long), "Bowl, Bowl, Bowl");
    }
}
