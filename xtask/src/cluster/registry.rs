//! What the registry of services says of the instances.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use ureq::Agent;

/// How long the registry may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a service token lives, in seconds.
const LIFETIME: u64 = 60;

/// An instance, as the registry lists it.
#[derive(Debug, PartialEq)]
pub struct Listed {
    pub address: String,
    /// Which run of the instance it is.
    pub incarnation: String,
    /// Such as `up`.
    pub state: String,
}

/// All instances that the registry at this address lists.
pub fn instances(registry: &str, service_key: &str) -> anyhow::Result<Vec<Listed>> {
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .proxy(None);
    let http: Agent = config.build().into();
    let mut answer = http
        .get(format!("{registry}/instances"))
        .header("x-souk-token", token(service_key)?)
        .call()?;
    let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    let Some(items) = answer["items"].as_array() else {
        bail!("the registry gave no list");
    };
    items.iter().map(Listed::read).collect()
}

impl Listed {
    fn read(item: &Value) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let text = item[name].as_str().map(str::to_owned);
            text.with_context(|| format!("an instance of the registry has no {name}"))
        };
        Ok(Self {
            address: text("address")?,
            incarnation: text("incarnation")?,
            state: text("state")?,
        })
    }
}

/// A service token for the registry, as `crates/tokens` makes it (which would have us compile serde's derive).
fn token(service_key: &str) -> anyhow::Result<String> {
    let now = UNIX_EPOCH.elapsed()?.as_secs();
    let claims = json!({"iss": "operator", "aud": "registry", "iat": now, "exp": now + LIFETIME});
    let header = BASE64.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", BASE64.encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(service_key.as_bytes())?;
    mac.update(signed.as_bytes());
    let signature = BASE64.encode(mac.finalize().into_bytes());
    Ok(format!("{signed}.{signature}"))
}
