//! Somebody who looks at the shop's pages with a browser that runs no scripts: it keeps cookies, follows redirects and sends forms.

use crate::Shop;
use crate::http::IDLE;
use reqwest::blocking::{Client, ClientBuilder, RequestBuilder, Response};
use reqwest::header::HeaderMap;
use scraper::{ElementRef, Html, Selector};
use std::time::Duration;

/// A visitor, with cookies of their own.
pub struct Visitor {
    client: Client,
    url: String,
}

/// A page they have before them.
pub struct Page {
    /// Where they ended up: path and query.
    pub address: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The HTML.
    pub html: String,
}

/// A form of a page, as it is filled in.
#[derive(Debug, Clone)]
pub struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Visitor {
    /// Somebody who has never been to this shop.
    ///
    /// # Panics
    /// Never in practice: the settings are fixed.
    pub fn of(shop: &Shop) -> Self {
        Self::by(shop, Client::builder())
    }

    /// The same from an address of their own, or behind a proxy, as the client has it.
    ///
    /// # Panics
    /// When there is no such client.
    pub fn by(shop: &Shop, client: ClientBuilder) -> Self {
        let client = client
            .timeout(Duration::from_secs(30))
            .pool_idle_timeout(IDLE)
            .cookie_store(true)
            .build()
            .expect("a client");
        let url = shop.url.clone();
        Self { client, url }
    }

    /// Opens a page.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn open(&self, path: &str) -> Page {
        Page::of(self.request("GET", path).send().expect("an answer"))
    }

    /// A request with the visitor's cookies.
    ///
    /// # Panics
    /// When the method is none.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("an HTTP method");
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a form as it is filled in.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn send(&self, form: &Form) -> Page {
        let request = self.request("POST", &form.action).form(&form.fields);
        Page::of(request.send().expect("an answer"))
    }

    /// Opens an account, and comes to a page.
    pub fn register(&self, email: &str, password: &str) -> Page {
        let form = self.open("/register").form("/register");
        let form = form.fill(&[
            ("name", "A Shopper"),
            ("email", email),
            ("password", password),
        ]);
        self.send(&form)
    }

    /// Puts one of a product into the cart.
    pub fn add_to_cart(&self, product: &str) -> Page {
        let form = self.open(&format!("/products/{product}")).form("/cart");
        self.send(&form)
    }
}

impl Page {
    fn of(response: Response) -> Self {
        let url = response.url();
        let query = url.query().map(|query| format!("?{query}"));
        Self {
            address: format!("{}{}", url.path(), query.unwrap_or_default()),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            html: response.text().expect("a whole answer"),
        }
    }

    /// The form that is sent to this address.
    ///
    /// # Panics
    /// When there is none.
    pub fn form(&self, action: &str) -> Form {
        let page = Html::parse_document(&self.html);
        let selector = selector(&format!("form[action=\"{action}\"]"));
        let form = page.select(&selector).next();
        let form = form.unwrap_or_else(|| panic!("no form for {action} in {}", self.html));
        Form {
            action: action.to_owned(),
            fields: filled_in(form),
        }
    }

    /// The text of all that a CSS selector selects.
    pub fn text(&self, css: &str) -> String {
        let page = Html::parse_document(&self.html);
        let selector = selector(css);
        let texts = page.select(&selector).flat_map(|it| it.text());
        let words: Vec<_> = texts.flat_map(str::split_whitespace).collect();
        words.join(" ")
    }

    /// Whether its content says this.
    pub fn says(&self, text: &str) -> bool {
        self.text("main").contains(text)
    }

    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Form {
    /// The same with these fields filled in.
    pub fn fill(mut self, values: &[(&str, &str)]) -> Self {
        for (name, value) in values {
            self.fields.retain(|(known, _)| known != name);
            self.fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        self
    }

    /// What a field has in it.
    ///
    /// # Panics
    /// When there is no such field.
    pub fn value(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(known, _)| known == name);
        let (_, value) = field.unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value
    }

    /// The same without a field.
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }
}

/// What a browser would send of a form that nobody has touched.
fn filled_in(form: ElementRef<'_>) -> Vec<(String, String)> {
    let inputs = selector("input[name], select[name]");
    let field = |element: ElementRef<'_>| {
        let of = |name: &str| element.value().attr(name).map(str::to_owned);
        let chosen = match (element.value().name(), of("type").as_deref()) {
            ("select", _) => {
                let option = element.select(&selector("option[selected]")).next();
                option.and_then(|it| it.value().attr("value").map(str::to_owned))
            }
            (_, Some("checkbox" | "radio")) if of("checked").is_none() => None,
            (_, Some("checkbox")) => Some("on".into()),
            _ => of("value"),
        };
        Some((of("name")?, chosen?))
    };
    form.select(&inputs).filter_map(field).collect()
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).unwrap_or_else(|error| panic!("{css}: {error}"))
}
