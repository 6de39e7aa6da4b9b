//! What readers see: locks and sessions as they count now, ended holds and waiters left out.

use super::ids::{Dialect, HoldKey, Name, SessionId, Token};
use super::metadata::Metadata;
use super::time::Timestamp;
use std::sync::Arc;

/// A lock with its live holds, oldest first.
#[derive(Clone, Debug)]
pub struct LockView {
    pub name: Name,
    pub size: u32,
    pub holds: Vec<HoldView>,
    pub waiters: u32,
}

#[derive(Clone, Debug)]
pub struct HoldView {
    pub key: HoldKey,
    pub token: Token,
    pub dialect: Dialect,
    pub session: Option<SessionId>,
    pub label: Option<Arc<str>>,
    pub since: Timestamp,
    /// When the lease ends; `None` without one.
    pub deadline: Option<Timestamp>,
    pub metadata: Metadata,
}

#[derive(Clone, Debug)]
pub struct SessionView {
    pub session: SessionId,
    pub idle_timeout_ms: u64,
    /// When it ends if nothing more is heard; `None` while one of its requests waits.
    pub deadline: Option<Timestamp>,
    pub holds: u32,
    pub waiters: u32,
}

/// The table in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub locks: u64,
    pub holds: u64,
    pub waiters: u64,
    pub sessions: u64,
    pub remembered_sizes: u64,
}

/// Which locks a listing shows.
#[derive(Clone, Debug, Default)]
pub struct LockFilter {
    pub prefix: String,
    /// Only locks with (`true`) or without (`false`) a hold.
    pub held: Option<bool>,
    /// Only locks with (`true`) or without (`false`) waiters.
    pub contended: Option<bool>,
}
