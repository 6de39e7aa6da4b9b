//! The messages of sessions v1: names as LDLM has them, fractions of a second, waiting and metadata added.

use crate::dialects::ldlm::error::{self, LockError};
use crate::domain::{Limits, Metadata};
use crate::http::json_object::{FieldName, Trailing, Value, describe_non_json, parse};
use crate::http::seconds::DurationField;
use crate::http::unknown_fields::UnknownFields;
use crate::http::{Code, Failure};
use std::borrow::Cow;
use utoipa::ToSchema;

const NAME: FieldName = FieldName::word("name");
const KEY: FieldName = FieldName::word("key");
const SIZE: FieldName = FieldName::word("size");
const LOCK_TIMEOUT: FieldName = FieldName { name: "lock_timeout_seconds", alias: "lockTimeoutSeconds" };
const WAIT_TIMEOUT: FieldName = FieldName { name: "wait_timeout_seconds", alias: "waitTimeoutSeconds" };
const IDLE_TIMEOUT: FieldName = FieldName { name: "idle_timeout_seconds", alias: "idleTimeoutSeconds" };
const METADATA: FieldName = FieldName::word("metadata");
const REQUEST_ID: FieldName = FieldName { name: "request_id", alias: "requestId" };

/// All fields that any of the messages has.
pub const FIELDS: [&str; 8] = [
    NAME.name,
    KEY.name,
    SIZE.name,
    LOCK_TIMEOUT.name,
    WAIT_TIMEOUT.name,
    METADATA.name,
    REQUEST_ID.name,
    IDLE_TIMEOUT.name,
];

pub const IN_BODY: &str = "send it as a field of the JSON body";

/// A duration as asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    Absent,
    Negative,
    /// 0, which means without end to LDLM.
    Zero,
    Ms(u64),
    /// Longer than the limit allows.
    TooLong,
}

impl Timeout {
    pub fn ms(self) -> Option<u64> {
        if let Timeout::Ms(ms) = self { Some(ms) } else { None }
    }
}

// No field has a `default` in its schema: generators would make it a required one.
#[derive(Debug, ToSchema)]
pub struct LockRequest<'a> {
    /// UTF-8 without NUL.
    #[schema(value_type = String, format = "lock-name")]
    pub name: Cow<'a, str>,
    /// The lease. Absent or 0: as long as the session.
    #[schema(rename = "lock_timeout_seconds", value_type = f64, required = false)]
    pub lock_timeout: Timeout,
    /// How long to wait in the queue. Absent or 0: try once.
    #[schema(rename = "wait_timeout_seconds", value_type = f64, required = false)]
    pub wait_timeout: Timeout,
    /// How many may hold the lock at once. Absent: 1.
    #[schema(required = false)]
    pub size: i32,
    /// What others may know about the holder.
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    pub metadata: Metadata,
    /// The same as the header `Idempotency-Key`.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 255)]
    pub request_id: Option<Cow<'a, str>>,
}

const fn lease_field(limits: &Limits) -> DurationField {
    DurationField { zero: true, ..DurationField::lease(LOCK_TIMEOUT.name, limits) }
}

const fn wait_field(limits: &Limits) -> DurationField {
    DurationField::wait(WAIT_TIMEOUT.name, limits)
}

impl<'a> LockRequest<'a> {
    pub fn parse(body: &'a [u8], limits: &Limits, unknown: UnknownFields) -> Result<LockRequest<'a>, Failure> {
        static FIELDS: [FieldName; 6] = [NAME, SIZE, LOCK_TIMEOUT, WAIT_TIMEOUT, METADATA, REQUEST_ID];
        let [name, size, lock_timeout, wait_timeout, metadata, request_id] =
            parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        Ok(LockRequest {
            name: text(name, &NAME)?,
            size: int32(size)?.unwrap_or(1),
            lock_timeout: timeout(lock_timeout, lease_field(limits))?,
            wait_timeout: timeout(wait_timeout, wait_field(limits))?,
            metadata: metadata.map(METADATA.name)?,
            request_id: request_id.text(REQUEST_ID.name)?,
        })
    }

    /// A time beyond its limit, which LDLM does not have.
    pub fn limit_exceeded(&self, limits: &Limits) -> Option<Failure> {
        let times = [(self.lock_timeout, lease_field(limits)), (self.wait_timeout, wait_field(limits))];
        times.into_iter().find(|(asked, _)| *asked == Timeout::TooLong).map(|(_, field)| field.out_of_range())
    }

    /// Why the message is not carried out although it can be read, and whether LDLM's answer has a key: answered 200 with this
    /// `error` object, as LDLM does.
    pub fn invalid(&self) -> Option<(LockError, bool)> {
        let is_negative = |timeout| timeout == Timeout::Negative;
        error::invalid(is_negative(self.lock_timeout), is_negative(self.wait_timeout), &self.name, self.size)
    }
}

#[derive(Debug, PartialEq, ToSchema)]
pub struct SessionRequest {
    /// How long it shall live without a request, up to `sessions.idle_timeout_max`. Absent: `sessions.idle_timeout`.
    #[schema(rename = "idle_timeout_seconds", value_type = f64, required = false)]
    pub idle_timeout_ms: Option<u64>,
}

impl SessionRequest {
    /// LDLM reads no body here, so a body that is neither an object nor a form counts as empty.
    pub fn parse(body: &[u8], idle_ms_max: u64, unknown: UnknownFields) -> Result<SessionRequest, Failure> {
        static FIELDS: [FieldName; 1] = [IDLE_TIMEOUT];
        if !body.trim_ascii_start().starts_with(b"{") {
            let advice = describe_non_json(body).filter(|_| unknown == UnknownFields::Refuse);
            let refused = |advice| Err(Failure::new(Code::MalformedBody, advice));
            return advice.map_or(Ok(SessionRequest { idle_timeout_ms: None }), refused);
        }
        let [idle_timeout] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        let field = DurationField {
            name: IDLE_TIMEOUT.name,
            zero: false,
            limit_ms: idle_ms_max,
            config_key: "sessions.idle_timeout_max",
        };
        let seconds = idle_timeout.number(field.name)?;
        Ok(SessionRequest { idle_timeout_ms: seconds.map(|seconds| field.ms(seconds)).transpose()? })
    }
}

#[derive(Debug, ToSchema)]
pub struct UnlockRequest<'a> {
    /// UTF-8 without NUL.
    #[schema(value_type = String, format = "lock-name")]
    pub name: Cow<'a, str>,
    /// Shows the right to renew and to release; a UUID, to be sent as it came.
    #[schema(value_type = String)]
    pub key: Cow<'a, str>,
}

impl<'a> UnlockRequest<'a> {
    pub fn parse(body: &'a [u8], unknown: UnknownFields) -> Result<UnlockRequest<'a>, Failure> {
        static FIELDS: [FieldName; 2] = [NAME, KEY];
        let [name, key] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        Ok(UnlockRequest { name: text(name, &NAME)?, key: text(key, &KEY)? })
    }
}

#[derive(Debug, ToSchema)]
pub struct RenewRequest<'a> {
    /// UTF-8 without NUL.
    #[schema(value_type = String, format = "lock-name")]
    pub name: Cow<'a, str>,
    /// Shows the right to renew and to release; a UUID, to be sent as it came.
    #[schema(value_type = String)]
    pub key: Cow<'a, str>,
    /// The new lease, from now; must be greater than 0.
    #[schema(rename = "lock_timeout_seconds", value_type = f64)]
    pub lock_timeout: Timeout,
}

impl<'a> RenewRequest<'a> {
    pub fn parse(body: &'a [u8], limits: &Limits, unknown: UnknownFields) -> Result<RenewRequest<'a>, Failure> {
        static FIELDS: [FieldName; 3] = [NAME, KEY, LOCK_TIMEOUT];
        let [name, key, lock_timeout] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        Ok(RenewRequest {
            name: text(name, &NAME)?,
            key: text(key, &KEY)?,
            lock_timeout: timeout(lock_timeout, lease_field(limits))?,
        })
    }

    /// The new lease. A request without a hold or a lease is invalid, whatever the state of the hold.
    pub fn lease_ms(&self, limits: &Limits) -> Result<u64, Failure> {
        for (field, value) in [(&NAME, &self.name), (&KEY, &self.key)] {
            if value.is_empty() {
                return Err(Failure::field(field.name, format!("{} is needed to renew a hold", field.name)));
            }
        }
        match self.lock_timeout {
            Timeout::Ms(ms) => Ok(ms),
            Timeout::Absent => Err(Failure::field(
                LOCK_TIMEOUT.name,
                "lock_timeout_seconds is needed to renew a hold: the seconds that it shall last from now",
            )),
            Timeout::TooLong => Err(lease_field(limits).out_of_range()),
            Timeout::Zero | Timeout::Negative => {
                Err(Failure::field(LOCK_TIMEOUT.name, "lock_timeout_seconds must be greater than 0 to renew a hold"))
            }
        }
    }
}

fn text<'a>(value: Value<'a>, field: &FieldName) -> Result<Cow<'a, str>, Failure> {
    Ok(value.text(field.name)?.unwrap_or_default())
}

/// A whole number of 32 bits: `3`, `"3"`, `2.0` and `1e0` are.
fn int32(value: Value<'_>) -> Result<Option<i32>, Failure> {
    let Some(number) = value.number(SIZE.name)? else {
        return Ok(None);
    };
    let fits = number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
    if fits {
        Ok(Some(number as i32))
    } else {
        let limit = i32::MAX;
        let detail = format!("invalid value for int32 field size: {number:e}, it must be a whole number up to {limit}");
        Err(Failure::field(SIZE.name, detail))
    }
}

fn timeout(value: Value<'_>, field: DurationField) -> Result<Timeout, Failure> {
    let Some(seconds) = value.number(field.name)? else {
        return Ok(Timeout::Absent);
    };
    // A negative int32 keeps LDLM's own answer; anything below that is not a number of seconds.
    if (f64::from(i32::MIN)..0.0).contains(&seconds) {
        return Ok(Timeout::Negative);
    }
    if field.is_beyond(seconds) {
        return Ok(Timeout::TooLong);
    }
    Ok(match field.ms(seconds)? {
        0 => Timeout::Zero,
        ms => Timeout::Ms(ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { lease_ms_max: 720 * 3_600_000, wait_ms_max: 24 * 3_600_000, ..Limits::default() }
    }

    fn lock(body: &str) -> Result<LockRequest<'_>, Failure> {
        LockRequest::parse(body.as_bytes(), &limits(), UnknownFields::Ignore)
    }

    #[test]
    fn both_spellings_and_all_number_formats_parse() {
        for body in [
            r#"{"name":"a","size":3,"lock_timeout_seconds":2.5,"wait_timeout_seconds":"1e0"}"#,
            r#"{"size":"3","lockTimeoutSeconds":"2.5","waitTimeoutSeconds":1,"name":"\u0061"} junk"#,
            r#"{"name":"a","size":3.0,"lock_timeout_seconds":2.4999,"wait_timeout_seconds":1.0,"unknown":[{"x":null}]}"#,
        ] {
            let request = lock(body).expect("read");
            assert_eq!((&*request.name, request.size), ("a", 3), "{body}");
            assert_eq!(
                (request.lock_timeout, request.wait_timeout),
                (Timeout::Ms(2_500), Timeout::Ms(1_000)),
                "{body}"
            );
        }
    }

    #[test]
    fn absent_null_zero_and_negative_differ() {
        for body in ["", " \n", "{}", r#"{"name":null,"size":null,"lock_timeout_seconds":null,"metadata":null}"#] {
            let request = lock(body).expect("read");
            assert_eq!((&*request.name, request.size, request.lock_timeout), ("", 1, Timeout::Absent));
            assert_eq!(request.invalid(), Some((error::NAME_EMPTY, true)));
        }
        let timeout =
            |text: &str| lock(&format!(r#"{{"name":"a","lock_timeout_seconds":{text}}}"#)).map(|r| r.lock_timeout);
        assert_eq!(timeout("0"), Ok(Timeout::Zero));
        assert_eq!(timeout("-0.5"), Ok(Timeout::Negative));
        assert_eq!(timeout("1e-9"), Ok(Timeout::Ms(1)));
    }

    #[test]
    fn invalid_values_are_refused_with_their_field() {
        for (body, field) in [
            (r#"{"name":5}"#, "name"),
            (r#"{"name":["a"]}"#, "name"),
            (r#"{"name":true}"#, "name"),
            (r#"{"size":2.5}"#, "size"),
            (r#"{"size":"abc"}"#, "size"),
            (r#"{"size":3000000000}"#, "size"),
            (r#"{"size":9223372036854775808}"#, "size"),
            (r#"{"lock_timeout_seconds":1e308}"#, "lock_timeout_seconds"),
            (r#"{"lock_timeout_seconds":1e999}"#, "lock_timeout_seconds"),
            (r#"{"lock_timeout_seconds":-1e308}"#, "lock_timeout_seconds"),
            (r#"{"lock_timeout_seconds":"NaN"}"#, "lock_timeout_seconds"),
            (r#"{"wait_timeout_seconds":"inf"}"#, "wait_timeout_seconds"),
            (r#"{"lock_timeout_seconds":1,"lockTimeoutSeconds":1}"#, "lock_timeout_seconds"),
            (r#"{"name":"a","name":"a"}"#, "name"),
            (r#"{"metadata":{"a":1}}"#, "metadata"),
            (r#"{"metadata":{"a":"1","a":"1"}}"#, "metadata"),
            (r#"{"metadata":"x"}"#, "metadata"),
        ] {
            let failure = lock(body).expect_err(body);
            assert_eq!(failure.field, Some(field), "{body}");
            assert!(failure.detail.contains(field), "{body}: {}", failure.detail);
            assert_eq!(failure.code.status(), 400);
        }
    }

    #[test]
    fn fields_of_other_messages_are_unknown() {
        let body = br#"{"name":"a","key":"k","size":"abc"}"#;
        let refused = UnlockRequest::parse(body, UnknownFields::Refuse).expect_err("refused");
        assert!(refused.detail.contains("\"size\" is not known"), "{refused:?}");
        let request = UnlockRequest::parse(body, UnknownFields::Ignore).expect("read");
        assert_eq!((&*request.name, &*request.key), ("a", "k"));
        let renew =
            RenewRequest::parse(br#"{"lockTimeoutSeconds":3}"#, &limits(), UnknownFields::Refuse).expect("read");
        assert_eq!(renew.lock_timeout, Timeout::Ms(3_000));
    }

    #[test]
    fn checks_run_in_ldlms_order() {
        let invalid = |body: &str| lock(body).expect("read").invalid();
        let body = r#"{"name":"","size":0,"lock_timeout_seconds":-1,"wait_timeout_seconds":-1}"#;
        assert_eq!(invalid(body), Some((error::LEASE_NOT_POSITIVE, false)));
        assert_eq!(invalid(r#"{"size":0,"wait_timeout_seconds":-1}"#), Some((error::WAIT_NOT_POSITIVE, false)));
        assert_eq!(invalid(r#"{"size":0}"#), Some((error::NAME_EMPTY, true)));
        assert_eq!(invalid(r#"{"name":"a","size":0}"#), Some((error::SIZE_NOT_POSITIVE, true)));
        assert_eq!(invalid(r#"{"name":"a"}"#), None);
    }
}
