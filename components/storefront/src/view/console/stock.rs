//! The stock.

use maud::{Markup, html};

use super::{Console, counted, filter, filters, pages, table, tag, time};
use crate::domain::Product;
use crate::domain::console::operations::{Hold, Movement, Stock};
use crate::domain::console::{Asked, List};
use crate::domain::order::number;
use crate::view::fields::form_token;

const STOCK: &str = "/console/stock";

/// Fewer than this are few.
const FEW: i64 = 5;

impl Console {
    /// One page of stock levels, with the names of those products that are known.
    pub fn stock(&self, list: &List<Stock>, products: &[Product], asked: &Asked) -> Markup {
        let columns = [
            "Product",
            "There",
            "Promised",
            "Can be ordered",
            "State",
            "Count",
        ];
        let rows = html! { @for level in &list.items { (self.level(level, products)) } };
        let content = html! {
            (filters(STOCK, filter(asked, "below", "Fewer than", "number")))
            @if list.items.is_empty() { p { "There is no such product." } } @else { (table("Stock", &columns, rows)) }
            (pages(STOCK, asked, list.next_cursor.as_deref()))
        };
        self.page("Stock", STOCK, content)
    }

    /// One page of the movements of a product's stock, newest first.
    pub fn movements(
        &self,
        id: &str,
        product: Option<&Product>,
        list: &List<Movement>,
        asked: &Asked,
    ) -> Markup {
        let name = product.map_or(id, |product| &*product.name);
        let columns = [
            "Number",
            "When",
            "What",
            "There",
            "Promised",
            "Then there",
            "Then promised",
            "For",
        ];
        let rows = html! { @for one in &list.items { (movement(one)) } };
        let content = html! {
            p class="actions" {
                a href={ "/products/" (id) } { "The product" }
                a href={ (page_of(id)) "/reservations" } { "Who is promised some" }
                a href=(STOCK) { "All stock" }
            }
            @if list.items.is_empty() { p { "Nothing has moved yet." } } @else { (table("Movements", &columns, rows)) }
            (pages(&page_of(id), asked, list.next_cursor.as_deref()))
        };
        self.page(&format!("Stock of {name}"), STOCK, content)
    }

    /// One page of what orders hold of a product.
    pub fn holds(
        &self,
        id: &str,
        product: Option<&Product>,
        list: &List<Hold>,
        asked: &Asked,
    ) -> Markup {
        let name = product.map_or(id, |product| &*product.name);
        let rows = html! {
            @for hold in &list.items {
                @let order = format!("/console/orders/{}", hold.order_id);
                tr {
                    th scope="row" { a href=(order) { "Order " (number(&hold.order_id)) } }
                    td class="digits" { (counted(&format!("{order}#ordered"), hold.quantity, "promised")) }
                    td { (time(&hold.expires_at)) }
                }
            }
        };
        let content = html! {
            p class="actions" { a href=(page_of(id)) { "Movements" } a href=(STOCK) { "All stock" } }
            @if list.items.is_empty() { p { "Nobody is promised any." } }
            @else { (table("Promised", &["For", "How many", "Until"], rows)) }
            (pages(&format!("{}/reservations", page_of(id)), asked, list.next_cursor.as_deref()))
        };
        self.page(&format!("Promised of {name}"), STOCK, content)
    }

    fn level(&self, level: &Stock, products: &[Product]) -> Markup {
        let product = products
            .iter()
            .find(|product| product.id == level.product_id);
        let name = product.map_or(&*level.product_id, |product| &*product.name);
        let field = format!("on-hand-{}", level.product_id);
        let page = page_of(&level.product_id);
        html! {
            tr {
                th scope="row" { a href={ "/products/" (level.product_id) } { (name) } }
                td class="digits" { (counted(&page, level.on_hand, &format!("of {name} there"))) }
                td class="digits" { (counted(&format!("{page}/reservations"), level.reserved, &format!("of {name} promised"))) }
                td class="digits" { (counted(&page, level.available, &format!("of {name} can be ordered"))) }
                td { (state(level)) }
                td {
                    form class="counted" action=(page) method="post" {
                        (form_token(&self.token))
                        label class="hidden" for=(field) { "How many of " (name) " are there" }
                        input id=(field) name="on_hand" type="number" min="0" value=(level.on_hand) required;
                        button class="button quiet" type="submit" { "Set" span class="hidden" { " the stock of " (name) } }
                    }
                }
            }
        }
    }
}

/// The address of the page with a product's movements.
fn page_of(product: &str) -> String {
    format!("{STOCK}/{product}")
}

fn movement(one: &Movement) -> Markup {
    html! {
        tr {
            td class="digits" { (one.version) }
            td { (time(&one.at)) }
            th scope="row" { (one.kind) }
            td class="digits" { (format!("{:+}", one.on_hand_change)) }
            td class="digits" { (format!("{:+}", one.reserved_change)) }
            td class="digits" { (one.on_hand) }
            td class="digits" { (one.reserved) }
            td {
                @if let Some(order) = &one.order_id { a href={ "/console/orders/" (order) } { "Order " (number(order)) } }
                (one.reason.as_deref().unwrap_or(""))
            }
        }
    }
}

fn state(level: &Stock) -> Markup {
    match level.available {
        ..1 => tag("bad", "none left"),
        1..FEW => tag("waiting", "few left"),
        _ => tag("good", "enough"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_told_with_or_without_its_name() {
        let list = List {
            items: vec![Stock {
                product_id: "p1".into(),
                on_hand: 4,
                reserved: 4,
                available: 0,
            }],
            next_cursor: None,
        };
        let page = Console::default()
            .stock(&list, &[], &Asked::of("", &["below", "cursor"]))
            .0;
        assert!(page.contains(">p1</a>") && page.contains("none left"));
        assert!(page.contains("action=\"/console/stock/p1\" method=\"post\""));
        assert!(page.contains("href=\"/console/stock/p1/reservations\">4<"));
    }

    #[test]
    fn what_is_promised_leads_to_the_order_that_has_it() {
        let list = List {
            items: vec![Hold {
                order_id: "0190a3c4-0000-7000-8000-0000cafe4711".into(),
                quantity: 3,
                expires_at: "2026-01-31T12:15:00Z".into(),
            }],
            next_cursor: None,
        };
        let page = Console::default().holds("p1", None, &list, &Asked::of("", &["cursor"]));
        let order = "/console/orders/0190a3c4-0000-7000-8000-0000cafe4711";
        assert!(
            page.0
                .contains(&format!("<a href=\"{order}\">Order 0000CAFE4711</a>"))
        );
        assert!(page.0.contains(&format!("<a href=\"{order}#ordered\">3<")));
    }

    #[test]
    fn a_movement_says_what_it_was_for() {
        let list = List {
            items: vec![Movement {
                version: 2,
                kind: "reserved".into(),
                on_hand_change: 0,
                reserved_change: 2,
                on_hand: 4,
                reserved: 2,
                order_id: Some("0190a3c4-0000-7000-8000-0000cafe4711".into()),
                reason: None,
                at: "2026-01-31T12:00:00Z".into(),
            }],
            next_cursor: None,
        };
        let page = Console::default().movements("p1", None, &list, &Asked::of("", &["cursor"]));
        assert!(page.0.contains(">+2<") && page.0.contains("Order 0000CAFE4711"));
    }
}
