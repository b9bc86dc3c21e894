//! The pages as HTML. Everything a product or a visitor brought with them is escaped by maud; there is nothing inline, and one
//! script of ours that no page needs. One room for each area of the shop.

mod account;
mod cart;
mod catalogue;
pub mod checkout;
pub mod console;
mod entrance;
pub mod fields;
mod orders;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::domain::{Browse, Categories};

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

/// Somebody.
const PERSON: PreEscaped<&str> = PreEscaped(concat!(
    r#"<svg viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.8" "#,
    r#"stroke-linecap="round" aria-hidden="true"><circle cx="10" cy="6.5" r="3.5"/><path d="M3.5 17.5q0-5.5 6.5-5.5t6.5 5.5"/></svg>"#,
));

/// A basket.
const BASKET: PreEscaped<&str> = PreEscaped(concat!(
    r#"<svg viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.8" "#,
    r#"stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M2 8h16l-2 9H4zM6 8l3-5.5M14 8l-3-5.5"/></svg>"#,
));

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
    /// The address of the script.
    pub script: String,
    /// The categories, if they are known.
    pub categories: Categories,
    /// How many pieces are in the visitor's cart, as far as is known.
    pub in_cart: i64,
    /// Whether the visitor is signed in.
    pub signed_in: bool,
}

impl Frame {
    /// The page for an address that leads nowhere.
    pub fn not_found(&self) -> Markup {
        let text = "The address may have a slip in it, or the product has left the shop.";
        self.notice(
            "There is nothing on this shelf",
            text,
            ("/", "See all products"),
        )
    }

    /// The page for when the products cannot be had. `retry` is the address that was asked for.
    pub fn unavailable(&self, retry: &str) -> Markup {
        let text = "We cannot reach part of the shop at the moment. Nothing is lost; please try again in a few seconds.";
        self.notice(
            "The shop is catching its breath",
            text,
            (retry, "Try again"),
        )
    }

    /// The page for what the shop will not do, and why. `back` is the page to go on with.
    pub fn refused(&self, why: &str, back: &str) -> Markup {
        self.notice("That did not work", why, (back, "Look at the page again"))
    }

    /// The page for a form that did not come from a page of ours, or from one that is too old.
    pub fn stale_form(&self) -> Markup {
        let text = "It was open for too long, or you have logged in or out since. Nothing was changed. Please go back, load the page again, and send it once more.";
        self.notice("This form has expired", text, ("/", "To the front page"))
    }

    fn notice(&self, heading: &str, text: &str, (href, action): (&str, &str)) -> Markup {
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

    /// A page that is not about the catalogue.
    fn plain(&self, title: &str, content: Markup) -> Markup {
        self.page(&format!("{title} · Souk"), &Place::Elsewhere, content)
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
                    script src=(self.script) defer {}
                }
                body {
                    a class="skip" href="#main" { "Skip to content" }
                    header class="top" {
                        div class="wrap" {
                            a class="brand" href="/" aria-label="Souk, to the front page" { (WORDMARK) }
                            (search_form(place.search()))
                            (self.doors())
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

    /// The ways to the visitor's own pages.
    fn doors(&self) -> Markup {
        html! {
            nav class="doors" aria-label="Your shop" {
                @if self.signed_in {
                    a href="/account" { (PERSON) "Account" }
                } @else {
                    a href="/login" { (PERSON) "Log in" }
                }
                a href="/cart" {
                    (BASKET) "Cart"
                    @if self.in_cart > 0 { " " span class="badge" { (self.in_cart) span class="hidden" { " in it" } } }
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

/// What stands in the place of a list that is empty, with something to do about it.
fn nothing_yet(heading: &str, text: &str, (href, action): (&str, &str)) -> Markup {
    html! {
        div class="notice" {
            img src="/assets/no-picture.svg" alt="" width="144" height="144";
            h2 { (heading) }
            p { (text) }
            a class="button" href=(href) { (action) }
        }
    }
}
