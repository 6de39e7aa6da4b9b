//! `[compat]`: ways of older servers that are off unless they are needed.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompatConfig {
    pub ignore_unknown_fields: bool,
    pub release_without_credential: bool,
}
