//! `[events]`: what is kept for those who follow the events, and how many may.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::value::{positive, positive_duration};

/// The stream of events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    #[serde(deserialize_with = "buffer")]
    pub buffer_events_max: usize,
    #[serde(deserialize_with = "positive")]
    pub readers_max: usize,
    #[serde(deserialize_with = "positive_duration")]
    pub heartbeat: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub slow_reader_after: Duration,
}

/// Its memory is reserved when the service starts.
const BUFFER_MAX: usize = 16 << 20;

fn buffer<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let value = positive(from)?;
    if value > BUFFER_MAX { Err(de::Error::custom(format!("expected at most {BUFFER_MAX}"))) } else { Ok(value) }
}
