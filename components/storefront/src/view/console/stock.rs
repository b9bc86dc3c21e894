//! The stock.

use maud::{Markup, html};

use super::{Console, filter, filters, pages, table, tag};
use crate::domain::Product;
use crate::domain::console::operations::Stock;
use crate::domain::console::{Asked, List};
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

    fn level(&self, level: &Stock, products: &[Product]) -> Markup {
        let product = products
            .iter()
            .find(|product| product.id == level.product_id);
        let name = product.map_or(&*level.product_id, |product| &*product.name);
        let field = format!("on-hand-{}", level.product_id);
        html! {
            tr {
                th scope="row" { a href={ "/products/" (level.product_id) } { (name) } }
                td class="digits" { (level.on_hand) }
                td class="digits" { (level.reserved) }
                td class="digits" { (level.available) }
                td { (state(level)) }
                td {
                    form class="counted" action={ (STOCK) "/" (level.product_id) } method="post" {
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
    }
}
