//! Why a subcommand fails: what a person is told, and the exit code.

use super::code;

/// What a person is told when a subcommand fails, and with which exit code the process ends.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// The command line asks for what cannot be, in a way that its grammar cannot say.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(code::USAGE, message)
    }

    /// The settings of the connection cannot be used.
    pub fn config(error: impl std::fmt::Display) -> Failure {
        Failure::new(code::CONFIG, error.to_string())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure { code: code::FAILURE, message }
    }
}

/// A failure with an error's own words.
pub fn told(error: impl std::fmt::Display) -> Failure {
    Failure::from(error.to_string())
}
