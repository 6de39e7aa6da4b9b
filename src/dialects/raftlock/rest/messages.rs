//! The messages of lock/unlock JSON: requests, then answers.

use crate::domain::{Limits, Metadata};
use crate::http::endpoint::ErrorShape;
use crate::http::json_object::{FieldName, Trailing, Value, parse};
use crate::http::seconds::DurationField;
use crate::http::unknown_fields::UnknownFields;
use crate::http::{Failure, idempotency};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Debug, ToSchema)]
#[schema(as = LockResource)]
pub struct LockRequest<'a> {
    /// UTF-8 without NUL.
    #[schema(value_type = String, format = "lock-name")]
    pub resource: Cow<'a, str>,
    /// The lease in seconds. Absent: `locks.lock_unlock_ttl` of the server.
    #[schema(rename = "ttl", value_type = f64, required = false)]
    pub ttl_ms: u64,
    /// How many seconds to wait in the queue. Absent: it tries once.
    #[schema(rename = "wait", value_type = f64, required = false)]
    pub wait_ms: u64,
    /// What others may know about the holder.
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    pub metadata: Metadata,
    /// The same as the header `Idempotency-Key`.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 255)]
    pub request_id: Option<Cow<'a, str>>,
}

impl<'a> LockRequest<'a> {
    pub fn parse(
        body: &'a [u8],
        limits: &Limits,
        default_ttl_ms: u64,
        unknown: UnknownFields,
    ) -> Result<LockRequest<'a>, Failure> {
        static FIELDS: [FieldName; 5] = [
            FieldName::word("resource"),
            FieldName::word("ttl"),
            FieldName::word("wait"),
            FieldName::word("metadata"),
            FieldName::word(idempotency::FIELD),
        ];
        let [resource, ttl, wait, metadata, request_id] = parse(body, &FIELDS, Trailing::Refused, unknown)?;
        let (lease_field, wait_field) = (DurationField::lease("ttl", limits), DurationField::wait("wait", limits));
        Ok(LockRequest {
            ttl_ms: ttl.number("ttl")?.map_or(Ok(default_ttl_ms), |seconds| lease_field.ms(seconds))?,
            wait_ms: wait.number("wait")?.map_or(Ok(0), |seconds| wait_field.ms(seconds))?,
            resource: needed(resource, "resource")?,
            metadata: metadata.map("metadata")?,
            request_id: request_id.text(idempotency::FIELD)?,
        })
    }
}

#[derive(Debug, ToSchema)]
#[schema(as = UnlockResource)]
pub struct UnlockRequest<'a> {
    /// As `POST /lock` answered it.
    #[schema(value_type = String)]
    pub lock_id: Cow<'a, str>,
}

impl<'a> UnlockRequest<'a> {
    pub fn parse(body: &'a [u8], unknown: UnknownFields) -> Result<UnlockRequest<'a>, Failure> {
        static FIELDS: [FieldName; 1] = [FieldName::word("lock_id")];
        let [lock_id] = parse(body, &FIELDS, Trailing::Refused, unknown)?;
        Ok(UnlockRequest { lock_id: needed(lock_id, "lock_id")? })
    }
}

fn needed<'a>(value: Value<'a>, name: &'static str) -> Result<Cow<'a, str>, Failure> {
    match value.text(name)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(Failure::field(name, format!("{name} is needed: a string that is not empty"))),
    }
}

/// The lock is taken.
#[derive(Serialize, ToSchema)]
#[schema(as = ResourceLocked)]
pub struct Locked<'a> {
    /// Names the lock and this hold of it; unlocks it.
    pub lock_id: String,
    pub resource: &'a str,
    /// Higher than every token given before.
    pub fencing_token: u64,
    /// Until the lock is released by itself.
    pub expires_in_seconds: Option<f64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResourceUnlocked)]
pub struct Unlocked<'a> {
    pub lock_id: &'a str,
    pub released: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResourceError)]
pub struct ErrorAnswer<'a> {
    pub error: ErrorBody<'a>,
    /// Who is in the way, when the lock is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder<'a>>,
}

impl ErrorShape for ErrorAnswer<'_> {}

#[derive(Serialize, ToSchema)]
pub struct ErrorBody<'a> {
    /// Stable name of the error.
    #[schema(example = "held")]
    pub code: &'a str,
    pub message: &'a str,
    /// The same request may succeed later, and sending it again does no harm.
    pub retryable: bool,
    /// The field of the request that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'a str>,
    /// The bound that was exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The key of the server's `config.toml` that sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_key: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
pub struct Holder<'a> {
    /// The metadata that the holder gave.
    pub metadata: BTreeMap<&'a str, &'a str>,
    pub fencing_token: u64,
    pub held_for_seconds: f64,
    /// Until it ends if nothing more is heard of its owner; null with neither a lease nor a session.
    pub remaining_seconds: Option<f64>,
    /// How many wait for this lock.
    pub queue_length: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { lease_ms_max: 720 * 3_600_000, wait_ms_max: 24 * 3_600_000, ..Limits::default() }
    }

    fn lock(body: &str) -> Result<LockRequest<'_>, Failure> {
        LockRequest::parse(body.as_bytes(), &limits(), 30_000, UnknownFields::Refuse)
    }

    #[test]
    fn only_the_resource_is_needed() {
        let request = LockRequest::parse(br#"{"resource":"a","other":1}"#, &limits(), 30_000, UnknownFields::Ignore)
            .expect("read");
        assert_eq!((&*request.resource, request.ttl_ms, request.wait_ms), ("a", 30_000, 0));
        let request = lock(r#"{"resource":"a","ttl":0.25,"wait":"2","metadata":{"who":"me"}}"#).expect("read");
        assert_eq!((request.ttl_ms, request.wait_ms), (250, 2_000));
        assert_eq!(request.metadata.iter().collect::<Vec<_>>(), [("who", "me")]);
    }

    #[test]
    fn bad_fields_are_refused_by_name() {
        for (body, field) in [
            ("", Some("resource")),
            ("{}", Some("resource")),
            (r#"{"resource":""}"#, Some("resource")),
            (r#"{"resource":7}"#, Some("resource")),
            (r#"{"resource":"a","ttl":0}"#, Some("ttl")),
            (r#"{"resource":"a","ttl":-1}"#, Some("ttl")),
            (r#"{"resource":"a","ttl":1e308}"#, Some("ttl")),
            (r#"{"resource":"a","ttl":"soon"}"#, Some("ttl")),
            (r#"{"resource":"a","wait":9223372036854775808}"#, Some("wait")),
            (r#"{"resource":"a","metadata":[]}"#, Some("metadata")),
            (r#"{"resource":"a"} x"#, None),
            (r#"{"resource":"a","tll":5}"#, None),
            ("resource=a&ttl=5", None),
            ("[]", None),
        ] {
            let failure = lock(body).expect_err(body);
            assert_eq!((failure.field, failure.code.status().as_u16()), (field, 400), "{body}");
        }
        assert_eq!(UnlockRequest::parse(b"{}", UnknownFields::Refuse).expect_err("refused").field, Some("lock_id"));
    }
}
