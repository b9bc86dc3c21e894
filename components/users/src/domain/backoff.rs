//! How long somebody who guesses passwords has to wait.
//!
//! Each failed login counts twice: for the account and for the client's address (an IPv6 client has a whole /64, so that is
//! what counts). After some failures that are free every further one doubles the wait, up to a limit.
//!
//! The wait for an account must be bounded tightly, or anybody could lock its owner out by failing on purpose; a minute still
//! leaves a guesser some 1,500 passwords a day, wherever they come from. And even a minute could be renewed for ever by
//! somebody who always comes first. So an address that the account has been logged in to from lately is counted on its own:
//! its owner gets in there whatever happens elsewhere. The wait for an address hurts nobody but who shares it, and is longer.
//!
//! Accounts that do not exist are counted in the same way, so a wait says nothing about them. The counters' keys are hashes; an
//! address book of everybody who mistyped is not kept. A counter is forgotten an hour after its last failure, one with many
//! failures later, up to a day: so whoever tries every address once leaves no more than the service can hash in an hour.

use std::net::{IpAddr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Email;

/// How the wait grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backoff {
    /// So many failures cost nothing. (Those that are on their way at the same moment, one in each instance of the service, come
    /// on top; from then on it is one at a time.)
    pub free: i64,
    /// The longest wait, in seconds.
    pub longest: i64,
}

/// For an account.
pub const ACCOUNT: Backoff = Backoff {
    free: 10,
    longest: 60,
};

/// For a client's address, which may be many people's.
pub const CLIENT: Backoff = Backoff {
    free: 30,
    longest: 15 * 60,
};

/// What failures are counted under, and how it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counter {
    pub key: String,
    #[serde(flatten)]
    pub backoff: Backoff,
}

/// Where a login comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client(String);

impl Client {
    /// Reads what the gateway says: an address, perhaps with a port.
    pub fn parse(text: &str) -> Self {
        let address = text
            .parse()
            .or_else(|_| text.parse().map(|socket: std::net::SocketAddr| socket.ip()));
        Self(
            match address.map(|address: IpAddr| address.to_canonical()) {
                Ok(IpAddr::V4(address)) => address.to_string(),
                Ok(IpAddr::V6(address)) => network(address).to_string(),
                Err(_) => text.to_owned(),
            },
        )
    }

    /// What its failures are counted under.
    pub fn counter(&self) -> Counter {
        Counter {
            key: hash(&["client", &self.0]),
            backoff: CLIENT,
        }
    }

    /// What stands for this address together with an account.
    pub fn with(&self, email: &Email) -> String {
        hash(&["known", email.as_str(), &self.0])
    }
}

/// The first 64 bits: what one customer of a network usually has to choose from.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))
}

/// What the failures with an account are counted under; from a client that is known to it they are counted on their own.
pub fn of_account(email: &Email, known_client: Option<&str>) -> Counter {
    let key = match known_client {
        Some(client) => client.to_owned(),
        None => hash(&["account", email.as_str()]),
    };
    Counter {
        key,
        backoff: ACCOUNT,
    }
}

/// What the failures of a signed-in user are counted under who has to give the password once more. Nobody else can bring it about
/// that they wait, or an attack would keep its victim from changing the password.
pub fn of_user(user: Uuid) -> Counter {
    Counter {
        key: hash(&["user", &user.to_string()]),
        backoff: ACCOUNT,
    }
}

fn hash(parts: &[&str]) -> String {
    BASE64.encode(Sha256::digest(parts.join("\0")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::parse_email;

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let same = |a: &str, b: &str| Client::parse(a) == Client::parse(b);
        assert!(same("192.0.2.1", "192.0.2.1:4711"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(same("2001:db8:1:2::1", "[2001:db8:1:2::5]:443"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("elsewhere", "elsewhere"));
    }

    #[test]
    fn counters_are_told_apart_and_hold_no_names() {
        let [ada, bob] =
            ["ada@example.org", "bob@example.org"].map(|email| parse_email(email).unwrap());
        let home = Client::parse("192.0.2.1");
        let keys = [
            of_account(&ada, None).key,
            of_account(&bob, None).key,
            of_account(&ada, Some(&home.with(&ada))).key,
            of_account(&bob, Some(&home.with(&bob))).key,
            home.counter().key,
            of_user(Uuid::nil()).key,
        ];
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(key.len(), 43);
            assert!(!keys[..index].contains(key));
        }
    }
}
