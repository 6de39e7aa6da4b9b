//! The messages of sessions v1: names as LDLM has them, fractions of a second, waiting and metadata added.

use super::fields::{
    IDLE_TIMEOUT, KEY, LOCK_DELAY, LOCK_TIMEOUT, METADATA, MODE, NAME, NAMES, REQUEST_ID, SIZE, Timeout, WAIT_TIMEOUT,
    WEIGHT, int32, lease_field, text, timeout, wait_field,
};
use super::places::{Given, Places, read_names};
use crate::dialects::ldlm::error::{self, LockError};
use crate::domain::{Limits, Metadata, Name, Proof};
use crate::http::json_object::{FieldName, Trailing, Value, describe_non_json, parse};
use crate::http::seconds::DurationField;
use crate::http::unknown_fields::UnknownFields;
use crate::http::{Code, Failure, key};
use std::borrow::Cow;
use utoipa::ToSchema;

/// A request for a lock; `schema.rs` describes its fields.
#[derive(Debug)]
pub struct LockRequest<'a> {
    pub places: Places<'a>,
    pub lock_timeout: Timeout,
    pub wait_timeout: Timeout,
    pub metadata: Metadata,
    pub request_id: Option<Cow<'a, str>>,
}

impl<'a> LockRequest<'a> {
    pub fn parse(body: &'a [u8], limits: &Limits, unknown: UnknownFields) -> Result<LockRequest<'a>, Failure> {
        static FIELDS: [FieldName; 10] =
            [NAME, SIZE, LOCK_TIMEOUT, WAIT_TIMEOUT, METADATA, REQUEST_ID, NAMES, MODE, WEIGHT, LOCK_DELAY];
        let [name, size, lock_timeout, wait_timeout, metadata, request_id, names, mode, weight, lock_delay] =
            parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        let (name, size) = (name.text(NAME.name)?, int32(size)?);
        Ok(LockRequest {
            places: Given { name, names, mode, weight, lock_delay, size }.read(limits)?,
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
        error::invalid(
            is_negative(self.lock_timeout),
            is_negative(self.wait_timeout),
            &self.places.name,
            self.places.size,
        )
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

/// Which hold: one name, or all names of a hold of several, and its key.
#[derive(Debug)]
pub struct HoldOfRequest<'a> {
    /// The first name, or the only one.
    pub name: Cow<'a, str>,
    /// If `names` was given.
    pub names: Option<Vec<Cow<'a, str>>>,
    pub key: Cow<'a, str>,
}

impl<'a> HoldOfRequest<'a> {
    fn read(name: Value<'a>, names: Value<'a>, key: Value<'a>, limits: &Limits) -> Result<HoldOfRequest<'a>, Failure> {
        let (name, names) = (name.text(NAME.name)?, read_names(names, limits)?);
        if name.is_some() && names.is_some() {
            return Err(Failure::field(NAMES.name, "names goes without name"));
        }
        let first = names.as_ref().and_then(|names| names.first().cloned());
        Ok(HoldOfRequest { name: name.or(first).unwrap_or_default(), names, key: text(key, &KEY)? })
    }

    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        let names = self.names.as_deref().unwrap_or(std::slice::from_ref(&self.name));
        names.iter().map(|name| &**name)
    }

    pub fn proof(&self) -> Proof {
        let key = key::from_dashed(&self.key).unwrap_or(key::NO_KEY);
        match &self.names {
            Some(names) if names.len() > 1 => {
                Proof::OfNames { key, names: names.iter().map(|name| Name::from(&**name)).collect() }
            }
            _ => Proof::Key(key),
        }
    }
}

#[derive(Debug)]
pub struct UnlockRequest<'a>(pub HoldOfRequest<'a>);

impl<'a> UnlockRequest<'a> {
    pub fn parse(body: &'a [u8], limits: &Limits, unknown: UnknownFields) -> Result<UnlockRequest<'a>, Failure> {
        static FIELDS: [FieldName; 3] = [NAME, KEY, NAMES];
        let [name, key, names] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        HoldOfRequest::read(name, names, key, limits).map(UnlockRequest)
    }
}

#[derive(Debug)]
pub struct RenewRequest<'a> {
    pub hold: HoldOfRequest<'a>,
    pub lock_timeout: Timeout,
}

impl<'a> RenewRequest<'a> {
    pub fn parse(body: &'a [u8], limits: &Limits, unknown: UnknownFields) -> Result<RenewRequest<'a>, Failure> {
        static FIELDS: [FieldName; 4] = [NAME, KEY, LOCK_TIMEOUT, NAMES];
        let [name, key, lock_timeout, names] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        Ok(RenewRequest {
            hold: HoldOfRequest::read(name, names, key, limits)?,
            lock_timeout: timeout(lock_timeout, lease_field(limits))?,
        })
    }

    /// The new lease. A request without a hold or a lease is invalid, whatever the state of the hold.
    pub fn lease_ms(&self, limits: &Limits) -> Result<u64, Failure> {
        for (field, value) in [(&NAME, &self.hold.name), (&KEY, &self.hold.key)] {
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
            assert_eq!((&*request.places.name, request.places.size), ("a", 3), "{body}");
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
            let Places { name, size, .. } = &request.places;
            assert_eq!((&**name, *size, request.lock_timeout), ("", 1, Timeout::Absent));
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
        let refused = UnlockRequest::parse(body, &limits(), UnknownFields::Refuse).expect_err("refused");
        assert!(refused.detail.contains("\"size\" is not known"), "{refused:?}");
        let UnlockRequest(request) = UnlockRequest::parse(body, &limits(), UnknownFields::Ignore).expect("read");
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
