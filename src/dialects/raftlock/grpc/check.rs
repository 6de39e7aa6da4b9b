//! RaftLock's own checks of requests, in its order and with its messages. Lengths are in bytes.

use crate::dialects::raftlock::proto::{
    AcquireRequest, CancelWaitRequest, EnqueueWaiterRequest, ErrorCode, ErrorDetail, GetLocksRequest, LockFilter,
    ReleaseRequest, RenewRequest,
};
use prost::Message;
use prost_types::{Duration as Span, Timestamp as Moment};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Status};

/// The time to live of requests that name none, and how long those wait that name no time.
pub const TTL_DEFAULT_MS: u64 = 30_000;
pub const WAIT_DEFAULT_MS: u64 = 30_000;
const ID_BYTES_MAX: usize = 256;
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(24 * 3600);
const ACQUIRE_TTL_MAX: Duration = Duration::from_secs(300);
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const METADATA_ENTRIES_MAX: usize = 32;
const METADATA_KEY_BYTES_MAX: usize = 64;
const METADATA_VALUE_BYTES_MAX: usize = 256;
const REQUEST_ID_BYTES_MAX: usize = 128;
/// The range of a protobuf Timestamp: the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const PATTERN_BYTES_MAX: usize = 256;
/// Locks in one answer of GetLocks.
pub const PAGE_MAX: i32 = 1000;

pub fn acquire(asked: &AcquireRequest) -> Result<(), Status> {
    lock_and_client(&asked.lock_id, &asked.client_id)?;
    span("ttl", asked.ttl.as_ref(), TTL_MAX)?;
    span("timeout", asked.wait_timeout.as_ref(), TIMEOUT_MAX)?;
    priority(asked.priority)?;
    metadata(&asked.metadata)?;
    length("request_id", "request_id", &asked.request_id, REQUEST_ID_BYTES_MAX)?;
    span("ttl", asked.ttl.as_ref(), ACQUIRE_TTL_MAX)
}

pub fn release(asked: &ReleaseRequest) -> Result<(), Status> {
    lock_and_client(&asked.lock_id, &asked.client_id)?;
    positive_version(asked.version)
}

pub fn renew(asked: &RenewRequest) -> Result<(), Status> {
    lock_and_client(&asked.lock_id, &asked.client_id)?;
    positive_version(asked.version)?;
    checked(asked.new_ttl.is_some(), "new_ttl", "<nil>", "new_ttl is required")?;
    span("ttl", asked.new_ttl.as_ref(), TTL_MAX)
}

pub fn enqueue(asked: &EnqueueWaiterRequest) -> Result<(), Status> {
    lock_and_client(&asked.lock_id, &asked.client_id)?;
    checked(asked.timeout.is_some(), "timeout", "<nil>", "timeout is required for enqueue waiter")?;
    span("timeout", asked.timeout.as_ref(), TIMEOUT_MAX)?;
    priority(asked.priority)?;
    version(asked.version)
}

pub fn cancel(asked: &CancelWaitRequest) -> Result<(), Status> {
    lock_and_client(&asked.lock_id, &asked.client_id)?;
    version(asked.version)
}

pub fn list(asked: &GetLocksRequest) -> Result<(), Status> {
    if let Some(wanted) = &asked.filter {
        filter(wanted)?;
    }
    checked(asked.limit >= 0, "limit", asked.limit, "limit cannot be negative")?;
    checked(asked.limit <= PAGE_MAX, "limit", asked.limit, format_args!("limit cannot exceed {PAGE_MAX}"))?;
    checked(asked.offset >= 0, "offset", asked.offset, "offset cannot be negative")
}

pub fn lock_id(id: &str) -> Result<(), Status> {
    identifier("lock_id", id)
}

fn lock_and_client(lock_id: &str, client_id: &str) -> Result<(), Status> {
    identifier("lock_id", lock_id)?;
    identifier("client_id", client_id)
}

fn identifier(field: &'static str, id: &str) -> Result<(), Status> {
    checked(!id.is_empty(), field, id, format_args!("{field} cannot be empty"))?;
    if id.len() > ID_BYTES_MAX {
        let text = format!("{field} must be a non-empty string with length <= {ID_BYTES_MAX} characters");
        return Err(invalid(field, &format!("len:{}", id.len()), &text));
    }
    if id.contains(['\0', '\n', '\r', '\t']) {
        let text = format!("{field} contains invalid characters (null, newline, tab)");
        return Err(invalid(field, &id.escape_default().to_string(), &text));
    }
    Ok(())
}

/// A span that is there must be within its bounds; zero is not.
fn span(field: &'static str, span: Option<&Span>, longest: Duration) -> Result<(), Status> {
    let Some(span) = span else { return Ok(()) };
    if Duration::try_from(*span).is_ok_and(|span| (TTL_MIN..=longest).contains(&span)) {
        return Ok(());
    }
    let text = format!("{field} must be between {} and {}", go(TTL_MIN), go(longest));
    Err(invalid(field, &go_span(span), &text))
}

fn priority(priority: i32) -> Result<(), Status> {
    let is_sound = (-1000..=1000).contains(&priority);
    checked(is_sound, "priority", priority, "priority must be between -1000 and 1000")
}

fn positive_version(version: i64) -> Result<(), Status> {
    checked(version > 0, "version", version, "version must be positive")
}

fn version(version: i64) -> Result<(), Status> {
    checked(version >= 0, "version", version, "version cannot be negative")
}

fn checked(is_sound: bool, field: &str, value: impl ToString, text: impl ToString) -> Result<(), Status> {
    if is_sound { Ok(()) } else { Err(invalid(field, &value.to_string(), &text.to_string())) }
}

/// `what` is its name in the message, `field` in the detail.
fn length(what: &str, field: &str, text: &str, bytes_max: usize) -> Result<(), Status> {
    checked(
        text.len() <= bytes_max,
        field,
        format_args!("len:{}", text.len()),
        format_args!("{what} length cannot exceed {bytes_max} characters"),
    )
}

fn metadata(metadata: &BTreeMap<String, String>) -> Result<(), Status> {
    if metadata.len() > METADATA_ENTRIES_MAX {
        let text = format!("metadata cannot have more than {METADATA_ENTRIES_MAX} entries");
        return Err(invalid("metadata", &format!("entry_count: {}", metadata.len()), &text));
    }
    for (key, value) in metadata {
        checked(!key.is_empty(), "metadata.key", "", "metadata key cannot be empty")?;
        length("metadata key", "metadata.key", key, METADATA_KEY_BYTES_MAX)?;
        length("metadata value", "metadata.value", value, METADATA_VALUE_BYTES_MAX)?;
    }
    Ok(())
}

fn filter(filter: &LockFilter) -> Result<(), Status> {
    let refused = |name: &str, value: &str, text: &str| Err(invalid(&format!("filter.{name}"), value, text));
    let patterns = [("lock_id_pattern", &filter.lock_id_pattern), ("owner_id_pattern", &filter.owner_id_pattern)];
    if let Some((name, long)) = patterns.iter().find(|(_, pattern)| pattern.len() > PATTERN_BYTES_MAX) {
        let text = format!("{name} too long (max {PATTERN_BYTES_MAX})");
        return refused(name, &format!("len:{}", long.len()), &text);
    }
    let is_sound = |at: &Moment| SECONDS.contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos);
    let moments = [("expires_before", &filter.expires_before), ("expires_after", &filter.expires_after)];
    if let Some((name, _)) = moments.iter().find(|(_, at)| !at.as_ref().is_none_or(is_sound)) {
        return refused(name, "", &format!("invalid timestamp for {name}"));
    }
    metadata(&filter.metadata_filter).map_err(|status| invalid("filter.metadata_filter", "", status.message()))
}

/// RaftLock's refusal: the message, and the field in a detail.
pub fn invalid(field: &str, value: &str, text: &str) -> Status {
    detailed(Code::InvalidArgument, ErrorCode::InvalidArgument, text, &[("field", field), ("value", value)])
}

/// A status with RaftLock's detail, which its Go client reads.
pub fn detailed(code: Code, error: ErrorCode, text: &str, details: &[(&str, &str)]) -> Status {
    let details = details.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    let detail = ErrorDetail { code: error.into(), message: text.to_owned(), details };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/raftlock.ErrorDetail".to_owned(),
        value: detail.encode_to_vec(),
    };
    let status = RpcStatus { code: code as i32, message: text.to_owned(), details: vec![any] };
    Status::with_details(code, text, status.encode_to_vec().into())
}

/// `google.rpc.Status`, what `grpc-status-details-bin` carries.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// Whole seconds as Go writes a duration: `1s`, `5m0s`, `24h0m0s`.
fn go(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn go_span(span: &Span) -> String {
    match Duration::try_from(*span) {
        Ok(span) if span.is_zero() => "0s".to_owned(),
        Ok(span) if span < Duration::from_secs(1) => format!("{}ms", span.as_micros() as f64 / 1000.0),
        Ok(span) if span.subsec_nanos() == 0 => go(span),
        Ok(span) => format!("{}s", span.as_secs_f64()),
        Err(_) => format!("{}s", span.seconds as f64 + f64::from(span.nanos) / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(checked: Result<(), Status>) -> String {
        checked.expect_err("refused").message().to_owned()
    }

    fn asked() -> AcquireRequest {
        AcquireRequest { lock_id: "a".into(), client_id: "c".into(), ..AcquireRequest::default() }
    }

    fn seconds(seconds: i64, nanos: i32) -> Option<Span> {
        Some(Span { seconds, nanos })
    }

    #[test]
    fn spans_have_bounds_and_zero_is_none_of_them() {
        let ttl = |ttl| acquire(&AcquireRequest { ttl, ..asked() });
        assert!(ttl(None).is_ok() && ttl(seconds(1, 0)).is_ok() && ttl(seconds(300, 0)).is_ok());
        assert_eq!(words(ttl(seconds(0, 0))), "ttl must be between 1s and 24h0m0s");
        assert_eq!(words(ttl(seconds(300, 1))), "ttl must be between 1s and 5m0s");
        assert_eq!(words(ttl(seconds(-1, 0))), "ttl must be between 1s and 24h0m0s");
        let wait = acquire(&AcquireRequest { wait_timeout: seconds(601, 0), ..asked() });
        assert_eq!(words(wait), "timeout must be between 1s and 10m0s");
    }

    #[test]
    fn identifiers_and_versions_are_shown_in_raftlocks_words() {
        let named = |lock_id: &str| acquire(&AcquireRequest { lock_id: lock_id.into(), ..asked() });
        assert_eq!(words(named("")), "lock_id cannot be empty");
        let long = "lock_id must be a non-empty string with length <= 256 characters";
        assert_eq!(words(named(&"x".repeat(257))), long);
        assert!(named(&"x".repeat(256)).is_ok());
        assert_eq!(words(named("a\tb")), "lock_id contains invalid characters (null, newline, tab)");
        let version = |version| release(&ReleaseRequest { lock_id: "a".into(), client_id: "c".into(), version });
        assert_eq!(words(version(0)), "version must be positive");
        assert!(version(1).is_ok());
    }

    #[test]
    fn metadata_is_bounded() {
        let with = |metadata| acquire(&AcquireRequest { metadata, ..asked() });
        let entries = |count: usize| (0..count).map(|at| (at.to_string(), String::new())).collect();
        assert!(with(entries(32)).is_ok());
        assert_eq!(words(with(entries(33))), "metadata cannot have more than 32 entries");
        let one = |key: String, value: String| with(BTreeMap::from([(key, value)]));
        assert_eq!(words(one(String::new(), String::new())), "metadata key cannot be empty");
        assert_eq!(words(one("k".repeat(65), String::new())), "metadata key length cannot exceed 64 characters");
        assert_eq!(words(one("k".into(), "v".repeat(257))), "metadata value length cannot exceed 256 characters");
    }

    #[test]
    fn filter_timestamps_outside_years_1_to_9999_are_refused() {
        let at = |seconds, nanos| Some(Moment { seconds, nanos });
        let before = |at| filter(&LockFilter { expires_before: at, ..LockFilter::default() });
        let after = |at| filter(&LockFilter { expires_after: at, ..LockFilter::default() });
        for sound in [at(-62_135_596_800, 0), at(253_402_300_799, 999_999_999), at(-1, 0), None] {
            assert!(before(sound).is_ok() && after(sound).is_ok(), "{sound:?}");
        }
        for unsound in [
            at(-62_135_596_801, 0),
            at(253_402_300_800, 0),
            at(i64::MAX, 0),
            at(i64::MIN, 0),
            at(0, -1),
            at(0, 1_000_000_000),
        ] {
            assert_eq!(words(before(unsound)), "invalid timestamp for expires_before");
            assert_eq!(words(after(unsound)), "invalid timestamp for expires_after");
        }
    }

    #[test]
    fn refusal_has_field_and_value_in_a_detail() {
        let long = AcquireRequest { request_id: "k".repeat(129), ..asked() };
        let short = AcquireRequest { ttl: seconds(0, 500_000_000), ..asked() };
        for (asked, field, value) in [(short, "ttl", "500ms"), (long, "request_id", "len:129")] {
            let status = acquire(&asked).expect_err("refused");
            let carried = RpcStatus::decode(status.details()).expect("sound");
            let detail = ErrorDetail::decode(&*carried.details[0].value).expect("sound");
            assert_eq!(detail.code(), ErrorCode::InvalidArgument);
            assert_eq!((&*detail.details["field"], &*detail.details["value"]), (field, value));
        }
    }
}
