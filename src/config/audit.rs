//! `[audit]`: where it is told what operators do, and which credentials were refused.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::audit::{FileOptions, OnFailure};
use crate::base::config_value::{bytes, positive, positive_duration};

/// The audit log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    file: PathBuf,
    #[serde(deserialize_with = "positive_bytes")]
    file_bytes_max: u64,
    #[serde(deserialize_with = "positive")]
    files_max: u32,
    flush: bool,
    pub on_failure: OnFailure,
    #[serde(deserialize_with = "positive_duration")]
    pub write_timeout: Duration,
}

impl AuditConfig {
    /// The file that lines go to; `None` for the log.
    pub fn file(&self) -> Option<FileOptions> {
        let AuditConfig { file_bytes_max: bytes_max, files_max, flush: fsync, .. } = *self;
        let path = self.file.clone();
        (!path.as_os_str().is_empty()).then_some(FileOptions { path, bytes_max, files_max, fsync })
    }
}

/// A file of no bytes would be rotated for each line.
fn positive_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    const BYTES_MIN: u64 = 4 << 10;
    let value = bytes(from)?;
    if value < BYTES_MIN { Err(de::Error::custom("expected a size of at least 4KiB")) } else { Ok(value) }
}
