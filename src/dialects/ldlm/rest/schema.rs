//! The answers of sessions v1 as the OpenAPI document describes them; `answer.rs` writes them by hand.
#![expect(dead_code, reason = "the hot path writes these shapes without them")]

use crate::http::Code;
use crate::http::endpoint::ErrorShape;
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

#[derive(ToSchema)]
pub struct SessionError {
    error: String,
}

#[derive(ToSchema)]
pub struct LockAnswer {
    locked: bool,
    name: String,
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
}

/// The error shape of LDLM's gateway.
#[derive(ToSchema)]
pub struct GatewayError {
    /// A gRPC code.
    code: i32,
    message: String,
    #[schema(value_type = Vec<Object>)]
    details: Vec<()>,
}

impl ErrorShape for GatewayError {}
