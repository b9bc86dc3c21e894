//! What the pages show and what the visitor asked for: pure, without HTTP and without HTML.

pub mod account;
pub mod cart;
pub mod console;
pub mod order;

use std::collections::BTreeMap;
use std::fmt;

use form_urlencoded::Serializer;
use serde::Deserialize;

/// How many products one page of the list shows.
pub const PAGE_SIZE: usize = 24;

/// How many other products of its category a product page shows.
pub const RELATED: usize = 4;

/// The longest search that is passed on, in characters.
const LONGEST_SEARCH: usize = 100;

/// What the list can be sorted by: the API's word and ours. The first is an order that only a search has.
const SORTS: [(&str, &str); 5] = [
    ("relevance", "Best match"),
    ("newest", "Newest first"),
    ("price_asc", "Price, low to high"),
    ("price_desc", "Price, high to low"),
    ("name", "Name"),
];

/// An amount of money in the currency's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Money {
    /// How many of the smallest unit.
    pub amount: i64,
    /// The ISO 4217 code.
    pub currency: String,
}

impl Money {
    /// The amount in whole units, for charts.
    pub fn major(&self) -> f64 {
        let unit = 10_u64.pow(minor_digits(&self.currency) as u32);
        self.amount as f64 / unit as f64
    }
}

/// As a shop writes it: `€1,249.00`, `¥980`, `CHF 12.50`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = minor_digits(&self.currency);
        let unit = 10_u64.pow(digits as u32);
        let amount = self.amount.unsigned_abs();
        if self.amount < 0 {
            f.write_str("-")?;
        }
        match symbol(&self.currency) {
            Some(symbol) => f.write_str(symbol)?,
            None => write!(f, "{}\u{a0}", self.currency)?,
        }
        f.write_str(&grouped(amount / unit))?;
        match digits {
            0 => Ok(()),
            _ => write!(f, ".{:0digits$}", amount % unit),
        }
    }
}

/// How many decimals a currency has, by ISO 4217.
fn minor_digits(currency: &str) -> usize {
    match currency {
        "CLP" | "ISK" | "JPY" | "KRW" | "PYG" | "UGX" | "VND" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

fn symbol(currency: &str) -> Option<&'static str> {
    match currency {
        "EUR" => Some("€"),
        "GBP" => Some("£"),
        "JPY" => Some("¥"),
        "USD" => Some("$"),
        _ => None,
    }
}

/// A number with a comma before every third digit.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A product, as far as the pages show it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Product {
    /// Its id, which is also the last part of its page's address.
    pub id: String,
    /// The shop's own article number.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// What there is to say about it.
    #[serde(default)]
    pub description: String,
    /// The slug of its category.
    pub category: String,
    /// What one costs.
    pub price: Money,
    /// Where its picture is.
    pub image_url: Option<String>,
    /// What is particular to it, such as its size: names and values.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// How many can be ordered, where a list says so.
    pub available: Option<i64>,
}

impl Product {
    /// The address of its page.
    pub fn href(&self) -> String {
        format!("/products/{}", self.id)
    }

    /// The address of its picture, or of the one that stands in for it.
    pub fn picture(&self) -> &str {
        picture(self.image_url.as_deref())
    }
}

/// The address of a product's picture, or of the one that stands in for it.
pub fn picture(image_url: Option<&str>) -> &str {
    image_url.unwrap_or("/assets/no-picture.svg")
}

/// How many of a product there are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Level {
    /// So many can be ordered.
    pub available: i64,
}

/// A moment as people write it, `25 November 2026, 22:54 UTC`, from RFC 3339 in UTC.
pub fn moment(rfc3339: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let read = || {
        let month: usize = rfc3339.get(5..7)?.parse().ok()?;
        let (day, year) = (rfc3339.get(8..10)?, rfc3339.get(..4)?);
        let day = day.strip_prefix('0').unwrap_or(day);
        let month = MONTHS.get(month.checked_sub(1)?)?;
        Some(format!(
            "{day} {month} {year}, {} UTC",
            rfc3339.get(11..16)?
        ))
    };
    read().unwrap_or_else(|| rfc3339.to_owned())
}

/// One page of products.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ProductList {
    /// The products of this page.
    pub items: Vec<Product>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// A category of the shop.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Category {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// How many products are in it.
    #[serde(default)]
    pub product_count: u64,
}

impl Category {
    /// The address of its page.
    pub fn href(&self) -> String {
        Browse {
            category: self.slug.clone(),
            ..Browse::default()
        }
        .href()
    }
}

/// The categories, in the order the shop shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Categories {
    /// All of them.
    pub items: Vec<Category>,
}

impl Categories {
    /// Whether none are known.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The category with this slug.
    pub fn find(&self, slug: &str) -> Option<&Category> {
        self.items.iter().find(|category| category.slug == slug)
    }
}

/// Which products the visitor wants to see: the query of the list page. What is empty is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Browse {
    /// Words to search for.
    pub q: String,
    /// The slug of a category.
    pub category: String,
    /// One of [`Browse::sorts`].
    pub sort: String,
    /// Where to go on, as the API said it.
    pub cursor: String,
}

impl Browse {
    /// Reads the query string of the list page, passing over what it does not know.
    pub fn from_query(query: &str) -> Self {
        let mut browse = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "q" => browse.q = value.trim().chars().take(LONGEST_SEARCH).collect(),
                "category" => browse.category = value.into_owned(),
                "sort" => browse.sort = value.into_owned(),
                "cursor" => browse.cursor = value.into_owned(),
                _ => {}
            }
        }
        if !browse
            .sorts()
            .iter()
            .skip(1)
            .any(|(sort, _)| *sort == browse.sort)
        {
            browse.sort.clear();
        }
        browse
    }

    /// What this list can be sorted by. The first is the order it has if nothing is chosen.
    pub fn sorts(&self) -> &'static [(&'static str, &'static str)] {
        match self.q.is_empty() {
            true => &SORTS[1..],
            false => &SORTS,
        }
    }

    /// Whether this is the shop's front page: nothing asked for.
    pub fn is_front(&self) -> bool {
        *self == Self::default()
    }

    /// The address of the page that shows this.
    pub fn href(&self) -> String {
        match self.is_front() {
            true => "/".into(),
            false => format!("/?{}", self.query().finish()),
        }
    }

    /// The address of the page after this one.
    pub fn next_href(&self, cursor: &str) -> String {
        Self {
            cursor: cursor.into(),
            ..self.clone()
        }
        .href()
    }

    /// The address of the first page of the same list.
    pub fn first_href(&self) -> String {
        self.next_href("")
    }

    /// What to ask the API for, and how many of it.
    pub fn api_path(&self, limit: usize) -> String {
        let mut query = self.query();
        query.append_pair("limit", &limit.to_string());
        format!("/api/products?{}", query.finish())
    }

    fn query(&self) -> Serializer<'static, String> {
        let mut query = Serializer::new(String::new());
        for (name, value) in [
            ("q", &self.q),
            ("category", &self.category),
            ("sort", &self.sort),
            ("cursor", &self.cursor),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query
    }

    /// How many products there are to see, in words.
    pub fn count(&self, list: &ProductList, categories: &Categories) -> String {
        let count = list.items.len();
        let products = if count == 1 { "product" } else { "products" };
        match (
            self.cursor.is_empty(),
            list.next_cursor.is_some(),
            self.total(categories),
        ) {
            (true, false, _) => format!("{count} {products}"),
            (true, true, Some(total)) => format!("{count} of {total} products"),
            (true, true, None) => format!("The first {count} {products}"),
            (false, true, _) => format!("{count} more {products}"),
            (false, false, _) if count == 1 => "The last product".into(),
            (false, false, _) => format!("The last {count} {products}"),
        }
    }

    /// How many products the whole list has, unless only a search can tell.
    fn total(&self, categories: &Categories) -> Option<u64> {
        let counts = categories
            .items
            .iter()
            .filter(|one| self.category.is_empty() || one.slug == self.category);
        let total = counts.map(|one| one.product_count).sum();
        (self.q.is_empty() && total > 0).then_some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, currency: &str) -> String {
        Money {
            amount,
            currency: currency.into(),
        }
        .to_string()
    }

    #[test]
    fn prices_are_written_as_their_currency_is() {
        assert_eq!(money(0, "EUR"), "€0.00");
        assert_eq!(money(5, "EUR"), "€0.05");
        assert_eq!(money(124_900, "EUR"), "€1,249.00");
        assert_eq!(money(-1950, "USD"), "-$19.50");
        assert_eq!(money(1_234_567, "JPY"), "¥1,234,567");
        assert_eq!(money(12_345, "KWD"), "KWD\u{a0}12.345");
        assert_eq!(money(1250, "CHF"), "CHF\u{a0}12.50");
        assert_eq!(money(i64::MIN, "GBP"), "-£92,233,720,368,547,758.08");
    }

    #[test]
    fn moments_are_written_out() {
        assert_eq!(
            moment("2026-11-05T22:54:01.123Z"),
            "5 November 2026, 22:54 UTC"
        );
        assert_eq!(moment("2026-13-05T22:54:01Z"), "2026-13-05T22:54:01Z");
        assert_eq!(moment("ä"), "ä");
    }

    #[test]
    fn the_query_is_read_and_written_back() {
        let browse = Browse::from_query(
            "q=+caf%C3%A9+%26+tea&category=coffee-tea&sort=price_desc&cursor=a%2Bb&utm=x",
        );
        let expected = Browse {
            q: "café & tea".into(),
            category: "coffee-tea".into(),
            sort: "price_desc".into(),
            cursor: "a+b".into(),
        };
        assert_eq!(browse, expected);
        assert_eq!(
            browse.href(),
            "/?q=caf%C3%A9+%26+tea&category=coffee-tea&sort=price_desc&cursor=a%2Bb"
        );
        assert_eq!(
            browse.first_href(),
            "/?q=caf%C3%A9+%26+tea&category=coffee-tea&sort=price_desc"
        );
        assert_eq!(
            Browse::from_query("q=tea").api_path(24),
            "/api/products?q=tea&limit=24",
            "what is not asked for is not passed on"
        );
    }

    #[test]
    fn an_odd_query_does_no_harm() {
        assert!(Browse::from_query("").is_front());
        assert!(Browse::from_query("q=%20&sort=colour&%FF=%FF&&=").is_front());
        assert!(
            Browse::from_query("sort=relevance").is_front(),
            "that is an order of searches"
        );
        assert!(
            Browse::from_query("sort=newest").is_front(),
            "that is the order it has anyway"
        );
        assert_eq!(
            Browse::from_query(&format!("q={}", "ä".repeat(500)))
                .q
                .chars()
                .count(),
            100
        );
        assert_eq!(Browse::default().href(), "/");
    }

    #[test]
    fn counting_is_put_in_words() {
        let product = Product {
            id: "1".into(),
            sku: "A".into(),
            name: "A".into(),
            description: String::new(),
            category: "a".into(),
            price: Money {
                amount: 1,
                currency: "EUR".into(),
            },
            image_url: None,
            attributes: BTreeMap::new(),
            available: None,
        };
        let list = |count, more: bool| ProductList {
            items: vec![product.clone(); count],
            next_cursor: more.then(|| "c".into()),
        };
        let category = |slug: &str| Category {
            slug: slug.into(),
            name: slug.into(),
            product_count: 33,
        };
        let categories = Categories {
            items: vec![category("a"), category("b")],
        };
        let count = |query: &str, count, more| {
            Browse::from_query(query).count(&list(count, more), &categories)
        };
        assert_eq!(count("", 1, false), "1 product");
        assert_eq!(count("", 7, false), "7 products");
        assert_eq!(count("", 24, true), "24 of 66 products");
        assert_eq!(count("category=b", 24, true), "24 of 33 products");
        assert_eq!(count("q=pot", 24, true), "The first 24 products");
        assert_eq!(count("cursor=c", 24, true), "24 more products");
        assert_eq!(count("cursor=c", 18, false), "The last 18 products");
        assert_eq!(count("cursor=c", 1, false), "The last product");
    }
}
