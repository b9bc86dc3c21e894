//! The shop in a real browser: headless Chromium shows the pages, and this looks at what it made
//! of them. Screenshots are kept in `target/screenshots`, for whoever changes a page to look at.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use souk_tests::{Shop, repo, skipped};
use std::path::PathBuf;
use std::process::Command;

/// Debian's Chromium, or the one named by `SOUK_CHROMIUM`.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("SOUK_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = || {
        std::env::split_paths(&path)
            .flat_map(|dir| ["chromium", "chromium-browser", "google-chrome"].map(|n| dir.join(n)))
            .find(|file| file.is_file())
    };
    named.or_else(found)
}

/// What Chromium prints for a page, with some flags; the screenshot goes to the file if one is named.
fn show(chromium: &PathBuf, url: &str, flags: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--timeout=20000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(flags)
        .arg(url)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A shop with some of the demo catalogue, pictures and all.
fn stocked_shop() -> Shop {
    let shop = Shop::start();
    let text = std::fs::read_to_string(repo().join("demo/catalogue.json")).unwrap();
    let catalogue: serde_json::Value = serde_json::from_str(&text).unwrap();
    for category in catalogue["categories"].as_array().unwrap() {
        let slug = category["slug"].as_str().unwrap();
        shop.put_category(slug, category["name"].as_str().unwrap());
    }
    for product in catalogue["products"].as_array().unwrap().iter().take(30) {
        let mut product = product.clone();
        let fields = product.as_object_mut().unwrap();
        let on_hand = fields.remove("on_hand").unwrap().as_i64().unwrap();
        let category = fields["category"].as_str().unwrap().to_owned();
        let made = shop.post_product(&category, product);
        shop.set_stock(made["id"].as_str().unwrap(), on_hand);
    }
    shop
}

/// Where the pictures of a page come from.
fn pictures(html: &str) -> Vec<&str> {
    html.split("<img")
        .skip(1)
        .filter_map(|tag| tag.split_once("src=\"")?.1.split_once('"'))
        .map(|(source, _)| source)
        .collect()
}

#[test]
fn the_front_page_shows_products_with_pictures() {
    let Some(chromium) = chromium() else {
        return skipped("there is no Chromium; `apt-get install chromium` brings one");
    };
    let shop = stocked_shop();
    let html = show(&chromium, &shop.url, &["--dump-dom"]);
    let shown = pictures(&html);
    assert!(
        shown.iter().filter(|p| p.starts_with("/pictures/")).count() >= 24,
        "{shown:?}"
    );
    for picture in shown {
        assert_eq!(shop.get(picture).status, 200, "{picture}");
    }

    let folder = repo().join("target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, flags) in [
        ("front-wide", vec!["--window-size=1280,1600"]),
        ("front-narrow", vec!["--window-size=500,1200"]),
        (
            "front-dark",
            vec![
                "--window-size=1280,1600",
                "--blink-settings=preferredColorScheme=0",
            ],
        ),
    ] {
        let file = folder.join(format!("{name}.png"));
        let screenshot = format!("--screenshot={}", file.display());
        let mut flags = flags;
        flags.push(&screenshot);
        show(&chromium, &shop.url, &flags);
        let bytes = std::fs::metadata(&file).unwrap().len();
        // A blank page of this size is a few kilobytes.
        assert!(bytes > 40_000, "{name} is blank: {bytes} bytes");
    }
}

#[test]
fn a_product_page_shows_its_product() {
    let Some(chromium) = chromium() else {
        return skipped("there is no Chromium; `apt-get install chromium` brings one");
    };
    let shop = Shop::start();
    shop.put_category("lighting", "Lighting");
    let made = shop.post_product(
        "lighting",
        json!({"name": "Reading lamp", "image_url": "/pictures/out-backpack.svg"}),
    );
    let url = format!("{}/products/{}", shop.url, made["id"].as_str().unwrap());
    let html = show(&chromium, &url, &["--dump-dom"]);
    assert!(
        html.contains("<h1") && html.contains("Reading lamp"),
        "{html}"
    );
    assert!(pictures(&html).contains(&"/pictures/out-backpack.svg"));
}
