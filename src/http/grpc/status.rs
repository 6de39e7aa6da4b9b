//! The one error table in gRPC's words.
//!
//! No arm is a wildcard: a new code does not compile until it has a status.

use crate::http::code::Code;
use crate::http::failure::Failure;
use std::borrow::Cow;
use tonic::Status;

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        Status::new(grpc(failure.code), words(&failure))
    }
}

/// LDLM's clients know its words for credentials.
fn words(failure: &Failure) -> Cow<'static, str> {
    match failure.code {
        Code::CredentialMissing => "missing credentials".into(),
        Code::CredentialWrong => "invalid credentials".into(),
        _ => failure.detail.clone(),
    }
}

/// UNAVAILABLE says that nothing was done: clients ask again by themselves.
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
        Code::NoSuchLock | Code::WrongKey | Code::NotWaiting | Code::NoSuchMember => G::NotFound,
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
    fn only_what_may_be_sent_again_is_unavailable() {
        for code in Code::ALL {
            let again = grpc(code) == tonic::Code::Unavailable;
            assert!(!again || code.row().retryable, "{code:?}");
            assert_ne!(grpc(code), tonic::Code::Ok, "{code:?}");
        }
    }

    #[test]
    fn a_status_has_the_words_of_its_failure() {
        let status = Status::from(Failure::new(Code::SizeMismatch, "the lock is in use with size 3"));
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        assert_eq!(status.message(), "the lock is in use with size 3");
        assert_eq!(Status::from(Failure::new(Code::CredentialWrong, "-")).message(), "invalid credentials");
    }
}
