//! Products, categories, stock.

use crate::clients::{Missing, get, path_of};
use crate::domain::{Browse, Categories, Level, PAGE_SIZE, Product, ProductList, RELATED};
use crate::session::Visitor;

/// One page of the products somebody wants to see.
pub async fn products(visitor: &Visitor, browse: &Browse) -> Result<ProductList, Missing> {
    get(visitor, &browse.api_path(PAGE_SIZE)).await
}

/// The product with this id.
pub async fn product(visitor: &Visitor, id: &str) -> Result<Product, Missing> {
    get(visitor, &path_of("/api/products", id)?).await
}

/// How many of a product can be ordered; nothing if nobody can say.
pub async fn available(visitor: &Visitor, id: &str) -> Option<i64> {
    let path = path_of("/api/inventory", id).ok()?;
    let level: Result<Level, _> = get(visitor, &path).await;
    level.ok().map(|level| level.available)
}

/// A few other products of the same category; none if they cannot be had, since a page does without them.
pub async fn related(visitor: &Visitor, product: &Product) -> Vec<Product> {
    let same_category = Browse {
        category: product.category.clone(),
        ..Browse::default()
    };
    let found: Result<ProductList, _> = get(visitor, &same_category.api_path(RELATED + 1)).await;
    let others = found
        .unwrap_or_default()
        .items
        .into_iter()
        .filter(|other| other.id != product.id);
    others.take(RELATED).collect()
}

/// A few products that a search for these words finds.
pub async fn suggestions(visitor: &Visitor, words: &str, count: usize) -> Vec<Product> {
    let search = Browse {
        q: words.to_owned(),
        ..Browse::default()
    };
    let found: Result<ProductList, _> = get(visitor, &search.api_path(count)).await;
    found.unwrap_or_default().items
}

/// The categories; none if they cannot be had, since a page does without them.
pub async fn categories(visitor: &Visitor) -> Categories {
    get(visitor, "/api/categories").await.unwrap_or_default()
}
