//! W3C Trace Context: how a request says which trace it belongs to.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{SpanId, TraceId};

/// The header that names the trace and the span in it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header for what tracing systems add; it goes on as it came.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The header by which a request asks to be traced.
const ASKED: HeaderName = HeaderName::from_static("x-souk-trace");

/// A longer `tracestate` is not passed on.
const MAX_STATE: usize = 512;

/// A place in a trace, as it goes from one process to another.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span whose work it is.
    pub span: SpanId,
    /// Whether it is exported.
    pub sampled: bool,
    /// What tracing systems have added.
    pub state: Option<HeaderValue>,
}

impl TraceContext {
    /// Reads it off a request, if it is there and sound.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let header = given.next()?.to_str().ok()?;
        if given.next().is_some() {
            return None;
        }
        let (trace, span, sampled) = parse(header)?;
        Some(Self {
            trace,
            span,
            sampled,
            state: state(headers),
        })
    }

    fn header(&self) -> [u8; 55] {
        let mut header = *b"00-................................-................-00";
        hex(&mut header[3..35], &self.trace.to_bytes());
        hex(&mut header[36..52], &self.span.to_bytes());
        header[54] = b'0' + u8::from(self.sampled);
        header
    }

    /// Writes it into a request, in place of what is there.
    pub fn write(&self, headers: &mut HeaderMap) {
        let header = HeaderValue::from_bytes(&self.header());
        headers.insert(TRACEPARENT, header.expect("hex digits"));
        match &self.state {
            Some(state) => headers.insert(TRACESTATE, state.clone()),
            None => headers.remove(TRACESTATE),
        };
    }
}

/// What tracing systems have added, which may be in several headers. A copy: a header itself holds all that was read with it.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut parts = headers.get_all(TRACESTATE).iter();
    let mut state = parts.next()?.as_bytes().to_vec();
    for part in parts {
        state.push(b',');
        state.extend_from_slice(part.as_bytes());
    }
    let fits = state.len() <= MAX_STATE;
    fits.then(|| HeaderValue::try_from(state).ok()).flatten()
}

/// Writes bytes as hex digits: what formats texts takes several times as long, and this is written for each request.
fn hex(digits: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Whether a request asks to be traced.
pub fn asks(headers: &HeaderMap) -> bool {
    headers.get(ASKED).is_some_and(|value| value == "1")
}

/// The trace, the span in it and whether it is sampled: `00-<trace>-<span>-<flags>`; a later version may have more after it.
pub fn parse(header: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut parts = header.split('-');
    let mut hex = |digits: usize| {
        let part = parts.next()?;
        let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        (part.len() == digits && part.bytes().all(lower)).then_some(part)
    };
    let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let more = parts.next().is_some();
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let sound = version != "ff"
        && !(version == "00" && more)
        && trace != TraceId::INVALID
        && span != SpanId::INVALID;
    sound.then_some((trace, span, flags & 1 == 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(traceparent: &str) -> HeaderMap {
        let value = HeaderValue::from_str(traceparent).unwrap();
        HeaderMap::from_iter([
            (TRACEPARENT, value),
            (TRACESTATE, HeaderValue::from_static("vendor=1")),
        ])
    }

    #[test]
    fn a_context_is_written_as_it_was_read() {
        let context = TraceContext::of(&headers(SAMPLE)).unwrap();
        assert!(context.sampled);
        let mut written = HeaderMap::new();
        context.write(&mut written);
        assert_eq!(written, headers(SAMPLE));
        assert!(
            !TraceContext::of(&headers(&SAMPLE.replace("-01", "-00")))
                .unwrap()
                .sampled
        );
    }

    #[test]
    fn a_state_in_several_headers_goes_on_as_one() {
        let mut headers = headers(SAMPLE);
        headers.append(TRACESTATE, HeaderValue::from_static("other=2"));
        let state = |headers: &HeaderMap| TraceContext::of(headers).unwrap().state;
        assert_eq!(state(&headers).unwrap(), "vendor=1,other=2");
        let long = HeaderValue::try_from("x".repeat(MAX_STATE)).unwrap();
        headers.append(TRACESTATE, long);
        assert_eq!(state(&headers), None);
    }

    #[test]
    fn what_is_unsound_is_not_believed() {
        for unsound in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert_eq!(TraceContext::of(&headers(unsound)), None, "{unsound}");
        }
        let later = SAMPLE.replacen("00", "01", 1) + "-more";
        assert!(TraceContext::of(&headers(&later)).is_some());
        let mut twice = headers(SAMPLE);
        twice.append(TRACEPARENT, HeaderValue::from_static(SAMPLE));
        assert_eq!(TraceContext::of(&twice), None);
    }
}
