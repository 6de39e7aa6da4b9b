//! `[console]`: how long somebody stays logged in to the console.

use std::time::Duration;

use serde::Deserialize;

use crate::base::config_value::positive_duration;

/// The logins of the console.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleConfig {
    #[serde(deserialize_with = "positive_duration")]
    pub idle_timeout: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub login_max: Duration,
}
