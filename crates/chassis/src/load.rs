//! How much there is to do on the host, where it tells: of requests from outside that do not only look around.

use std::sync::LazyLock;

use http::HeaderMap;

/// A host that tells says in this variable in which header, so that nobody else can.
const HEADER: &str = "SOUK_LOAD_HEADER";

/// What the host says with a request, this one among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// How many are being worked on.
    pub running: u32,
    /// How many are good: with more, all of them get slow.
    pub limit: u32,
}

impl Load {
    /// As it came with a request; none where the host does not tell.
    pub(crate) fn arrived(headers: &HeaderMap) -> Option<Self> {
        static NAME: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(HEADER).ok());
        Self::read(headers.get(NAME.as_ref()?)?.to_str().ok()?)
    }

    /// `<running>/<limit>`
    fn read(text: &str) -> Option<Self> {
        let (running, limit) = text.split_once('/')?;
        Some(Self {
            running: running.parse().ok()?,
            limit: limit.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_numbers_are_a_load() {
        let load = |running, limit| Some(Load { running, limit });
        assert_eq!(Load::read("37/120"), load(37, 120));
        for text in ["", "37", "37/", "/120", "-1/5", "a/b", "1/2/3"] {
            assert_eq!(Load::read(text), None, "{text}");
        }
        assert_eq!(Load::arrived(&HeaderMap::new()), None);
    }
}
