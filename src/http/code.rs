//! The one error table: the name of each failure, its status in HTTP and in gRPC, and whether a retry may help.
//!
//! No mapping into it has a wildcard arm: a new refusal or engine error does not compile until it has a code.

use crate::domain::{Field, Refusal};
use crate::engine::{EngineError, Fault, MemberError};
use axum::http::StatusCode;

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    pub name: &'static str,
    pub status: StatusCode,
    /// UNAVAILABLE means that nothing was done: clients retry on their own.
    pub grpc: tonic::Code,
    /// The same request may succeed later, and sending it again does no harm.
    pub retryable: bool,
    pub title: &'static str,
}

/// Declares each code once: variant, name, status in HTTP and in gRPC, whether it is retryable, title.
macro_rules! codes {
    ($($variant:ident = $name:literal, $status:ident, $grpc:ident, $retryable:literal, $title:literal;)*) => {
        /// Every way in which a request can fail. The names are part of the interface and never change.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Code {
            $($variant,)*
        }

        impl Code {
            /// In the order of the declaration; the documentation of errors is made from it.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            pub const fn row(self) -> Row {
                match self {
                    $(Code::$variant => {
                        let (status, grpc) = (StatusCode::$status, tonic::Code::$grpc);
                        Row { name: $name, status, grpc, retryable: $retryable, title: $title }
                    })*
                }
            }
        }
    };
}

codes! {
    MalformedBody = "malformed-body", BAD_REQUEST, InvalidArgument, false, "The body cannot be read";
    InvalidField = "invalid-field", BAD_REQUEST, InvalidArgument, false, "A field has a value that is not accepted";
    LimitExceeded = "limit-exceeded", BAD_REQUEST, InvalidArgument, false, "A field is beyond its limit";
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, ResourceExhausted, false, "The body is too large";
    BodyTimeout = "body-timeout", REQUEST_TIMEOUT, DeadlineExceeded, true, "The body took too long to arrive";
    HeadTooLarge = "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, ResourceExhausted, false, "The request's head is too large";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, InvalidArgument, false, "The body has the wrong content type";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, Unimplemented, false, "This path does not have this method";
    NotFound = "not-found", NOT_FOUND, Unimplemented, false, "There is nothing at this path";
    CredentialMissing = "credential-missing", UNAUTHORIZED, Unauthenticated, false, "A credential is needed";
    CredentialWrong = "credential-wrong", UNAUTHORIZED, Unauthenticated, false, "The credential is not known";
    CredentialExpired = "credential-expired", UNAUTHORIZED, Unauthenticated, false, "The credential has expired";
    IdentityTokenRefused = "identity-token-refused", UNAUTHORIZED, Unauthenticated, false, "The identity token is not accepted";
    IssuerUnreachable = "issuer-unreachable", SERVICE_UNAVAILABLE, Unavailable, true, "The keys of an issuer cannot be fetched";
    TooManyAttempts = "too-many-attempts", TOO_MANY_REQUESTS, ResourceExhausted, true, "Too many failed attempts";
    RateExceeded = "rate-exceeded", TOO_MANY_REQUESTS, ResourceExhausted, true, "Too many requests a second";
    Forbidden = "forbidden", FORBIDDEN, PermissionDenied, false, "The credential lacks the right for this";
    CrossSite = "cross-site", FORBIDDEN, PermissionDenied, false, "A page of another site may not do this";
    BadHost = "bad-host", BAD_REQUEST, InvalidArgument, false, "The host of the request is missing or not valid";
    UnknownHost = "unknown-host", MISDIRECTED_REQUEST, InvalidArgument, false, "The request is for another host";
    SessionUnknown = "session-unknown", UNAUTHORIZED, FailedPrecondition, false, "The session is not known or has ended";
    SessionExists = "session-exists", CONFLICT, AlreadyExists, true, "The session exists already";
    NoSuchSession = "no-such-session", CONFLICT, NotFound, false, "There is no session to close";
    SessionOfAnother = "session-of-another", FORBIDDEN, PermissionDenied, false, "The session was opened with another credential";
    Held = "held", CONFLICT, FailedPrecondition, true, "The lock is held";
    Frozen = "frozen", CONFLICT, FailedPrecondition, true, "The lock is frozen";
    WaitTimedOut = "wait-timed-out", CONFLICT, DeadlineExceeded, true, "The wait timed out";
    WaitCancelled = "wait-cancelled", SERVICE_UNAVAILABLE, Unavailable, true, "The wait was cut short, and nothing was taken";
    SizeMismatch = "size-mismatch", CONFLICT, FailedPrecondition, false, "The lock is in use with another size";
    WouldDeadlock = "would-deadlock", CONFLICT, Aborted, false, "The wait would be part of a deadlock";
    UpgradePending = "upgrade-pending", CONFLICT, Aborted, false, "Another holder waits to be the only one";
    NotConvertible = "not-convertible", CONFLICT, FailedPrecondition, false, "This hold cannot be changed in this way";
    OtherNames = "other-names", CONFLICT, FailedPrecondition, false, "The hold has other names";
    NotCounted = "not-counted", CONFLICT, FailedPrecondition, false, "The lock is not counted";
    SizeBelowWeight = "size-below-weight", CONFLICT, FailedPrecondition, false, "A waiter weighs more than the new size";
    NotElected = "not-elected", CONFLICT, FailedPrecondition, false, "The hold is not that of an election";
    NoElectedLeader = "no-elected-leader", NOT_FOUND, NotFound, true, "Nobody leads this election";
    TargetUnknown = "target-unknown", CONFLICT, FailedPrecondition, false, "The session that was to get the hold is not known or has ended";
    TokenBelowMark = "token-below-mark", CONFLICT, FailedPrecondition, false, "A newer token was accepted before";
    NoSuchLock = "no-such-lock", NOT_FOUND, NotFound, false, "Nothing is held under this name";
    WrongKey = "wrong-key", NOT_FOUND, NotFound, false, "The key matches no hold of this lock";
    NotOwner = "not-owner", CONFLICT, FailedPrecondition, false, "This owner has no hold of this lock";
    TokenMismatch = "token-mismatch", CONFLICT, FailedPrecondition, false, "The owner's hold has another token";
    NotWaiting = "not-waiting", NOT_FOUND, NotFound, false, "This owner does not wait for this lock";
    RequestReused = "request-reused", UNPROCESSABLE_ENTITY, InvalidArgument, false, "The idempotency key belongs to another request";
    RequestEnded = "request-ended", GONE, FailedPrecondition, false, "The hold or session of this request has ended";
    NoLease = "no-lease", CONFLICT, FailedPrecondition, false, "The hold has no lease to renew";
    QueueFull = "queue-full", TOO_MANY_REQUESTS, ResourceExhausted, true, "Too many wait for this lock";
    SessionHoldsFull = "session-holds-full", TOO_MANY_REQUESTS, ResourceExhausted, true, "The session has too many holds";
    HoldsFull = "holds-full", SERVICE_UNAVAILABLE, ResourceExhausted, true, "The service has too many holds";
    SessionsFull = "sessions-full", SERVICE_UNAVAILABLE, ResourceExhausted, true, "The service has too many sessions";
    RequestsFull = "requests-full", SERVICE_UNAVAILABLE, ResourceExhausted, true, "The service keeps too many idempotency keys";
    MarksFull = "marks-full", SERVICE_UNAVAILABLE, ResourceExhausted, true, "The service remembers too many resources";
    FreezesFull = "freezes-full", SERVICE_UNAVAILABLE, ResourceExhausted, true, "The service has too many freezes";
    FrozenOtherwise = "frozen-otherwise", CONFLICT, AlreadyExists, false, "The target is frozen with another match";
    NoSuchFreeze = "no-such-freeze", NOT_FOUND, NotFound, false, "Nothing is frozen under this target";
    TableFull = "table-full", SERVICE_UNAVAILABLE, ResourceExhausted, true, "The lock table has reached its memory limit";
    QuotaFull = "quota-full", TOO_MANY_REQUESTS, ResourceExhausted, true, "A quota is used up";
    ShareFull = "share-full", TOO_MANY_REQUESTS, ResourceExhausted, true, "The caller's quota is used up";
    ReadersFull = "readers-full", SERVICE_UNAVAILABLE, ResourceExhausted, true, "Too many event subscribers";
    AddressFull = "address-full", TOO_MANY_REQUESTS, ResourceExhausted, true, "Too many such requests, from this address or from all";
    ConnectionsFull = "connections-full", SERVICE_UNAVAILABLE, Unavailable, true, "Too many connections";
    TokensExhausted = "tokens-exhausted", SERVICE_UNAVAILABLE, ResourceExhausted, false, "No fencing token is left";
    NotYet = "not-yet", SERVICE_UNAVAILABLE, Unavailable, true, "Not all nodes support this yet";
    NotLeader = "not-leader", SERVICE_UNAVAILABLE, Unavailable, true, "This node does not lead";
    NoQuorum = "no-quorum", SERVICE_UNAVAILABLE, Unavailable, true, "The cluster has no quorum";
    ShuttingDown = "shutting-down", SERVICE_UNAVAILABLE, Unavailable, true, "The server is shutting down";
    OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, Unknown, false, "The outcome is unknown";
    StorageFailed = "storage-failed", SERVICE_UNAVAILABLE, Internal, false, "The log cannot be written";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, Unavailable, true, "Too many requests wait for the log";
    DiskNearlyFull = "disk-nearly-full", SERVICE_UNAVAILABLE, Unavailable, true, "The data disk is nearly full";
    DiskFull = "disk-full", SERVICE_UNAVAILABLE, Unavailable, true, "The data disk is full";
    AuditUnwritten = "audit-unwritten", SERVICE_UNAVAILABLE, Unavailable, true, "The audit log cannot be written";
    NodeWiped = "node-wiped", SERVICE_UNAVAILABLE, Unavailable, true, "This node has lost its data";
    NodeRemoved = "node-removed", SERVICE_UNAVAILABLE, Unavailable, true, "This node is no member of its cluster any more";
    RunsAlone = "runs-alone", CONFLICT, FailedPrecondition, false, "This node runs alone";
    NoSuchMember = "no-such-member", NOT_FOUND, NotFound, false, "No member of the cluster has this id";
    MemberExists = "member-exists", CONFLICT, AlreadyExists, false, "The node is a member already";
    MemberUnreachable = "member-unreachable", CONFLICT, FailedPrecondition, true, "The node cannot be added now";
    MemberBehind = "member-behind", CONFLICT, FailedPrecondition, true, "The node has not caught up with the log";
    WouldLoseQuorum = "would-lose-quorum", CONFLICT, FailedPrecondition, false, "The cluster would lose its quorum";
    MembershipBusy = "membership-busy", CONFLICT, Aborted, true, "Another change of the membership is under way";
    Internal = "internal", INTERNAL_SERVER_ERROR, Internal, false, "A defect of the server";
}

impl Code {
    pub const fn status(self) -> StatusCode {
        self.row().status
    }

    pub const fn grpc(self) -> tonic::Code {
        self.row().grpc
    }

    pub const fn has_retry_after(self) -> bool {
        self.row().retryable && matches!(self.status().as_u16(), 429 | 503)
    }

    /// Whether a password or an API key, or another one, would help.
    pub const fn wants_secret(self) -> bool {
        matches!(self, Code::CredentialMissing | Code::CredentialWrong | Code::CredentialExpired)
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
            Refusal::Frozen(_) => Code::Frozen,
            Refusal::FreezesFull { .. } => Code::FreezesFull,
            Refusal::NoSuchFreeze => Code::NoSuchFreeze,
            Refusal::WaitCancelled | Refusal::WaitDropped => Code::WaitCancelled,
            Refusal::SizeMismatch { .. } => Code::SizeMismatch,
            Refusal::ZeroSize
            | Refusal::SizeOfOne
            | Refusal::NulInName
            | Refusal::UnboundedHold
            | Refusal::WeightAboveSize { .. }
            | Refusal::NameTwice
            | Refusal::NoElectionLease
            | Refusal::TokenNotIssued => Code::InvalidField,
            Refusal::NotYet { .. } => Code::NotYet,
            Refusal::SizeBelowWeight { .. } => Code::SizeBelowWeight,
            Refusal::OtherNames { .. } => Code::OtherNames,
            Refusal::WouldDeadlock { .. } => Code::WouldDeadlock,
            Refusal::UpgradePending => Code::UpgradePending,
            Refusal::NotConvertible => Code::NotConvertible,
            Refusal::TargetUnknown => Code::TargetUnknown,
            Refusal::NotCounted => Code::NotCounted,
            Refusal::NotElected => Code::NotElected,
            Refusal::TokenBelowMark { .. } => Code::TokenBelowMark,
            Refusal::MarksFull { .. } => Code::MarksFull,
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
            Refusal::IdempotencyKeysFull { .. } => Code::RequestsFull,
            Refusal::TableFull { .. } => Code::TableFull,
            Refusal::QuotaFull(_) => Code::QuotaFull,
            Refusal::ShareFull { .. } => Code::ShareFull,
            Refusal::TokensExhausted => Code::TokensExhausted,
            // The next leadership knows this process, and nothing was done.
            Refusal::UnknownIncarnation => Code::NotLeader,
            // Only a leader's own commands are refused like this, never a request.
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
            MemberError::WouldLoseQuorum(_) | MemberError::LastVoter(_) => Code::WouldLoseQuorum,
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
            Fault::TooFast(_) => Code::RateExceeded,
        }
    }
}

/// The names that a dialect has for the fields with limits.
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
            Field::Names => "names",
            Field::LockDelay => "lock_delay_seconds",
            Field::Value => "value",
            Field::FreezeTime => "for_seconds",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_kebab_case_and_unique() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.row().name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }

    #[test]
    fn every_status_is_an_error_and_only_internal_is_500() {
        for code in Code::ALL.iter().copied() {
            let status = code.status();
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            assert_eq!(status == StatusCode::INTERNAL_SERVER_ERROR, code == Code::Internal);
        }
    }

    #[test]
    fn unknown_outcome_is_not_retryable() {
        assert!(!Code::from(EngineError::OutcomeUnknown).row().retryable);
        assert!(Code::from(EngineError::NoQuorum).row().retryable);
    }
}
