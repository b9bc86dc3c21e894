//! The baseline of the shop: one native process (axum, rusqlite, no Wasm) that reads products and takes orders with the same SQL
//! and the same JSON as the services.
//!
//! It works on copies of the services' databases, triggers and all, with the services' settings for journal and durability. What
//! it leaves out is what a monolith would not have: calls between services, their tokens, and leases.

use crate::native_orders;
use anyhow::Context;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rusqlite::Connection;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

static DIR: OnceLock<PathBuf> = OnceLock::new();

/// Serves on the address in `SOUK_BENCH_LISTEN` until killed.
///
/// # Errors
/// When it cannot listen.
pub fn run(dir: &str) -> anyhow::Result<()> {
    DIR.get_or_init(|| PathBuf::from(dir));
    let address = std::env::var("SOUK_BENCH_LISTEN").context("SOUK_BENCH_LISTEN")?;
    let routes = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/api/products/{id}", get(product))
        .route("/api/orders", post(native_orders::place));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, routes).await?;
        Ok(())
    })
}

/// A read takes microseconds, so it runs on the worker's own thread.
async fn product(Path(id): Path<String>) -> Response {
    PRODUCTS.with(|products| match read_product(products, &id) {
        Ok(product) => axum::Json(product).into_response(),
        Err(rusqlite::Error::QueryReturnedNoRows) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    })
}

thread_local! {
    /// This thread's connection to the products.
    pub static PRODUCTS: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// What `products` selects for a product, and how it writes it.
pub fn read_product(kept: &RefCell<Option<Connection>>, id: &str) -> rusqlite::Result<Product> {
    let mut kept = kept.borrow_mut();
    let connection = match &mut *kept {
        Some(connection) => connection,
        none => none.insert(open("products", "NORMAL")?),
    };
    const SQL: &str = "SELECT id, sku, name, description, category, price_amount, price_currency, image_url, attributes, version, \
        created_at, updated_at FROM products WHERE id = ?1 AND deleted_at IS NULL";
    connection.prepare_cached(SQL)?.query_row([id], |row| {
        Ok(Product {
            id: row.get(0)?,
            sku: row.get(1)?,
            name: row.get(2)?,
            description: row.get(3)?,
            category: row.get(4)?,
            price: Money {
                amount: row.get(5)?,
                currency: row.get(6)?,
            },
            image_url: row.get(7)?,
            attributes: serde_json::from_str(row.get_ref(8)?.as_str()?).unwrap_or_default(),
            version: row.get(9)?,
            created_at: row.get(10)?,
            updated_at: row.get(11)?,
        })
    })
}

/// A product, as far as an order needs it, and all of it as JSON.
#[derive(Serialize)]
pub struct Product {
    /// Its id.
    pub id: String,
    sku: String,
    /// What it is called.
    pub name: String,
    description: String,
    category: String,
    /// What it costs.
    pub price: Money,
    image_url: Option<String>,
    attributes: BTreeMap<String, String>,
    version: i64,
    created_at: String,
    updated_at: String,
}

/// An amount of money.
#[derive(Clone, Serialize)]
pub struct Money {
    /// In minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A database with the services' settings.
///
/// # Errors
/// Those of SQLite.
pub fn open(name: &str, synchronous: &str) -> rusqlite::Result<Connection> {
    let dir = DIR.get().expect("set before serving");
    let connection = Connection::open(dir.join(format!("{name}.db")))?;
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON"
    ))?;
    Ok(connection)
}
