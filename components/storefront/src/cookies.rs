//! Cookies: those a visitor brought, and those an answer sets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{self, HeaderMap, HeaderValue};

/// The cookies of one request and its answer. All copies are the same jar.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    /// Whether the visitor came by https, and so sends cookies by nothing else.
    secure: bool,
    set: Arc<Mutex<Vec<Cookie>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: &'static str,
    value: String,
    /// For how many seconds it is kept; 0 forgets it.
    max_age: u64,
}

impl Jar {
    /// An empty one.
    pub fn new(secure: bool) -> Self {
        Self {
            secure,
            ..Self::default()
        }
    }

    /// Has the browser keep a cookie for so many seconds. Of several with the same name the last one counts.
    pub fn set(&self, name: &'static str, value: &str, max_age: u64) {
        let mut set = self.lock();
        set.retain(|cookie| cookie.name != name);
        set.push(Cookie {
            name,
            value: value.to_owned(),
            max_age,
        });
    }

    /// Has the browser forget a cookie.
    pub fn forget(&self, name: &'static str) {
        self.set(name, "", 0);
    }

    /// Writes what was set into an answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        let secure = if self.secure { "; Secure" } else { "" };
        for Cookie {
            name,
            value,
            max_age,
        } in self.lock().iter()
        {
            let cookie = format!(
                "{name}={value}; Max-Age={max_age}; Path=/; HttpOnly; SameSite=Lax{secure}"
            );
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                headers.append(header::SET_COOKIE, cookie);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cookie of this name that a visitor brought. One with anything in it that no cookie of ours has counts as none.
pub fn brought(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).into_iter();
    let pairs = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let ours = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    pairs
        .filter(|(found, value)| *found == name && !value.is_empty() && value.bytes().all(ours))
        .map(|(_, value)| value.to_owned())
        .next()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(jar: &Jar) -> Vec<String> {
        let mut headers = HeaderMap::new();
        jar.write(&mut headers);
        let values = headers.get_all(header::SET_COOKIE).into_iter();
        values.map(|it| it.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn no_script_and_no_other_site_gets_a_cookie() {
        let jar = Jar::new(true);
        jar.set("a", "1", 60);
        assert_eq!(
            written(&jar),
            ["a=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure"]
        );
        let jar = Jar::new(false);
        jar.forget("a");
        assert_eq!(
            written(&jar),
            ["a=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]
        );
    }

    #[test]
    fn the_last_word_on_a_cookie_counts() {
        let jar = Jar::new(false);
        let copy = jar.clone();
        jar.set("a", "1", 60);
        copy.forget("a");
        assert_eq!(written(&jar).len(), 1);
        assert!(written(&jar)[0].contains("Max-Age=0"));
    }

    #[test]
    fn what_is_no_cookie_of_ours_is_none() {
        let headers = |text: &'static str| {
            HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))])
        };
        let brought = |text| super::brought(&headers(text), "a");
        assert_eq!(brought("b=2; a=1.x-y_Z; c"), Some("1.x-y_Z".into()));
        for odd in ["", "a=", "b=1", "a=1 2", "a=\"1\"", "aa=1", "a=%0d"] {
            assert_eq!(brought(odd), None, "{odd}");
        }
    }
}
