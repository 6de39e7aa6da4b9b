//! What to do about each error, for the page that problem types point at.

use super::super::code::Code;

#[rustfmt::skip]
pub const fn advice(code: Code) -> &'static str {
    match code {
        Code::MalformedBody => "Send a body of the documented form. The detail says where reading it failed.",
        Code::InvalidField => "Correct the field that the answer names.",
        Code::LimitExceeded => "Stay within the limit that the answer names, or have the operator raise it in the configuration.",
        Code::BodyTooLarge => "Send less; the limit is `server.body_bytes_max`.",
        Code::BodyTimeout => "Send the whole body at once; the limit is `server.body_timeout`.",
        Code::UnsupportedMediaType => "Send `Content-Type: application/json`, or none.",
        Code::MethodNotAllowed => "Use a method that the `Allow` header names.",
        Code::NotFound => "Check the path against the API page.",
        Code::CredentialMissing => "Send a password or an API key: Basic, Bearer or `X-API-Key`.",
        Code::CredentialWrong => "Check the password or the API key; the server knows only its hash.",
        Code::TooManyAttempts => "Wait for `Retry-After` seconds. A valid credential is let in even now.",
        Code::Forbidden => "Use a credential with the role or the name prefix that the detail names.",
        Code::SessionUnknown => "Open a new session. What the old one held was given back when it ended.",
        Code::SessionExists => "Ask again: the server draws another id.",
        Code::Held => "Wait in the queue where the dialect can, or ask again later.",
        Code::WaitTimedOut => "The wait left nothing behind. Ask again, or wait longer.",
        Code::WaitCancelled => "The session ended while the request waited. Open a new one.",
        Code::SizeMismatch => "Ask for the size that the lock is in use with, or wait until it is free.",
        Code::NoSuchLock => "The hold was released, or its lease or its session has ended. Do not rely on it any more.",
        Code::WrongKey => "The hold was released or has expired, or the key belongs to another one. Do not rely on it any more.",
        Code::NoLease => "A hold that was taken without a lease lives as long as its session and needs no renewal.",
        Code::QueueFull => "Ask again later; the limit is `locks.waiters_per_lock_max`.",
        Code::SessionHoldsFull => "Release something or open another session; the limit is `sessions.holds_max`.",
        Code::HoldsFull => "Ask again later; the limit is `locks.holds_max`.",
        Code::SessionsFull => "Ask again later; the limit is `sessions.count_max`. Clients that reuse their session need fewer.",
        Code::TokensExhausted => "2^53 tokens were given. Start a new service with an empty data directory.",
        Code::NotLeader => "Ask again: the node is starting or the cluster is choosing a leader. Nothing was done.",
        Code::NoQuorum => "Ask again: nothing was done. Look at the other nodes if it stays.",
        Code::ShuttingDown => "Ask again, or ask another node. Nothing was done.",
        Code::OutcomeUnknown => "The command may have been carried out. Look at the lock before doing it again; a hold that nobody knows of ends with its lease or session.",
        Code::StorageFailed => "The server stops by itself, because it answers nothing that it cannot write. Look at its log and its disk.",
        Code::Overloaded => "Ask again after a pause.",
        Code::DiskNearlyFull => "Free disk space. Releases and renewals still work.",
        Code::Internal => "Report it with the server's log of that moment.",
    }
}
