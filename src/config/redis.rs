//! `[redis]`: bounds on the commands of clients of the Redis protocol.

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::base::config_value::{bytes, positive};

/// What a client of the Redis protocol may send, and what is remembered of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    #[serde(deserialize_with = "command_bytes")]
    pub command_bytes_max: usize,
    #[serde(deserialize_with = "command_bytes")]
    pub unidentified_command_bytes_max: usize,
    #[serde(deserialize_with = "positive")]
    pub arguments_max: usize,
    #[serde(deserialize_with = "positive")]
    pub value_bytes_max: usize,
    #[serde(deserialize_with = "command_bytes")]
    pub answer_bytes_max: usize,
    #[serde(deserialize_with = "positive")]
    pub connection_holds_max: usize,
    #[serde(deserialize_with = "positive")]
    pub scripts_max: usize,
}

/// With less, a client could not even name itself; with more, one client could take all memory.
const BYTES_MIN: u64 = 1 << 10;
const BYTES_MAX: u64 = 64 << 20;

fn command_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let value = bytes(from)?;
    let is_fit = (BYTES_MIN..=BYTES_MAX).contains(&value);
    let fit = usize::try_from(value).ok().filter(|_| is_fit);
    fit.ok_or_else(|| de::Error::custom("expected a size from 1KiB to 64MiB"))
}
