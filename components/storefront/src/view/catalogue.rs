//! The list of products, and one product.

use maud::{Markup, html};

use super::fields::{self, form_token};
use super::{Frame, Place};
use crate::domain::cart::MOST_OF_A_PRODUCT;
use crate::domain::{Browse, Category, Product, ProductList};

/// The pictures that are in sight at once on a large screen; those after them are fetched when they are scrolled to.
const IN_SIGHT: usize = 4;

impl Frame {
    /// The list of products: the front page, a category, or what a search found.
    pub fn list(&self, browse: &Browse, list: &ProductList) -> Markup {
        let category = self.categories.find(&browse.category);
        let heading = heading(browse, category);
        let title = match browse.is_front() {
            true => "Souk: useful things, made well".into(),
            false => format!("{heading} · Souk"),
        };
        let content = html! {
            @if browse.is_front() { (welcome()) }
            div class="listing-head" {
                div {
                    @if browse.is_front() { h2 { (heading) } } @else { h1 { (heading) } }
                    @if !list.items.is_empty() { p class="count" { (browse.count(list, &self.categories)) } }
                }
                @if !list.items.is_empty() { (self.sort_form(browse)) }
            }
            @if list.items.is_empty() {
                (nothing_found(browse))
            } @else {
                ul class="grid" { @for (index, product) in list.items.iter().enumerate() { (card(product, index)) } }
                (more(browse, list))
            }
        };
        self.page(&title, &Place::List(browse), content)
    }

    /// The page of one product.
    pub fn product(
        &self,
        product: &Product,
        available: Option<i64>,
        related: &[Product],
        token: &str,
    ) -> Markup {
        let category = self.categories.find(&product.category);
        let content = html! {
            nav class="crumbs" aria-label="Breadcrumb" {
                ol {
                    li { a href="/" { "Shop" } }
                    @if let Some(category) = category { li { a href=(category.href()) { (category.name) } } }
                    li aria-current="page" { (product.name) }
                }
            }
            article class="product" {
                img src=(product.picture()) alt=(product.name) width="480" height="480" fetchpriority="high";
                div {
                    h1 { (product.name) }
                    p class="price" { (product.price) }
                    (stock(available))
                    (add_form(product, available, token))
                    @for paragraph in product.description.split("\n\n").filter(|text| !text.trim().is_empty()) {
                        p class="description" { (paragraph) }
                    }
                    dl class="facts" {
                        @for (name, value) in &product.attributes { (fact(name, value)) }
                        (fact("Article number", &product.sku))
                    }
                }
            }
            @if let (Some(category), false) = (category, related.is_empty()) {
                section class="related" aria-labelledby="related" {
                    h2 id="related" { "More from " (category.name) }
                    ul class="grid" { @for product in related { (card(product, IN_SIGHT)) } }
                }
            }
        };
        let title = format!("{} · Souk", product.name);
        self.page(&title, &Place::Category(&product.category), content)
    }

    fn sort_form(&self, browse: &Browse) -> Markup {
        html! {
            form class="sort" action="/" method="get" {
                @if !browse.q.is_empty() {
                    input type="hidden" name="q" value=(browse.q);
                    label {
                        "Category"
                        select name="category" {
                            option value="" { "All categories" }
                            @for category in &self.categories.items {
                                option value=(category.slug) selected[category.slug == browse.category] { (category.name) }
                            }
                        }
                    }
                } @else if !browse.category.is_empty() {
                    input type="hidden" name="category" value=(browse.category);
                }
                label {
                    "Sort by"
                    select name="sort" {
                        @for (value, name) in browse.sorts() {
                            option value=(value) selected[*value == browse.sort] { (name) }
                        }
                    }
                }
                button class="button quiet" type="submit" { "Show" }
            }
        }
    }
}

fn heading(browse: &Browse, category: Option<&Category>) -> String {
    match (browse.q.as_str(), category) {
        ("", None) => "All products".into(),
        ("", Some(category)) => category.name.clone(),
        (words, None) => format!("Results for “{words}”"),
        (words, Some(category)) => format!("Results for “{words}” in {}", category.name),
    }
}

fn welcome() -> Markup {
    html! {
        section class="welcome" {
            div {
                h1 { "Useful things, made well." }
                p { "For the kitchen, the desk, the garden and the road: chosen slowly, and meant to be kept." }
            }
            img src="/assets/shelf.svg" alt="" width="720" height="500";
        }
    }
}

fn card(product: &Product, index: usize) -> Markup {
    html! {
        li class="card" {
            img src=(product.picture()) alt="" width="480" height="480" loading=[(index >= IN_SIGHT).then_some("lazy")];
            p class="name" { a href=(product.href()) { (product.name) } }
            p class="price" {
                (product.price)
                @if product.available == Some(0) { " " span class="tag" { "Out of stock" } }
            }
        }
    }
}

/// How many there are, where that is known; nobody counts many.
fn stock(available: Option<i64>) -> Markup {
    html! {
        @match available {
            None => {}
            Some(..=0) => { p class="stock none" { "Out of stock at the moment" } }
            Some(1) => { p class="stock few" { "The last one" } }
            Some(few @ 2..=9) => { p class="stock few" { "Only " (few) " left" } }
            Some(_) => { p class="stock" { "In stock" } }
        }
    }
}

fn add_form(product: &Product, available: Option<i64>, token: &str) -> Markup {
    let most = available
        .unwrap_or(MOST_OF_A_PRODUCT)
        .min(MOST_OF_A_PRODUCT);
    html! {
        @if most > 0 {
            form class="add" action="/cart" method="post" {
                (form_token(token))
                input type="hidden" name="product_id" value=(product.id);
                (fields::quantity("Quantity", 1, 1, most))
                button class="button" type="submit" { "Add to cart" }
            }
        }
    }
}

fn more(browse: &Browse, list: &ProductList) -> Markup {
    html! {
        div class="more" {
            @if !browse.cursor.is_empty() { a class="button quiet" href=(browse.first_href()) { "Back to the first" } }
            @if let Some(cursor) = &list.next_cursor {
                a class="button" rel="next" href=(browse.next_href(cursor)) { "Show more products" }
            }
        }
    }
}

fn nothing_found(browse: &Browse) -> Markup {
    html! {
        div class="notice" {
            img src="/assets/no-picture.svg" alt="" width="144" height="144";
            h2 { @if browse.q.is_empty() { "This shelf is still empty" } @else { "We have nothing by that name" } }
            p { @if browse.q.is_empty() { "Come back soon, or look at the other shelves." } @else { "Try a shorter word, or another one for the same thing." } }
            @if !browse.is_front() { a class="button" href="/" { "See all products" } }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Categories, Money};

    fn frame() -> Frame {
        let category = |slug: &str, name: &str| Category {
            slug: slug.into(),
            name: name.into(),
            product_count: 0,
        };
        Frame {
            style_sheet: "/assets/shop.css?v=1".into(),
            script: "/assets/shop.js?v=1".into(),
            categories: Categories {
                items: vec![
                    category("kitchen", "Kitchen & table"),
                    category("garden", "Garden"),
                ],
            },
            ..Frame::default()
        }
    }

    fn product(name: &str) -> Product {
        Product {
            id: "0190a3c4-0000-7000-8000-000000000000".into(),
            sku: "KIT-1".into(),
            name: name.into(),
            description: "Long words. ".repeat(40),
            category: "kitchen".into(),
            price: Money {
                amount: 1999,
                currency: "EUR".into(),
            },
            image_url: Some("/pictures/kit-1.svg".into()),
            attributes: [("Size".into(), "26 cm".into())].into(),
            available: Some(3),
        }
    }

    fn list(query: &str, count: usize, next_cursor: Option<&str>) -> String {
        let list = ProductList {
            items: vec![product("Bowl"); count],
            next_cursor: next_cursor.map(Into::into),
        };
        frame().list(&Browse::from_query(query), &list).0
    }

    #[test]
    fn the_front_page_is_small_and_has_nothing_inline() {
        let page = list("", 24, Some("c"));
        assert!(page.len() < 30_000, "{} bytes", page.len());
        let script = "<script src=\"/assets/shop.js?v=1\" defer></script>";
        assert!(!page.replace(script, "").contains("<script"));
        assert!(!page.contains(" style=") && !page.contains("<style"));
        assert_eq!(page.matches("<h1").count(), 1);
        assert_eq!(page.matches("loading=\"lazy\"").count(), 20);
        assert!(page.contains("<a href=\"/\" aria-current=\"page\">Everything</a>"));
        assert!(page.contains("href=\"/?cursor=c\""));
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let evil = "<script>alert(1)</script>\"'&";
        let page = list(&format!("q={evil}").replace('&', "%26"), 1, None)
            + &frame()
                .product(&product(evil), Some(1), &[product(evil)], evil)
                .0
            + &frame().unavailable("/?q=\"><script>").0;
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_place_is_marked_in_the_navigation() {
        let page = list("category=garden", 1, None);
        assert!(page.contains("<a href=\"/?category=garden\" aria-current=\"page\">Garden</a>"));
        assert_eq!(page.matches("aria-current").count(), 1);
        let page = frame().product(&product("Bowl"), None, &[], "t").0;
        assert!(page.contains("aria-current=\"true\">Kitchen &amp; table</a>"));
        assert!(!list("q=bowl", 1, None).contains("aria-current"));
    }

    #[test]
    fn only_what_there_is_can_be_put_into_the_cart() {
        let page = |available| frame().product(&product("Bowl"), available, &[], "token").0;
        let many = page(Some(500));
        assert!(many.contains("In stock") && many.contains("max=\"99\""));
        assert!(many.contains("name=\"form_token\" value=\"token\""));
        assert!(page(Some(4)).contains("Only 4 left") && page(Some(4)).contains("max=\"4\""));
        assert!(page(Some(0)).contains("Out of stock") && !page(Some(0)).contains("Add to cart"));
        assert!(
            page(None).contains("Add to cart"),
            "nobody knows, so it may be tried"
        );
    }

    #[test]
    fn sorting_keeps_what_was_asked_for() {
        let page = list("q=tea+pot&category=kitchen&sort=price_asc", 2, None);
        assert!(page.contains("<input type=\"hidden\" name=\"q\" value=\"tea pot\">"));
        assert!(page.contains("<option value=\"kitchen\" selected>"));
        assert!(page.contains("<option value=\"price_asc\" selected>"));
        let page = list("category=kitchen", 2, None);
        assert!(page.contains("<input type=\"hidden\" name=\"category\" value=\"kitchen\">"));
        assert!(!page.contains("Best match"));
    }

    #[test]
    fn nothing_leads_to_nowhere() {
        assert!(!list("", 3, None).contains("Show more"));
        let empty = list("q=zzz", 0, None);
        assert!(empty.contains("We have nothing by that name") && !empty.contains("Sort by"));
        let bare = Frame::default().unavailable("/products/1").0;
        assert!(bare.contains("catching its breath") && bare.contains("href=\"/products/1\""));
        assert!(!bare.contains("class=\"categories\""));
    }
}
