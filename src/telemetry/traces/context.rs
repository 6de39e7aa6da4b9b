//! `traceparent` and `tracestate`, as W3C Trace Context writes them (<https://www.w3.org/TR/trace-context/>).

use axum::http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use std::str::FromStr;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The recommendation asks for at least this.
const STATE_BYTES_MAX: usize = 512;

/// The span of the caller that a request names; `None` without one, or with one that is malformed.
pub fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    let (trace, span, flags) = parse(field.to_str().ok()?)?;
    Some(SpanContext::new(trace, span, flags, true, state(headers)))
}

/// What is malformed is left out, and the trace goes on.
fn state(headers: &HeaderMap) -> TraceState {
    let fields: Option<Vec<&str>> = headers.get_all(TRACESTATE).iter().map(|field| field.to_str().ok()).collect();
    let joined = fields.map(|fields| fields.join(",")).filter(|text| text.len() <= STATE_BYTES_MAX);
    let is_named = |text: &String| text.split(',').all(|member| !member.trim().starts_with('='));
    joined.filter(is_named).and_then(|text| TraceState::from_str(&text).ok()).unwrap_or_default()
}

/// `00-<32 digits>-<16 digits>-<2 digits>`; a later version may go on after that.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut parts = text.splitn(5, '-');
    let mut part = |digits| parts.next().filter(|part| part.len() == digits && part.bytes().all(is_digit));
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok().filter(|id| *id != TraceId::INVALID)?;
    let span = SpanId::from_hex(span).ok().filter(|id| *id != SpanId::INVALID)?;
    // Other flags are of no version that is known.
    Some((trace, span, TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1)))
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The same for an answer, or for a request to another service.
pub fn written(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_well_formed_parents_are_taken() {
        let (trace, span, flags) = parse(SENT).expect("well-formed");
        assert_eq!(written(&SpanContext::new(trace, span, flags, true, TraceState::default())), SENT);
        assert!(
            parse(&SENT.replace("00-4", "cc-4")).is_some() && parse(&(SENT.replace("00-4", "cc-4") + "-x")).is_some()
        );
        assert!(parse(&SENT.replace("-01", "-fe")).is_some_and(|(_, _, flags)| !flags.is_sampled()));
        for malformed in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(parse(malformed).is_none(), "{malformed}");
        }
    }

    #[test]
    fn one_parent_is_taken_and_a_bad_state_is_left_out() {
        let with = |fields: &[(&'static str, String)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().expect("a value"));
            }
            parent(&headers).map(|parent| parent.trace_state().header())
        };
        let sent = |state: &str| with(&[(TRACEPARENT, SENT.to_owned()), (TRACESTATE, state.to_owned())]);
        assert_eq!(sent("a=1,b=2").as_deref(), Some("a=1,b=2"));
        assert_eq!([sent("="), sent("a"), sent("a=1,=2")], [(); 3].map(|()| Some(String::new())));
        assert_eq!(sent(&format!("a={}", "x".repeat(600))).as_deref(), Some(""));
        assert_eq!(with(&[(TRACEPARENT, SENT.to_owned()), (TRACEPARENT, SENT.to_owned())]), None);
    }
}
