//! The catalogue: finding products, and keeping them.

use serde_json::{Value, json};
use souk_tests::{Reply, Shop, unique};
use std::collections::BTreeSet;

/// A shop with a category of this test's own.
fn shop_with_category() -> (Shop, String) {
    let shop = Shop::open();
    let category = unique("cat");
    shop.put_category(&category, "Things");
    (shop, category)
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

/// All pages of a list, following its cursors.
fn all_pages(shop: &Shop, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = shop.get(&format!("{path}{cursor}")).json();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[test]
fn a_product_is_made_read_changed_and_deleted() {
    let (shop, category) = shop_with_category();
    let sku = unique("LAMP").to_uppercase();
    let made = shop.post_product(
        &category,
        json!({"sku": sku, "name": "Lamp", "price": {"amount": 4900, "currency": "EUR"}}),
    );
    let path = format!("/api/products/{}", made["id"].as_str().unwrap());

    let read = shop.get(&path);
    assert_eq!(read.status, 200);
    assert_eq!(read.json(), made);
    assert_eq!(made["price"], json!({"amount": 4900, "currency": "EUR"}));

    let change = json!({"price": {"amount": 4500, "currency": "EUR"}});
    let changed = Reply::to(shop.admin("PATCH", &path).json(&change));
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json()["price"]["amount"], 4500);
    assert_eq!(changed.json()["name"], "Lamp");

    let history = Reply::to(shop.admin("GET", &format!("{path}/price-history"))).json();
    let amounts: Vec<i64> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["price"]["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, [4500, 4900]);

    assert_eq!(Reply::to(shop.admin("DELETE", &path)).status, 204);
    assert_eq!(shop.get(&path).status, 404);
    assert_eq!(Reply::to(shop.admin("DELETE", &path)).status, 404);
    let left = shop
        .get(&format!("/api/products?category={category}"))
        .json();
    assert_eq!(names(&left), [""; 0]);
}

#[test]
fn an_unchanged_product_is_not_sent_again() {
    let (shop, category) = shop_with_category();
    let made = shop.post_product(&category, json!({}));
    let path = format!("/api/products/{}", made["id"].as_str().unwrap());
    let etag = shop.get(&path).header("etag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    let same = Reply::to(shop.request("GET", &path).header("if-none-match", &etag));
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    Reply::to(shop.admin("PATCH", &path).json(&json!({"name": "Other"})));
    let other = Reply::to(shop.request("GET", &path).header("if-none-match", &etag));
    assert_eq!(other.status, 200);
}

#[test]
fn a_change_to_a_version_that_is_gone_is_refused() {
    let (shop, category) = shop_with_category();
    let made = shop.post_product(&category, json!({}));
    let path = format!("/api/products/{}", made["id"].as_str().unwrap());
    let etag = shop.get(&path).header("etag").to_owned();
    let change = |name: &str| {
        let request = shop.admin("PATCH", &path).header("if-match", &etag);
        Reply::to(request.json(&json!({"name": name})))
    };
    assert_eq!(change("First").status, 200);
    let second = change("Second");
    assert_eq!(
        (second.status, second.problem()),
        (412, "precondition-failed".into())
    );
    assert_eq!(shop.get(&path).json()["name"], "First");
}

#[test]
fn of_changes_at_once_to_one_version_one_is_made() {
    let (shop, category) = shop_with_category();
    let made = shop.post_product(&category, json!({}));
    let path = format!("/api/products/{}", made["id"].as_str().unwrap());
    let etag = shop.get(&path).header("etag").to_owned();
    let changes: Vec<_> = (0..20)
        .map(|i| {
            let request = shop.admin("PATCH", &path).header("if-match", &etag);
            let request = request.json(&json!({"name": format!("Name {i}")}));
            std::thread::spawn(move || Reply::to(request).status)
        })
        .collect();
    let mut statuses: Vec<u16> = changes.into_iter().map(|c| c.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(
        statuses[1..].iter().all(|status| *status == 412),
        "{statuses:?}"
    );
}

#[test]
fn search_finds_by_word_by_prefix_and_best_first() {
    let (shop, category) = shop_with_category();
    let word = unique("w").replace('-', "");
    let make = |name: &str, description: &str| {
        shop.post_product(&category, json!({"name": name, "description": description}));
    };
    make(
        "Plain bowl",
        &format!("Goes with the {word} kettle, and with much else besides."),
    );
    make(&format!("Kettle {word}"), "Boils water.");
    make("Teapot", "Has nothing to do with it.");

    let found = shop.get(&format!("/api/products?q={word}")).json();
    assert_eq!(
        names(&found),
        [format!("Kettle {word}").as_str(), "Plain bowl"]
    );
    let prefix = &word[..word.len() - 2];
    let found = shop
        .get(&format!(
            "/api/products?q=kettle+{prefix}&category={category}"
        ))
        .json();
    assert_eq!(names(&found).len(), 2);
    let nothing = shop.get(&format!("/api/products?q={word}+teapot")).json();
    assert_eq!(names(&nothing), [""; 0]);
}

#[test]
fn no_search_is_a_syntax_error() {
    let shop = Shop::open();
    for q in [
        "%22",
        "a+OR",
        "NEAR(",
        "*",
        "-",
        "a+AND+NOT+b",
        "%00",
        "col:x",
        "%F0%9F%AB%96",
        "'; DROP TABLE products",
    ] {
        let reply = shop.get(&format!("/api/products?q={q}"));
        assert!(
            matches!(reply.status, 200 | 400),
            "{q}: {} {}",
            reply.status,
            reply.text
        );
    }
}

#[test]
fn lists_filter_sort_and_page_without_gap_or_repetition() {
    let (shop, category) = shop_with_category();
    for i in 0..25 {
        // Prices repeat, so that the order needs more than the price.
        let price = json!({"amount": 100 * (i % 7), "currency": "EUR"});
        shop.post_product(
            &category,
            json!({"name": format!("Thing {i:02}"), "price": price}),
        );
    }
    for sort in ["newest", "price_asc", "price_desc", "name"] {
        let path = format!("/api/products?category={category}&sort={sort}&limit=4");
        let items = all_pages(&shop, &path);
        let ids: BTreeSet<&str> = items.iter().map(|i| i["id"].as_str().unwrap()).collect();
        assert_eq!((items.len(), ids.len()), (25, 25), "{sort}");
        let prices: Vec<i64> = items
            .iter()
            .map(|i| i["price"]["amount"].as_i64().unwrap())
            .collect();
        match sort {
            "price_asc" => assert!(prices.is_sorted(), "{prices:?}"),
            "price_desc" => assert!(prices.iter().rev().is_sorted(), "{prices:?}"),
            "newest" => assert_eq!(items[0]["name"], "Thing 24"),
            _ => assert_eq!(items[0]["name"], "Thing 00"),
        }
    }
    let path = format!("/api/products?category={category}&min_price=200&max_price=300&limit=3");
    let items = all_pages(&shop, &path);
    assert!(
        items
            .iter()
            .all(|i| (200..=300).contains(&i["price"]["amount"].as_i64().unwrap()))
    );
    assert_eq!(items.len(), 8);
}

#[test]
fn bad_parameters_and_fields_are_all_named() {
    let (shop, category) = shop_with_category();
    let reply = shop.get("/api/products?limit=0&sort=colour&min_price=x");
    assert_eq!((reply.status, reply.problem()), (400, "bad-query".into()));
    let fields = |reply: &Reply| -> BTreeSet<String> {
        let errors = reply.json()["errors"].as_array().unwrap().clone();
        errors
            .iter()
            .map(|e| e["field"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        fields(&reply),
        ["limit", "min_price", "sort"].map(str::to_owned).into()
    );

    let body = json!({"sku": "", "name": "x".repeat(500), "category": category, "price": {"amount": -1, "currency": "euro"}});
    let reply = Reply::to(shop.admin("POST", "/api/products").json(&body));
    assert_eq!((reply.status, reply.problem()), (422, "validation".into()));
    let named = fields(&reply);
    for field in ["sku", "name", "price.amount", "price.currency"] {
        assert!(named.contains(field), "{field} is not in {named:?}");
    }
    for cursor in ["x", "AAAA"] {
        let reply = shop.get(&format!("/api/products?cursor={cursor}"));
        assert_eq!(reply.status, 400, "{cursor}: {}", reply.text);
    }
}

#[test]
fn an_article_number_is_taken_once() {
    let (shop, category) = shop_with_category();
    let made = shop.post_product(&category, json!({}));
    let again = json!({
        "sku": made["sku"], "name": "Again", "description": "Again.", "category": category,
        "price": {"amount": 1, "currency": "EUR"},
    });
    let reply = Reply::to(shop.admin("POST", "/api/products").json(&again));
    assert_eq!((reply.status, reply.problem()), (409, "conflict".into()));
    assert_eq!(reply.json()["product_id"], made["id"]);
}

#[test]
fn categories_are_listed_with_their_products() {
    let (shop, category) = shop_with_category();
    shop.post_product(&category, json!({}));
    let list = shop.get("/api/categories").json();
    let found = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["slug"] == category.as_str());
    assert_eq!(found.unwrap()["product_count"], 1);
}

#[test]
fn shops_that_start_at_once_on_one_database_all_serve() {
    souk_tests::souk_only!();
    let dir = tempfile::tempdir().unwrap();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let launch = souk_tests::Launch::of("spin.toml")
                .runtime_config("runtime-config.toml")
                .dir(dir.path());
            std::thread::spawn(move || {
                let host = launch.start();
                let statuses: Vec<u16> =
                    (0..10).map(|_| host.get("/api/products").status).collect();
                assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
            })
        })
        .collect();
    for start in starts {
        start.join().unwrap();
    }
}
