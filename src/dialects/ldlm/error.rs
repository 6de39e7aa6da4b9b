//! LDLM's errors inside answers, the same over HTTP and gRPC, and its own checks of a request for a lock.

use super::proto::{self, ErrorCode};
use crate::http::Failure;
use std::borrow::Cow;

/// An error of LDLM's enum, with its message.
#[derive(Clone, PartialEq, Debug)]
pub struct LockError {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
    /// A limit of ours that was exceeded, which LDLM does not have.
    pub limit: Option<Box<Failure>>,
}

pub const LEASE_NOT_POSITIVE: LockError = LockError::new(ErrorCode::Unknown, "lock timeout must be greater than 0");
pub const WAIT_NOT_POSITIVE: LockError = LockError::new(ErrorCode::Unknown, "wait timeout must be greater than 0");
pub const NAME_EMPTY: LockError = LockError::new(ErrorCode::Unknown, "lock name cannot be empty");
pub const SIZE_NOT_POSITIVE: LockError = LockError::new(ErrorCode::InvalidLockSize, "lock size must be greater than 0");
pub const WAIT_TIMED_OUT: LockError = LockError::new(ErrorCode::LockWaitTimeout, "timeout waiting to acquire lock");
pub const SIZE_MISMATCH: LockError = LockError::new(ErrorCode::LockSizeMismatch, "lock size mismatch");
pub const NO_SUCH_LOCK: LockError = LockError::new(ErrorCode::LockDoesNotExist, "a lock by that name does not exist");
pub const WRONG_KEY: LockError = LockError::new(ErrorCode::InvalidLockKey, "invalid lock key");
/// The error of a renewal.
pub const HOLD_LOST: LockError = LockError::new(ErrorCode::Unknown, "lock does not exist or invalid key");

impl LockError {
    const fn new(code: ErrorCode, message: &'static str) -> LockError {
        LockError { code, message: Cow::Borrowed(message), limit: None }
    }
}

impl From<Failure> for LockError {
    /// A failure that LDLM does not have.
    fn from(failure: Failure) -> LockError {
        let is_size = matches!(failure.field, Some("size" | "lock size"));
        let code = if is_size { ErrorCode::InvalidLockSize } else { ErrorCode::Unknown };
        LockError { code, message: failure.detail.clone(), limit: Some(Box::new(failure)) }
    }
}

impl From<LockError> for proto::Error {
    fn from(error: LockError) -> proto::Error {
        proto::Error { code: error.code.into(), message: error.message.into_owned() }
    }
}

/// LDLM's own checks, in its order, and whether its answer has a key: LDLM makes one before it looks at name and size, and
/// after it has looked at the timeouts.
pub fn invalid(is_lease_negative: bool, is_wait_negative: bool, name: &str, size: i32) -> Option<(LockError, bool)> {
    if is_lease_negative {
        Some((LEASE_NOT_POSITIVE, false))
    } else if is_wait_negative {
        Some((WAIT_NOT_POSITIVE, false))
    } else if name.is_empty() {
        Some((NAME_EMPTY, true))
    } else if size <= 0 {
        Some((SIZE_NOT_POSITIVE, true))
    } else {
        None
    }
}
