//! Every SQL statement of the service.

use souk_chassis::Money;
use souk_events::Outbox;
use souk_store::{
    Column, Database, Error, FromRow, FromValue, Json, Migration, Row, Value, json, text,
};
use uuid::Uuid;

use crate::domain::{
    Category, CategoryBody, Cursor, Filter, NewProduct, PastPrice, Product, ProductChange, Search,
    Sort, SortKey,
};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_products",
        sql: include_str!("../migrations/0001_products.sql"),
    },
    souk_events::MIGRATION,
    Migration {
        name: "0002_events",
        sql: include_str!("../migrations/0002_events.sql"),
    },
];

static DATABASE: Database = Database::new("products", MIGRATIONS);

/// What the triggers write for others to know.
pub static OUTBOX: Outbox = Outbox::new("products", MIGRATIONS);

/// The columns of a [`Product`], in the order it is read.
macro_rules! product {
    () => {
        product!("NULL")
    };
    ($available:literal) => {
        concat!(
            "products.id, products.sku, products.name, products.description, products.category, products.price_amount, \
             products.price_currency, products.image_url, products.attributes, products.version, products.created_at, \
             products.updated_at, ",
            $available
        )
    };
}

/// The same, for lists: with how many can be ordered.
macro_rules! listed {
    () => {
        product!("(SELECT available FROM availability WHERE product_id = products.id)")
    };
}

impl FromRow for Product {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.take()?,
            sku: row.take()?,
            name: row.take()?,
            description: row.take()?,
            category: row.take()?,
            price: Money {
                amount: row.take()?,
                currency: row.take()?,
            },
            image_url: row.take()?,
            attributes: row.take::<Json<_>>()?.0,
            version: row.take()?,
            created_at: row.take()?,
            updated_at: row.take()?,
            available: row.take()?,
        })
    }
}

pub async fn find(id: Uuid) -> Result<Option<Product>, Error> {
    const SQL: &str = concat!(
        "SELECT ",
        product!(),
        " FROM products WHERE id = ?1 AND deleted_at IS NULL"
    );
    DATABASE.read_one(SQL, [text(id)]).await
}

/// The id of the product with this SKU.
pub async fn find_by_sku(sku: &str) -> Result<Option<String>, Error> {
    const SQL: &str = "SELECT id FROM products WHERE sku = ?1 AND deleted_at IS NULL";
    Ok(DATABASE
        .read_one(SQL, [sku.into()])
        .await?
        .map(|Column(id)| id))
}

pub async fn insert(new: &NewProduct) -> Result<Product, Error> {
    const SQL: &str = concat!(
        "INSERT INTO products (id, sku, name, description, category, price_amount, price_currency, image_url, attributes) ",
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING ",
        product!()
    );
    let parameters = [
        text(Uuid::now_v7()),
        new.sku.as_str().into(),
        new.name.as_str().into(),
        new.description.as_str().into(),
        new.category.as_str().into(),
        new.price.amount.into(),
        new.price.currency.as_str().into(),
        new.image_url.as_deref().into(),
        json(&new.attributes),
    ];
    let inserted = DATABASE.write_one(SQL, parameters).await?;
    inserted.ok_or_else(|| Error::Sql("INSERT returned no row".into()))
}

/// Changes a product if it has one of these versions, or any where none are given; `None` where it does not, or is not there.
pub async fn update(
    id: Uuid,
    versions: Option<&[i64]>,
    change: &ProductChange,
) -> Result<Option<Product>, Error> {
    const SQL: &str = concat!(
        "UPDATE products SET sku = coalesce(?3, sku), name = coalesce(?4, name), description = coalesce(?5, description), ",
        "category = coalesce(?6, category), price_amount = coalesce(?7, price_amount), ",
        "price_currency = coalesce(?8, price_currency), image_url = CASE WHEN ?9 THEN ?10 ELSE image_url END, ",
        "attributes = coalesce(?11, attributes), version = version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') ",
        "WHERE id = ?1 AND deleted_at IS NULL AND (?2 IS NULL OR version IN (SELECT value FROM json_each(?2))) RETURNING ",
        product!()
    );
    let parameters = [
        text(id),
        any_of(versions),
        change.sku.as_deref().into(),
        change.name.as_deref().into(),
        change.description.as_deref().into(),
        change.category.as_deref().into(),
        change.price.as_ref().map(|price| price.amount).into(),
        change
            .price
            .as_ref()
            .map(|price| price.currency.as_str())
            .into(),
        i64::from(change.image_url.is_some()).into(),
        change.image_url.as_ref().and_then(Option::as_deref).into(),
        change.attributes.as_ref().map_or(Value::Null, json),
    ];
    DATABASE.write_one(SQL, parameters).await
}

/// Deletes a product on the same conditions as [`update`]; says whether it did.
pub async fn delete(id: Uuid, versions: Option<&[i64]>) -> Result<bool, Error> {
    const SQL: &str = "UPDATE products SET deleted_at = strftime('%Y-%m-%dT%H:%M:%fZ'), version = version + 1 \
        WHERE id = ?1 AND deleted_at IS NULL AND (?2 IS NULL OR version IN (SELECT value FROM json_each(?2))) RETURNING id";
    let deleted: Option<Column<String>> = DATABASE
        .write_one(SQL, [text(id), any_of(versions)])
        .await?;
    Ok(deleted.is_some())
}

/// Prices a product had before the version `before`, newest first.
pub async fn price_history(
    id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<PastPrice>, Error> {
    const SQL: &str = "SELECT amount, currency, version, valid_from FROM price_history \
        WHERE product_id = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3";
    DATABASE
        .read(
            SQL,
            [text(id), before.unwrap_or(i64::MAX).into(), limit.into()],
        )
        .await
}

impl FromRow for PastPrice {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            price: Money {
                amount: row.take()?,
                currency: row.take()?,
            },
            version: row.take()?,
            valid_from: row.take()?,
        })
    }
}

pub async fn categories() -> Result<Vec<Category>, Error> {
    const SQL: &str = "SELECT slug, name, position, \
        (SELECT count(*) FROM products WHERE category = categories.slug AND deleted_at IS NULL) \
        FROM categories ORDER BY position, name";
    DATABASE.read(SQL, []).await
}

impl FromRow for Category {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self {
            slug: row.take()?,
            name: row.take()?,
            position: row.take()?,
            product_count: row.take()?,
        })
    }
}

/// Makes or changes a category; says also whether it is new.
pub async fn put_category(slug: &str, body: &CategoryBody) -> Result<(Category, bool), Error> {
    const SQL: &str = "INSERT INTO categories (slug, name, position) VALUES (?1, ?2, ?3) \
        ON CONFLICT (slug) DO UPDATE SET name = excluded.name, position = excluded.position, version = version + 1 \
        RETURNING slug, name, position, \
        (SELECT count(*) FROM products WHERE category = ?1 AND deleted_at IS NULL), version = 1";
    let put = DATABASE
        .write_one(
            SQL,
            [slug.into(), body.name.as_str().into(), body.position.into()],
        )
        .await?;
    let PutCategory(category, new) =
        put.ok_or_else(|| Error::Sql("INSERT returned no row".into()))?;
    Ok((category, new))
}

struct PutCategory(Category, bool);

impl FromRow for PutCategory {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        Ok(Self(Category::from_row(row)?, row.take()?))
    }
}

/// A product in a list, with what comes before its id in the list's order.
pub struct Listed {
    pub product: Product,
    key: SortKey,
}

impl Listed {
    /// Where a page that ends with this product says the next one begins.
    pub fn cursor(&self, sort: Sort) -> Cursor {
        Cursor {
            sort,
            key: self.key.clone(),
            id: self.product.id.parse().unwrap_or_default(),
        }
    }
}

impl FromRow for Listed {
    fn from_row(row: &mut Row) -> Result<Self, Error> {
        let product = Product::from_row(row)?;
        let key = row.take::<SortKey>()?;
        Ok(Self { product, key })
    }
}

impl FromValue for SortKey {
    fn from_value(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Real(score) => Ok(Self::Score(score.to_bits())),
            Value::Integer(price) => Ok(Self::Price(price)),
            Value::Text(name) => Ok(Self::Name(name)),
            Value::Null => Ok(Self::Nothing),
            Value::Blob(_) => Err("a sort key"),
        }
    }
}

/// Products that fit the filter, in its order; one more than its limit where more follow.
pub async fn list(filter: &Filter) -> Result<Vec<Listed>, Error> {
    if filter
        .search
        .as_ref()
        .is_some_and(|search| search.as_str().is_empty())
    {
        return Ok(Vec::new());
    }
    let Statement { sql, parameters } = list_statement(filter);
    DATABASE.read(&sql, parameters).await
}

/// A statement that is put together from parts.
struct Statement {
    sql: String,
    parameters: Vec<Value>,
}

impl Statement {
    /// Adds a part, and what stands for its `?`s.
    fn push(&mut self, sql: &str, parameters: impl IntoIterator<Item = Value>) {
        self.sql.push_str(sql);
        self.parameters.extend(parameters);
    }
}

/// Each order reads along an index and starts right behind the cursor, but for relevance, whose order only the search knows.
fn list_statement(filter: &Filter) -> Statement {
    let mut statement = match &filter.search {
        Some(search) if filter.sort == Sort::Relevance => select_by_relevance(search),
        _ => select_by_key(filter),
    };
    if let Some(category) = &filter.category {
        statement.push(" AND products.category = ?", [category.as_str().into()]);
    }
    if let Some(ids) = &filter.ids {
        let these = " AND products.id IN (SELECT value FROM json_each(?))";
        statement.push(these, [json(ids)]);
    }
    push_price_range(&mut statement, filter);
    let (after, order) = match filter.sort {
        Sort::Relevance => (
            " AND (hits.score, products.id) > (?, ?)",
            "hits.score, products.id",
        ),
        Sort::Newest => (" AND products.id < ?", "products.id DESC"),
        Sort::PriceAsc => (
            " AND (products.price_amount, products.id) > (?, ?)",
            "products.price_amount, products.id",
        ),
        Sort::PriceDesc => (
            " AND (products.price_amount, products.id) < (?, ?)",
            "products.price_amount DESC, products.id DESC",
        ),
        Sort::Name => (
            " AND (products.name, products.id) > (?, ?)",
            "products.name, products.id",
        ),
    };
    if let Some(cursor) = &filter.after {
        statement.push(after, position(cursor));
    }
    statement.push(
        &format!(" ORDER BY {order} LIMIT ?"),
        [(filter.limit + 1).into()],
    );
    statement
}

/// The weights say that a word in the name counts ten times as much as one in the description; `CROSS` makes SQLite look up the
/// hits' products rather than the products' hits.
fn select_by_relevance(search: &Search) -> Statement {
    const SQL: &str = concat!(
        "WITH hits AS MATERIALIZED ",
        "(SELECT rowid AS number, bm25(search, 10.0, 8.0, 4.0, 1.0) AS score FROM search WHERE search MATCH ?) SELECT ",
        listed!(),
        ", hits.score FROM hits CROSS JOIN products ON products.number = hits.number WHERE products.deleted_at IS NULL"
    );
    Statement {
        sql: SQL.into(),
        parameters: vec![search.as_str().into()],
    }
}

fn select_by_key(filter: &Filter) -> Statement {
    let key = match filter.sort {
        Sort::Relevance | Sort::Newest => "NULL",
        Sort::PriceAsc | Sort::PriceDesc => "products.price_amount",
        Sort::Name => "products.name",
    };
    let sql = format!(
        concat!(
            "SELECT ",
            listed!(),
            ", {} FROM products WHERE products.deleted_at IS NULL"
        ),
        key
    );
    let mut statement = Statement {
        sql,
        parameters: Vec::new(),
    };
    if let Some(search) = &filter.search {
        let found = " AND products.number IN (SELECT rowid FROM search WHERE search MATCH ?)";
        statement.push(found, [search.as_str().into()]);
    }
    statement
}

/// A limit that the cursor implies is left out, or SQLite might start reading there instead of at the cursor.
fn push_price_range(statement: &mut Statement, filter: &Filter) {
    let reached = match filter.after.as_ref().map(|cursor| &cursor.key) {
        Some(SortKey::Price(price)) => Some(*price),
        _ => None,
    };
    let beyond_min = filter.sort == Sort::PriceAsc
        && reached.is_some_and(|price| Some(price) >= filter.min_price);
    let beyond_max = filter.sort == Sort::PriceDesc
        && reached.is_some_and(|price| Some(price) <= filter.max_price);
    if let Some(min) = filter.min_price.filter(|_| !beyond_min) {
        statement.push(" AND products.price_amount >= ?", [min.into()]);
    }
    if let Some(max) = filter.max_price.filter(|_| !beyond_max) {
        statement.push(" AND products.price_amount <= ?", [max.into()]);
    }
}

/// The values that [`list_statement`] compares a product's place in the list with.
fn position(cursor: &Cursor) -> Vec<Value> {
    let id = text(cursor.id);
    match &cursor.key {
        SortKey::Nothing => vec![id],
        SortKey::Price(price) => vec![(*price).into(), id],
        SortKey::Name(name) => vec![name.as_str().into(), id],
        SortKey::Score(bits) => vec![f64::from_bits(*bits).into(), id],
    }
}

/// Notes down how many of a product can be ordered, unless something later is known.
pub async fn set_available(product_id: Uuid, available: i64, version: i64) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO availability (product_id, available, version) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (product_id) DO UPDATE SET available = excluded.available, version = excluded.version \
                       WHERE version < excluded.version RETURNING 1";
    let parameters = [text(product_id), available.into(), version.into()];
    DATABASE.write_one::<()>(SQL, parameters).await.map(drop)
}

/// Versions as a JSON list, for `json_each`; NULL where any will do.
fn any_of(versions: Option<&[i64]>) -> Value {
    versions
        .map(|versions| serde_json::to_string(versions).expect("numbers are JSON"))
        .into()
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::executor::block_on;
    use souk_chassis::fields;

    /// How SQLite would run the list that this query string asks for.
    fn plan(query: &str, after: Option<SortKey>) -> String {
        let mut filter: Filter = fields::from_query(query).unwrap();
        filter.after = after.map(|key| Cursor {
            sort: filter.sort,
            key,
            id: Uuid::nil(),
        });
        let Statement { sql, parameters } = list_statement(&filter);
        let details = block_on(DATABASE.plan(&sql, parameters)).unwrap();
        let subquery = details
            .iter()
            .position(|detail| detail.contains("SUBQUERY"))
            .unwrap();
        let (list, availability) = details.split_at(subquery);
        assert_eq!(
            availability[1],
            "SEARCH availability USING PRIMARY KEY (product_id=?)"
        );
        list.join("; ")
    }

    #[test]
    fn every_list_is_read_along_an_index_from_the_cursor_on() {
        let price = || Some(SortKey::Price(5));
        let name = || Some(SortKey::Name("x".into()));
        let nothing = || Some(SortKey::Nothing);
        for (query, after, expected) in [
            ("", None, "SCAN products USING INDEX products_by_id"),
            (
                "",
                nothing(),
                "SEARCH products USING INDEX products_by_id (id<?)",
            ),
            (
                "category=a",
                nothing(),
                "SEARCH products USING INDEX products_by_category_id (category=? AND id<?)",
            ),
            (
                "sort=price_asc",
                None,
                "SCAN products USING INDEX products_by_price",
            ),
            (
                "sort=price_asc",
                price(),
                "SEARCH products USING INDEX products_by_price ((price_amount,id)>(?,?))",
            ),
            (
                "sort=price_asc&min_price=1&max_price=9",
                price(),
                "SEARCH products USING INDEX products_by_price ((price_amount,id)>(?,?) AND price_amount<?)",
            ),
            (
                "sort=price_desc&min_price=1&max_price=9",
                price(),
                "SEARCH products USING INDEX products_by_price (price_amount>? AND (price_amount,id)<(?,?))",
            ),
            (
                "sort=price_desc&category=a",
                price(),
                "SEARCH products USING INDEX products_by_category_price (category=? AND (price_amount,id)<(?,?))",
            ),
            (
                "sort=name",
                name(),
                "SEARCH products USING INDEX products_by_name ((name,id)>(?,?))",
            ),
            (
                "sort=name&category=a",
                name(),
                "SEARCH products USING INDEX products_by_category_name (category=? AND (name,id)>(?,?))",
            ),
        ] {
            assert_eq!(plan(query, after), expected, "{query}");
        }
    }

    #[test]
    fn a_migration_can_be_repeated() {
        block_on(find(Uuid::nil())).unwrap();
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            block_on(DATABASE.write_one::<Column<String>>(statement, [])).unwrap();
        }
    }

    #[test]
    fn a_search_by_relevance_starts_from_the_search_index() {
        let plan = plan("q=chair&category=a", Some(SortKey::Score(0)));
        assert!(plan.contains("SCAN search VIRTUAL TABLE INDEX"), "{plan}");
        assert!(
            plan.contains("SEARCH products USING INTEGER PRIMARY KEY (rowid=?)"),
            "{plan}"
        );
    }
}
