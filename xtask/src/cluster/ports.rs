//! Ports for the instances.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// Ports below this one have owners.
const FIRST: u16 = 10_000;

/// How many are tried.
const TRIES: u16 = 500;

/// A free port of the loopback address that is none of these, kept from others while the listener lives.
///
/// It is not one that the system gives to outgoing connections: one of those could take it while its instance is restarted.
pub fn free(taken: &[u16]) -> anyhow::Result<TcpListener> {
    let end = first_of_the_system().clamp(FIRST + 1, 32_768);
    let some = RandomState::new().build_hasher().finish();
    let start = u16::try_from(some % u64::from(end - FIRST))?;
    for offset in 0..TRIES {
        let port = FIRST + (start + offset) % (end - FIRST);
        if !taken.contains(&port)
            && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        {
            return Ok(listener);
        }
    }
    bail!("no port of 127.0.0.1 from {FIRST} to {end} is free: stop some programs")
}

/// The first port for outgoing connections.
fn first_of_the_system() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let first = range.as_deref().and_then(|it| it.split_whitespace().next());
    first.and_then(|it| it.parse().ok()).unwrap_or(32_768)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let held: Vec<_> = (0..20).map(|_| free(&[]).unwrap()).collect();
        let mut ports: Vec<_> = held
            .iter()
            .map(|it| it.local_addr().unwrap().port())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
        assert!(ports.iter().all(|port| *port >= FIRST));
    }
}
