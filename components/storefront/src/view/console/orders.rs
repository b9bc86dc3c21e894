//! Everybody's orders, and their checkouts.

use maud::{Markup, html};

use super::overview::BOUGHT;
use super::traces::short_list;
use super::{Console, choice, counted, filter, filters, live, missing, pages, table, tag, time};
use crate::domain::console::operations::{Payment, Saga, SagaEntry};
use crate::domain::console::traces::Summary;
use crate::domain::console::{Asked, List, link};
use crate::domain::order::{Order, OrderList, number};
use crate::view::fields::form_token;

const ORDERS: &str = "/console/orders";
const EVENTS: &str = "/console/events";
const SAGAS: &str = "/console/orders/sagas";

/// What an order can be found by, beside its number.
const STATUSES: [&str; 8] = [
    "pending",
    "reserved",
    "confirmed",
    "shipped",
    "delivered",
    "rejected",
    "cancelled",
    BOUGHT,
];

/// What the page of an order shows; what cannot be had is none.
pub struct OrderPage {
    /// The order.
    pub order: Order,
    /// Its checkout.
    pub saga: Option<Saga>,
    /// Its payment, where there is one.
    pub payment: Option<Payment>,
    /// The traces of the request that placed it.
    pub traces: Option<Vec<Summary>>,
}

impl Console {
    /// One page of orders.
    pub fn orders(&self, list: &OrderList, asked: &Asked) -> Markup {
        let fields = html! {
            (filter(asked, "number", "Number", "text"))
            (choice(asked, "status", "Status", &STATUSES))
            (filter(asked, "user_id", "Customer's id", "text"))
            (filter(asked, "from", "From, as 2026-01-31T12:00:00Z", "text"))
        };
        let rows = html! {
            @for order in &list.items {
                tr {
                    th scope="row" { a href=(page_of(&order.id)) { (order.number()) } }
                    td { (time(&order.created_at)) }
                    td { (tag(order.status.tone(), order.status.word())) }
                    td class="digits" {
                        @if let Some(total) = &order.total { (counted(&format!("{}#ordered", page_of(&order.id)), total.to_string(), "in all")) }
                        @if let Some(refunded) = &order.refunded { " less " (counted(&page_of(&order.id), refunded.to_string(), "given back")) }
                    }
                    td { (order.reason.as_deref().unwrap_or("")) }
                }
            }
        };
        let content = html! {
            (tabs(ORDERS))
            (filters(ORDERS, fields))
            @if list.items.is_empty() { p { "No order is like this." } }
            @else { (table("Orders", &["Number", "Placed", "Status", "Total", "Reason"], rows)) }
            (pages(ORDERS, asked, list.next_cursor.as_deref()))
        };
        self.page("Orders", ORDERS, content)
    }

    /// An order: what was ordered, what became of it, and where the traces of that are.
    pub fn order(&self, it: &OrderPage) -> Markup {
        let order = &it.order;
        let content = html! {
            (facts(order, it.payment.as_ref()))
            h2 id="traces" { "Traces" }
            @match &it.traces {
                Some(traces) => (short_list(traces)),
                None => (missing("What was traced")),
            }
            h2 id="checkout" { "Checkout" }
            @match &it.saga {
                Some(saga) => (self.saga(saga)),
                None => (missing("How far the checkout is")),
            }
            h2 id="ordered" { "What was ordered" }
            (things(order))
        };
        self.page(&format!("Order {}", order.number()), ORDERS, content)
    }

    /// One page of checkouts that are not done.
    pub fn sagas(&self, list: &List<Saga>, asked: &Asked) -> Markup {
        let columns = [
            "Order",
            "Status",
            "Step",
            "State",
            "Tries",
            "Due",
            "Given up",
            "What went wrong last",
            "Again",
        ];
        let rows = html! {
            @for saga in &list.items {
                tr {
                    th scope="row" { a href=(page_of(&saga.order_id)) { (number(&saga.order_id)) } }
                    td { (tag(saga.status.tone(), saga.status.word())) }
                    td { (saga.step) }
                    td { (tag(saga.tone(), &saga.state)) }
                    td class="digits" { (counted(&format!("{}#checkout", page_of(&saga.order_id)), saga.attempt, "tries")) }
                    td { @if let Some(due) = &saga.due_at { (time(due)) } }
                    td { (time(&saga.give_up_at)) }
                    td class="words" { (saga.last_error.as_deref().unwrap_or("")) }
                    td { (self.retry_form(saga)) }
                }
            }
        };
        let shown = html! {
            @if list.items.is_empty() { p { "Every checkout is done." } }
            @else { (table("Unfinished checkouts", &columns, rows)) }
        };
        let content = html! {
            (tabs(SAGAS))
            (live("sagas", shown))
            (pages(SAGAS, asked, list.next_cursor.as_deref()))
        };
        self.page("Unfinished checkouts", ORDERS, content)
    }

    fn saga(&self, saga: &Saga) -> Markup {
        let rows = html! { @for entry in &saga.log { (entry_row(entry)) } };
        html! {
            p class="actions" {
                (tag(saga.tone(), &saga.state))
                @if let Some(due) = &saga.due_at {
                    span { "at the step " strong { (saga.step) } ", try " (counted("#checkout", saga.attempt, "of this step")) ", due " (time(due)) }
                }
            }
            (self.retry_form(saga))
            (table("What happened", &["When", "Step", "What became of it", "Try", "Details"], rows))
        }
    }

    fn retry_form(&self, saga: &Saga) -> Markup {
        html! {
            @if saga.can_be_retried() {
                form action={ (page_of(&saga.order_id)) "/retry" } method="post" {
                    (form_token(&self.token))
                    button class="button quiet" type="submit" { "Go on now" span class="hidden" { " with " (number(&saga.order_id)) } }
                }
            }
        }
    }
}

/// The address of an order's page.
fn page_of(id: &str) -> String {
    format!("{ORDERS}/{id}")
}

fn tabs(here: &str) -> Markup {
    html! {
        nav class="spans" aria-label="Orders" {
            ul {
                @for (path, name) in [(ORDERS, "All orders"), (SAGAS, "Unfinished checkouts")] {
                    li { a href=(path) aria-current=[(path == here).then_some("page")] { (name) } }
                }
            }
        }
    }
}

fn facts(order: &Order, payment: Option<&Payment>) -> Markup {
    html! {
        dl class="facts" {
            div { dt { "Status" } dd { (tag(order.status.tone(), order.status.word())) " " (order.reason.as_deref().unwrap_or("")) } }
            div { dt { "Placed" } dd { (time(&order.created_at)) } }
            @if let Some(total) = &order.total { div { dt { "Total" } dd class="digits" { (counted("#ordered", total.to_string(), "in all")) } } }
            @if let Some(refunded) = &order.refunded { div { dt { "Given back" } dd class="digits" { (given_back(&refunded.to_string(), payment)) } } }
            div { dt { "Id" } dd class="digits" { (order.id) } }
            @if let Some(request) = &order.request_id {
                div {
                    dt { "Request" }
                    dd {
                        span class="digits" { (request) } " "
                        a href=(link("/console/logs", &[("request_id", request)])) { "Its log" }
                    }
                }
            }
            div { dt { "Events" } dd { a href=(link(EVENTS, &[("subject", &order.id)])) { "What it told the others" } } }
            @if let Some(payment) = payment {
                div { dt { "Payment" } dd { a href=(link(EVENTS, &[("subject", &payment.id)])) { "What became of the money" } } }
            }
        }
    }
}

/// Each time that money was given back there was an event.
fn given_back(refunded: &str, payment: Option<&Payment>) -> Markup {
    let refunds = |payment: &Payment| {
        let asked = [("type", "payment.refunded"), ("subject", &*payment.id)];
        counted(&link(EVENTS, &asked), refunded, "given back")
    };
    payment.map_or_else(|| html! { (refunded) }, refunds)
}

fn things(order: &Order) -> Markup {
    let rows = html! {
        @for line in &order.items {
            tr {
                th scope="row" { a href={ "/products/" (line.product_id) } { (line.name.as_deref().unwrap_or(&line.product_id)) } }
                td class="digits" { (counted(&format!("/console/stock/{}", line.product_id), line.quantity, "of its stock")) }
                td class="digits" {
                    @if let Some(total) = &line.line_total { (counted(&format!("/products/{}", line.product_id), total.to_string(), "at its price")) }
                }
            }
        }
    };
    table("What was ordered", &["Product", "How many", "Total"], rows)
}

fn entry_row(entry: &SagaEntry) -> Markup {
    let tone = match entry.event.as_str() {
        "done" | "compensated" => "good",
        "failed" => "bad",
        _ => "",
    };
    html! {
        tr {
            td { (time(&entry.at)) }
            td { (entry.step) }
            td { (tag(tone, &entry.event)) }
            td class="digits" { (counted("#traces", entry.attempt, "try, in the traces")) }
            td { (entry.detail.as_deref().unwrap_or("")) }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::domain::Money;
    use crate::domain::order::Status::Reserved;
    use crate::domain::order::tests::order;

    pub fn saga(state: &str) -> Saga {
        Saga {
            order_id: order(&[]).id,
            status: Reserved,
            reason: None,
            step: "authorize".into(),
            state: state.into(),
            attempt: 3,
            due_at: Some("2026-01-31T12:00:00Z".into()),
            give_up_at: "2026-01-31T12:15:00Z".into(),
            last_error: Some("payments is not to be reached".into()),
            log: Vec::new(),
        }
    }

    #[test]
    fn a_checkout_that_waits_can_go_on_now() {
        let page = |state: &str| {
            let list = List {
                items: vec![saga(state)],
                next_cursor: None,
            };
            Console::default()
                .sagas(&list, &Asked::of("", &["cursor"]))
                .0
        };
        assert!(page("waiting").contains("0000cafe4711/retry\" method=\"post\""));
        assert!(page("waiting").contains("payments is not to be reached"));
        assert!(!page("running").contains("/retry"));
    }

    #[test]
    fn an_order_leads_to_what_is_known_of_it() {
        let mut order = order(&[Reserved]);
        order.request_id = Some("r1".into());
        order.refunded = Some(Money {
            amount: 500,
            currency: "EUR".into(),
        });
        let page = Console::default().order(&OrderPage {
            order,
            saga: None,
            payment: Some(Payment { id: "pay1".into() }),
            traces: Some(Vec::new()),
        });
        let page = page.0;
        assert!(page.contains("href=\"/console/events?subject=pay1\""));
        assert!(page.contains("href=\"/console/events?type=payment.refunded&amp;subject=pay1\""));
        assert!(page.contains("href=\"/console/logs?request_id=r1\""));
        assert!(page.contains("No trace of it was kept"));
        assert!(page.contains("How far the checkout is cannot be had at the moment"));
    }
}
