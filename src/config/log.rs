//! `[log]`: what is logged, how, and where to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::env;
use super::inputs::{FILE_BYTES_MAX, Inputs};
use crate::base::config_value::{LogFormat, duration};
use crate::base::named_file;

const FORMAT: &str = "log.format";

/// Log output.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub level: LogLevel,
    pub format: LogFormat,
    file: PathBuf,
    /// From when on a wait or a hold is logged as slow; zero for never.
    #[serde(deserialize_with = "duration")]
    pub slow_wait: Duration,
    #[serde(deserialize_with = "duration")]
    pub slow_hold: Duration,
}

impl LogConfig {
    /// For a start that fails before its configuration is known: in the format that was asked for, as far as one can
    /// tell, on stderr.
    pub fn fallback(inputs: &Inputs) -> Self {
        let variable = env::variable(FORMAT);
        let flag = inputs.flags.iter().find(|flag| flag.key == FORMAT).map(|flag| flag.value.clone());
        let set = || inputs.env.iter().find(|(name, _)| *name == variable).map(|(_, value)| value.clone());
        let is_json = flag.or_else(set).or_else(|| format_of_file(inputs)).is_some_and(|format| format == "json");
        let format = if is_json { LogFormat::Json } else { LogFormat::Text };
        let never = Duration::ZERO;
        Self { level: LogLevel::Error, format, file: PathBuf::new(), slow_wait: never, slow_hold: never }
    }

    /// The file that log lines go to; `None` for stderr.
    pub fn file(&self) -> Option<&Path> {
        (!self.file.as_os_str().is_empty()).then_some(&self.file)
    }
}

fn format_of_file(inputs: &Inputs) -> Option<String> {
    // A pipe has been read to its end.
    let text = named_file::read(&inputs.file_named()?, FILE_BYTES_MAX).ok()?;
    let document: toml::Table = str::from_utf8(&text).ok()?.parse().ok()?;
    Some(document.get("log")?.get("format")?.as_str()?.to_owned())
}

/// The least severe level that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}
