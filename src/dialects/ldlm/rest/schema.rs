//! The answers of sessions v1 as the OpenAPI document describes them; `answer.rs` writes them by hand.
#![expect(dead_code, reason = "the hot path writes these shapes without them")]

use crate::http::Code;
use crate::http::deadlock::BlockedBy;
use crate::http::endpoint::ErrorShape;
use crate::http::frozen::Frozen;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Errors of every request of this dialect with a message, besides credential and session.
pub const MESSAGE: [Code; 5] =
    [Code::TooManyAttempts, Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::UnsupportedMediaType];

/// Errors of requests with a session.
pub const IN_SESSION: [Code; 1] = [Code::SessionOfAnother];

#[derive(ToSchema)]
pub struct SessionAnswer {
    /// 128 random bits in hex; empty after closing.
    session_id: String,
    /// How long it lives without a request; absent after closing.
    #[schema(required = false)]
    idle_timeout_seconds: f64,
}

// No field has a `default` in its schema: generators would make it a required one.
/// What to take: `name`, or `names` for several, all or none.
#[derive(ToSchema)]
pub struct LockRequest {
    /// UTF-8 without NUL.
    #[schema(format = "lock-name", required = false)]
    name: String,
    /// Several names under one key, one token and one lease, all or none: from 1 to `locks.names_max`, none of them twice.
    /// Each is a name, or an object with a name and a mode of its own.
    #[schema(required = false)]
    names: Vec<NameOrPlace>,
    // Its description is that of the enum: one here would be a second schema, which a string does not fit.
    #[schema(inline, required = false)]
    mode: LockMode,
    /// The lease. Absent or 0: as long as the session.
    #[schema(required = false)]
    lock_timeout_seconds: f64,
    /// How long to wait in the queue. Absent or 0: try once.
    #[schema(required = false)]
    wait_timeout_seconds: f64,
    /// How many may hold the lock at once, a counted one. Absent: 1.
    #[schema(required = false)]
    size: i32,
    /// How many of the places of a counted lock the hold takes. Absent: 1.
    #[schema(required = false)]
    weight: u32,
    /// For how long nobody is granted the lock after an unclean end of this hold: when its lease expires, or its session was
    /// idle for too long. Absent: not at all.
    #[schema(required = false)]
    lock_delay_seconds: f64,
    /// What others may know about the holder.
    #[schema(required = false)]
    metadata: BTreeMap<String, String>,
    /// The same as the header `Idempotency-Key`.
    #[schema(required = false, min_length = 1, max_length = 255)]
    request_id: String,
}

/// `shared` by any number of holders, or `exclusive`, the default. Not together with `size`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum LockMode {
    Exclusive,
    Shared,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum NameOrPlace {
    Name(String),
    Place(NameWithMode),
}

#[derive(Serialize, ToSchema)]
struct NameWithMode {
    name: String,
    #[schema(inline, required = false)]
    mode: LockMode,
}

/// Which hold to release: `name`, or all `names` of a hold of several.
#[derive(ToSchema)]
pub struct UnlockRequest {
    /// UTF-8 without NUL.
    #[schema(format = "lock-name", required = false)]
    name: String,
    /// All names of the hold, in any order.
    #[schema(required = false)]
    names: Vec<String>,
    /// Shows the right to renew and to release; a UUID, to be sent as it came.
    key: String,
}

/// Which hold to renew: `name`, or all `names` of a hold of several.
#[derive(ToSchema)]
pub struct RenewRequest {
    /// UTF-8 without NUL.
    #[schema(format = "lock-name", required = false)]
    name: String,
    /// All names of the hold, in any order.
    #[schema(required = false)]
    names: Vec<String>,
    /// Shows the right to renew and to release; a UUID, to be sent as it came.
    key: String,
    /// The new lease, from now; must be greater than 0.
    lock_timeout_seconds: f64,
}

#[derive(ToSchema)]
pub struct DowngradeRequest {
    /// The lock.
    #[schema(format = "lock-name")]
    name: String,
    /// The key of the hold, which stays.
    key: String,
}

#[derive(ToSchema)]
pub struct UpgradeRequest {
    /// The lock.
    #[schema(format = "lock-name")]
    name: String,
    /// The key of the hold, which stays.
    key: String,
    /// How long to wait to be the only holder. Absent or 0: try once.
    #[schema(required = false)]
    wait_timeout_seconds: f64,
}

#[derive(ToSchema)]
pub struct TransferRequest {
    /// The lock; of a hold of several names, any of them.
    #[schema(format = "lock-name")]
    name: String,
    /// The key of the hold, of no use afterwards.
    key: String,
    /// The id of the session that gets the hold, opened with the same credential.
    to_session: String,
}

#[derive(ToSchema)]
pub struct TransferAnswer {
    transferred: bool,
    name: String,
    /// The new key: the old one is worth nothing any more.
    key: String,
    /// The new token, higher than every token given before.
    fencing_token: u64,
    expires_in_seconds: Option<f64>,
}

#[derive(ToSchema)]
pub struct SessionError {
    error: String,
}

#[derive(ToSchema)]
pub struct LockAnswer {
    locked: bool,
    /// The first of several names.
    name: String,
    /// Where several were taken; a renewal does not repeat them.
    #[schema(required = false)]
    names: Vec<String>,
    /// Shows the right to renew and to release; a UUID, to be sent as it came.
    key: String,
    /// Where locked: higher than every token given before, in the whole service.
    #[schema(required = false)]
    fencing_token: u64,
    /// Where locked: when the hold ends if nothing more is heard of its session: with its lease, or with the session
    /// where that is sooner.
    expires_in_seconds: Option<f64>,
    #[schema(required = false)]
    error: LockError,
    /// With the error `WouldDeadlock`: who is in the way of whom, each waiting for the next, and the last for the first.
    #[schema(required = false)]
    cycle: Vec<BlockedBy>,
    /// An operator has frozen the name: nothing is granted under it until then.
    #[schema(required = false)]
    frozen: Frozen,
}

#[derive(ToSchema)]
pub struct UnlockAnswer {
    unlocked: bool,
    name: String,
    #[schema(required = false)]
    error: LockError,
}

/// Absent on success and on plain contention.
#[derive(ToSchema)]
pub struct LockError {
    #[schema(inline)]
    code: LockErrorCode,
    message: String,
    /// The field that is beyond its limit.
    #[schema(required = false)]
    field: String,
    /// The bound that was exceeded.
    #[schema(required = false)]
    limit: f64,
    /// The key of the server's `config.toml` that sets it.
    #[schema(required = false)]
    config_key: String,
}

#[derive(ToSchema)]
enum LockErrorCode {
    Unknown,
    LockDoesNotExist,
    InvalidLockKey,
    LockWaitTimeout,
    LockSizeMismatch,
    InvalidLockSize,
    WouldDeadlock,
}

/// The error shape of LDLM's gateway.
#[derive(ToSchema)]
pub struct GatewayError {
    /// A gRPC code.
    code: i32,
    message: String,
    #[schema(value_type = Vec<Object>)]
    details: Vec<()>,
    /// The code of the error as the documentation lists them, which is stable. Absent where LDLM's own server answers alike.
    #[schema(required = false)]
    reason: Option<String>,
    /// The field that is wrong.
    #[schema(required = false)]
    field: Option<String>,
    /// Its limit.
    #[schema(required = false)]
    limit: Option<u64>,
    /// The key of the configuration that sets the limit.
    #[schema(required = false)]
    config_key: Option<String>,
}

impl ErrorShape for GatewayError {}
