//! A place in a trace.

use std::fmt::{self, Debug, Formatter};

use http::HeaderValue;

/// How long one is.
const LENGTH: usize = 55;

/// A place in a trace, as [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header) has it:
/// `00-<trace>-<span>-<flags>` in hex. Anybody may send one.
///
/// Every request has one where requests are traced, and it is in all that is known of the request. So it is no header value, which would be counted
/// with each copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Traceparent([u8; LENGTH]);

impl Traceparent {
    /// Of a text; none where that is no place in a trace.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let text = <[u8; LENGTH]>::try_from(text.as_ref()).ok()?;
        let (version, trace, span, flags) = (&text[..2], &text[3..35], &text[36..52], &text[53..]);
        let is_sound = [text[2], text[35], text[52]] == *b"---"
            && [version, trace, span, flags].into_iter().all(is_hex)
            && version != b"ff"
            && trace.iter().any(|byte| *byte != b'0')
            && span.iter().any(|byte| *byte != b'0');
        is_sound.then_some(Self(text))
    }

    /// A span of a trace, which is not sampled.
    pub(crate) fn unsampled(trace: u128, span: u64) -> Option<Self> {
        Self::parse(format!("00-{trace:032x}-{span:016x}-00"))
    }

    /// Another span of the same trace.
    pub(crate) fn within(mut self, span: u64) -> Self {
        self.0[36..52].copy_from_slice(format!("{span:016x}").as_bytes());
        self
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id of the trace.
    pub fn trace_id(&self) -> &str {
        &self.as_str()[3..35]
    }

    /// As a header says it.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.0).ok()
    }
}

impl Debug for Traceparent {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether these are hex digits in lower case. Each request has fifty: eight are looked at at once, in the bytes of a number. To each of them
/// is added what makes its highest bit say whether it is a certain digit or beyond.
fn is_hex(digits: &[u8]) -> bool {
    const fn in_each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    const SAYS: u64 = in_each(0x80);
    let are_hex = |digits: &[u8; 8]| {
        let digits = u64::from_ne_bytes(*digits);
        // Beyond 0x7f it would be carried into the next byte.
        let are_ascii = digits & SAYS == 0;
        let from = |first: u8| digits.wrapping_add(in_each(0x80 - first));
        let numbers = from(b'0') & !from(b'9' + 1);
        let letters = from(b'a') & !from(b'f' + 1);
        are_ascii && (numbers | letters) & SAYS == SAYS
    };
    let (eights, rest) = digits.as_chunks();
    let mut last = [b'0'; 8];
    last[..rest.len()].copy_from_slice(rest);
    eights.iter().all(are_hex) && are_hex(&last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_sound_is_kept_as_it_is() {
        let sound = Traceparent::parse(SOUND).unwrap();
        assert_eq!(sound.as_str(), SOUND);
        assert_eq!(sound.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(sound.header().unwrap(), SOUND);
        assert_eq!(format!("{sound:?}"), SOUND);
        for odd in [
            "",
            "x",
            &SOUND.replace("-01", ""),
            &SOUND.replace("00-", "ff-"),
            &SOUND.replace("0af7", "0AF7"),
            &SOUND.replace("b7ad6b7169203331", "0000000000000000"),
            &SOUND.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &SOUND.replace("c-b7", "cdb7"),
            &format!("{SOUND}-{}", "x".repeat(200)),
        ] {
            assert_eq!(Traceparent::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn every_byte_is_looked_at() {
        for byte in 0..=u8::MAX {
            let expected = b"0123456789abcdef".contains(&byte);
            for place in 0..11 {
                let mut digits = *b"0f9a5b3c7d1";
                digits[place] = byte;
                assert_eq!(is_hex(&digits), expected, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn another_span_is_in_the_same_trace() {
        let other = Traceparent::parse(SOUND).unwrap().within(0x0abc);
        let expected = SOUND.replace("b7ad6b7169203331", "0000000000000abc");
        assert_eq!(other.as_str(), expected);
    }
}
