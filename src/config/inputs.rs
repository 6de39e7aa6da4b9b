//! What the configuration is made from: a file, the environment, flags.

use std::io;
use std::path::{Path, PathBuf};

use super::access::PlainCredentials;
use super::env;
use super::secret_file::SecretFile;
use crate::base::named_file;

/// Of a file of settings.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// The text of a file of settings, which is read a single time and may be a pipe.
pub fn read_settings(path: &Path) -> io::Result<String> {
    let bytes = named_file::read_once(path, FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// What the configuration is made from.
#[derive(Debug, Default)]
pub struct Inputs {
    /// `--config`; without it `LATCHD_CONFIG` is followed.
    pub file: Option<PathBuf>,
    /// The environment; only `LATCHD_*` is looked at.
    pub env: Vec<(String, String)>,
    /// Flags that set a key.
    pub flags: Vec<FlagValue>,
    /// Credentials given in plain.
    pub plain: PlainCredentials,
    /// Files with such credentials.
    pub secret_files: Vec<SecretFile>,
}

/// A flag that sets a key.
#[derive(Clone, Debug)]
pub struct FlagValue {
    /// As the user typed it, for messages: `--session-timeout`.
    pub flag: &'static str,
    pub key: &'static str,
    pub value: String,
}

impl Inputs {
    /// The configuration file, whether the command line or the environment names it.
    pub(super) fn file_named(&self) -> Option<PathBuf> {
        let by_env = || self.env.iter().find(|(name, path)| name == env::CONFIG && !path.is_empty());
        self.file.clone().or_else(|| by_env().map(|(_, path)| PathBuf::from(path)))
    }
}
