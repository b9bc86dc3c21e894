//! The operator's settings: Spin variables, read and checked once per instance.

use std::sync::OnceLock;

use souk_chassis::Problem;
use souk_chassis::address::TrustedProxies;
use souk_chassis::variables::parsed;

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
    /// What stands in front of the shop.
    pub proxies: TrustedProxies,
    /// Who may scrape metrics.
    pub metrics: Token,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// The settings.
pub async fn get() -> Result<&'static Settings, Problem> {
    if let Some(settings) = SETTINGS.get() {
        return Ok(settings);
    }
    let settings = Settings {
        client: parsed("rate_limit_client", Limit::parse).await?,
        account: parsed("rate_limit_account", Limit::parse).await?,
        login: parsed("rate_limit_login", Limit::parse).await?,
        origins: parsed("cors_origins", Origins::parse).await?,
        proxies: TrustedProxies::get().await?,
        metrics: parsed("metrics_token", Token::parse).await?,
    };
    Ok(SETTINGS.get_or_init(|| settings))
}

/// Settings for a test of the whole gateway, which has no Spin to read them from.
#[cfg(test)]
pub fn set(settings: Settings) {
    _ = SETTINGS.set(settings);
}
