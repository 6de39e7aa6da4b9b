//! What the checker is given, what it answers, and why credentials or options cannot be used.

use std::time::Duration;

use super::identity::{Identity, Role};
use super::oidc::TokenRefusal;

/// Why credentials or options cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error("the password hash of credential `{name}` cannot be used: {problem}")]
    PasswordHash { name: String, problem: String },
    #[error("the secret of credential `{name}` is empty")]
    Empty { name: String },
    #[error("credentials `{first}` and `{second}` have the same secret but different rights")]
    SameSecret { first: String, second: String },
    #[error("two API keys are named `{name}`: give each a name of its own in access.keys and access.keys_file")]
    SameName { name: String },
    #[error(
        "no API key and no certificate may be named `{name}`: latchd gives `anonymous`, `password-1`, \
         `command-line-key-1`, `command-line-password-1` and what begins with `oidc:` to other callers, and `*` stands for \
         each; choose another name"
    )]
    ReservedName { name: String },
    #[error(
        "the name {name:?} of an API key or of certificates has a character that cannot be seen: choose another name"
    )]
    InvisibleInName { name: String },
    #[error("a name of the certificates of `{name}` is that of another entry: each name stands for one caller")]
    SameCertificateName { name: String },
    #[error("`{option}` must be at least {least}")]
    OptionTooSmall { option: &'static str, least: &'static str },
    #[error("the operating system's random generator failed: {problem}")]
    Random { problem: String },
    #[error("the password cannot be hashed: {problem}")]
    Hashing { problem: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Granted(Identity),
    /// The right key, after its end.
    Expired(Identity),
    /// Nothing was presented.
    Missing,
    Wrong,
    /// A client certificate that stands for nobody, has expired, or is vouched for no more.
    CertificateRefused,
    /// An identity token, and why it is not accepted.
    TokenRefused(TokenRefusal),
    /// 429: too many failures from there, or too many passwords to verify at once.
    Throttled {
        retry_after_seconds: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessOptions {
    /// Credentials may come while the process runs, so that nobody is let in without one, even if there is none yet.
    pub may_reload: bool,
    /// What everybody is when no credential is configured. Admin suits a server that only loopback can
    /// reach, where the caller owns the machine anyway; beyond it, `Client`.
    pub anonymous_role: Role,
    /// Failures from one address that are answered plainly in a window; further ones are throttled.
    pub failures_per_window: u32,
    pub window: Duration,
    /// Addresses whose failures are remembered; the oldest is evicted.
    pub max_addresses: usize,
    /// Password verifications that run at the same time; each keeps one core busy.
    pub max_verifications: usize,
    /// Wrong passwords that are remembered, so that repeating one costs no verification.
    pub max_refused: usize,
}

impl AccessOptions {
    pub(super) fn validate(&self) -> Result<(), AccessError> {
        let checks = [
            (self.failures_per_window >= 1, "failures_per_window", "1"),
            (self.window >= Duration::from_secs(1), "window", "1s"),
            (self.max_addresses >= 1, "max_addresses", "1"),
            (self.max_verifications >= 1, "max_verifications", "1"),
            (self.max_refused >= 1, "max_refused", "1"),
        ];
        match checks.into_iter().find(|(fits, ..)| !fits) {
            Some((_, option, least)) => Err(AccessError::OptionTooSmall { option, least }),
            None => Ok(()),
        }
    }
}
