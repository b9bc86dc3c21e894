//! Where the processor is: `url=https://api.example.com&key=sk_live_...&timeout_ms=8000`.

use std::time::Duration;

use http::{HeaderValue, Uri};

/// What the shop sets. It has the secret key in it, so it is never printed.
pub struct Settings {
    /// `url`: scheme and authority, without a path.
    pub url: String,
    /// `key`, as the value of an `Authorization` header.
    pub authorization: HeaderValue,
    /// `timeout_ms`: how long an answer is waited for.
    pub timeout: Duration,
}

impl Settings {
    /// Reads the settings, or says which of them is wrong, and not what it is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut url, mut authorization) = (None, None);
        let mut timeout = Duration::from_secs(8);
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "url" => url = Some(base(&value)?),
                "key" => authorization = Some(bearer(&value)?),
                "timeout_ms" => timeout = milliseconds(&value)?,
                _ => return Err(format!("the provider has no setting {name:?}")),
            }
        }
        Ok(Self {
            url: url.ok_or("the setting url is missing")?,
            authorization: authorization.ok_or("the setting key is missing")?,
            timeout,
        })
    }
}

fn base(url: &str) -> Result<String, String> {
    let uri = url.trim_end_matches('/').parse::<Uri>().ok();
    let fits = |uri: &Uri| {
        let http = matches!(uri.scheme_str(), Some("http" | "https"));
        http && uri.path() == "/" && uri.query().is_none()
    };
    match uri.filter(fits) {
        Some(_) => Ok(url.trim_end_matches('/').to_owned()),
        None => Err("the setting url must be http(s)://host[:port]".into()),
    }
}

fn bearer(key: &str) -> Result<HeaderValue, String> {
    let visible = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    let header = visible.then(|| HeaderValue::try_from(format!("Bearer {key}")).ok());
    let mut header = header
        .flatten()
        .ok_or("the setting key must be visible ASCII characters")?;
    header.set_sensitive(true);
    Ok(header)
}

/// Less than the ten seconds within which a provider answers.
fn milliseconds(value: &str) -> Result<Duration, String> {
    let number = value
        .parse()
        .ok()
        .filter(|number| (1..=9_000).contains(number));
    number
        .map(Duration::from_millis)
        .ok_or_else(|| "the setting timeout_ms must be a whole number from 1 to 9000".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_are_read() {
        let settings = Settings::parse("url=http://127.0.0.1:99/&key=sk_1&timeout_ms=50").unwrap();
        assert_eq!(settings.url, "http://127.0.0.1:99");
        assert_eq!(settings.authorization, "Bearer sk_1");
        assert_eq!(settings.timeout, Duration::from_millis(50));
    }

    #[test]
    fn a_wrong_setting_is_named_and_no_value_shown() {
        for (text, named) in [
            ("", "url"),
            ("url=https://p", "key"),
            ("key=secret", "url"),
            ("url=p&key=secret", "url"),
            ("url=ftp://p&key=secret", "url"),
            ("url=https://p/v1&key=secret", "url"),
            ("url=https://p&key=", "key"),
            ("url=https://p&key=sec ret", "key"),
            ("url=https://p&key=secret&timeout_ms=0", "timeout_ms"),
            ("url=https://p&key=secret&timeout_ms=9001", "timeout_ms"),
            ("url=https://p&key=secret&host=x", "host"),
        ] {
            let error = Settings::parse(text).err().unwrap();
            assert!(error.contains(named), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
