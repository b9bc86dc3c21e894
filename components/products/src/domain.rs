//! What products and categories are, and the rules they keep. Pure: no I/O.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use souk_chassis::fields::{self, Fields, FromFields, Rule};
use souk_chassis::{Money, page};
use uuid::Uuid;

/// What is particular to a kind of product, such as its colour or size.
pub type Attributes = BTreeMap<String, String>;

/// Something that is sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Product {
    pub id: String,
    pub sku: String,
    pub name: String,
    pub description: String,
    pub category: String,
    pub price: Money,
    pub image_url: Option<String>,
    pub attributes: Attributes,
    pub version: i64,
    pub created_at: String,
    pub updated_at: String,
    /// How many can be ordered, as far as is known; in lists alone, and where inventory has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<i64>,
}

/// What it takes to list a new product.
#[derive(Debug, PartialEq, Eq)]
pub struct NewProduct {
    pub sku: String,
    pub name: String,
    pub description: String,
    pub category: String,
    pub price: Money,
    pub image_url: Option<String>,
    pub attributes: Attributes,
}

/// What is to be changed about a product: what is `None` stays.
#[derive(Debug, PartialEq, Eq)]
pub struct ProductChange {
    pub sku: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub category: Option<String>,
    pub price: Option<Money>,
    /// `Some(None)` takes the picture away.
    pub image_url: Option<Option<String>>,
    /// Replaced as a whole.
    pub attributes: Option<Attributes>,
}

/// One price a product had.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PastPrice {
    pub price: Money,
    /// The product's version that had it first.
    pub version: i64,
    pub valid_from: String,
}

/// A shelf in the shop.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Category {
    pub slug: String,
    pub name: String,
    /// Where it stands among the others.
    pub position: i64,
    pub product_count: i64,
}

/// What is set about a category.
#[derive(Debug, PartialEq, Eq)]
pub struct CategoryBody {
    pub name: String,
    pub position: i64,
}

impl FromFields for NewProduct {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            sku: fields.required("sku", sku()),
            name: fields.required("name", fields::line(1..=200)),
            description: fields
                .optional("description", fields::text(0..=10_000))
                .unwrap_or_default(),
            category: fields.required("category", slug()),
            price: fields.required_object("price"),
            image_url: fields.optional("image_url", image_url()),
            attributes: fields
                .optional("attributes", attributes())
                .unwrap_or_default(),
        }
    }
}

impl FromFields for ProductChange {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            sku: fields.optional("sku", sku()),
            name: fields.optional("name", fields::line(1..=200)),
            description: fields.optional("description", fields::text(0..=10_000)),
            category: fields.optional("category", slug()),
            price: fields.optional_object("price"),
            image_url: fields.clearable("image_url", image_url()),
            attributes: fields
                .clearable("attributes", attributes())
                .map(Option::unwrap_or_default),
        }
    }
}

impl FromFields for CategoryBody {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.required("name", fields::line(1..=100)),
            position: fields
                .optional("position", fields::whole_number(0..=1_000_000))
                .unwrap_or_default(),
        }
    }
}

/// Letters, digits and `. _ -`, so that it can be printed, typed and put into an address.
fn sku() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}),
        |sku: String| {
            let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            match (1..=64).contains(&sku.len()) && sku.chars().all(sane) {
                true => Ok(sku),
                false => {
                    Err("must have 1 to 64 letters, digits, dots, underscores or hyphens".into())
                }
            }
        },
    )
}

/// The part of an address that names a category.
pub fn slug() -> impl Rule<String, String> {
    fields::rule(
        || json!({"type": "string", "pattern": "^[a-z0-9-]{1,64}$"}),
        |slug: String| {
            let sane = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            match (1..=64).contains(&slug.len()) && slug.chars().all(sane) {
                true => Ok(slug),
                false => Err("must have 1 to 64 lower-case letters, digits or hyphens".into()),
            }
        },
    )
}

/// An address a browser may safely load a picture from: of the shop itself, or by HTTPS.
fn image_url() -> impl Rule<String, String> {
    let schema = || json!({"type": "string", "maxLength": 2048, "pattern": r#"^(/|/[!#-&(-.0-;=?-\[\]-~][!#-&(-;=?-\[\]-~]*|https://[!#-&(-;=?-\[\]-~]*)$"#});
    fields::rule(schema, |url: String| {
        let of_the_shop = url.starts_with('/') && !url.starts_with("//");
        let sane = url.len() <= 2048
            && url
                .bytes()
                .all(|c| c.is_ascii_graphic() && !br#""'<>\"#.contains(&c));
        match sane && (of_the_shop || url.starts_with("https://")) {
            true => Ok(url),
            false => Err("must be an https:// address or an absolute path".into()),
        }
    })
}

fn attributes() -> impl Rule<Attributes, Attributes> {
    let schema = || {
        json!({
            "type": "object", "maxProperties": 50,
            "propertyNames": {"minLength": 1, "maxLength": 50},
            "additionalProperties": {"type": "string", "maxLength": 500},
        })
    };
    fields::rule(schema, |attributes: Attributes| {
        let sane = |(name, value): (&String, &String)| {
            (1..=50).contains(&name.chars().count()) && value.chars().count() <= 500
        };
        match attributes.len() <= 50 && attributes.iter().all(sane) {
            true => Ok(attributes),
            false => Err(
                "must be at most 50 names of 1 to 50 characters with values of up to 500".into(),
            ),
        }
    })
}

/// How a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Best match first; only where something is searched for.
    Relevance,
    #[default]
    Newest,
    PriceAsc,
    PriceDesc,
    Name,
}

fn sort() -> impl Rule<String, Sort> {
    fields::one_of(&["relevance", "newest", "price_asc", "price_desc", "name"])
}

/// Where the next page of a list begins: after the product with this key in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub sort: Sort,
    pub key: SortKey,
    pub id: Uuid,
}

/// What a list is ordered by, before the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortKey {
    /// [`Sort::Relevance`]: the bits of the score, which must come back exactly as it was.
    Score(u64),
    /// [`Sort::Newest`]: the id alone says it.
    Nothing,
    Price(i64),
    Name(String),
}

impl SortKey {
    fn belongs_to(&self, sort: Sort) -> bool {
        match self {
            Self::Score(_) => sort == Sort::Relevance,
            Self::Nothing => sort == Sort::Newest,
            Self::Price(_) => matches!(sort, Sort::PriceAsc | Sort::PriceDesc),
            Self::Name(_) => sort == Sort::Name,
        }
    }
}

/// How many products can be asked for by id at once: as many as a page can have.
const MOST_IDS: usize = 100;

/// Which products to list, in which order, and which part of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The search as the index wants it.
    pub search: Option<Search>,
    pub category: Option<String>,
    /// Those alone.
    pub ids: Option<Vec<Uuid>>,
    pub min_price: Option<i64>,
    pub max_price: Option<i64>,
    pub sort: Sort,
    pub limit: i64,
    pub after: Option<Cursor>,
}

impl FromFields for Filter {
    fn from_fields(fields: &mut Fields) -> Self {
        let search = fields
            .optional("q", fields::text(0..=200))
            .filter(|q| !q.is_empty())
            .map(|q| Search::new(&q));
        let natural = if search.is_some() {
            Sort::Relevance
        } else {
            Sort::Newest
        };
        let ids = fields.optional("ids", fields::uuids(MOST_IDS));
        let filter = Self {
            search,
            category: fields.optional("category", slug()),
            min_price: fields.optional("min_price", fields::whole_number(0..=i64::MAX)),
            max_price: fields.optional("max_price", fields::whole_number(0..=i64::MAX)),
            sort: fields.optional("sort", sort()).unwrap_or(natural),
            limit: fields
                .optional("limit", page::limit())
                .unwrap_or(match ids {
                    Some(_) => page::MAX_LIMIT,
                    None => page::DEFAULT_LIMIT,
                }),
            ids,
            after: fields.optional("cursor", page::cursor()),
        };
        if filter
            .min_price
            .zip(filter.max_price)
            .is_some_and(|(min, max)| min > max)
        {
            fields.error("min_price", "must not be more than max_price");
        }
        if filter.sort == Sort::Relevance && filter.search.is_none() {
            fields.error("sort", "can be relevance only with q");
        }
        if filter
            .after
            .as_ref()
            .is_some_and(|after| after.sort != filter.sort || !after.key.belongs_to(after.sort))
        {
            fields.error("cursor", "is not a cursor of a list in this order");
        }
        filter
    }
}

/// A search in the syntax of the index: every word must be found, the last one as the beginning of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(String);

impl Search {
    /// Makes one of whatever somebody typed. Each word is quoted, so nothing of it is syntax.
    pub fn new(typed: &str) -> Self {
        let words: Vec<_> = typed
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| format!("\"{word}\""))
            .collect();
        match words.is_empty() {
            true => Self(String::new()),
            false => Self(words.join(" ") + "*"),
        }
    }

    /// The search as text; empty where nothing can be found since nothing was typed but signs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn bad_fields(body: serde_json::Value) -> Vec<String> {
        fields::from_json::<NewProduct>(body)
            .unwrap_err()
            .into_iter()
            .map(|error| error.field)
            .collect()
    }

    fn filter(query: &str) -> Result<Filter, Vec<String>> {
        fields::from_query(query)
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn a_product_needs_its_fields() {
        assert_eq!(bad_fields(json!({})), ["sku", "name", "category", "price"]);
        let all_wrong = json!({
            "sku": "a b", "name": "", "description": 1, "category": "No Such", "price": {"amount": -1, "currency": "eur"},
            "image_url": "javascript:alert(1)", "attributes": {"": "x"}, "stock": 5,
        });
        assert_eq!(
            bad_fields(all_wrong),
            [
                "sku",
                "name",
                "description",
                "category",
                "price.amount",
                "price.currency",
                "image_url",
                "attributes",
                "stock"
            ]
        );
    }

    #[test]
    fn prices_are_whole_minor_units() {
        let price = |amount: serde_json::Value| {
            fields::from_json::<Money>(json!({"amount": amount, "currency": "EUR"}))
        };
        assert_eq!(
            price(json!(1999)).unwrap(),
            Money {
                amount: 1999,
                currency: "EUR".into()
            }
        );
        assert!(price(json!(0)).is_ok());
        for wrong in [
            json!(19.99),
            json!("19"),
            json!(-1),
            json!(1_000_000_000_001_i64),
            json!(null),
        ] {
            assert!(price(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pictures_come_from_safe_places() {
        for safe in ["/pictures/a.svg", "https://cdn.example/a.png?w=1"] {
            assert!(image_url().check(safe.into()).is_ok(), "{safe}");
        }
        for unsafe_ in [
            "//evil/a.png",
            "http://a/b",
            "data:image/svg+xml,x",
            "/a\" onload=\"x",
            "/a b",
            "",
            "/ä",
        ] {
            assert!(image_url().check(unsafe_.into()).is_err(), "{unsafe_}");
        }
    }

    #[test]
    fn a_change_tells_absent_from_null() {
        let change: ProductChange =
            fields::from_json(json!({"name": "x", "image_url": null, "attributes": null})).unwrap();
        assert_eq!(change.name.as_deref(), Some("x"));
        assert_eq!(change.image_url, Some(None));
        assert_eq!(change.attributes, Some(Attributes::new()));
        let change: ProductChange = fields::from_json(json!({})).unwrap();
        assert_eq!((change.image_url, change.attributes), (None, None));
    }

    #[test]
    fn words_are_quoted_and_the_last_is_a_beginning() {
        let search = |typed| Search::new(typed).0;
        assert_eq!(search("red chair"), r#""red" "chair"*"#);
        assert_eq!(search("SOUK-01"), r#""SOUK" "01"*"#);
        assert_eq!(search(r#"" OR name:* NEAR("#), r#""OR" "name" "NEAR"*"#);
        assert_eq!(search("Küche 東京"), r#""Küche" "東京"*"#);
        assert_eq!(search("'\"()*^-:"), "");
    }

    #[test]
    fn a_list_is_ordered_by_what_makes_sense() {
        assert_eq!(filter("").unwrap().sort, Sort::Newest);
        assert_eq!(filter("q=chair").unwrap().sort, Sort::Relevance);
        assert_eq!(
            filter("q=chair&sort=price_asc").unwrap().sort,
            Sort::PriceAsc
        );
        assert_eq!(filter("q=++").unwrap().search, None);
        assert_eq!(filter("").unwrap().limit, 20);
    }

    #[test]
    fn all_bad_parameters_are_named() {
        let query = "sort=best&limit=0&min_price=-1&max_price=x&category=A&cursor=%00";
        assert_eq!(
            filter(query).unwrap_err(),
            [
                "category",
                "min_price",
                "max_price",
                "sort",
                "limit",
                "cursor"
            ]
        );
        assert_eq!(filter("sort=relevance").unwrap_err(), ["sort"]);
        assert_eq!(
            filter("min_price=5&max_price=4").unwrap_err(),
            ["min_price"]
        );
        assert_eq!(filter("limit=101").unwrap_err(), ["limit"]);
    }

    #[test]
    fn a_cursor_belongs_to_one_order() {
        let cursor = |sort, key| {
            page::encode(&Cursor {
                sort,
                key,
                id: Uuid::nil(),
            })
        };
        let price = cursor(Sort::PriceAsc, SortKey::Price(5));
        assert_eq!(
            filter(&format!("sort=price_asc&cursor={price}"))
                .unwrap()
                .after
                .unwrap()
                .key,
            SortKey::Price(5)
        );
        assert_eq!(
            filter(&format!("sort=price_desc&cursor={price}")).unwrap_err(),
            ["cursor"]
        );
        assert_eq!(filter(&format!("cursor={price}")).unwrap_err(), ["cursor"]);
        let mixed = cursor(Sort::Newest, SortKey::Name("x".into()));
        assert_eq!(filter(&format!("cursor={mixed}")).unwrap_err(), ["cursor"]);
    }

    #[test]
    fn a_score_survives_the_cursor() {
        let score = -1.234_567_890_123_456_7_f64;
        let cursor = Cursor {
            sort: Sort::Relevance,
            key: SortKey::Score(score.to_bits()),
            id: Uuid::now_v7(),
        };
        assert_eq!(
            page::cursor::<Cursor>()
                .check(page::encode(&cursor))
                .unwrap(),
            cursor
        );
    }
}
