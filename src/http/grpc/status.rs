//! Failures as gRPC statuses.

use crate::http::code::Code;
use crate::http::failure::Failure;
use std::borrow::Cow;
use tonic::Status;

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        Status::new(failure.code.grpc(), message(&failure))
    }
}

/// LDLM's clients expect its messages for credentials.
fn message(failure: &Failure) -> Cow<'static, str> {
    match failure.code {
        Code::CredentialMissing => "missing credentials".into(),
        Code::CredentialWrong => "invalid credentials".into(),
        _ => failure.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailable_codes_are_retryable() {
        for code in Code::ALL.iter().copied() {
            let again = code.grpc() == tonic::Code::Unavailable;
            assert!(!again || code.row().retryable, "{code:?}");
            assert_ne!(code.grpc(), tonic::Code::Ok, "{code:?}");
        }
    }

    #[test]
    fn status_carries_the_detail_of_its_failure() {
        let status = Status::from(Failure::new(Code::SizeMismatch, "the lock is in use with size 3"));
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        assert_eq!(status.message(), "the lock is in use with size 3");
        assert_eq!(Status::from(Failure::new(Code::CredentialWrong, "-")).message(), "invalid credentials");
    }
}
