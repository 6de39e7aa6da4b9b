//! Proposals, linearizable reads, and calls to other nodes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{CheckIsLeaderError, ClientWriteError, Fatal, RaftError};

use crate::base::fatal;
use crate::raft::error::{ProposeError, ReadError};
use crate::raft::node::{Consensus, RaftNode};
use crate::raft::peers::connection::RequestError;
use crate::raft::standalone::EntrySource;
use crate::raft::types::NodeId;

impl RaftNode {
    /// Proposes `payload` as one log entry; resolves with its index after it was applied here.
    pub async fn propose(&self, payload: Bytes) -> Result<u64, ProposeError> {
        let raft = match &self.parts.consensus {
            Consensus::Openraft(cluster) => &cluster.raft,
            Consensus::Standalone(node) => return node.propose(payload).await,
        };
        let led = self.current_leadership().is_leader;
        let sent = raft.client_write_ff(payload).await;
        let answer = sent.map_err(not_sent)?.await;
        match answer {
            Ok(Ok(written)) => Ok(written.log_id.index),
            // If this node led, the same error may also mean that the entry was written and then replaced.
            Ok(Err(ClientWriteError::ForwardToLeader(_))) if led => Err(ProposeError::OutcomeUnknown),
            Ok(Err(ClientWriteError::ForwardToLeader(to))) => Err(match to.leader_id {
                Some(leader) => ProposeError::NotLeader { leader: Some(leader) },
                None => ProposeError::NoQuorum,
            }),
            Ok(Err(ClientWriteError::ChangeMembershipError(_))) | Err(_) => Err(ProposeError::OutcomeUnknown),
        }
    }

    /// Confirms with a quorum that this node leads. Everything that was answered before this call is applied at the index that
    /// it returns.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        let raft = match &self.parts.consensus {
            Consensus::Openraft(cluster) => &cluster.raft,
            Consensus::Standalone(node) => return node.read_index(),
        };
        match raft.get_read_log_id().await {
            Ok((read, _)) => Ok(read.map_or(0, |id| id.index)),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to))) => {
                Err(ReadError::NotLeader { leader: to.leader_id })
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => Err(ReadError::NoQuorum),
            Err(RaftError::Fatal(_)) => Err(ReadError::ShuttingDown),
        }
    }

    /// Resolves when this node has applied everything up to `index`.
    pub async fn applied(&self, index: u64) {
        self.monitors().applied.wait_for(index).await;
    }

    /// Calls the service of another member; requests and answers are byte strings. The caller bounds how long it waits; no
    /// request is sent twice.
    pub async fn call(&self, node: u64, request: Bytes) -> Result<Bytes, RequestError> {
        match self.address_of(node) {
            Some(address) => self.call_at(node, &address, request).await,
            None => Err(RequestError::Unreachable("it is no member, so its address is not known".to_owned())),
        }
    }

    /// The same for a node that need not be a member, at this address.
    pub async fn call_at(&self, node: u64, address: &str, request: Bytes) -> Result<Bytes, RequestError> {
        match self.peers() {
            Some(peers) => peers.call(node, address, request).await,
            None => Err(RequestError::Unreachable("this node has no peers".to_owned())),
        }
    }

    /// How long ago a quorum last acknowledged this leader, to within a heartbeat; `None` where it does not lead.
    pub fn quorum_age(&self) -> Option<Duration> {
        match self.raft() {
            Some(raft) => raft.metrics().borrow().millis_since_quorum_ack.map(Duration::from_millis),
            None => self.current_leadership().is_leader.then_some(Duration::ZERO),
        }
    }

    /// Has a node without peers take its entries from `source`; a node with peers is proposed to.
    pub fn take_from(&self, source: Arc<dyn EntrySource>) {
        self.standalone().inspect(|node| node.set_source(source));
    }

    /// Takes what waits in the source into the log of a node without peers.
    pub fn append_pending(&self) {
        self.standalone().inspect(|node| node.append_pending());
    }
}

fn not_sent(error: Fatal<NodeId>) -> ProposeError {
    match error {
        // The watch on openraft is about to end the process.
        Fatal::StorageError(_) => ProposeError::StorageFailed,
        Fatal::Panicked => fatal::abort("the consensus engine has failed", &error),
        Fatal::Stopped => ProposeError::ShuttingDown,
    }
}
