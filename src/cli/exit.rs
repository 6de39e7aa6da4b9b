//! Exit codes, and the failure of a subcommand that ends with one. Codes of sysexits.h are used where one fits.

use std::io;
use std::path::Path;

pub const SUCCESS: u8 = 0;
/// Refused, no answer, or output that cannot be written.
pub const FAILURE: u8 = 1;
/// Wrong usage; clap uses the same code.
pub const USAGE: u8 = 2;
/// No node of the service answered (`EX_UNAVAILABLE`).
pub const UNREACHABLE: u8 = 69;
/// The operating system could not start the command (`EX_OSERR`).
pub const OS_ERROR: u8 = 71;
/// Another client held the lock for the whole wait (`EX_TEMPFAIL`).
pub const NOT_ACQUIRED: u8 = 75;
/// The lock was lost and the command was ended.
pub const LOST: u8 = 76;
/// The service refused: credential, right, or a value beyond a limit (`EX_NOPERM`).
pub const REFUSED: u8 = 77;
/// The settings of the connection cannot be used (`EX_CONFIG`).
pub const CONFIG: u8 = 78;
/// The lock was lost and the command could not be ended: it still runs.
pub const STILL_RUNNING: u8 = 79;
/// The command was found and cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The command was not found.
pub const NOT_FOUND: u8 = 127;
/// Plus the number of the signal that ended the command.
pub const SIGNAL: u8 = 128;

/// The error message of a subcommand, and its exit code.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// Wrong usage that clap cannot check.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(USAGE, message)
    }

    pub fn config(error: impl std::fmt::Display) -> Failure {
        Failure::new(CONFIG, error.to_string())
    }

    pub fn unwritable(path: &Path, error: io::Error) -> Failure {
        format!("{} cannot be written: {error}", path.display()).into()
    }

    pub fn from_error(error: impl std::fmt::Display) -> Failure {
        Failure::from(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::new(FAILURE, message)
    }
}
