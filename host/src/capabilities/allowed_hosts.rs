//! `allowed_outbound_hosts`: where a component may go, whatever protocol it speaks there.
//!
//! The entries are read once, at the start; every capability that leads out of the host asks them
//! for each address a guest names.

use crate::problems::Problems;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The domain whose first label is a component of this application.
pub const CHAINING_SUFFIX: &str = ".spin.internal";
/// The host by which a component reaches the address the application is served on.
pub const SELF_HOST: &str = "self.alt";

/// One entry of `allowed_outbound_hosts`.
#[derive(Debug, PartialEq)]
pub struct AllowedHost {
    /// `None` allows any.
    scheme: Option<String>,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Debug, PartialEq)]
enum HostPattern {
    Any,
    /// Ends with this (`.example.com`).
    Subdomain(String),
    Exact(String),
    /// Where the application itself is served.
    Itself,
}

#[derive(Debug, PartialEq)]
enum PortPattern {
    Any,
    /// From the first up to, not including, the last.
    Range(u16, u16),
    One(u16),
}

/// Phase one: what a component may call. Shared by its instances.
pub type AllowedHosts = Arc<[AllowedHost]>;

/// Parses the entries, their templates already expanded, and checks chaining grants against the
/// components that run.
///
/// # Errors
/// Every entry that is malformed, or grants a component that does not run.
pub fn grant(entries: &[String], running: &BTreeSet<&str>) -> Result<AllowedHosts, Problems> {
    let mut problems = Problems::default();
    let mut allowed = Vec::new();
    for entry in entries {
        match AllowedHost::parse(entry) {
            Ok(host) => {
                if let Some(target) = host.chained_component()
                    && !running.contains(target)
                {
                    problems.push(format!(
                        "allowed_outbound_hosts: {entry:?} grants a call to the component {target:?}, which is not running; select it with -c {target}, or take the grant out"
                    ));
                }
                allowed.push(host);
            }
            Err(why) => problems.push(format!("allowed_outbound_hosts: {entry:?}: {why}")),
        }
    }
    problems.into_result(allowed.into())
}

/// Whether one of the entries grants an address.
pub fn allow(allowed: &[AllowedHost], scheme: &str, host: &str, port: u16) -> bool {
    allowed.iter().any(|entry| entry.allows(scheme, host, port))
}

/// Whether one of the entries grants the address the application itself is served on.
pub fn allow_itself(allowed: &[AllowedHost], scheme: &str) -> bool {
    allowed.iter().any(|entry| entry.allows_itself(scheme))
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<Self, String> {
        let (scheme, rest) = entry
            .trim()
            .split_once("://")
            .ok_or("needs a scheme; write <scheme>://<host>[:<port>], each of which may be `*`")?;
        if scheme != "*" && !scheme.chars().all(char::is_alphabetic) {
            return Err(format!("{scheme:?} is not a scheme"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return Err("must not have a path (nor be an address range)".into());
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        Ok(Self {
            scheme: (scheme != "*").then(|| scheme.to_owned()),
            host: HostPattern::parse(host)?,
            port: PortPattern::parse(port, scheme)?,
        })
    }

    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme.as_deref().is_none_or(|s| s == scheme)
            && self.host.allows(host)
            && self.port.allows(port)
    }

    fn allows_itself(&self, scheme: &str) -> bool {
        self.scheme.as_deref().is_none_or(|s| s == scheme)
            && matches!(self.host, HostPattern::Any | HostPattern::Itself)
    }

    /// The component this entry names, where it names exactly one.
    fn chained_component(&self) -> Option<&str> {
        match &self.host {
            HostPattern::Exact(host) => host.strip_suffix(CHAINING_SUFFIX),
            _ => None,
        }
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self, String> {
        let pattern = match host {
            "*" => Self::Any,
            "self" | SELF_HOST => Self::Itself,
            "" => return Err("needs a host".into()),
            _ => match host.strip_prefix("*.") {
                Some(domain) if domain.contains('*') => {
                    return Err("`*` may only stand for the first part of a name".into());
                }
                Some(domain) => Self::Subdomain(format!(".{}", domain.to_ascii_lowercase())),
                None if host.contains(['*', '{', '}']) => {
                    return Err(format!("{host:?} is not a host"));
                }
                None => Self::Exact(host.to_ascii_lowercase()),
            },
        };
        Ok(pattern)
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Subdomain(suffix) => host.ends_with(suffix),
            Self::Exact(name) => host == name,
            Self::Itself => false,
        }
    }
}

impl PortPattern {
    fn parse(port: Option<&str>, scheme: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| format!("{text:?} is not a port number"))
        };
        match port {
            None => default_port(scheme)
                .map(Self::One)
                .ok_or_else(|| format!("needs a port, since {scheme:?} has no usual one")),
            Some("*") => Ok(Self::Any),
            Some(range) => match range.split_once("..") {
                Some((first, last)) => Ok(Self::Range(number(first)?, number(last)?)),
                None => Ok(Self::One(number(range)?)),
            },
        }
    }

    fn allows(&self, port: u16) -> bool {
        match *self {
            Self::Any => true,
            Self::Range(first, last) => (first..last).contains(&port),
            Self::One(only) => only == port,
        }
    }
}

/// The port of an entry or an address that names none.
pub fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allows(entry: &str, scheme: &str, host: &str, port: u16) -> bool {
        AllowedHost::parse(entry)
            .unwrap()
            .allows(scheme, host, port)
    }

    #[test]
    fn a_grant_is_scheme_host_and_port() {
        assert!(allows(
            "https://api.example.com",
            "https",
            "api.example.com",
            443
        ));
        assert!(!allows(
            "https://api.example.com",
            "http",
            "api.example.com",
            80
        ));
        assert!(!allows(
            "https://api.example.com",
            "https",
            "example.com",
            443
        ));
        assert!(!allows(
            "https://api.example.com",
            "https",
            "api.example.com",
            8443
        ));
        assert!(allows("http://127.0.0.1:8080", "http", "127.0.0.1", 8080));
        assert!(allows("http://[::1]:8080", "http", "[::1]", 8080));
        assert!(allows("redis://cache", "redis", "cache", 6379));
        assert!(!allows("redis://cache", "rediss", "cache", 6379));
        assert!(allows("rediss://cache:6380", "rediss", "cache", 6380));
    }

    #[test]
    fn wildcards_stand_for_subdomains_ports_and_schemes() {
        assert!(allows(
            "http://*.spin.internal",
            "http",
            "users.spin.internal",
            80
        ));
        assert!(!allows(
            "http://*.spin.internal",
            "http",
            "spin.internal",
            80
        ));
        assert!(!allows(
            "https://*.example.com",
            "https",
            "badexample.com",
            443
        ));
        assert!(allows("http://localhost:*", "http", "localhost", 9999));
        assert!(allows("http://localhost:80..90", "http", "localhost", 89));
        assert!(!allows("http://localhost:80..90", "http", "localhost", 90));
        assert!(allows("*://*:*", "https", "anything", 1));
    }

    #[test]
    fn self_is_granted_by_name_only() {
        let entry = AllowedHost::parse("http://self").unwrap();
        assert!(entry.allows_itself("http"));
        assert!(!entry.allows_itself("https"));
        assert!(!entry.allows("http", "self", 80));
    }

    #[test]
    fn malformed_entries_say_why() {
        for entry in [
            "example.com",
            "*",
            "http://",
            "http://a/b",
            "http://a.*.b",
            "*://a",
            "http://a:x",
            "rediss://a",
        ] {
            assert!(AllowedHost::parse(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn a_grant_to_a_component_that_does_not_run_is_refused() {
        let entries = ["http://orders.spin.internal".to_owned()];
        assert!(grant(&entries, &BTreeSet::from(["orders"])).is_ok());
        let problem = grant(&entries, &BTreeSet::from(["carts"])).unwrap_err();
        assert!(problem.to_string().contains("-c orders"), "{problem}");
    }
}
