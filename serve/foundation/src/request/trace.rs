//! W3C Trace Context, level 1: whose trace a request belongs to, and the span that is ours.

use axum::http::{HeaderMap, HeaderValue};

use super::TRACEPARENT;
use crate::clock::Randomness;

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    parent_id: Option<[u8; 8]>,
    span_id: [u8; 8],
    sampled: bool,
}

impl TraceContext {
    /// Starts a trace. It is sampled: every request has its log line.
    #[must_use]
    pub fn start(randomness: &dyn Randomness) -> Self {
        let mut trace_id = [0; 16];
        randomness.fill(&mut trace_id);
        // All zeros means no trace.
        trace_id[15] |= u8::from(trace_id == [0; 16]);
        Self { trace_id, parent_id: None, span_id: new_span(randomness), sampled: true }
    }

    /// Continues the trace of `traceparent`, as the header has it, in a span of our own.
    #[must_use]
    pub fn continued(traceparent: &str, randomness: &dyn Randomness) -> Option<Self> {
        let (trace_id, parent_id, sampled) = parse(traceparent.as_bytes())?;
        Some(Self { trace_id, parent_id: Some(parent_id), span_id: new_span(randomness), sampled })
    }

    /// Continues the trace in the headers, or starts one.
    pub(super) fn of(headers: &HeaderMap, randomness: &dyn Randomness) -> Self {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let sent = values.next().filter(|_| values.next().is_none());
        sent.and_then(|value| value.to_str().ok())
            .and_then(|value| Self::continued(value, randomness))
            .unwrap_or_else(|| Self::start(randomness))
    }

    /// A span within this one, for work that it hands to others.
    #[must_use]
    pub fn child(&self, randomness: &dyn Randomness) -> Self {
        Self { parent_id: Some(self.span_id), span_id: new_span(randomness), ..*self }
    }

    /// The trace, in 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex(&self.trace_id)
    }

    /// Our span, in 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        hex(&self.span_id)
    }

    /// The span that called us, if it said so.
    #[must_use]
    pub fn parent_id(&self) -> Option<String> {
        self.parent_id.map(|parent| hex(&parent))
    }

    /// The header's value: our span as the parent of what follows.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-0{}", self.trace_id(), self.span_id(), u8::from(self.sampled))
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.traceparent()).expect("hexadecimal digits and hyphens")
    }
}

fn new_span(randomness: &dyn Randomness) -> [u8; 8] {
    let mut span_id = [0; 8];
    randomness.fill(&mut span_id);
    span_id[7] |= u8::from(span_id == [0; 8]);
    span_id
}

/// `version-trace-parent-flags`. A later version may add fields after another hyphen; version ff is none.
fn parse(sent: &[u8]) -> Option<([u8; 16], [u8; 8], bool)> {
    let fields = sent.get(..55)?;
    let [version] = unhex::<1>(&fields[..2])?;
    let rest = &sent[55..];
    let fits = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest[0] == b'-',
    };
    let separated = [2, 35, 52].iter().all(|at| fields[*at] == b'-');
    let trace_id = unhex::<16>(&fields[3..35])?;
    let parent_id = unhex::<8>(&fields[36..52])?;
    let [flags] = unhex::<1>(&fields[53..55])?;
    let valid = fits && separated && trace_id != [0; 16] && parent_id != [0; 8];
    valid.then_some((trace_id, parent_id, flags & 1 == 1))
}

fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Upper case is not allowed.
fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::CountingRandomness;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn continued(sent: &str) -> Option<TraceContext> {
        TraceContext::continued(sent, &CountingRandomness::default())
    }

    #[test]
    fn a_trace_is_continued_in_a_span_of_our_own() {
        let trace = continued(SENT).expect("valid");
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent_id().as_deref(), Some("00f067aa0ba902b7"));
        assert_ne!(trace.span_id(), "00f067aa0ba902b7");
        assert_eq!(trace.traceparent(), format!("00-{}-{}-01", trace.trace_id(), trace.span_id()));
        assert!(continued(&SENT.replace("-01", "-00")).expect("valid").traceparent().ends_with("-00"));
        assert!(continued(&format!("cc{}-later", &SENT[2..])).is_some(), "a later version may say more");
    }

    #[test]
    fn what_is_not_valid_starts_a_new_trace() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let bad = [
            "",
            zeros,
            zero_parent,
            &SENT[..54],
            &SENT.to_uppercase(),
            &format!("{SENT}-more"),
            &format!("ff{}", &SENT[2..]),
            &format!("cc{}x", &SENT[2..]),
            &SENT.replace("-00f", "_00f"),
            &SENT.replace("4bf", "4bg"),
        ];
        for sent in bad {
            assert_eq!(continued(sent), None, "{sent}");
        }
        let mut twice = HeaderMap::new();
        twice.append(TRACEPARENT, HeaderValue::from_static(SENT));
        twice.append(TRACEPARENT, HeaderValue::from_static(SENT));
        let started = TraceContext::of(&twice, &CountingRandomness::default());
        assert_eq!(started.parent_id(), None, "two parents are none");
    }
}
