//! Whether this node leads, is in contact with a leader, and may serve at all.

use crate::engine::cluster_clock::ClusterClock;
use crate::engine::error::EngineError;
use crate::raft::{NodeState, RaftNode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// A leader whose quorum has not answered for this long, or a follower that has not heard such a leader for this long,
/// is not ready: two missed rounds of presenting itself.
const CONTACT_FRESH: Duration = Duration::from_secs(1);

pub struct NodeHealth {
    node: u64,
    raft: RaftNode,
    clock: Arc<ClusterClock>,
    /// Whether this node leads and has applied the first entry of its leadership.
    leads: watch::Sender<bool>,
    /// See [`NodeState::Wiped`].
    wiped: AtomicBool,
    /// See [`NodeState::Removed`].
    removed: AtomicBool,
    /// See [`NodeState::Diverged`].
    diverged: AtomicBool,
    /// Age of this process in milliseconds when a leader with a quorum last answered; 0 before the first time.
    contact_ms: AtomicU64,
}

/// What a new state of the node means for the requests that wait on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MembershipChange {
    Removed,
    AddedAgain,
}

impl NodeHealth {
    pub fn new(node: u64, raft: RaftNode, clock: Arc<ClusterClock>) -> NodeHealth {
        NodeHealth {
            node,
            raft,
            clock,
            leads: watch::Sender::new(false),
            wiped: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            diverged: AtomicBool::new(false),
            contact_ms: AtomicU64::new(0),
        }
    }

    pub fn node(&self) -> u64 {
        self.node
    }

    /// Whether this node is the only member: its own log is the quorum.
    pub fn is_alone(&self) -> bool {
        self.raft.is_alone()
    }

    pub fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    pub fn set_leads(&self, leads: bool) {
        self.leads.send_replace(leads);
    }

    /// Resolves when this node leads, or its proposer is gone.
    pub async fn until_leading(&self) {
        _ = self.leads.subscribe().wait_for(|leads| *leads).await;
    }

    /// The leader, if another node leads.
    pub fn leader(&self) -> Option<u64> {
        let leadership = self.raft.current_leadership();
        leadership.leader.filter(|_| !leadership.is_leader)
    }

    /// Whether this node can serve with a quorum: there is one, and this node's own disk lets it take part.
    pub fn has_quorum(&self) -> bool {
        self.is_in_contact() && (self.is_alone() || !self.is_disk_stalled())
    }

    /// Whether a leader with a quorum is known, and this node is it or hears it, whatever its own disk does.
    pub fn is_in_contact(&self) -> bool {
        if self.is_removed() || self.is_diverged() {
            return false;
        }
        if self.leads() {
            return self.is_alone() || self.raft.quorum_age().is_some_and(|age| age < CONTACT_FRESH);
        }
        self.contact_age().is_some_and(|age| age < CONTACT_FRESH)
    }

    /// Whether this node's disk holds everything up: what it knows of the others is as old as the flush.
    pub fn is_disk_stalled(&self) -> bool {
        self.raft.flush_stalled() >= CONTACT_FRESH
    }

    /// Whether requests can be served as usual.
    pub fn is_ready(&self) -> bool {
        self.has_quorum() && !self.raft.is_disk_full() && !self.raft.state().borrow().has_lost_end()
    }

    /// Why this node is not ready, in words for an operator.
    pub fn unready_reason(&self) -> String {
        if self.raft.is_disk_full() {
            return "the data disk is full: locks are shown, and nothing is changed until there is room in data_dir \
                    (storage.min_free_bytes)"
                .to_owned();
        }
        match self.state() {
            NodeState::Member if self.is_disk_stalled() => {
                "the data disk is slow: a flush of the log has not ended for a second or more".to_owned()
            }
            NodeState::Member => "no leader with a quorum is known".to_owned(),
            other => other.to_string(),
        }
    }

    /// How long ago this node, as a follower, last heard a leader with a quorum.
    fn contact_age(&self) -> Option<Duration> {
        let contact = self.contact_ms.load(Ordering::Relaxed);
        (contact > 0).then(|| self.clock.age().saturating_sub(Duration::from_millis(contact)))
    }

    pub fn note_contact(&self) {
        let age = self.clock.age().as_millis() as u64;
        self.contact_ms.store(age.max(1), Ordering::Relaxed);
    }

    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    fn is_diverged(&self) -> bool {
        self.diverged.load(Ordering::Relaxed)
    }

    /// Every request is checked here: a node without its disk would answer from an empty table.
    pub fn check_may_serve(&self) -> Result<(), EngineError> {
        if self.wiped.load(Ordering::Relaxed) {
            return Err(EngineError::Wiped(self.node));
        }
        if self.is_removed() {
            return Err(EngineError::Removed(self.node));
        }
        match self.is_diverged() {
            true => Err(EngineError::Differs(self.node)),
            false => Ok(()),
        }
    }

    /// Refuses what cannot be written.
    pub fn check_writable(&self) -> Result<(), EngineError> {
        if self.raft.is_disk_full() { Err(EngineError::DiskFull) } else { Ok(()) }
    }

    pub fn state(&self) -> NodeState {
        match self.is_diverged() {
            true => NodeState::Diverged { node: self.node },
            false => self.raft.state().borrow().clone(),
        }
    }

    /// Notes a state that consensus reports.
    pub fn note_state(&self, state: &NodeState) -> Option<MembershipChange> {
        self.wiped.store(state.is_wiped(), Ordering::Relaxed);
        match (self.removed.swap(state.is_removed(), Ordering::Relaxed), state.is_removed()) {
            (false, true) => Some(MembershipChange::Removed),
            (true, false) => Some(MembershipChange::AddedAgain),
            _ => None,
        }
    }

    /// Notes for good that the table of this node is not that of the others; whether that is news.
    pub fn note_diverged(&self) -> bool {
        !self.diverged.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_node::TestNode;

    #[tokio::test]
    async fn removed_node_may_not_serve_until_it_is_added_again() {
        let health = TestNode::start().await.health;
        assert!(!health.is_in_contact(), "it leads, but has not applied its first entry");
        health.set_leads(true);
        assert!(health.is_alone() && health.is_ready() && health.check_may_serve().is_ok());
        let removed = NodeState::Removed { node: 1 };
        assert_eq!(health.note_state(&removed), Some(MembershipChange::Removed));
        assert_eq!(health.check_may_serve(), Err(EngineError::Removed(1)));
        assert!(!health.is_in_contact());
        assert_eq!(health.note_state(&removed), None);
        assert_eq!(health.note_state(&NodeState::Member), Some(MembershipChange::AddedAgain));
        assert!(health.is_ready());
    }
}
