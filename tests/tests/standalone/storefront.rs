//! The storefront, with a stand-in of the gateway.

use crate::Service;
use serde_json::Value;
use souk_tests::{Launch, Lossy, Reply, Shop, client, souk_only};

const PRODUCT: &str = "018f0000-0000-7000-8000-00000000000a";
/// The contract says that there is no such product.
const UNKNOWN: &str = "018f0000-0000-7000-8000-0000000000ff";

#[test]
fn pages_show_what_the_catalogue_has() {
    souk_only!();
    let storefront = Service::among_stand_ins("storefront", "");
    let get = |path: &str| storefront.ask("GET", path, &[], &Value::Null);
    for path in ["/", "/?q=oak", "/?category=home"] {
        let page = get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert!(
            page.text.contains("a name") && page.text.contains("49.00"),
            "{path}: {}",
            page.text
        );
    }
    let page = get(&format!("/products/{PRODUCT}"));
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("what there is to say"), "{}", page.text);
    assert!(page.text.contains("In stock"), "{}", page.text);
    assert_eq!(get(&format!("/products/{UNKNOWN}")).status, 404);
    storefront.keeps_to_its_contracts();
}

#[test]
fn what_is_not_in_the_contract_is_noticed() {
    souk_only!();
    let storefront = Service::among_stand_ins("storefront", "");
    let page = storefront.ask("GET", "/?q=something+else", &[], &Value::Null);
    assert_eq!(page.status, 503, "{}", page.text);
    storefront.host.says("NOT IN THE CONTRACT");
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        storefront.keeps_to_its_contracts()
    }));
    assert!(noticed.is_err());
}

#[test]
fn a_refresh_whose_answer_is_lost_is_sent_again() {
    souk_only!();
    let shop = Shop::start();
    let customer = shop.customer();
    let way = Lossy::to(&shop.url, "/api/sessions/refresh");
    let storefront = Launch::of("components/storefront/spin.toml")
        .variable("discovery", &way.url)
        .variable("instances", &way.url)
        .start();
    let cookie = format!("souk_refresh={}", customer.session.refresh_token);
    let request = client().get(format!("{}/account", storefront.url));
    let page = Reply::to(request.header("cookie", cookie));
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("Your account"), "{}", page.text);
    assert_eq!(way.asked(), 2);
}
