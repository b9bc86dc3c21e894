//! Requests that nobody thought of: Schemathesis makes them up from the shop's own contract, some as it says and some not, and
//! looks whether the answers are as it says. For a minute each, as nobody, as a customer and as an administrator, and the same
//! requests each time; with `SOUK_FUZZ_SECONDS` for so long, and others each time.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use souk_tests::{Customer, Reply, Shop, address, cards, skipped, unique};
use std::path::PathBuf;
use std::process::Command;

/// What has to be true of every answer. That whatever is not in the contract is refused is not: the shop takes a bit more than
/// it promises, such as spaces around a name.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
    missing_required_header,unsupported_method,ignored_auth";

/// Whoever does this has no account any more to do anything else with.
const LEAVE: &str = "DELETE /api/users/me";

/// How many orders there are in the shop beforehand: some that go on, and some that are over.
const PLACED: usize = 6;
const OVER: usize = 2;

/// What an order has to have for something to come of it, and where that is taken from.
const ORDER: &[(&str, &str)] = &[
    ("body.items[*].product_id", "products"),
    ("body.payment_method.number", "cards"),
    ("body.payment_method.exp_year", "years"),
    ("body.payment_method.cvc", "codes"),
    ("header.idempotency-key", "keys"),
];

/// Says for how long to go on.
const SECONDS: &str = "SOUK_FUZZ_SECONDS";

/// For how long each caller makes requests.
fn seconds() -> u64 {
    let told = std::env::var(SECONDS);
    let seconds = told.map_or(60, |told| told.parse().expect("a number of seconds"));
    assert!(seconds <= 800, "an access token lives for 15 minutes");
    seconds
}

#[test]
fn nobody_makes_the_shop_stumble() {
    let Some(fuzz) = Fuzz::prepare() else { return };
    fuzz.run(None, &["--max-time", &seconds().to_string()]);
}

#[test]
fn no_customer_makes_the_shop_stumble() {
    let Some(fuzz) = Fuzz::prepare() else { return };
    let leaving = fuzz.shop.customer().session.access_token;
    let most = [
        "--exclude-name",
        LEAVE,
        "--max-time",
        &seconds().to_string(),
    ];
    fuzz.run(Some(&fuzz.customer), &most);
    fuzz.run(Some(&leaving), &["--include-name", LEAVE]);

    // What makes an order is too much to be hit upon among everything else.
    let mut sensible = vec!["--include-name", "POST /api/orders"];
    sensible.extend("--mode positive --phases fuzzing --max-examples 100".split(' '));
    fuzz.run(Some(&fuzz.customer), &sensible);
    let orders = Reply::to(fuzz.shop.admin("GET", "/api/orders?limit=100")).json();
    let orders = orders["items"].as_array().unwrap().len();
    assert!(orders > PLACED + OVER, "{orders} orders");
}

#[test]
fn no_admin_makes_the_shop_stumble() {
    let Some(fuzz) = Fuzz::prepare() else { return };
    let most = [
        "--exclude-name",
        LEAVE,
        "--max-time",
        &seconds().to_string(),
    ];
    fuzz.run(Some(&fuzz.shop.admin_token()), &most);
}

/// A shop with something in it.
struct Fuzz {
    program: PathBuf,
    shop: Shop,
    /// The access token of a customer who has something.
    customer: String,
    /// Schemathesis' configuration: what there is in the shop, so that not everything that is asked for is not there.
    configuration: tempfile::NamedTempFile,
}

impl Fuzz {
    /// None where Schemathesis is not there; then the test is skipped.
    fn prepare() -> Option<Self> {
        let Some(program) = std::env::var_os("SOUK_SCHEMATHESIS") else {
            skipped(
                "there is no Schemathesis; `cargo xtask test fuzz` installs it where there is Python",
            );
            return None;
        };
        let shop = Shop::start();
        let (customer, configuration) = stock(&shop);
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), configuration).unwrap();
        Some(Self {
            program: program.into(),
            shop,
            customer,
            configuration: file,
        })
    }

    fn run(&self, token: Option<&str>, arguments: &[&str]) {
        let mut command = Command::new(&self.program);
        command.arg("--config-file").arg(self.configuration.path());
        command.args(["run", &format!("{}/api/openapi.json", self.shop.url)]);
        let settings = format!(
            "--checks {CHECKS} --phases examples,coverage,fuzzing --max-examples 50 --request-timeout 30 --no-color --warnings off"
        );
        command.args(settings.split_whitespace());
        if std::env::var_os(SECONDS).is_none() {
            // The same requests each time. A longer run is to find new ones; it says by which seed it can be repeated.
            command.args(["--seed", "1"]);
        }
        command.args(arguments);
        if let Some(token) = token {
            command
                .arg("--header")
                .arg(format!("Authorization: Bearer {token}"));
        }
        command.current_dir(&self.shop.host().unwrap().dir);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{failed}");
        println!("{}", said.split("SUMMARY").last().unwrap());
        let cases = said
            .lines()
            .find_map(|line| line.split_once(" generated")?.0.trim().parse::<u32>().ok());
        assert!(
            cases.is_some_and(|cases| cases > 5),
            "nothing was tried:\n{said}"
        );
    }
}

/// Fills a shop. Returns a customer's access token, and a configuration that says what there is.
fn stock(shop: &Shop) -> (String, String) {
    let customer = shop.customer();
    let products: Vec<String> = (0..6)
        .map(|_| shop.product_with_stock(1_000_000, 450))
        .collect();
    let orders: Vec<String> = (0..PLACED)
        .map(|_| customer.buy(&[(&products[0], 2)]))
        .collect();
    let payment = |order: &String| text(&customer.wait_for_payment(order, "captured"));
    let payments: Vec<String> = orders.iter().map(payment).collect();
    // Their streams end.
    let over: Vec<String> = (0..OVER)
        .map(|_| cancelled(&customer, &products[0]))
        .collect();
    let addresses: Vec<String> = (0..3)
        .map(|_| {
            text(
                &customer
                    .send("POST", "/api/users/me/addresses", &address())
                    .json(),
            )
        })
        .collect();
    let others: Vec<String> = (0..2).map(|_| shop.customer().id).collect();
    let doomed: Vec<String> = (0..3).map(|_| shop.product_with_stock(5, 450)).collect();

    let mut toml = "[dictionaries]\nyears = { values = [2098, 2099] }\n".to_owned();
    for (name, values) in [
        ("products", &products),
        ("doomed", &doomed),
        ("orders", &orders),
        ("over", &over),
        ("payments", &payments),
        ("addresses", &addresses),
        ("users", &others),
        (
            "cards",
            &[
                cards::GOOD,
                cards::DECLINED,
                cards::POOR,
                cards::UNCAPTURABLE,
            ]
            .map(str::to_owned)
            .into(),
        ),
        ("codes", &["123", "456"].map(str::to_owned).into()),
        ("keys", &(0..200).map(|_| unique("key")).collect()),
    ] {
        toml += &format!("{name} = {{ values = {} }}\n", json!(values));
    }
    for (operations, parameters) in [
        (
            "^(GET|PATCH) /api/products/.id",
            &[("path.id", "products")][..],
        ),
        ("^DELETE /api/products/.id", &[("path.id", "doomed")]),
        (
            "/api/(inventory|cart/items)/.product_id",
            &[("path.product_id", "products")],
        ),
        ("^POST /api/orders$", ORDER),
        (
            "^GET /api/orders/.id.(/summary)?$",
            &[("path.id", "orders")],
        ),
        ("^GET /api/orders/.id./stream$", &[("path.id", "over")]),
        ("^POST /api/orders/.id", &[("path.id", "orders")]),
        ("^GET /api/payments$", &[("query.order_id", "orders")]),
        ("^GET /api/payments/.id", &[("path.id", "payments")]),
        (
            "^POST /api/payments/.id",
            &[("path.id", "payments"), ("header.idempotency-key", "keys")],
        ),
        ("/api/users/me/addresses/.id", &[("path.id", "addresses")]),
        ("/api/users/.id.$", &[("path.id", "users")]),
    ] {
        let binding = |(parameter, dictionary): &(&str, &str)| {
            format!("\"{parameter}\" = {{ dictionary = \"{dictionary}\", probability = 0.95 }}")
        };
        let bindings: Vec<String> = parameters.iter().map(binding).collect();
        toml += &format!("\n[[operations]]\ninclude-name-regex = '{operations}'\n");
        toml += &format!("parameters = {{ {} }}\n", bindings.join(", "));
    }
    (customer.session.access_token, toml)
}

fn cancelled(customer: &Customer<'_>, product: &str) -> String {
    let order = customer.buy(&[(product, 1)]);
    customer.act("POST", &format!("/api/orders/{order}/cancel"));
    customer.wait_for(&order, "cancelled");
    order
}

/// The id of something.
fn text(thing: &Value) -> String {
    thing["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{thing}"))
        .to_owned()
}
