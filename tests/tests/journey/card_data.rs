//! Card numbers are in no file and no log, whatever is done with them.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use souk_tests::{Customer, Reply, Shop, cards, order, souk_only, unique};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A number with something between each four digits.
fn parted(number: &str, by: &str) -> String {
    let groups: Vec<String> = number
        .as_bytes()
        .chunks(4)
        .map(|group| String::from_utf8_lossy(group).into())
        .collect();
    groups.join(by)
}

/// The pieces of a number that may be found nowhere, in any spelling: all of it, and its first and middle digits. (Its last four
/// may be.)
fn pieces(number: &str) -> Vec<String> {
    let mut pieces: Vec<String> = ["", " ", "-", "+", "%20"]
        .iter()
        .map(|by| parted(number, by))
        .collect();
    pieces.extend([
        number[..12].to_owned(),
        number[4..].to_owned(),
        number[..11].to_owned(),
    ]);
    pieces
}

/// All files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// Everything that was written, in lower case: each file below a folder, and what a process has said.
fn written(dir: &Path, output: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase();
    let read = |file: PathBuf| {
        let bytes = std::fs::read(&file).unwrap_or_default();
        (file.display().to_string(), text(&bytes))
    };
    let mut all: Vec<_> = files(dir).into_iter().map(read).collect();
    all.push(("the output".into(), text(output.as_bytes())));
    all
}

/// Orders with cards that nobody else has, and everything else that can be done with a number, right and wrong. Returns the numbers.
fn use_cards(customer: &Customer<'_>, product: &str) -> Vec<String> {
    let numbers: Vec<String> = (0..12).map(|_| cards::distinctive()).collect();
    let [
        plain,
        spaces,
        dashes,
        integer,
        long,
        wrong,
        expired,
        coded,
        elsewhere,
        broken,
        text,
        reused,
    ] = &numbers[..]
    else {
        panic!("twelve")
    };
    let body = |number: &str| order(&[(product, 1)], number);
    let place = |body: &Value| customer.place(&unique("order"), body);
    let with = |number: &str, field: &str, value: Value| {
        let mut body = body(number);
        body["payment_method"][field] = value;
        place(&body).status
    };
    assert_eq!(place(&body(plain)).status, 201);
    assert_eq!(place(&body(&parted(spaces, " "))).status, 201);
    assert_eq!(place(&body(&parted(dashes, "-"))).status, 201);

    assert_eq!(
        with(integer, "number", json!(integer.parse::<u64>().unwrap())),
        422
    );
    assert_eq!(place(&body(&format!("{long}{long}"))).status, 422);
    let last = (wrong.as_bytes()[15] - b'0' + 1) % 10;
    assert_eq!(place(&body(&format!("{}{last}", &wrong[..15]))).status, 422);
    assert_eq!(with(expired, "exp_year", json!(2020)), 422);
    assert_eq!(with(coded, "cvc", json!(coded)), 422);
    assert_eq!(with(elsewhere, "exp_month", json!(elsewhere)), 422);

    let request = || {
        customer
            .request("POST", "/api/orders")
            .header("idempotency-key", unique("order"))
    };
    let json = request().header("content-type", "application/json");
    let half = body(broken).to_string().replace("}}", "");
    assert_eq!(Reply::to(json.body(half)).status, 400);
    assert_eq!(
        Reply::to(
            request()
                .header("content-type", "text/plain")
                .body(body(text).to_string())
        )
        .status,
        415
    );

    let key = unique("order");
    let confirmed = customer.place(&key, &body(reused));
    assert_eq!(confirmed.status, 201, "{}", confirmed.text);
    assert_eq!(customer.place(&key, &body(plain)).status, 422);
    let id = confirmed.json()["id"].as_str().unwrap().to_owned();
    customer.wait_for_payment(&id, "captured");
    customer.act("POST", &format!("/api/orders/{id}/cancel"));
    customer.wait_for_payment(&id, "refunded");
    numbers
}

#[test]
fn no_card_number_is_written_down_anywhere() {
    souk_only!();
    let dir = tempfile::tempdir().unwrap();
    // With everything in the log that the host can be made to say.
    let shop = Shop::launch(Shop::launcher().dir(dir.path()).env("RUST_LOG", "debug"));
    let product = shop.product_with_stock(50, 450);
    let customer = shop.customer();
    let numbers = use_cards(&customer, &product);
    for card in [cards::DECLINED, cards::UNCAPTURABLE, cards::LATE] {
        customer.order(&[(&product, 1)], card);
    }
    let (email, last4) = (customer.email.clone(), numbers[0][12..].to_owned());

    let while_open = written(dir.path(), &shop.host().unwrap().output());
    let host = shop.into_host().unwrap();
    host.signal(Signal::SIGTERM);
    let output = host.wait(Duration::from_secs(30)).output;
    let afterwards = written(dir.path(), &output);

    // What is there is found: or the search itself would prove nothing.
    let all: Vec<_> = while_open.into_iter().chain(afterwards).collect();
    let found = |what: &str| all.iter().any(|(_, text)| text.contains(what));
    assert!(found(&email) && found(&last4) && found("debug"));
    for database in [
        "users.db",
        "orders.db",
        "payments.db",
        "inventory.db",
        "carts.db",
        "gateway.db",
    ] {
        let is_there =
            |(name, text): &(String, String)| name.ends_with(database) && !text.is_empty();
        assert!(all.iter().any(is_there), "{database} was not searched");
    }
    let mut searched: Vec<String> = numbers;
    searched.extend([cards::DECLINED, cards::UNCAPTURABLE, cards::LATE].map(str::to_owned));
    for (name, text) in &all {
        for piece in searched.iter().flat_map(|number| pieces(number)) {
            assert!(!text.contains(&piece), "{piece} is in {name}");
        }
        for code in ["cvc\":", "cvc=", "cvc%5d=", "cvc]=", "\"737\""] {
            assert!(!text.contains(code), "{code} is in {name}");
        }
    }
}
