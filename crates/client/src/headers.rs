//! Headers that are not passed on.

use http::header::{self, HeaderMap, HeaderName};

/// Those of RFC 9110 section 7.6.1 that concern one connection, and the address, which the next hop has its own of.
const PER_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Takes off the headers that concern one connection only, also those that `connection` names.
pub fn remove_per_hop(headers: &mut HeaderMap) {
    if let Some(named) = headers.get(header::CONNECTION).cloned() {
        for name in named.to_str().unwrap_or_default().split(',') {
            headers.remove(name.trim());
        }
    }
    for name in &PER_HOP {
        headers.remove(name);
    }
}

/// Takes off the headers that a service believes, so that nobody can send them from outside.
pub fn remove_trusted(headers: &mut HeaderMap) {
    headers.remove(souk_tokens::HEADER);
    let spins: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("spin-"))
        .cloned()
        .collect();
    for name in spins {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value)| {
            (
                HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        };
        list.iter().map(pair).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = headers(&[
            ("connection", "keep-alive, x-mine , ,"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "shop"),
            ("accept", "*/*"),
        ]);
        remove_per_hop(&mut headers);
        assert_eq!(names(&headers), ["accept"]);
    }

    #[test]
    fn headers_that_are_believed_stay_behind() {
        let mut headers = headers(&[
            ("x-souk-token", "forged"),
            ("spin-client-addr", "0.0.0.0:0"),
            ("authorization", "Bearer x"),
        ]);
        remove_trusted(&mut headers);
        assert_eq!(names(&headers), ["authorization"]);
    }
}
