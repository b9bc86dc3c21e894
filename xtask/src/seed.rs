//! `cargo xtask seed`: loads the demo catalogue through the public API of a shop, whatever host it runs on.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use lexopt::ValueExt;
use serde_json::{Value, json};
use ureq::http::{Response, StatusCode};
use ureq::typestate::WithBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::workspace::Workspace;

/// The catalogue, relative to the root: `{"categories": [...], "products": [...]}`, each as the API takes it.
const CATALOGUE: &str = "demo/catalogue.json";

/// Runs the command.
pub fn run(args: crate::Args) -> anyhow::Result<ExitCode> {
    let (mut url, mut admin_token) = (None, None);
    let mut parser = lexopt::Parser::from_args(args.own);
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("url") => url = Some(parser.value()?.string()?),
            lexopt::Arg::Long("admin-token") => admin_token = Some(parser.value()?.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let shop = Shop::new(
        &url.context("--url is missing: where does the shop run?")?,
        &admin_token.context("--admin-token is missing: only an admin may add products")?,
    );
    shop.load_catalogue(&Workspace::load()?.root)?;
    Ok(ExitCode::SUCCESS)
}

/// A shop that runs somewhere, as its admin sees it.
pub struct Shop {
    pub url: String,
    pub admin_token: String,
    http: Agent,
}

/// What became of one product.
#[derive(Debug, PartialEq)]
enum Added {
    New,
    ThereAlready,
}

impl Shop {
    /// The shop at a URL such as `http://127.0.0.1:3000`.
    pub fn new(url: &str, admin_token: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            // The shop is on this machine or named by whoever runs us: never behind the proxy of the environment.
            .proxy(None);
        let url = url.trim_end_matches('/').to_owned();
        Self {
            url,
            admin_token: admin_token.to_owned(),
            http: config.build().into(),
        }
    }

    /// Whether it answers.
    pub fn is_healthy(&self) -> bool {
        let answer = self.http.get(format!("{}/healthz", self.url)).call();
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// Sets the categories and adds every product that is not there yet, so that it may be called again at any time.
    pub fn load_catalogue(&self, root: &Path) -> anyhow::Result<()> {
        let text = fs::read_to_string(root.join(CATALOGUE)).context(CATALOGUE)?;
        let catalogue: Value = serde_json::from_str(&text).context(CATALOGUE)?;
        for category in list(&catalogue, "categories")? {
            self.set_category(category)?;
        }
        let products = list(&catalogue, "products")?;
        let mut new = 0;
        for (done, product) in products.iter().enumerate() {
            progress(done + 1, products.len());
            if self.add(product)? == Added::New {
                new += 1;
            }
        }
        println!(
            "the catalogue is loaded: {new} products added, {} there already",
            products.len() - new
        );
        Ok(())
    }

    fn set_category(&self, category: &Value) -> anyhow::Result<()> {
        let slug = category["slug"]
            .as_str()
            .context("a category has no slug")?;
        let body = json!({"name": category["name"], "position": category["position"]});
        let url = format!("{}/api/categories/{slug}", self.url);
        let mut answer = self.send(self.http.put(url), &body)?;
        match answer.status() {
            StatusCode::OK | StatusCode::CREATED => Ok(()),
            _ => bail!(
                "the shop refused category {slug}: {}",
                describe(&mut answer)
            ),
        }
    }

    /// Adds one product; the shop refuses a second one with the same SKU.
    fn add(&self, product: &Value) -> anyhow::Result<Added> {
        let url = format!("{}/api/products", self.url);
        let mut answer = self.send(self.http.post(url), product)?;
        match answer.status() {
            StatusCode::CREATED => Ok(Added::New),
            StatusCode::CONFLICT => Ok(Added::ThereAlready),
            _ => bail!(
                "the shop refused product {}: {}",
                product["sku"],
                describe(&mut answer)
            ),
        }
    }

    fn send(
        &self,
        request: RequestBuilder<WithBody>,
        body: &Value,
    ) -> anyhow::Result<Response<Body>> {
        let answer = request
            .header("authorization", format!("Bearer {}", self.admin_token))
            .content_type("application/json")
            .send(body.to_string())
            .with_context(|| format!("no answer from {}", self.url))?;
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status()) {
            bail!(
                "the shop does not take this admin token ({})",
                answer.status()
            );
        }
        Ok(answer)
    }
}

fn list<'a>(catalogue: &'a Value, name: &str) -> anyhow::Result<&'a Vec<Value>> {
    catalogue[name]
        .as_array()
        .with_context(|| format!("{CATALOGUE} has no {name}"))
}

/// The status and what the problem document says.
fn describe(answer: &mut Response<Body>) -> String {
    format!(
        "{} {}",
        answer.status(),
        answer.body_mut().read_to_string().unwrap_or_default()
    )
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
    use std::collections::BTreeSet;
    use std::io::{BufRead, BufReader, Read};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// A shop that knows SKUs, and an admin whose token is "secret"; one request per connection.
    fn stand_in() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let mut skus = BTreeSet::new();
            for stream in listener.incoming() {
                answer(stream.unwrap(), &mut skus);
            }
        });
        url
    }

    fn answer(mut stream: TcpStream, skus: &mut BTreeSet<String>) {
        let mut request = BufReader::new(stream.try_clone().unwrap());
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            request.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_ascii_lowercase());
        }
        let length = head
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        request.read_exact(&mut body).unwrap();

        let status = if head[0].starts_with("get /healthz ") {
            "200 OK"
        } else if !head
            .iter()
            .any(|line| line == "authorization: bearer secret")
        {
            "401 Unauthorized"
        } else if head[0].starts_with("put /api/categories/") {
            "200 OK"
        } else {
            let product: Value = serde_json::from_slice(&body).unwrap();
            match product["sku"].as_str().unwrap() {
                "BAD" => "422 Unprocessable Content",
                sku if skus.insert(sku.to_owned()) => "201 Created",
                _ => "409 Conflict",
            }
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
        )
        .unwrap();
    }

    #[test]
    fn a_product_is_added_once() {
        let shop = Shop::new(&stand_in(), "secret");
        assert!(shop.is_healthy());
        assert_eq!(shop.add(&json!({"sku": "TEA-1"})).unwrap(), Added::New);
        assert_eq!(
            shop.add(&json!({"sku": "TEA-1"})).unwrap(),
            Added::ThereAlready
        );
    }

    #[test]
    fn refusals_say_what_and_why() {
        let url = stand_in();
        let refused = Shop::new(&url, "secret")
            .add(&json!({"sku": "BAD"}))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("BAD") && refused.contains("422"),
            "{refused}"
        );
        let unknown = Shop::new(&url, "guessed")
            .add(&json!({"sku": "TEA-1"}))
            .unwrap_err()
            .to_string();
        assert!(unknown.contains("admin token"), "{unknown}");
    }

    #[test]
    fn a_closed_shop_is_not_healthy() {
        let gone = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(!Shop::new(&format!("http://{gone}"), "secret").is_healthy());
    }

    #[test]
    fn the_whole_catalogue_is_loaded_and_again() {
        let root = std::env::temp_dir().join(format!("souk-xtask-seed-{}", std::process::id()));
        fs::create_dir_all(root.join("demo")).unwrap();
        fs::write(
            root.join(CATALOGUE),
            r#"{"categories": [{"slug": "tea", "name": "Tea", "position": 1}], "products": [{"sku": "A"}, {"sku": "B"}]}"#,
        )
        .unwrap();
        let shop = Shop::new(&stand_in(), "secret");
        shop.load_catalogue(&root).unwrap();
        shop.load_catalogue(&root).unwrap();
        assert_eq!(shop.add(&json!({"sku": "B"})).unwrap(), Added::ThereAlready);
        fs::remove_dir_all(&root).unwrap();
    }
}
