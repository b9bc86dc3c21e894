//! The operator's console as HTML. It has a frame of its own, which says on every page what fails on purpose. Charts and maps are SVG
//! drawn on the server: the policy allows nothing inline, and attributes of SVG are no style.

mod charts;
mod events;
mod logs;
mod map;
pub mod orders;
pub mod overview;
mod services;
mod stock;
mod traces;

use maud::{DOCTYPE, Markup, Render, html};

use super::{GLASS, WORDMARK};
use crate::domain::console::operations::Fault;
use crate::domain::console::{Asked, clock, rfc3339};

/// The console's pages: address and name.
const PLACES: [(&str, &str); 9] = [
    ("/console", "Overview"),
    ("/console/map", "Map"),
    ("/console/traces", "Traces"),
    ("/console/logs", "Logs"),
    ("/console/orders", "Orders"),
    ("/console/events", "Events"),
    ("/console/stock", "Stock"),
    ("/console/services", "Services"),
    ("/console/faults", "Faults"),
];

/// How often a page that shows what happens now looks again, in seconds.
const LOOK_AGAIN: u32 = 5;

/// What stands around the content of every page of the console.
#[derive(Debug, Clone, Default)]
pub struct Console {
    /// The addresses of the style sheets.
    pub style_sheets: [&'static str; 2],
    /// The address of the script.
    pub script: &'static str,
    /// What fails on purpose, as far as is known.
    pub faults: Vec<Fault>,
    /// The token of its forms.
    pub token: String,
}

impl Console {
    /// The page for something that is not there.
    pub fn not_found(&self) -> Markup {
        let text = "The address may have a slip in it, or what it shows was kept long enough and is forgotten.";
        self.notice("There is nothing here", text, "/console")
    }

    /// The page for what cannot be had. `retry` is the address that was asked for.
    pub fn unavailable(&self, why: &str, retry: &str) -> Markup {
        self.notice("This cannot be had at the moment", why, retry)
    }

    /// The page for what the shop will not do, and why. `back` is the page to go on with.
    pub fn refused(&self, why: &str, back: &str) -> Markup {
        self.notice("The shop will not do that", why, back)
    }

    fn notice(&self, heading: &str, text: &str, back: &str) -> Markup {
        let content = html! {
            p class="lead" { (text) }
            p class="actions" { a class="button" href=(back) { "Go on" } }
        };
        self.page(heading, "", content)
    }

    /// A page at one of [`PLACES`].
    fn page(&self, title: &str, place: &str, content: Markup) -> Markup {
        let [shop, console] = self.style_sheets;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · Console · Souk" }
                    link rel="stylesheet" href=(shop);
                    link rel="stylesheet" href=(console);
                    link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                    script src=(self.script) defer {}
                }
                body class="console" {
                    a class="skip" href="#main" { "Skip to content" }
                    header class="top" {
                        div class="wrap" {
                            a class="brand" href="/" aria-label="Souk, to the front page" { (WORDMARK) }
                            (find_form())
                        }
                    }
                    (navigation(place))
                    @if !self.faults.is_empty() { (banner(&self.faults)) }
                    main id="main" class="wrap" tabindex="-1" {
                        h1 class="title" { (title) }
                        (content)
                    }
                }
            }
        }
    }
}

fn find_form() -> Markup {
    html! {
        form class="search" role="search" action="/console/find" method="get" {
            label class="hidden" for="find" { "Find an order, a request or a trace" }
            input id="find" type="search" name="q" placeholder="Order number, request or trace" maxlength="200" autocomplete="off" required;
            button type="submit" aria-label="Find" { (GLASS) }
        }
    }
}

fn navigation(place: &str) -> Markup {
    html! {
        nav class="categories" aria-label="Console" {
            ul class="wrap" {
                @for (path, name) in PLACES {
                    li { a href=(path) aria-current=[(path == place).then_some("page")] { (name) } }
                }
            }
        }
    }
}

/// Nobody is to wonder why things fail that were told to.
fn banner(faults: &[Fault]) -> Markup {
    html! {
        aside class="banner" aria-label="Failures on order" {
            div class="wrap" {
                strong { "Failures on order" }
                ul {
                    @for fault in faults {
                        li {
                            "Calls of " strong { (fault.from) } " to " strong { (fault.to) } " " (fault.effect())
                            " until " (clock(&rfc3339(fault.until))) "."
                        }
                    }
                }
                a href="/console/faults" { "End them" }
            }
        }
    }
}

/// A part of a page that shows what happens now. The script looks again every few seconds, until it is told to pause.
fn live(id: &str, content: Markup) -> Markup {
    html! {
        div id=(id) data-refresh=(LOOK_AGAIN) { (content) }
    }
}

/// The same for who waits for what happens next.
fn followed(id: &str, content: Markup) -> Markup {
    html! {
        div id=(id) data-refresh="1" { (content) }
    }
}

/// What stands where a part of a page cannot be had.
fn missing(what: &str) -> Markup {
    html! { p class="note bad" role="status" { (what) " cannot be had at the moment." } }
}

/// A table that scrolls by itself where the screen is narrow.
fn table(name: &str, columns: &[&str], rows: Markup) -> Markup {
    let head = html! { @for column in columns { th scope="col" { (column) } } };
    table_below(name, head, rows)
}

/// The same with cells at its head that are more than a word.
fn table_below(name: &str, head: Markup, rows: Markup) -> Markup {
    html! {
        div class="scroll" role="region" aria-label=(name) tabindex="0" {
            table {
                caption class="hidden" { (name) }
                thead { tr { (head) } }
                tbody { (rows) }
            }
        }
    }
}

fn tag(tone: &str, word: &str) -> Markup {
    html! { span class={ "tag " (tone) } { (word) } }
}

/// A moment, short; the whole of it for those who look closer.
fn time(rfc3339: &str) -> Markup {
    html! { time class="digits" datetime=(rfc3339) { (clock(rfc3339)) } }
}

/// A number that leads to what it counts. What that is is said to those who hear the link by itself, too.
fn counted(href: &str, number: impl Render, counts: &str) -> Markup {
    html! { a href=(href) { (number) span class="hidden" { " " (counts) } } }
}

/// A field of a form that filters a list.
fn filter(asked: &Asked, name: &str, label: &str, kind: &str) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) value=(asked.get(name)) min=[(kind == "number").then_some("0")]
                maxlength=[(kind != "number").then_some("200")] autocomplete="off";
        }
    }
}

/// The same with words to choose from.
fn choice(asked: &Asked, name: &str, label: &str, words: &[&str]) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                option value="" { "Any" }
                @for word in words { option value=(word) selected[asked.get(name) == *word] { (word.replace(',', " or ")) } }
            }
        }
    }
}

/// A form that filters a list.
fn filters(path: &str, fields: Markup) -> Markup {
    html! {
        form class="filters" action=(path) method="get" {
            (fields)
            div class="actions" {
                button class="button" type="submit" { "Show" }
                a href=(path) { "Show all" }
            }
        }
    }
}

/// The ways on from one page of a list.
fn pages(path: &str, asked: &Asked, next: Option<&str>) -> Markup {
    let first = asked.get("cursor").is_empty();
    html! {
        @if !first || next.is_some() {
            div class="more" {
                @if !first { a class="button quiet" href=(asked.with("cursor", "").at(path)) { "Back to the first" } }
                @if let Some(next) = next { a class="button" rel="next" href=(asked.with("cursor", next).at(path)) { "More" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_on_purpose_is_said_on_every_page() {
        let mut console = Console::default();
        assert!(!console.not_found().0.contains("Failures on order"));
        console.faults = vec![Fault {
            from: "gateway".into(),
            to: "products".into(),
            latency_ms: 0,
            error_percent: 0,
            blackhole: true,
            until: 0,
        }];
        let page = console.not_found().0;
        assert!(page.contains("Failures on order") && page.contains("are never answered"));
    }

    #[test]
    fn a_list_goes_on_with_what_was_asked_for() {
        let asked = Asked::of("service=orders&cursor=a", &["service", "cursor"]);
        let shown = pages("/console/logs", &asked, Some("b")).0;
        assert!(shown.contains("href=\"/console/logs?service=orders&amp;cursor=b\""));
        assert!(shown.contains("href=\"/console/logs?service=orders\""));
        let whole = Asked::of("", &["cursor"]);
        assert_eq!(pages("/console/logs", &whole, None).0, "");
    }
}
