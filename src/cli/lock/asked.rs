//! What is to be held while a command runs, and how its parts are read from a command line.

use std::ffi::OsString;
use std::time::Duration;

use super::super::Failure;
use super::deadlock::Need;
use crate::client::LockRequest;

/// One hold, of one lock or of several.
pub(super) struct Asked {
    pub names: Vec<String>,
    /// What it needs of each lock.
    pub need: Need,
    /// Without the wait.
    pub request: LockRequest,
    /// `None`: as long as it takes.
    pub wait: Option<Duration>,
    pub lease: Duration,
}

/// Takes the names that begin with a hyphen from what follows the first `--`; a second one begins the command.
pub(super) fn names_behind_dashes(words: &mut Vec<OsString>) -> Result<Vec<String>, Failure> {
    let is_name = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    // The first word may be `--`, as a name.
    let dashes = words.iter().skip(1).position(|word| word == "--").map(|at| at + 1);
    match dashes {
        Some(dashes) if words.first().is_some_and(is_name) && words.len() > dashes + 1 => {
            let names = words.drain(..=dashes).take(dashes).map(OsString::into_string);
            let names = names.collect::<Result<Vec<_>, _>>();
            names.map_err(|name| Failure::usage(format!("{} is not UTF-8", name.to_string_lossy())))
        }
        _ => Ok(Vec::new()),
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration like 250ms, 30s, 10m or 24h".to_owned())
}

/// Less than a second is too short to end a command with TERM.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if lease < Duration::from_secs(1) { Err("a lease must be at least 1s long".to_owned()) } else { Ok(lease) }
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
