//! A shop under test: one that the test starts, or one that runs already.

use crate::{Host, Launch, Reply, client};
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};

/// A shop, seen from outside.
pub struct Shop {
    /// Where it is, without a trailing slash.
    pub url: String,
    client: Client,
    admin_token: String,
    host: Option<Host>,
}

impl Shop {
    /// The shop at `SOUK_BASE_URL`, else one that is started for this test and empty.
    ///
    /// # Panics
    /// When it does not start, or the running shop's `SOUK_ADMIN_TOKEN` is not told.
    pub fn open() -> Self {
        let Ok(url) = std::env::var("SOUK_BASE_URL") else {
            return Self::start();
        };
        Self {
            url: url.trim_end_matches('/').to_owned(),
            client: client(),
            admin_token: std::env::var("SOUK_ADMIN_TOKEN")
                .expect("SOUK_ADMIN_TOKEN, to act as the administrator of the shop"),
            host: None,
        }
    }

    /// A shop of the test's own, whatever else runs.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let admin_token = "a token for this test";
        let host = Launch::of("spin.toml")
            .runtime_config("runtime-config.toml")
            .env("SPIN_VARIABLE_ADMIN_TOKEN", admin_token)
            .start();
        Self {
            url: host.url.clone(),
            client: client(),
            admin_token: admin_token.to_owned(),
            host: Some(host),
        }
    }

    /// The process, where the test started it.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// A request of somebody without any credentials.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("an HTTP method");
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// The answer to a GET of anybody.
    pub fn get(&self, path: &str) -> Reply {
        Reply::to(self.request("GET", path))
    }

    /// A request of the administrator.
    pub fn admin(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&self.admin_token)
    }

    /// Makes a category.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn put_category(&self, slug: &str, name: &str) {
        let body = json!({"name": name, "position": 1});
        let path = format!("/api/categories/{slug}");
        let reply = Reply::to(self.admin("PUT", &path).json(&body));
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
    }

    /// Makes a product of a category, with more or other fields, and gives it as the shop does.
    ///
    /// # Panics
    /// When the shop refuses.
    pub fn post_product(&self, category: &str, fields: Value) -> Value {
        let mut body = json!({
            "sku": unique("SKU").to_uppercase(),
            "name": "A thing",
            "description": "One of the things of a test.",
            "category": category,
            "price": {"amount": 1000, "currency": "EUR"},
        });
        if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
            body.extend(fields);
        }
        let reply = Reply::to(self.admin("POST", "/api/products").json(&body));
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }
}

/// A name no other test has used, in this run or any before it.
pub fn unique(prefix: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{prefix}-{}", &id[20..])
}
