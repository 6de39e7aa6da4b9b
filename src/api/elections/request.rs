//! The bodies of candidates and leaders.

use super::asked::NAMES;
use crate::domain::{Field, HoldKey, Limits, Metadata};
use crate::http::idempotency::FIELD as REQUEST_ID;
use crate::http::json_object::{FieldName, Trailing, Value, parse};
use crate::http::seconds::DurationField;
use crate::http::unknown_fields::UnknownFields;
use crate::http::{Failure, key};
use arcstr::ArcStr;
use std::borrow::Cow;
use utoipa::ToSchema;

const VALUE: FieldName = FieldName::word("value");
const KEY: FieldName = FieldName::word("key");
const LEASE: FieldName = FieldName { name: NAMES.lease, alias: "leaseSeconds" };
const WAIT: FieldName = FieldName { name: NAMES.wait, alias: "waitTimeoutSeconds" };
const METADATA: FieldName = FieldName::word("metadata");
const REQUEST: FieldName = FieldName { name: REQUEST_ID, alias: "requestId" };

// No field has a `default` in its schema: generators would make it a required one.
#[derive(ToSchema)]
pub struct CampaignRequest {
    /// What the leader says about itself, such as its address; up to `elections.value_bytes_max`.
    #[schema(value_type = String, min_length = 1, example = "10.0.0.7:5432")]
    pub value: ArcStr,
    /// How long it leads unless it renews.
    #[schema(rename = "lease_seconds", value_type = f64, example = 10)]
    pub lease_ms: u64,
    /// How long to wait in the queue. Absent or 0: try once.
    #[schema(rename = "wait_timeout_seconds", value_type = f64, required = false)]
    pub wait_ms: u64,
    /// What others may know about the candidate.
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    pub metadata: Metadata,
    /// The same as the header `Idempotency-Key`.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 255)]
    pub request_id: Option<String>,
}

impl CampaignRequest {
    pub fn parse(body: &[u8], limits: &Limits, unknown: UnknownFields) -> Result<CampaignRequest, Failure> {
        static FIELDS: [FieldName; 5] = [VALUE, LEASE, WAIT, METADATA, REQUEST];
        let [value, lease, wait, metadata, request_id] = parse(body, &FIELDS, Trailing::Refused, unknown)?;
        let missing = || Failure::field(LEASE.name, "lease_seconds is needed: a leader has a lease, which it renews");
        Ok(CampaignRequest {
            value: leaders_value(value, limits)?,
            lease_ms: ms(lease, DurationField::lease(LEASE.name, limits))?.ok_or_else(missing)?,
            wait_ms: ms(wait, DurationField::wait(WAIT.name, limits))?.unwrap_or(0),
            metadata: metadata.map(METADATA.name)?,
            request_id: request_id.text(REQUEST.name)?.map(Cow::into_owned),
        })
    }
}

#[derive(ToSchema)]
pub struct SetValueRequest {
    /// The key that the leader was given.
    #[schema(value_type = String, example = "9e2c0102-0304-4506-8708-090a0b0c0d0e")]
    pub key: HoldKey,
    /// What it says about itself from now on; up to `elections.value_bytes_max`.
    #[schema(value_type = String, min_length = 1, example = "10.0.0.7:5433")]
    pub value: ArcStr,
}

impl SetValueRequest {
    pub fn parse(body: &[u8], limits: &Limits, unknown: UnknownFields) -> Result<SetValueRequest, Failure> {
        static FIELDS: [FieldName; 2] = [KEY, VALUE];
        let [key, value] = parse(body, &FIELDS, Trailing::Refused, unknown)?;
        Ok(SetValueRequest { key: leaders_key(key.text(KEY.name)?)?, value: leaders_value(value, limits)? })
    }
}

/// A key that is no key opens nothing.
pub fn leaders_key(key: Option<Cow<'_, str>>) -> Result<HoldKey, Failure> {
    let key = key.filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| Failure::field(KEY.name, "key is needed: the one that the leader was given"))?;
    Ok(key::from_dashed(&key).unwrap_or(key::NO_KEY))
}

fn leaders_value(value: Value<'_>, limits: &Limits) -> Result<ArcStr, Failure> {
    let value = value.text(VALUE.name)?.unwrap_or_default();
    if value.is_empty() {
        let limit = limits.value_bytes_max;
        let detail = format!("value must have 1 to {limit} bytes: it says who leads");
        return Err(Failure::field(VALUE.name, detail).with_limit(limit).set_by(Field::Value.config_key()));
    }
    Ok(ArcStr::from(&*value))
}

fn ms(value: Value<'_>, field: DurationField) -> Result<Option<u64>, Failure> {
    value.number(field.name)?.map(|seconds| field.ms(seconds)).transpose()
}
