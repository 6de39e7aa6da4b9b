//! What is wrong with the configuration, in words with which the reader can fix it at once.

use std::fmt;

/// A refused configuration. The message names the source, the key, the value and what is accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("file {file}: cannot be read ({reason}); check --config or LATCHD_CONFIG")]
    Unreadable { file: String, reason: String },
    #[error("file {file}, line {line}: not TOML: {reason}")]
    NotToml { file: String, line: usize, reason: String },
    #[error("{source}: unknown key {key}; the nearest known key is {nearest}")]
    UnknownKey { r#source: Source, key: String, nearest: String },
    /// Secret values are not repeated.
    #[error("{source}: {} is not accepted: {accepted}", shown(key, value.as_deref()))]
    BadValue { r#source: Source, key: String, value: Option<String>, accepted: String },
    /// A file that holds no password or key; what it holds is not repeated.
    #[error("{source}: {file} cannot be used ({reason}); expected a file with one line, the password or key")]
    SecretFile { r#source: Source, file: String, reason: String },
    /// Keys that do not go together; the text says what to set.
    #[error("{0}")]
    Conflict(String),
}

fn shown(key: &str, value: Option<&str>) -> String {
    value.map_or_else(|| format!("the value of {key}"), |value| format!("{key} = {value}"))
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File(String),
    Env(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in defaults"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
