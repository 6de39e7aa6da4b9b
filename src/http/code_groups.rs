//! Codes that many endpoints can answer with, for their descriptions in the OpenAPI document.

use super::code::Code;

/// Of endpoints that need a credential.
pub const CREDENTIAL: [Code; 3] = [Code::CredentialMissing, Code::CredentialWrong, Code::TooManyAttempts];

/// Of linearizable reads.
pub const READ: [Code; 4] = [Code::NotLeader, Code::NoQuorum, Code::ShuttingDown, Code::Overloaded];

/// Of commands that change the table.
pub const WRITE: [Code; 7] = [
    Code::NotLeader,
    Code::NoQuorum,
    Code::ShuttingDown,
    Code::OutcomeUnknown,
    Code::StorageFailed,
    Code::DiskFull,
    Code::Overloaded,
];

/// Of requests that read a body of any form.
pub const BODY: [Code; 3] = [Code::MalformedBody, Code::BodyTooLarge, Code::BodyTimeout];

/// Of commands that add a hold to the table.
pub const NEW_HOLD: [Code; 4] = [Code::HoldsFull, Code::TableFull, Code::ShareFull, Code::DiskNearlyFull];

/// Of requests with an idempotency key.
pub const KEYED: [Code; 3] = [Code::RequestReused, Code::RequestEnded, Code::RequestsFull];
