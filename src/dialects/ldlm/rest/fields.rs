//! The fields of the messages, and how their values are read.

use crate::domain::Limits;
use crate::http::Failure;
use crate::http::json_object::{FieldName, Value};
use crate::http::seconds::DurationField;
use std::borrow::Cow;

pub const NAME: FieldName = FieldName::word("name");
pub const KEY: FieldName = FieldName::word("key");
pub const SIZE: FieldName = FieldName::word("size");
pub const LOCK_TIMEOUT: FieldName = FieldName { name: "lock_timeout_seconds", alias: "lockTimeoutSeconds" };
pub const WAIT_TIMEOUT: FieldName = FieldName { name: "wait_timeout_seconds", alias: "waitTimeoutSeconds" };
pub const IDLE_TIMEOUT: FieldName = FieldName { name: "idle_timeout_seconds", alias: "idleTimeoutSeconds" };
pub const METADATA: FieldName = FieldName::word("metadata");
pub const TARGET: FieldName = FieldName { name: "to_session", alias: "toSession" };
pub const REQUEST_ID: FieldName = FieldName { name: "request_id", alias: "requestId" };
pub const NAMES: FieldName = FieldName::word("names");
pub const MODE: FieldName = FieldName::word("mode");
pub const WEIGHT: FieldName = FieldName::word("weight");
pub const LOCK_DELAY: FieldName = FieldName { name: "lock_delay_seconds", alias: "lockDelaySeconds" };

/// All fields that any of the messages has.
pub const FIELDS: [&str; 13] = [
    NAME.name,
    KEY.name,
    SIZE.name,
    LOCK_TIMEOUT.name,
    WAIT_TIMEOUT.name,
    METADATA.name,
    REQUEST_ID.name,
    IDLE_TIMEOUT.name,
    NAMES.name,
    MODE.name,
    WEIGHT.name,
    LOCK_DELAY.name,
    TARGET.name,
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

pub const fn lease_field(limits: &Limits) -> DurationField {
    DurationField { zero: true, ..DurationField::lease(LOCK_TIMEOUT.name, limits) }
}

pub const fn wait_field(limits: &Limits) -> DurationField {
    DurationField::wait(WAIT_TIMEOUT.name, limits)
}

pub fn needed<'a>(value: Value<'a>, field: &FieldName) -> Result<Cow<'a, str>, Failure> {
    let name = field.name;
    let value = text(value, field)?;
    if value.is_empty() { Err(Failure::field(name, format!("{name} is needed"))) } else { Ok(value) }
}

pub fn text<'a>(value: Value<'a>, field: &FieldName) -> Result<Cow<'a, str>, Failure> {
    Ok(value.text(field.name)?.unwrap_or_default())
}

/// A whole number of 32 bits: `3`, `"3"`, `2.0` and `1e0` are.
pub fn int32(value: Value<'_>) -> Result<Option<i32>, Failure> {
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

pub fn timeout(value: Value<'_>, field: DurationField) -> Result<Timeout, Failure> {
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
