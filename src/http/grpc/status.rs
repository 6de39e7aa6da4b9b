//! The error table as gRPC statuses.
//!
//! No arm is a wildcard: a new code does not compile until it has a status.

use crate::http::code::Code;
use crate::http::failure::Failure;
use std::borrow::Cow;
use tonic::Status;

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        Status::new(grpc(failure.code), message(&failure))
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

/// UNAVAILABLE means that nothing was done: clients retry on their own.
pub const fn grpc(code: Code) -> tonic::Code {
    use tonic::Code as G;
    match code {
        Code::MalformedBody
        | Code::InvalidField
        | Code::LimitExceeded
        | Code::UnsupportedMediaType
        | Code::BadHost
        | Code::UnknownHost
        | Code::RequestReused => G::InvalidArgument,
        Code::BodyTooLarge
        | Code::HeadTooLarge
        | Code::TooManyAttempts
        | Code::QueueFull
        | Code::SessionHoldsFull
        | Code::HoldsFull
        | Code::SessionsFull
        | Code::RequestsFull
        | Code::TableFull
        | Code::ShareFull
        | Code::ReadersFull
        | Code::AddressFull
        | Code::TokensExhausted => G::ResourceExhausted,
        Code::BodyTimeout | Code::WaitTimedOut => G::DeadlineExceeded,
        Code::MethodNotAllowed | Code::NotFound => G::Unimplemented,
        Code::CredentialMissing | Code::CredentialWrong => G::Unauthenticated,
        Code::Forbidden | Code::CrossSite | Code::SessionOfAnother => G::PermissionDenied,
        Code::SessionUnknown
        | Code::Held
        | Code::SizeMismatch
        | Code::NoLease
        | Code::NotOwner
        | Code::TokenMismatch
        | Code::RequestEnded
        | Code::RunsAlone
        | Code::MemberUnreachable
        | Code::MemberBehind
        | Code::WouldLoseQuorum => G::FailedPrecondition,
        Code::SessionExists | Code::MemberExists => G::AlreadyExists,
        Code::MembershipBusy => G::Aborted,
        Code::NoSuchSession | Code::NoSuchLock | Code::WrongKey | Code::NotWaiting | Code::NoSuchMember => G::NotFound,
        Code::NotLeader
        | Code::NoQuorum
        | Code::ShuttingDown
        | Code::Overloaded
        | Code::ConnectionsFull
        | Code::DiskNearlyFull
        | Code::DiskFull
        | Code::NodeWiped
        | Code::NodeRemoved
        | Code::WaitCancelled => G::Unavailable,
        Code::OutcomeUnknown => G::Unknown,
        Code::StorageFailed | Code::Internal => G::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailable_codes_are_retryable() {
        for code in Code::ALL.iter().copied() {
            let again = grpc(code) == tonic::Code::Unavailable;
            assert!(!again || code.row().retryable, "{code:?}");
            assert_ne!(grpc(code), tonic::Code::Ok, "{code:?}");
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
