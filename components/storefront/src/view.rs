//! The pages as HTML. Everything a product or a visitor brought with them is escaped by maud; there is no script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::domain::{Browse, Categories, Category, Product, ProductList};

/// The shop's name, drawn.
const WORDMARK: PreEscaped<&str> = PreEscaped(concat!(
    r#"<svg viewBox="0 0 150 54" width="83" height="30" fill="none" stroke="currentColor" stroke-width="8" "#,
    r#"stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M28 22q-3-6-12-6-10 0-10 7.5 0 6 11 "#,
    r#"7.5 12 1.5 12 9 0 8-12 8-9 0-13-6"/><circle class="dot" cx="57" cy="32" r="16"/><path d="M87 16v18q0 14 13 "#,
    r#"14t13-14V16M130 4v44M147 16l-17 17M136 28l11 20"/></svg>"#,
));

/// A magnifying glass.
const GLASS: PreEscaped<&str> = PreEscaped(concat!(
    r#"<svg viewBox="0 0 20 20" width="18" height="18" fill="none" stroke="currentColor" stroke-width="2.2" "#,
    r#"stroke-linecap="round" aria-hidden="true"><circle cx="8.5" cy="8.5" r="5.5"/><path d="M13 13l4.5 4.5"/></svg>"#,
));

/// The pictures that are in sight at once on a large screen; those after them are fetched when they are scrolled to.
const IN_SIGHT: usize = 4;

/// Where in the shop a page is: what its navigation and its search field show.
enum Place<'a> {
    /// A list of products.
    List(&'a Browse),
    /// Inside the category with this slug.
    Category(&'a str),
    /// Nowhere in particular.
    Elsewhere,
}

impl Place<'_> {
    fn search(&self) -> &str {
        match self {
            Self::List(browse) => &browse.q,
            _ => "",
        }
    }

    /// The value of aria-current for the link to the list of a category, or of everything if the slug is empty.
    fn current(&self, slug: &str) -> Option<&'static str> {
        match self {
            Self::List(browse) if browse.category == slug && browse.q.is_empty() => Some("page"),
            Self::Category(category) if *category == slug => Some("true"),
            _ => None,
        }
    }
}

/// What stands around the content of every page.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The address of the style sheet.
    pub style_sheet: String,
    /// The categories, if they are known.
    pub categories: Categories,
}

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
    pub fn product(&self, product: &Product, related: &[Product]) -> Markup {
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

    /// The page for an address that leads nowhere.
    pub fn not_found(&self) -> Markup {
        let text = "The address may have a slip in it, or the product has left the shop.";
        self.notice(
            "There is nothing on this shelf",
            text,
            "/",
            "See all products",
        )
    }

    /// The page for when the products cannot be had. `retry` is the address that was asked for.
    pub fn unavailable(&self, retry: &str) -> Markup {
        let text = "We cannot reach the shelves at the moment. Nothing is lost; please try again in a few seconds.";
        self.notice("The shop is catching its breath", text, retry, "Try again")
    }

    fn notice(&self, heading: &str, text: &str, href: &str, action: &str) -> Markup {
        let content = html! {
            div class="notice" {
                img src="/assets/no-picture.svg" alt="" width="144" height="144";
                h1 { (heading) }
                p { (text) }
                a class="button" href=(href) { (action) }
            }
        };
        self.page(&format!("{heading} · Souk"), &Place::Elsewhere, content)
    }

    fn page(&self, title: &str, place: &Place<'_>, content: Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    link rel="stylesheet" href=(self.style_sheet);
                    link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                }
                body {
                    a class="skip" href="#main" { "Skip to content" }
                    header class="top" {
                        div class="wrap" {
                            a class="brand" href="/" aria-label="Souk, to the front page" { (WORDMARK) }
                            (search_form(place.search()))
                        }
                    }
                    @if !self.categories.is_empty() { (self.navigation(place)) }
                    main id="main" class="wrap" tabindex="-1" { (content) }
                    footer class="foot" {
                        div class="wrap" {
                            (WORDMARK)
                            p { "A demonstration shop: the things are drawn, the prices are play money, the code is real." }
                        }
                    }
                }
            }
        }
    }

    fn navigation(&self, place: &Place<'_>) -> Markup {
        html! {
            nav class="categories" aria-label="Categories" {
                ul class="wrap" {
                    li { a href="/" aria-current=[place.current("")] { "Everything" } }
                    @for one in &self.categories.items {
                        li { a href=(one.href()) aria-current=[place.current(&one.slug)] { (one.name) } }
                    }
                }
            }
        }
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

fn search_form(words: &str) -> Markup {
    html! {
        form class="search" role="search" action="/" method="get" {
            label class="hidden" for="q" { "Search the shop" }
            input id="q" type="search" name="q" value=(words) placeholder="Search" maxlength="100" enterkeyhint="search";
            button type="submit" aria-label="Search" { (GLASS) }
        }
    }
}

fn card(product: &Product, index: usize) -> Markup {
    html! {
        li class="card" {
            img src=(product.picture()) alt="" width="480" height="480" loading=[(index >= IN_SIGHT).then_some("lazy")];
            p class="name" { a href=(product.href()) { (product.name) } }
            p class="price" { (product.price) }
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
    use crate::domain::Money;

    fn frame() -> Frame {
        let category = |slug: &str, name: &str| Category {
            slug: slug.into(),
            name: name.into(),
            product_count: 0,
        };
        Frame {
            style_sheet: "/assets/shop.css?v=1".into(),
            categories: Categories {
                items: vec![
                    category("kitchen", "Kitchen & table"),
                    category("garden", "Garden"),
                ],
            },
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
    fn the_front_page_is_small_and_has_no_script_and_no_inline_style() {
        let page = list("", 24, Some("c"));
        assert!(page.len() < 30_000, "{} bytes", page.len());
        assert!(!page.contains("<script") && !page.contains(" style=") && !page.contains("<style"));
        assert_eq!(page.matches("<h1").count(), 1);
        assert_eq!(page.matches("loading=\"lazy\"").count(), 20);
        assert!(page.contains("<a href=\"/\" aria-current=\"page\">Everything</a>"));
        assert!(page.contains("href=\"/?cursor=c\""));
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let evil = "<script>alert(1)</script>\"'&";
        let page = list(&format!("q={evil}").replace('&', "%26"), 1, None)
            + &frame().product(&product(evil), &[product(evil)]).0
            + &frame().unavailable("/?q=\"><script>").0;
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_place_is_marked_in_the_navigation() {
        let page = list("category=garden", 1, None);
        assert!(page.contains("<a href=\"/?category=garden\" aria-current=\"page\">Garden</a>"));
        assert_eq!(page.matches("aria-current").count(), 1);
        let page = frame().product(&product("Bowl"), &[]).0;
        assert!(page.contains("aria-current=\"true\">Kitchen &amp; table</a>"));
        assert!(!list("q=bowl", 1, None).contains("aria-current"));
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
