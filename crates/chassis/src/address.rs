//! The address that a request comes from.
//!
//! Spin says who opened the connection. Where proxies stand in front that is the last of them, and each has added to `X-Forwarded-For` who opened the
//! connection to it. Clients begin that list with whatever they like, so it is read from its end, and only as far as the shop's own proxies wrote it.

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::Problem;
use crate::variables;

/// The header by which a service says whom it asks for. Who believes it looks at the service token first.
pub const CLIENT: HeaderName = HeaderName::from_static("x-souk-client");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many proxies that add to `X-Forwarded-For` every request comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxies(usize);

impl TrustedProxies {
    /// Reads the variable `trusted_proxies`.
    pub async fn get() -> Result<Self, Problem> {
        variables::parsed("trusted_proxies", Self::parse).await
    }

    /// Reads what it says.
    pub fn parse(setting: &str) -> Result<Self, String> {
        match setting.as_bytes() {
            [digit @ b'0'..=b'9'] => Ok(Self(usize::from(digit - b'0'))),
            _ => Err("must be a number from 0 to 9".into()),
        }
    }

    /// Who a request comes from, as the outermost of the proxies saw it; none for a call from another component of the process. A request that
    /// came through fewer proxies is of whoever opened the connection.
    pub fn client_of(self, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer(headers)?;
        let Some(nearer) = self.0.checked_sub(1) else {
            return Some(peer);
        };
        let lists = headers.get_all(FORWARDED_FOR).into_iter().rev();
        let mut entries = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
        Some(entries.nth(nearer).and_then(address).unwrap_or(peer))
    }
}

/// The address that a service says in the header [`CLIENT`].
pub fn told(headers: &HeaderMap) -> Option<IpAddr> {
    headers
        .get(CLIENT)
        .map(HeaderValue::as_bytes)
        .and_then(address)
}

/// Who opened the connection. Spin appends its own value to whatever a client sent, and marks calls from another component with 0.0.0.0:0.
fn peer(headers: &HeaderMap) -> Option<IpAddr> {
    let spins = headers
        .get_all("spin-client-addr")
        .into_iter()
        .next_back()?;
    address(spins.as_bytes()).filter(|address| !address.is_unspecified())
}

/// Reads an address, with a port or without.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    text.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The client of a request over a connection from the first address, with these headers before.
    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                FORWARDED_FOR,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        headers.append("spin-client-addr", "198.51.100.1:1".parse().unwrap());
        headers.append("spin-client-addr", peer.parse().unwrap());
        let client = TrustedProxies::parse(proxies).unwrap().client_of(&headers);
        client.map_or("none".into(), |client| client.to_string())
    }

    const PROXY: &str = "192.0.2.1:5000";

    #[test]
    fn without_proxies_the_connection_tells() {
        assert_eq!(client("0", PROXY, &[]), "192.0.2.1");
        assert_eq!(client("0", "[2001:db8::1]:5000", &[]), "2001:db8::1");
        assert_eq!(client("0", PROXY, &["203.0.113.9"]), "192.0.2.1");
    }

    #[test]
    fn a_call_from_inside_the_process_has_no_address() {
        assert_eq!(client("0", "0.0.0.0:0", &[]), "none");
        assert_eq!(client("1", "0.0.0.0:0", &["203.0.113.9"]), "none");
        assert_eq!(TrustedProxies(1).client_of(&HeaderMap::new()), None);
    }

    #[test]
    fn what_the_outermost_of_our_proxies_has_added_counts() {
        let forged = "198.51.100.7, 203.0.113.9";
        assert_eq!(client("1", PROXY, &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("1", PROXY, &[forged]), "203.0.113.9");
        assert_eq!(
            client("1", PROXY, &["198.51.100.7", "203.0.113.9"]),
            "203.0.113.9"
        );
        assert_eq!(
            client("2", PROXY, &["198.51.100.7, 203.0.113.9,10.0.0.1"]),
            "203.0.113.9"
        );
        assert_eq!(client("2", PROXY, &[forged, "10.0.0.1"]), "203.0.113.9");
        assert_eq!(
            client("1", PROXY, &["\u{e9}, , \u{e9},203.0.113.9"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn an_address_may_have_a_port() {
        assert_eq!(client("1", PROXY, &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client("1", PROXY, &["2001:db8::9"]), "2001:db8::9");
        assert_eq!(client("1", PROXY, &["[2001:db8::9]:443"]), "2001:db8::9");
    }

    #[test]
    fn what_has_not_come_through_all_proxies_is_of_the_connection() {
        assert_eq!(client("1", PROXY, &[]), "192.0.2.1");
        assert_eq!(client("2", PROXY, &["203.0.113.9"]), "192.0.2.1");
        for odd in ["", "unknown", "203.0.113.9,", "203.0.113.9, _hidden"] {
            assert_eq!(client("1", PROXY, &[odd]), "192.0.2.1", "{odd}");
        }
    }

    #[test]
    fn a_setting_is_a_small_number() {
        for bad in ["", "10", "-1", "+1", " 1", "1 ", "one", "1.0", "\u{661}"] {
            assert!(TrustedProxies::parse(bad).is_err(), "{bad:?}");
        }
    }
}
