//! The shop in a real browser: Playwright drives headless Chromium through what shoppers do (`shopper.mjs`) and what operators do
//! (`operator.mjs`), with and without a script, and axe looks at every page. Screenshots are kept in `target/screenshots`, for whoever changes a page to look at.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use souk_tests::{ADMIN_EMAIL, ADMIN_PASSWORD, Launch, Shop, repo, skipped};
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

/// A shop with so many products of the demo catalogue, pictures and all.
fn shop_with(products: usize, launch: Launch) -> Shop {
    let shop = Shop::launch(launch);
    let text = std::fs::read_to_string(repo().join("demo/catalogue.json")).unwrap();
    let catalogue: Value = serde_json::from_str(&text).unwrap();
    for category in catalogue["categories"].as_array().unwrap() {
        let slug = category["slug"].as_str().unwrap();
        shop.put_category(slug, category["name"].as_str().unwrap());
    }
    let all = catalogue["products"].as_array().unwrap();
    for product in all.iter().take(products) {
        let mut product = product.clone();
        let fields = product.as_object_mut().unwrap();
        let on_hand = fields.remove("on_hand").unwrap().as_i64().unwrap();
        let category = fields["category"].as_str().unwrap().to_owned();
        let made = shop.post_product(&category, product);
        shop.set_stock(made["id"].as_str().unwrap(), on_hand);
    }
    shop
}

/// Has the browser play one scene of `shopper.mjs` in a shop of its own.
fn play(scene: &str, products: usize) {
    perform("shopper.mjs", scene, products, Shop::launcher());
}

/// The same with one of `operator.mjs`, where calls can be made to fail, no event is tried twice and every request is traced.
fn operate(scene: &str) {
    operate_with(scene, 1);
}

/// The same where an event is tried so often.
fn operate_with(scene: &str, event_attempts: u32) {
    let launch = Shop::launcher()
        .variable("fault_injection", "on")
        .variable("event_attempts", &event_attempts.to_string())
        .variable(PROVIDER, LATE_FOR_LONG)
        .env("OTEL_TRACES_SAMPLER", "always_on");
    perform("operator.mjs", scene, 6, launch);
}

/// The sandbox's late card stays late for longer than any test takes, so that what is ordered with it is unfinished.
const PROVIDER: &str = "payment_provider_settings";
const LATE_FOR_LONG: &str = "transient_ms=600000";

fn perform(script: &str, scene: &str, products: usize, launch: Launch) {
    let Some(chromium) = chromium() else {
        return skipped("there is no Chromium; `apt-get install chromium` brings one");
    };
    let Some(modules) = std::env::var_os("SOUK_NODE_MODULES") else {
        return skipped("Playwright and axe are not installed; `cargo xtask test browser` does it");
    };
    let screenshots = repo().join("target/screenshots");
    std::fs::create_dir_all(&screenshots).unwrap();
    let shop = shop_with(products, launch);
    let output = Command::new("node")
        .arg(repo().join("tests/tests/browser").join(script))
        .arg(scene)
        .env("SHOP", &shop.url)
        .env("ADMIN_EMAIL", ADMIN_EMAIL)
        .env("ADMIN_PASSWORD", ADMIN_PASSWORD)
        .env("CHROMIUM", chromium)
        .env("NODE_MODULES", modules)
        .env("SCREENSHOTS", screenshots)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
}

#[test]
fn something_is_bought_without_a_script() {
    play("buyWithoutScript", 6);
}

#[test]
fn something_is_bought_with_a_script() {
    play("buyWithScript", 6);
}

#[test]
fn a_declined_card_buys_nothing_and_another_one_does() {
    play("declinedCard", 3);
}

#[test]
fn what_is_out_of_stock_in_the_cart_has_to_go_first() {
    play("outOfStock", 3);
}

#[test]
fn an_expired_session_goes_on_and_one_that_ended_asks_to_log_in() {
    play("expiredSession", 3);
}

#[test]
fn an_open_order_page_shows_what_happens() {
    play("liveStatus", 3);
}

#[test]
fn suggestions_come_while_typing() {
    play("suggestions", 12);
}

#[test]
fn everything_is_done_with_the_keyboard_alone() {
    play("keyboardOnly", 6);
}

#[test]
fn the_account_is_looked_after() {
    play("account", 3);
}

#[test]
fn the_first_page_is_light_and_does_not_move() {
    play("lightFirstPage", 30);
}

#[test]
fn every_page_is_accessible_when_something_is_wrong() {
    let launch = Shop::launcher()
        .variable("fault_injection", "on")
        .variable(PROVIDER, LATE_FOR_LONG);
    perform("shopper.mjs", "everyState", 3, launch);
}

#[test]
fn a_page_that_takes_a_while_is_seen_to_be_on_its_way() {
    play("slowPage", 3);
}

#[test]
fn pages_can_be_read_without_their_style() {
    play("withoutStyle", 3);
}

#[test]
fn every_page_is_accessible_and_fits_every_screen() {
    play("everyPage", 30);
}

#[test]
fn only_operators_come_into_the_console() {
    operate("onlyOperatorsComeIn");
}

#[test]
fn the_trace_of_an_order_is_found_from_its_number() {
    operate("findTheTraceOfAnOrder");
}

#[test]
fn who_fails_is_seen_when_a_fault_is_ordered() {
    operate("seeWhoFails");
}

#[test]
fn a_filter_that_is_mistyped_is_said_to_be() {
    operate("mistypeAFilter");
}

#[test]
fn a_dead_letter_is_delivered_again() {
    operate("redeliverADeadLetter");
}

#[test]
fn every_number_of_the_console_leads_to_what_it_counts() {
    operate_with("everyNumber", 3);
}

#[test]
fn the_log_is_followed_and_paused() {
    operate("followTheLog");
}

#[test]
fn every_page_of_the_console_is_accessible_and_fits_every_screen() {
    operate("everyPage");
}
