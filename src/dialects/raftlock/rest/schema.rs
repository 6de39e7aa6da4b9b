//! The bodies of lock/unlock JSON.

use crate::http::endpoint::ErrorShape;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The lock is taken.
#[derive(Serialize, ToSchema)]
#[schema(as = ResourceLocked)]
pub struct Locked<'a> {
    /// Names the lock and this hold of it; unlocks it.
    pub lock_id: String,
    pub resource: &'a str,
    /// Higher than every token given before.
    pub fencing_token: u64,
    /// Until the lock is given back by itself.
    pub expires_in_seconds: Option<f64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResourceUnlocked)]
pub struct Unlocked<'a> {
    pub lock_id: &'a str,
    pub released: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResourceError)]
pub struct ErrorAnswer<'a> {
    pub error: ErrorBody<'a>,
    /// Who is in the way, when the lock is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder<'a>>,
}

impl ErrorShape for ErrorAnswer<'_> {}

#[derive(Serialize, ToSchema)]
pub struct ErrorBody<'a> {
    /// Stable name of the error.
    #[schema(example = "held")]
    pub code: &'a str,
    pub message: &'a str,
    /// The same request may succeed later, and sending it again does no harm.
    pub retryable: bool,
    /// The field of the request that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'a str>,
    /// The bound that was exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The key of the server's `config.toml` that sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_key: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
pub struct Holder<'a> {
    /// The metadata that the holder gave.
    pub metadata: BTreeMap<&'a str, &'a str>,
    pub fencing_token: u64,
    pub held_for_seconds: f64,
    /// Until it ends if nothing more is heard of its owner; null with neither a lease nor a session.
    pub remaining_seconds: Option<f64>,
    /// How many wait for this lock.
    pub queue_length: u32,
}
