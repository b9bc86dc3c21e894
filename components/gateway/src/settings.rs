//! The operator's settings: Spin variables, read and checked once per instance.

use std::sync::OnceLock;

use http::StatusCode;
use souk_chassis::{Problem, variables};

use crate::cors::Origins;
use crate::limits::Limit;
use crate::metrics::Token;

/// What the operator has set.
pub struct Settings {
    /// What one client may do in all; none is no limit.
    pub client: Option<Limit>,
    /// What one account may do in all.
    pub account: Option<Limit>,
    /// How often one client may register, log in or refresh a session.
    pub login: Option<Limit>,
    /// Whose pages may use the API.
    pub origins: Origins,
    /// Who may scrape metrics.
    pub metrics: Token,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// The settings. One that makes no sense is named in the log and to whoever asks, and nothing is served until it is mended:
/// a shop without the limits its operator believes in would be worse.
pub async fn get() -> Result<&'static Settings, Problem> {
    if let Some(settings) = SETTINGS.get() {
        return Ok(settings);
    }
    let settings = Settings {
        client: read("rate_limit_client", Limit::parse).await?,
        account: read("rate_limit_account", Limit::parse).await?,
        login: read("rate_limit_login", Limit::parse).await?,
        origins: read("cors_origins", Origins::parse).await?,
        metrics: read("metrics_token", Token::parse).await?,
    };
    Ok(SETTINGS.get_or_init(|| settings))
}

async fn read<T>(
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Problem> {
    let value = variables::get(name).await?;
    let parsed = match &value {
        Some(value) => parse(value),
        None => Err("is not granted to the gateway".into()),
    };
    parsed.map_err(|wrong| misconfigured(&format!("the variable {name} {wrong}")))
}

fn misconfigured(detail: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "misconfigured",
        "The shop is not set up right",
        detail,
    )
    .cause(detail)
}

/// Settings for a test of the whole gateway, which has no Spin to read them from.
#[cfg(test)]
pub fn set(settings: Settings) {
    _ = SETTINGS.set(settings);
}
