//! What is wrong with the configuration, in words with which the reader can fix it at once.

use std::fmt;

use super::source::Source;

/// A refused configuration. The message names the source, the key, the value and what is accepted.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable { file: String, reason: String },
    /// The file is not TOML.
    NotToml { file: String, line: usize, reason: String },
    /// A key that does not exist, and the nearest one that does.
    UnknownKey { source: Source, key: String, nearest: String },
    /// A value that its key does not take. Secret values are not repeated.
    BadValue { source: Source, key: String, value: Option<String>, accepted: String },
    /// A file that holds no password or key; what it holds is not repeated.
    SecretFile { source: Source, file: String, reason: String },
    /// Keys that do not go together; the text says what to set.
    Conflict(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => {
                write!(f, "file {file}: cannot be read ({reason}); check --config or LATCHD_CONFIG")
            }
            Self::NotToml { file, line, reason } => {
                write!(f, "file {file}, line {line}: not TOML: {reason}")
            }
            Self::UnknownKey { source, key, nearest } => {
                write!(f, "{source}: unknown key {key}; the nearest known key is {nearest}")
            }
            Self::BadValue { source, key, value: Some(value), accepted } => {
                write!(f, "{source}: {key} = {value} is not accepted: {accepted}")
            }
            Self::BadValue { source, key, value: None, accepted } => {
                write!(f, "{source}: the value of {key} is not accepted: {accepted}")
            }
            Self::SecretFile { source, file, reason } => {
                write!(
                    f,
                    "{source}: {file} cannot be used ({reason}); expected a file with one line, the password or key"
                )
            }
            Self::Conflict(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ConfigError {}
