//! The engine's narrow face: all that dialects, pages and the server may ask of it.

use super::error::Fault;
use crate::domain::view::{Counts, LockFilter, LockView, SessionView};
use crate::domain::{Acquire, HoldKey, Limits, Name, Proof, SessionId, Token};
use std::time::Duration;

/// A handle on the running lock service; cheap to clone.
#[derive(Clone)]
pub struct Engine {}

/// A hold, as answered. Until its answer is handed to the kernel the hold is given back when this is dropped.
pub struct Granted {
    pub key: HoldKey,
    pub token: Token,
    /// What is left of the lease as the answer leaves; `None` without a lease.
    pub expires_in: Option<Duration>,
    pub delivery: Delivery,
}

/// Gives the hold back when dropped, unless the answer was delivered.
#[must_use]
pub struct Delivery {}

pub struct Released {
    /// A waiter holds the lock now.
    pub waiter_granted: bool,
}

pub struct Renewed {
    pub token: Token,
    pub expires_in: Duration,
}

pub struct LockPage {
    /// In order of their names.
    pub locks: Vec<LockView>,
    /// The name to pass as `after` for the next page; `None` at the end.
    pub next: Option<Name>,
    /// Cluster time of this view: a deadline minus this is what remains.
    pub now: crate::domain::Timestamp,
}

pub struct SessionPage {
    pub sessions: Vec<SessionView>,
    pub next: Option<SessionId>,
    pub now: crate::domain::Timestamp,
}

/// The service in numbers.
pub struct Overview {
    pub counts: Counts,
    pub leader: bool,
    pub term: u64,
    pub applied_index: u64,
    /// Since this process started.
    pub uptime: Duration,
}

impl Engine {
    /// A fresh key for a hold.
    pub fn new_key() -> HoldKey {
        HoldKey(uuid::Uuid::new_v4().into_bytes())
    }

    /// Opens a session with the configured idle timeout; its id has 128 bits from the OS's generator.
    pub async fn open_session(&self) -> Result<SessionId, Fault> {
        unimplemented!()
    }

    pub async fn close_session(&self, _session: SessionId) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Starts the session's idle time anew; refuses an unknown one.
    pub async fn touch_session(&self, _session: SessionId) -> Result<(), Fault> {
        unimplemented!()
    }

    /// How long a session lives without a request.
    pub fn session_idle_timeout(&self) -> Duration {
        unimplemented!()
    }

    /// The bounds in force, for messages that name them.
    pub fn limits(&self) -> &Limits {
        unimplemented!()
    }

    /// Takes or waits for a hold. Dropping the future cancels the wait.
    pub async fn acquire(&self, _acquire: Acquire) -> Result<Granted, Fault> {
        unimplemented!()
    }

    pub async fn release(&self, _name: Name, _session: Option<SessionId>, _proof: Proof) -> Result<Released, Fault> {
        unimplemented!()
    }

    pub async fn renew(
        &self,
        _name: Name,
        _session: Option<SessionId>,
        _key: HoldKey,
        _lease_ms: u64,
    ) -> Result<Renewed, Fault> {
        unimplemented!()
    }

    pub async fn force_release(&self, _name: Name, _key: HoldKey) -> Result<Released, Fault> {
        unimplemented!()
    }

    /// One lock, `None` if it is free; with the cluster time of the view.
    pub async fn lock(&self, _name: &Name) -> Result<(Option<LockView>, crate::domain::Timestamp), Fault> {
        unimplemented!()
    }

    pub async fn locks(&self, _filter: LockFilter, _after: Option<Name>, _limit: usize) -> Result<LockPage, Fault> {
        unimplemented!()
    }

    pub async fn sessions(&self, _after: Option<SessionId>, _limit: usize) -> Result<SessionPage, Fault> {
        unimplemented!()
    }

    pub fn overview(&self) -> Overview {
        unimplemented!()
    }

    /// Whether this node leads behind its barrier and is not draining.
    pub fn is_ready(&self) -> bool {
        unimplemented!()
    }
}
