//! Products: listings, descriptions, prices, categories and search.
//!
//! Reading is for all; writing needs the role admin, which the service token says. Every change is one SQL statement, and
//! triggers write what must go with it: the price history and the search index.

mod api;
mod domain;
mod events;
mod store;

use souk_chassis::page::Part;
use souk_chassis::{Page, Routes, Service, delete, gauges, get, patch, post, put};

use domain::{Category, CategoryBody, Filter, NewProduct, PastPrice, Product, ProductChange};
use store::OUTBOX;

/// The service.
pub static SERVICE: Service = Service::private("products", routes)
    .afterwards(|context, method| OUTBOX.nudge(context, method));

souk_chassis::export!(SERVICE);

fn routes() -> Routes {
    Routes::new("Listings, descriptions, prices, categories and search.")
        .route(
            get("/api/products", api::list)
                .summary("Search and list products")
                .query::<Filter>()
                .returns::<Page<Product>>(200),
        )
        .route(
            post("/api/products", api::create)
                .summary("List a new product")
                .for_admins()
                .body::<NewProduct>()
                .returns::<Product>(201)
                .fails([409]),
        )
        .route(
            get("/api/products/{id}", api::show)
                .summary("A product")
                .header("if-none-match", "versions that are known", false)
                .returns::<Product>(200)
                .returns_nothing(304),
        )
        .route(
            patch("/api/products/{id}", api::change)
                .summary("Change a product")
                .for_admins()
                .header("if-match", "the version that is to be changed", false)
                .body::<ProductChange>()
                .returns::<Product>(200)
                .fails([409, 412]),
        )
        .route(
            delete("/api/products/{id}", api::delete)
                .summary("Take a product off the list")
                .for_admins()
                .header("if-match", "the version that is to be deleted", false)
                .returns_nothing(204)
                .fails([412]),
        )
        .route(
            get("/api/products/{id}/price-history", api::price_history)
                .summary("What a product cost before")
                .for_admins()
                .query::<Part<i64>>()
                .returns::<Page<PastPrice>>(200),
        )
        .route(
            get("/api/categories", api::categories)
                .summary("List the categories")
                .returns::<Page<Category>>(200),
        )
        .route(
            put("/api/categories/{slug}", api::put_category)
                .summary("Make or change a category")
                .for_admins()
                .body::<CategoryBody>()
                .returns::<Category>(200)
                .returns::<Category>(201),
        )
        .route(souk_events::operation(events::handle))
        .routes(souk_client::operations())
        .route(gauges::operation(|| OUTBOX.gauges()))
        .route(
            post("/internal/tick", api::tick)
                .summary("Publish what is not published")
                .returns_nothing(204),
        )
}

#[cfg(test)]
mod tests;
