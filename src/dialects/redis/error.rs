//! Errors, as clients of Redis expect them: a word in capitals that their libraries know, then what was wrong.

use super::reply::Reply;
use crate::engine::Fault;
use crate::http::{Code, Failure, FieldNames};
use std::borrow::Cow;

const NAMES: FieldNames = FieldNames { name: "key", size: "size", lease: "time to live", wait: "wait" };

#[derive(Clone, PartialEq, Debug)]
pub struct RedisError {
    prefix: &'static str,
    detail: Cow<'static, str>,
}

impl RedisError {
    /// Of the common kind.
    pub fn new(detail: impl Into<Cow<'static, str>>) -> RedisError {
        RedisError::with_prefix("ERR", detail)
    }

    pub fn with_prefix(prefix: &'static str, detail: impl Into<Cow<'static, str>>) -> RedisError {
        RedisError { prefix, detail: detail.into() }
    }

    pub fn wrong_arity(command: &str) -> RedisError {
        RedisError::new(format!("wrong number of arguments for '{}' command", command.to_lowercase()))
    }

    /// The same, where the command has already released the key.
    pub fn after_release(self) -> RedisError {
        let detail = format!("{}; the key was released before, and this client does not hold it", self.detail);
        RedisError { detail: detail.into(), ..self }
    }

    /// On one line, whatever its detail quotes.
    pub fn into_reply(self) -> Reply {
        let line = format!("{} {}", self.prefix, self.detail);
        Reply::Error(line.replace(|character: char| character.is_control(), " "))
    }
}

impl From<Failure> for RedisError {
    fn from(failure: Failure) -> RedisError {
        let prefix = match failure.code {
            Code::Forbidden => "NOPERM",
            Code::CredentialMissing => "NOAUTH",
            Code::CredentialWrong | Code::CredentialExpired | Code::IdentityTokenRefused => "WRONGPASS",
            _ => "ERR",
        };
        let retry =
            failure.retry_after_seconds.map(|seconds| format!("; try again in {seconds} s")).unwrap_or_default();
        RedisError::with_prefix(prefix, format!("{}: {}{retry}", failure.code.row().name, failure.detail))
    }
}

impl From<Fault> for RedisError {
    fn from(fault: Fault) -> RedisError {
        Failure::from_fault(&fault, &NAMES).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineError;

    #[test]
    fn unknown_outcome_is_an_error_with_its_code() {
        let error = RedisError::from(Fault::Engine(EngineError::OutcomeUnknown));
        assert_eq!(error.into_reply(), Reply::Error("ERR outcome-unknown: the outcome is unknown".to_owned()));
    }

    #[test]
    fn error_stays_on_one_line() {
        let error = RedisError::new("a\r\n+OK");
        assert_eq!(error.into_reply(), Reply::Error("ERR a  +OK".to_owned()));
    }
}
