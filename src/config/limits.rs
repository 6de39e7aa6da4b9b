//! `[sessions]`, `[locks]` and the like: what bounds the lock table, and the defaults of the dialects.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::quotas::{LimitConfig, limits};
use super::rates::rates;
use crate::access::{Rate, Subject};
use crate::base::config_value::{bytes, duration, percent, positive, positive_duration};

/// Sessions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    #[serde(deserialize_with = "positive_duration")]
    pub idle_timeout: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub idle_timeout_max: Duration,
    #[serde(deserialize_with = "positive")]
    pub count_max: u64,
    #[serde(deserialize_with = "positive")]
    pub holds_max: u64,
    #[serde(deserialize_with = "grace")]
    pub connection_loss_grace: Duration,
    pub no_clear_on_disconnect: bool,
    pub connections_via_proxy: bool,
}

/// What one caller may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotasConfig {
    /// 0 and 100: all.
    #[serde(deserialize_with = "percent")]
    pub credential_percent: u8,
    #[serde(deserialize_with = "percent")]
    pub address_percent: u8,
    #[serde(deserialize_with = "rates")]
    pub rates: Vec<Rate>,
    #[serde(deserialize_with = "limits")]
    pub limits: Vec<LimitConfig>,
}

impl QuotasConfig {
    /// The names of the credentials that have a rate or a quota, with the keys of those.
    pub fn bounded_credentials(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let rates = self.rates.iter().map(|rate| ("quotas.rates", &rate.subject));
        let limits = self.limits.iter().map(|(subject, _)| ("quotas.limits", subject));
        rates.chain(limits).filter_map(|(key, subject)| match subject {
            Subject::Credential(name) => Some((key, name.as_str())),
            Subject::EachCredential | Subject::Prefix(_) => None,
        })
    }
}

/// A node closes the connections that carry sessions half of this after its last contact with a leader; a session must
/// not end before that.
pub const GRACE_MIN: Duration = Duration::from_secs(10);

fn grace<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let value = duration(from)?;
    if value < GRACE_MIN { Err(de::Error::custom("expected at least 10s")) } else { Ok(value) }
}

/// A lock is read with all of its history.
const HISTORY_PER_LOCK_MAX: u64 = 1_000;

fn per_lock<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = u64::deserialize(from)?;
    if value <= HISTORY_PER_LOCK_MAX { Ok(value) } else { Err(de::Error::custom("expected at most 1000")) }
}

/// The whole list of them is copied now and then.
const FREEZES_MAX: u64 = 10_000;

fn freezes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = positive(from)?;
    if value > FREEZES_MAX { Err(de::Error::custom(format!("expected at most {FREEZES_MAX}"))) } else { Ok(value) }
}

/// Locks, holds and waiters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocksConfig {
    #[serde(deserialize_with = "positive")]
    pub name_bytes_max: usize,
    pub metadata_entries_max: usize,
    pub metadata_key_bytes_max: usize,
    pub metadata_value_bytes_max: usize,
    #[serde(deserialize_with = "positive_duration")]
    pub wait_max: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub lease_max: Duration,
    #[serde(deserialize_with = "positive")]
    pub size_max: u32,
    #[serde(deserialize_with = "positive")]
    pub waiters_per_lock_max: u64,
    #[serde(deserialize_with = "positive")]
    pub holds_max: u64,
    #[serde(deserialize_with = "duration")]
    max_hold: Duration,
    pub remembered_sizes_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub remembered_size_idle: Duration,
    #[serde(deserialize_with = "positive")]
    pub requests_max: u64,
    /// 0: a part of the memory that there is.
    #[serde(deserialize_with = "bytes")]
    pub table_bytes_max: u64,
    #[serde(deserialize_with = "positive")]
    pub names_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub lock_delay_max: Duration,
    #[serde(deserialize_with = "positive")]
    pub deadlock_search_max: u64,
    /// 0: none.
    #[serde(deserialize_with = "per_lock")]
    pub history_per_lock: u64,
    #[serde(deserialize_with = "bytes")]
    pub history_bytes_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub freeze_max: Duration,
    #[serde(deserialize_with = "freezes")]
    pub freezes_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub get_lock_lifetime: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub lock_unlock_ttl: Duration,
    #[serde(deserialize_with = "duration")]
    pub kufuli_wait: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub kufuli_max_lock_span: Duration,
}

/// The dialect of Terraform's `http` backend.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerraformConfig {
    #[serde(deserialize_with = "duration")]
    max_hold: Duration,
    pub force_unlock: bool,
}

impl TerraformConfig {
    /// The lease of a hold, when there is one.
    pub fn max_hold(&self) -> Option<Duration> {
        (!self.max_hold.is_zero()).then_some(self.max_hold)
    }
}

/// Elections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElectionsConfig {
    #[serde(deserialize_with = "positive")]
    pub value_bytes_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub reliable_max: Duration,
}

/// The marks of resources that are protected by fencing tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FencesConfig {
    #[serde(deserialize_with = "positive")]
    pub marks_max: u64,
    #[serde(deserialize_with = "positive_duration")]
    pub mark_idle: Duration,
}

impl LocksConfig {
    /// The bound on a lock-by-name hold, when there is one.
    pub fn max_hold(&self) -> Option<Duration> {
        (!self.max_hold.is_zero()).then_some(self.max_hold)
    }
}
