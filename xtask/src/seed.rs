//! `cargo xtask seed`: loads the demo catalogue and its stock through the public API of a shop, whatever host it runs on.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use lexopt::ValueExt;
use serde_json::{Value, json};

use crate::shop::{Credentials, Session, Shop};
use crate::workspace::Workspace;

/// The catalogue, relative to the root: `{"categories": [...], "products": [...]}`, each as the API takes it, and with every
/// product the number of pieces in stock, `on_hand`.
const CATALOGUE: &str = "demo/catalogue.json";

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let (mut url, mut email, mut password) = (None, None, None);
    let mut parser = lexopt::Parser::from_args(args.own);
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("url") => url = Some(parser.value()?.string()?),
            lexopt::Arg::Long("admin-email") => email = Some(parser.value()?.string()?),
            lexopt::Arg::Long("admin-password") => password = Some(parser.value()?.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let shop = Shop::new(&url.context("--url is missing: where does the shop run?")?);
    let admin = Credentials {
        email: email.context("--admin-email is missing: only an admin may add products")?,
        password: password
            .context("--admin-password is missing: only an admin may add products")?,
    };
    load_catalogue(&shop.log_in(&admin)?, &Workspace::load()?.root)?;
    Ok(ExitCode::SUCCESS)
}

/// Sets the categories, and adds every product and every stock that is not there yet, so that it may be called again at any
/// time and takes nothing back that has changed since.
pub fn load_catalogue(admin: &Session<'_>, root: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(root.join(CATALOGUE)).context(CATALOGUE)?;
    let catalogue: Value = serde_json::from_str(&text).context(CATALOGUE)?;
    for category in list(&catalogue, "categories")? {
        set_category(admin, category)?;
    }
    let products = list(&catalogue, "products")?;
    let mut new = 0;
    for (done, product) in products.iter().enumerate() {
        progress(done + 1, products.len());
        let added = add(admin, product)?;
        new += usize::from(added.is_new);
        stock(admin, &added.id, &product["on_hand"])?;
    }
    println!(
        "the catalogue is loaded: {new} products added, {} there already",
        products.len() - new
    );
    Ok(())
}

/// Opens the demo customer's account, with an address to ship to, unless there is one.
pub fn add_customer(shop: &Shop, customer: &Credentials) -> anyhow::Result<()> {
    const NAME: &str = "Sam Customer";
    shop.register(customer, NAME)?;
    let session = shop.log_in(customer)?;
    let addresses = session.get("/api/users/me/addresses")?;
    if addresses.body["items"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
    {
        return Ok(());
    }
    let address = json!({
        "name": NAME, "line1": "Market Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE", "default": true,
    });
    let answer = session.send("POST", "/api/users/me/addresses", &address)?;
    match answer.status {
        201 => Ok(()),
        _ => bail!("the shop refused the address: {answer}"),
    }
}

fn set_category(admin: &Session<'_>, category: &Value) -> anyhow::Result<()> {
    let slug = category["slug"]
        .as_str()
        .context("a category has no slug")?;
    let body = json!({"name": category["name"], "position": category["position"]});
    let answer = admin.send("PUT", &format!("/api/categories/{slug}"), &body)?;
    match answer.status {
        200 | 201 => Ok(()),
        _ => bail!("the shop refused category {slug}: {answer}"),
    }
}

/// A product that is there.
struct Added {
    id: String,
    is_new: bool,
}

/// Adds one product; the shop refuses a second one with the same SKU, and says which it has.
fn add(admin: &Session<'_>, product: &Value) -> anyhow::Result<Added> {
    let mut body = product.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("on_hand");
    }
    let answer = admin.send("POST", "/api/products", &body)?;
    let id = match answer.status {
        201 => &answer.body["id"],
        409 => &answer.body["product_id"],
        _ => bail!("the shop refused product {}: {answer}", product["sku"]),
    };
    Ok(Added {
        id: id
            .as_str()
            .context("the shop does not say which product it has")?
            .to_owned(),
        is_new: answer.status == 201,
    })
}

/// Sets a product's stock unless one is kept already.
fn stock(admin: &Session<'_>, product: &str, on_hand: &Value) -> anyhow::Result<()> {
    let path = format!("/api/inventory/{product}");
    if admin.get(&path)?.status != 404 {
        return Ok(());
    }
    let answer = admin.send("PUT", &path, &json!({"on_hand": on_hand}))?;
    match answer.status {
        200 | 201 => Ok(()),
        _ => bail!("the shop refused the stock of product {product}: {answer}"),
    }
}

fn list<'a>(catalogue: &'a Value, name: &str) -> anyhow::Result<&'a Vec<Value>> {
    catalogue[name]
        .as_array()
        .with_context(|| format!("{CATALOGUE} has no {name}"))
}

/// One line that counts up; in a log only now and then.
fn progress(done: usize, all: usize) {
    if std::io::stderr().is_terminal() {
        let end = if done == all { "\n" } else { "" };
        eprint!("\rloading the catalogue {done}/{all}{end}");
        let _ = std::io::stderr().flush();
    } else if done.is_multiple_of(16) || done == all {
        eprintln!("loading the catalogue {done}/{all}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::shop::tests::{admin, stand_in};

    #[test]
    fn refusals_say_what_and_why() {
        let shop = Shop::new(&stand_in());
        let admin = shop.log_in(&admin()).unwrap();
        let refused = add(&admin, &json!({"sku": "BAD"}))
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.contains("BAD") && refused.contains("422"),
            "{refused}"
        );
    }

    #[test]
    fn the_whole_catalogue_is_loaded_and_again_without_taking_anything_back() {
        let root = std::env::temp_dir().join(format!("souk-xtask-seed-{}", std::process::id()));
        fs::create_dir_all(root.join("demo")).unwrap();
        fs::write(
            root.join(CATALOGUE),
            r#"{"categories": [{"slug": "tea", "name": "Tea", "position": 1}],
                "products": [{"sku": "A", "on_hand": 5}, {"sku": "B", "on_hand": 0}]}"#,
        )
        .unwrap();
        let shop = Shop::new(&stand_in());
        let admin = shop.log_in(&admin()).unwrap();
        let on_hand =
            |id: &str| admin.get(&format!("/api/inventory/{id}")).unwrap().body["on_hand"].clone();

        load_catalogue(&admin, &root).unwrap();
        assert_eq!((on_hand("A"), on_hand("B")), (json!(5), json!(0)));
        assert!(!add(&admin, &json!({"sku": "B"})).unwrap().is_new);

        admin
            .send("PUT", "/api/inventory/A", &json!({"on_hand": 3}))
            .unwrap();
        load_catalogue(&admin, &root).unwrap();
        assert_eq!(on_hand("A"), json!(3), "two were sold since");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_customer_gets_one_address() {
        let shop = Shop::new(&stand_in());
        let customer = Credentials {
            email: "customer@souk.example".into(),
            password: "the customer's".into(),
        };
        add_customer(&shop, &customer).unwrap();
        add_customer(&shop, &customer).unwrap();
        let session = shop.log_in(&customer).unwrap();
        let addresses = session.get("/api/users/me/addresses").unwrap().body;
        assert_eq!(addresses["items"].as_array().unwrap().len(), 1);
    }

    /// What is sold out and what is scarce is part of the demonstration.
    #[test]
    fn the_demo_catalogue_says_how_much_there_is_of_everything() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(CATALOGUE);
        let catalogue: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let products = list(&catalogue, "products").unwrap();
        let on_hand: Vec<_> = products
            .iter()
            .map(|product| product["on_hand"].as_u64().unwrap())
            .collect();
        let count =
            |range: std::ops::Range<u64>| on_hand.iter().filter(|n| range.contains(n)).count();
        assert!((2..8).contains(&count(0..1)), "{on_hand:?}");
        assert!((4..12).contains(&count(1..5)), "{on_hand:?}");
        assert!(on_hand.len() >= 60);
    }
}
