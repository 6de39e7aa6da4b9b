//! What this node's own copy of the table says, and what only gRPC's dialects ask.

use super::error::Fault;
use super::face::Engine;
use super::table_host::EndedHold;
use crate::domain::view::{HoldView, LockView, WaiterView};
use crate::domain::{Acquire, Caller, Command, HoldKey, Name, Outcome, Refusal, SessionId};
use crate::raft::NodeState;
use std::sync::Arc;

impl Engine {
    /// Waits in the queue for an owner label, without a request that waits: says how many are ahead, or `None` when the
    /// lock was free and is now held.
    pub async fn enqueue(&self, acquire: Acquire) -> Result<Option<u32>, Fault> {
        self.limits().check_acquire(&acquire)?;
        let command = Command::Acquire(Box::new(acquire));
        self.check_quota(&command)?;
        match self.carry_out(command).await? {
            Outcome::Enqueued { position } => Ok(Some(position)),
            Outcome::Acquired(_) => Ok(None),
            Outcome::Refused(refusal) => Err(refusal.into()),
            _ => Err(Refusal::Broken("an outcome of another kind than the command").into()),
        }
    }

    /// Ends the wait of an owner label.
    pub async fn cancel_wait(&self, name: Name, label: Arc<str>) -> Result<(), Fault> {
        match self.carry_out(Command::CancelWait { name, label }).await? {
            Outcome::Cancelled => Ok(()),
            Outcome::Refused(refusal) => Err(refusal.into()),
            _ => Err(Refusal::Broken("an outcome of another kind than the command").into()),
        }
    }

    /// A lock as far as this node knows; no leader is asked.
    pub fn lock_here(&self, name: &Name) -> Option<LockView> {
        self.0.core.host.table().lock_view(name, self.now())
    }

    /// Refuses a session that is another's, and one that is not known on any node. Whose it is never changes.
    pub async fn check_session_of(&self, session: SessionId, caller: Caller) -> Result<(), Fault> {
        let looked = self.0.core.host.table().check_session_of(session, caller);
        if looked != Err(Refusal::SessionUnknown) {
            return Ok(looked?);
        }
        // It may have been opened on another node.
        self.read_barrier().await?;
        Ok(self.0.core.host.table().check_session_of(session, caller)?)
    }

    /// A hold as far as this node knows.
    pub fn hold(&self, name: &Name, key: HoldKey) -> Option<HoldView> {
        self.lock_here(name)?.holds.into_iter().find(|hold| hold.key == key)
    }

    /// The last hold of a lock that is free by now, where a dialect shows it and this process has seen it end.
    pub fn last_hold(&self, name: &Name) -> Option<EndedHold> {
        self.0.core.host.ended_holds.of(name)
    }

    /// Who waits for a lock as far as this node knows, in the order of their turns.
    pub fn waiters(&self, name: &Name) -> Vec<WaiterView> {
        self.0.core.host.table().waiters_view(name, self.now())
    }

    /// Whether anything would be lost if this session ended.
    pub fn session_has_holds(&self, session: SessionId) -> bool {
        self.0.core.host.table().holds_of(session) > 0
    }

    /// Whether a leader with a quorum is known, this node or one that it hears, and the server stays.
    pub fn is_ready(&self) -> bool {
        let core = &self.0.core;
        core.has_quorum()
            && !core.raft.is_disk_full()
            && !core.raft.state().borrow().has_lost_end()
            && !self.0.ending.is_announced()
    }

    /// Whether a leader with a quorum is known, this node or one that it hears: sessions go on even where this node's disk
    /// is slow, full or has lost something.
    pub fn is_in_contact(&self) -> bool {
        self.0.core.is_in_contact()
    }

    /// Why this node is not ready, in words for an operator; `None` when it is.
    pub fn unready(&self) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        let standing = self.0.core.standing();
        Some(match standing {
            _ if self.is_leaving() => "the server is shutting down".to_owned(),
            _ if self.0.core.raft.is_disk_full() => {
                "the data disk is full: locks are shown, and nothing is changed until there \
                                                    is room in data_dir (storage.min_free_bytes)"
                    .to_owned()
            }
            NodeState::Member if self.0.core.is_disk_stalled() => {
                "the data disk is slow: a flush of the log has not ended for a second or more".to_owned()
            }
            NodeState::Member => "no leader with a quorum is known".to_owned(),
            other => other.to_string(),
        })
    }

    /// Whether this process will end soon; everything is served until it is about to.
    pub fn is_leaving(&self) -> bool {
        self.0.ending.is_announced()
    }

    /// The PEM text of each file with certificates for the other nodes, by its configuration key, as it is used from now
    /// on. Reads the files.
    pub fn peer_certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.0.core.raft.peer_certificates()
    }

    /// Whether this process is about to end.
    pub fn is_draining(&self) -> bool {
        self.0.ending.has_begun()
    }

    /// Completes when this process is about to end: answers without an end must come to theirs, or hold up the drain.
    pub async fn drain_begun(&self) {
        self.0.ending.begun().await;
    }
}
