//! The baseline: one native process (hyper, rusqlite, no Wasm) that does the same work.
//!
//! Paths: `/hello`; `/key-value`, `/read` and `/product`, each one prepared statement on a
//! connection of the worker thread, on the thread itself: what a native service would do.

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tokio::net::TcpListener;

static DATABASE: OnceLock<PathBuf> = OnceLock::new();

thread_local! {
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// Serves on the address in `SOUK_BENCH_LISTEN` until killed.
///
/// # Errors
/// When it cannot listen.
pub fn run(database: &str) -> anyhow::Result<()> {
    DATABASE.get_or_init(|| PathBuf::from(database));
    let address: SocketAddr = std::env::var("SOUK_BENCH_LISTEN")
        .context("SOUK_BENCH_LISTEN")?
        .parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(connection);
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let id = request.uri().query().unwrap_or_default();
    let body = match request.uri().path() {
        "/hello" => Ok("Hello from native\n".to_owned()),
        "/key-value" => query(
            "SELECT value FROM kv WHERE store = 'default' AND key = ?",
            id,
        ),
        "/read" => query("SELECT name || '|' || price FROM items WHERE id = ?", id),
        "/product" => query("SELECT document FROM products WHERE id = ?", id),
        other => Ok(format!("nothing at {other}")),
    };
    Ok(match body {
        Ok(body) => Response::new(Full::new(body.into())),
        Err(error) => {
            let mut response = Response::new(Full::new(error.to_string().into()));
            *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    })
}

fn query(sql: &str, id: &str) -> rusqlite::Result<String> {
    CONNECTION.with_borrow_mut(|kept| {
        if kept.is_none() {
            let path = DATABASE.get().expect("set before serving");
            *kept = Some(Connection::open(path)?);
        }
        let connection = kept.as_ref().expect("opened above");
        connection
            .prepare_cached(sql)?
            .query_row([id], |row| row.get(0))
    })
}

/// Fills a database with what the paths read; `product` is the JSON document of a product.
///
/// # Errors
/// Those of SQLite.
pub fn prepare(database: &Path, product: &str) -> rusqlite::Result<()> {
    let connection = Connection::open(database)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE kv (store TEXT, key TEXT, value TEXT, PRIMARY KEY (store, key));
         INSERT INTO kv VALUES ('default', 'a', 'value');
         CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO items SELECT i, 'item ' || i, i * 10 FROM n;
         CREATE TABLE products (id TEXT PRIMARY KEY, document TEXT);",
    )?;
    connection.execute("INSERT INTO products VALUES ('p', ?)", [product])?;
    Ok(())
}
