//! The shop's pages, as HTML.

use serde_json::json;
use souk_tests::{Launch, Reply, Shop, souk_only, unique};

#[test]
fn the_front_page_shows_products_and_finds_them() {
    let shop = Shop::open();
    let category = unique("cat");
    shop.put_category(&category, "Curious things");
    let word = unique("w").replace('-', "");
    let made = shop.post_product(
        &category,
        json!({"name": format!("Orrery {word}"), "price": {"amount": 123_456, "currency": "EUR"}}),
    );
    let front = shop.get("/");
    assert_eq!(front.status, 200);
    assert!(front.header("content-type").starts_with("text/html"));
    assert!(
        front.text.contains(&format!("Orrery {word}")),
        "{}",
        front.text
    );
    assert!(front.text.contains("1,234.56"), "{}", front.text);
    assert!(front.text.len() < 30_000, "{} bytes", front.text.len());

    let found = shop.get(&format!("/?q={word}")).text;
    assert!(found.contains(&format!("Orrery {word}")));
    let nothing = shop.get(&format!("/?q={word}x")).text;
    assert!(!nothing.contains("Orrery"));

    let page = shop.get(&format!("/products/{}", made["id"].as_str().unwrap()));
    assert_eq!(page.status, 200);
    assert!(page.text.contains(&format!("Orrery {word}")));
}

#[test]
fn what_a_product_says_is_text_not_markup() {
    let shop = Shop::open();
    let category = unique("cat");
    shop.put_category(&category, "<i>Category</i>");
    let made = shop.post_product(
        &category,
        json!({"name": "<script>alert(1)</script>", "description": "a < b & \"c\""}),
    );
    let page = shop
        .get(&format!("/products/{}", made["id"].as_str().unwrap()))
        .text;
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(!page.contains("<i>Category"), "{page}");
    let search = shop.get("/?q=%3Cscript%3E%22").text;
    assert!(!search.contains("<script>"), "{search}");
}

#[test]
fn pages_and_files_have_their_headers() {
    let shop = Shop::open();
    let front = shop.get("/");
    let policy = front.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(front.header("x-content-type-options"), "nosniff");

    let from = front.text.find("/assets/shop.css").unwrap();
    let to = from + front.text[from..].find('"').unwrap();
    let css = shop.get(&front.text[from..to]);
    assert_eq!(css.status, 200);
    assert!(css.header("content-type").starts_with("text/css"));
    assert!(
        css.header("cache-control").contains("immutable"),
        "{}",
        css.header("cache-control")
    );
    let again = shop
        .request("GET", "/assets/shop.css")
        .header("if-none-match", css.header("etag"));
    assert_eq!(Reply::to(again).status, 304);

    let picture = shop.get("/pictures/out-backpack.svg");
    assert_eq!(
        (picture.status, picture.header("content-type")),
        (200, "image/svg+xml")
    );
}

#[test]
fn only_the_shops_own_files_are_served() {
    let shop = Shop::open();
    for path in [
        "/assets/..%2fpictures/out-backpack.svg",
        "/assets/%2e%2e/Cargo.toml",
        "/pictures/../../Cargo.toml",
        "/pictures/nothing.svg",
        "/nowhere",
        "/products/x",
    ] {
        assert_eq!(shop.get(path).status, 404, "{path}");
    }
}

#[test]
fn the_page_says_so_when_the_catalogue_is_away() {
    souk_only!();
    let host = Launch::of("components/storefront/spin.toml").start();
    let page = host.get("/");
    assert_eq!(page.status, 503);
    assert!(page.header("retry-after").parse::<u32>().is_ok());
    assert!(page.header("content-type").starts_with("text/html"));
}
