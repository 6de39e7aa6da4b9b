//! The one error table: what each failure is called, its HTTP status, and whether asking again may help.
//!
//! Every refusal and every engine error has its arm, none is a wildcard: a new one does not compile until it has words.

use crate::domain::{Field, Refusal};
use crate::engine::{EngineError, Fault, MemberError};
use axum::http::StatusCode;

/// Every way in which a request can fail. The names are part of the interface and never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    MalformedBody,
    InvalidField,
    LimitExceeded,
    BodyTooLarge,
    BodyTimeout,
    HeadTooLarge,
    UnsupportedMediaType,
    MethodNotAllowed,
    NotFound,
    CredentialMissing,
    CredentialWrong,
    TooManyAttempts,
    Forbidden,
    CrossSite,
    BadHost,
    UnknownHost,
    SessionUnknown,
    SessionExists,
    SessionOfAnother,
    Held,
    WaitTimedOut,
    WaitCancelled,
    SizeMismatch,
    NoSuchLock,
    WrongKey,
    NotOwner,
    TokenMismatch,
    NotWaiting,
    RequestReused,
    RequestEnded,
    NoLease,
    QueueFull,
    SessionHoldsFull,
    HoldsFull,
    SessionsFull,
    RequestsFull,
    TableFull,
    ShareFull,
    ReadersFull,
    AddressFull,
    ConnectionsFull,
    TokensExhausted,
    NotLeader,
    NoQuorum,
    ShuttingDown,
    OutcomeUnknown,
    StorageFailed,
    Overloaded,
    DiskNearlyFull,
    DiskFull,
    NodeWiped,
    NodeRemoved,
    RunsAlone,
    NoSuchMember,
    MemberExists,
    MemberUnreachable,
    MemberBehind,
    WouldLoseQuorum,
    MembershipBusy,
    Internal,
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    pub name: &'static str,
    pub status: StatusCode,
    /// The same request may succeed later, and sending it again does no harm.
    pub retryable: bool,
    pub title: &'static str,
}

const fn row(name: &'static str, status: StatusCode, retryable: bool, title: &'static str) -> Row {
    Row { name, status, retryable, title }
}

impl Code {
    /// In the order of the declaration; the documentation of errors is made from it.
    pub const ALL: [Code; 60] = [
        Code::MalformedBody,
        Code::InvalidField,
        Code::LimitExceeded,
        Code::BodyTooLarge,
        Code::BodyTimeout,
        Code::HeadTooLarge,
        Code::UnsupportedMediaType,
        Code::MethodNotAllowed,
        Code::NotFound,
        Code::CredentialMissing,
        Code::CredentialWrong,
        Code::TooManyAttempts,
        Code::Forbidden,
        Code::CrossSite,
        Code::BadHost,
        Code::UnknownHost,
        Code::SessionUnknown,
        Code::SessionExists,
        Code::SessionOfAnother,
        Code::Held,
        Code::WaitTimedOut,
        Code::WaitCancelled,
        Code::SizeMismatch,
        Code::NoSuchLock,
        Code::WrongKey,
        Code::NotOwner,
        Code::TokenMismatch,
        Code::NotWaiting,
        Code::RequestReused,
        Code::RequestEnded,
        Code::NoLease,
        Code::QueueFull,
        Code::SessionHoldsFull,
        Code::HoldsFull,
        Code::SessionsFull,
        Code::RequestsFull,
        Code::TableFull,
        Code::ShareFull,
        Code::ReadersFull,
        Code::AddressFull,
        Code::ConnectionsFull,
        Code::TokensExhausted,
        Code::NotLeader,
        Code::NoQuorum,
        Code::ShuttingDown,
        Code::OutcomeUnknown,
        Code::StorageFailed,
        Code::Overloaded,
        Code::DiskNearlyFull,
        Code::DiskFull,
        Code::NodeWiped,
        Code::NodeRemoved,
        Code::RunsAlone,
        Code::NoSuchMember,
        Code::MemberExists,
        Code::MemberUnreachable,
        Code::MemberBehind,
        Code::WouldLoseQuorum,
        Code::MembershipBusy,
        Code::Internal,
    ];

    #[rustfmt::skip]
    pub const fn row(self) -> Row {
        use StatusCode as S;
        match self {
            Code::MalformedBody => row("malformed-body", S::BAD_REQUEST, false, "The body cannot be read"),
            Code::InvalidField => row("invalid-field", S::BAD_REQUEST, false, "A field has a value that is not accepted"),
            Code::LimitExceeded => row("limit-exceeded", S::BAD_REQUEST, false, "A field is beyond its limit"),
            Code::BodyTooLarge => row("body-too-large", S::PAYLOAD_TOO_LARGE, false, "The body is too large"),
            Code::BodyTimeout => row("body-timeout", S::REQUEST_TIMEOUT, true, "The body took too long to arrive"),
            Code::HeadTooLarge => row("head-too-large", S::REQUEST_HEADER_FIELDS_TOO_LARGE, false, "The request's head is too large"),
            Code::UnsupportedMediaType => row("unsupported-media-type", S::UNSUPPORTED_MEDIA_TYPE, false, "The body has the wrong content type"),
            Code::MethodNotAllowed => row("method-not-allowed", S::METHOD_NOT_ALLOWED, false, "This path does not have this method"),
            Code::NotFound => row("not-found", S::NOT_FOUND, false, "There is nothing at this path"),
            Code::CredentialMissing => row("credential-missing", S::UNAUTHORIZED, false, "A credential is needed"),
            Code::CredentialWrong => row("credential-wrong", S::UNAUTHORIZED, false, "The credential is not known"),
            Code::TooManyAttempts => row("too-many-attempts", S::TOO_MANY_REQUESTS, true, "Too many failed attempts"),
            Code::Forbidden => row("forbidden", S::FORBIDDEN, false, "The credential lacks the right for this"),
            Code::CrossSite => row("cross-site", S::FORBIDDEN, false, "A page of another site may not do this"),
            Code::BadHost => row("bad-host", S::BAD_REQUEST, false, "The request does not say for which host it is"),
            Code::UnknownHost => row("unknown-host", S::MISDIRECTED_REQUEST, false, "The request is for another host"),
            Code::SessionUnknown => row("session-unknown", S::UNAUTHORIZED, false, "The session is not known or has ended"),
            Code::SessionExists => row("session-exists", S::CONFLICT, true, "The session exists already"),
            Code::SessionOfAnother => row("session-of-another", S::FORBIDDEN, false, "The session was opened with another credential"),
            Code::Held => row("held", S::CONFLICT, true, "The lock is held"),
            Code::WaitTimedOut => row("wait-timed-out", S::CONFLICT, true, "The wait ended without the lock"),
            Code::WaitCancelled => row("wait-cancelled", S::SERVICE_UNAVAILABLE, true, "The wait was cut short, and nothing was taken"),
            Code::SizeMismatch => row("size-mismatch", S::CONFLICT, false, "The lock is in use with another size"),
            Code::NoSuchLock => row("no-such-lock", S::NOT_FOUND, false, "Nothing is held under this name"),
            Code::WrongKey => row("wrong-key", S::NOT_FOUND, false, "The key opens no hold of this lock"),
            Code::NotOwner => row("not-owner", S::CONFLICT, false, "This owner has no hold of this lock"),
            Code::TokenMismatch => row("token-mismatch", S::CONFLICT, false, "The owner's hold has another token"),
            Code::NotWaiting => row("not-waiting", S::NOT_FOUND, false, "This owner does not wait for this lock"),
            Code::RequestReused => row("request-reused", S::UNPROCESSABLE_ENTITY, false, "The idempotency key belongs to another request"),
            Code::RequestEnded => row("request-ended", S::GONE, false, "What this request was given has ended"),
            Code::NoLease => row("no-lease", S::CONFLICT, false, "The hold has no lease to renew"),
            Code::QueueFull => row("queue-full", S::TOO_MANY_REQUESTS, true, "Too many wait for this lock"),
            Code::SessionHoldsFull => row("session-holds-full", S::TOO_MANY_REQUESTS, true, "The session has too many holds"),
            Code::HoldsFull => row("holds-full", S::SERVICE_UNAVAILABLE, true, "The service has too many holds"),
            Code::SessionsFull => row("sessions-full", S::SERVICE_UNAVAILABLE, true, "The service has too many sessions"),
            Code::RequestsFull => row("requests-full", S::SERVICE_UNAVAILABLE, true, "The service keeps too many idempotency keys"),
            Code::TableFull => row("table-full", S::SERVICE_UNAVAILABLE, true, "The lock table takes as much memory as it may"),
            Code::ShareFull => row("share-full", S::TOO_MANY_REQUESTS, true, "The caller has as much as one caller may have"),
            Code::ReadersFull => row("readers-full", S::SERVICE_UNAVAILABLE, true, "Too many read the events"),
            Code::AddressFull => row("address-full", S::TOO_MANY_REQUESTS, true, "Too much of this kind is in flight"),
            Code::ConnectionsFull => row("connections-full", S::SERVICE_UNAVAILABLE, true, "Too many connections"),
            Code::TokensExhausted => row("tokens-exhausted", S::SERVICE_UNAVAILABLE, false, "No fencing token is left"),
            Code::NotLeader => row("not-leader", S::SERVICE_UNAVAILABLE, true, "This node does not lead"),
            Code::NoQuorum => row("no-quorum", S::SERVICE_UNAVAILABLE, true, "The cluster has no quorum"),
            Code::ShuttingDown => row("shutting-down", S::SERVICE_UNAVAILABLE, true, "The server is shutting down"),
            Code::OutcomeUnknown => row("outcome-unknown", S::SERVICE_UNAVAILABLE, false, "The outcome is unknown"),
            Code::StorageFailed => row("storage-failed", S::SERVICE_UNAVAILABLE, false, "The log cannot be written"),
            Code::Overloaded => row("overloaded", S::SERVICE_UNAVAILABLE, true, "Too many requests wait for the log"),
            Code::DiskNearlyFull => row("disk-nearly-full", S::SERVICE_UNAVAILABLE, true, "The data disk is nearly full"),
            Code::DiskFull => row("disk-full", S::SERVICE_UNAVAILABLE, true, "The data disk is full"),
            Code::NodeWiped => row("node-wiped", S::SERVICE_UNAVAILABLE, true, "This node has lost its data"),
            Code::NodeRemoved => row("node-removed", S::SERVICE_UNAVAILABLE, true, "This node is no member of its cluster any more"),
            Code::RunsAlone => row("runs-alone", S::CONFLICT, false, "This node runs alone"),
            Code::NoSuchMember => row("no-such-member", S::NOT_FOUND, false, "No member of the cluster has this id"),
            Code::MemberExists => row("member-exists", S::CONFLICT, false, "The node is a member already"),
            Code::MemberUnreachable => row("member-unreachable", S::CONFLICT, true, "The node cannot be added now"),
            Code::MemberBehind => row("member-behind", S::CONFLICT, true, "The node has not caught up with the log"),
            Code::WouldLoseQuorum => row("would-lose-quorum", S::CONFLICT, false, "The cluster would lose its quorum"),
            Code::MembershipBusy => row("membership-busy", S::CONFLICT, true, "Another change of the membership is under way"),
            Code::Internal => row("internal", S::INTERNAL_SERVER_ERROR, false, "A defect of the server"),
        }
    }

    pub const fn status(self) -> StatusCode {
        self.row().status
    }
}

impl From<&Refusal> for Code {
    fn from(refusal: &Refusal) -> Code {
        match refusal {
            Refusal::SessionUnknown => Code::SessionUnknown,
            Refusal::SessionExists => Code::SessionExists,
            Refusal::SessionOfAnother => Code::SessionOfAnother,
            Refusal::Held(_) => Code::Held,
            Refusal::WaitTimedOut => Code::WaitTimedOut,
            Refusal::WaitCancelled => Code::WaitCancelled,
            Refusal::SizeMismatch { .. } => Code::SizeMismatch,
            Refusal::ZeroSize | Refusal::NulInName | Refusal::UnboundedHold => Code::InvalidField,
            Refusal::NoSuchLock => Code::NoSuchLock,
            Refusal::WrongKey => Code::WrongKey,
            Refusal::NotOwner => Code::NotOwner,
            Refusal::TokenMismatch => Code::TokenMismatch,
            Refusal::NotWaiting => Code::NotWaiting,
            Refusal::RequestReused => Code::RequestReused,
            Refusal::RequestEnded => Code::RequestEnded,
            Refusal::NoLease => Code::NoLease,
            Refusal::LimitExceeded { .. } => Code::LimitExceeded,
            Refusal::QueueFull { .. } => Code::QueueFull,
            Refusal::HoldsFull { .. } => Code::HoldsFull,
            Refusal::SessionHoldsFull { .. } => Code::SessionHoldsFull,
            Refusal::SessionsFull { .. } => Code::SessionsFull,
            Refusal::RequestsFull { .. } => Code::RequestsFull,
            Refusal::TableFull { .. } => Code::TableFull,
            Refusal::ShareFull { .. } => Code::ShareFull,
            Refusal::TokensExhausted => Code::TokensExhausted,
            // The next leadership knows this process; what was asked was not done.
            Refusal::UnknownIncarnation => Code::NotLeader,
            // Answers to what only a leader asks; no request gets them.
            Refusal::NodeUnknown | Refusal::StoreMismatch | Refusal::LevelRefused { .. } => Code::Internal,
            Refusal::Broken(_) => Code::Internal,
        }
    }
}

impl From<EngineError> for Code {
    fn from(error: EngineError) -> Code {
        match error {
            EngineError::NotLeader => Code::NotLeader,
            EngineError::NoQuorum => Code::NoQuorum,
            EngineError::ShuttingDown => Code::ShuttingDown,
            EngineError::OutcomeUnknown => Code::OutcomeUnknown,
            EngineError::StorageFailed => Code::StorageFailed,
            EngineError::Overloaded => Code::Overloaded,
            EngineError::DiskNearlyFull => Code::DiskNearlyFull,
            EngineError::DiskFull => Code::DiskFull,
            EngineError::Wiped(_) | EngineError::Differs(_) => Code::NodeWiped,
            EngineError::Removed(_) => Code::NodeRemoved,
        }
    }
}

impl From<&MemberError> for Code {
    fn from(error: &MemberError) -> Code {
        match error {
            MemberError::Alone => Code::RunsAlone,
            MemberError::BadAddress(_) => Code::InvalidField,
            MemberError::Unknown(_) => Code::NoSuchMember,
            MemberError::AlreadyMember { .. } | MemberError::AlreadyVoter(_) => Code::MemberExists,
            MemberError::Unreachable { .. } => Code::MemberUnreachable,
            MemberError::NotCaughtUp { .. } => Code::MemberBehind,
            MemberError::WouldLoseQuorum(_) => Code::WouldLoseQuorum,
            MemberError::Busy => Code::MembershipBusy,
        }
    }
}

impl From<&Fault> for Code {
    fn from(fault: &Fault) -> Code {
        match fault {
            Fault::Refused(refusal) => refusal.into(),
            Fault::Engine(error) => (*error).into(),
            Fault::Member(error) => error.into(),
        }
    }
}

/// What a dialect calls the fields that the table has limits for.
#[derive(Clone, Copy, Debug)]
pub struct FieldNames {
    pub name: &'static str,
    pub size: &'static str,
    pub lease: &'static str,
    pub wait: &'static str,
}

impl FieldNames {
    pub const fn of(&self, field: Field) -> &'static str {
        match field {
            Field::Name => self.name,
            Field::Size => self.size,
            Field::Lease => self.lease,
            Field::Wait => self.wait,
            Field::MetadataEntries | Field::MetadataKey | Field::MetadataValue => "metadata",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_kebab_case_and_no_two_are_the_same() {
        let names: BTreeSet<_> = Code::ALL.into_iter().map(|code| code.row().name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }

    #[test]
    fn only_a_defect_is_a_500_and_nothing_is_a_success() {
        for code in Code::ALL {
            let status = code.status();
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            assert_eq!(status == StatusCode::INTERNAL_SERVER_ERROR, code == Code::Internal);
        }
    }

    #[test]
    fn an_unknown_outcome_is_never_called_retryable() {
        assert!(!Code::from(EngineError::OutcomeUnknown).row().retryable);
        assert!(Code::from(EngineError::NoQuorum).row().retryable);
    }
}
